"""A head that learns from stored features is the one that learns from the pictures."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fits import SIDE, Whole
from trials import configured, numbers, phase

from brain_tumor.config.schedule import PhaseConfig
from brain_tumor.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (9, SIDE, SIDE, 3)).astype(np.uint8)
ROWS = np.array([8, 1, 1, 4])


def backbone(seed: int = 0) -> Any:
    from brain_tumor.models.classifier import build_classifier
    from brain_tumor.training.features import pooled

    return pooled(build_classifier("cnn_baseline", shape=(SIDE, SIDE, 3), weights=None, dropout=0.5, seed=seed))


def stored(cache: Path, *, model: Any = None, facts: Any = None, seen: list[int] | None = None, **changes: Any) -> Any:
    from brain_tumor.training.features import stored_features

    def view(image: Any, position: int) -> Any:
        if seen is not None:
            seen.append(position)
        return image[::-1]

    options = {"view": view, "facts": facts, "cache": cache, "workers": 2, "title": "features"}
    return stored_features(model or backbone(), **{"pixels": PIXELS, "rows": ROWS} | options | changes)


def head(views: int | None) -> dict[str, PhaseConfig]:
    return {"head": phase(unfreeze="head", dropout=0.3, feature_views=views)}


def test_features_are_what_the_backbone_makes_of_the_views(tmp_path: Path) -> None:
    model = backbone()
    expected = model.predict(PIXELS[ROWS][:, ::-1], verbose=0)
    np.testing.assert_allclose(stored(tmp_path, model=model), expected, rtol=1e-5, atol=1e-6)


def test_what_is_stored_is_not_computed_again(tmp_path: Path) -> None:
    seen: list[int] = []
    first = stored(tmp_path, seen=seen)
    again = stored(tmp_path, seen=seen)  # with another model of the same weights
    assert sorted(seen) == [0, 1, 2, 3]
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("what", ["weights", "pictures", "order", "view"])
def test_what_depends_on_anything_else_is_stored_apart(what: str, tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "weights": {"model": backbone(seed=1)},
        "pictures": {"pixels": PIXELS ^ 1},
        "order": {"rows": ROWS[::-1]},
        "view": {"facts": ["flip", 3]},
    }[what]
    stored(tmp_path)
    seen: list[int] = []
    stored(tmp_path, seen=seen, **changes)
    assert seen
    assert len(list((tmp_path / "features").glob("*.npy"))) == 2


def test_features_of_slices_and_their_mean_are_stored_apart(tmp_path: Path) -> None:
    import keras

    image = keras.Input(PIXELS.shape[1:])
    rows = keras.layers.Reshape((SIDE, -1))(image)
    means = keras.layers.GlobalAveragePooling1D()(rows)
    both = [keras.Model(image, each, name="same") for each in (rows, means)]
    for _ in range(2):
        for model in both:
            assert stored(tmp_path, model=model).shape == (len(ROWS), *model.output_shape[1:])
    assert len(list((tmp_path / "features").glob("*.npy"))) == 2


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x93NUMPY"])
def test_a_damaged_file_is_made_again(content: bytes, tmp_path: Path) -> None:
    expected = np.array(stored(tmp_path))
    (path,) = (tmp_path / "features").glob("*.npy")
    path.write_bytes(content)
    np.testing.assert_array_equal(stored(tmp_path), expected)


def test_who_comes_second_waits_and_computes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[int] = []
    go_on = threading.Event()

    def slow(image: Any, position: int) -> Any:
        go_on.wait(60)
        return image

    model, other = backbone(), backbone()
    one = threading.Thread(target=lambda: stored(tmp_path, model=model, view=slow))
    one.start()
    while not list(tmp_path.glob("features/*.lock")):
        pass
    threading.Timer(1, go_on.set).start()
    stored(tmp_path, model=other, seen=seen)
    one.join()
    assert not seen
    assert "waits for the process that computes them" in capsys.readouterr().err


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "features").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot write features to .*data.cache=DIR"):
        stored(tmp_path)


def test_a_view_an_epoch_gives_the_head_that_pictures_give(whole: Whole, tmp_path: Path) -> None:
    pictures, features = whole.run(from_pictures := head(None)), whole.run(from_features := head(3))
    assert not (whole.cut(tmp_path / "pictures", from_pictures) / "cache").exists()
    stored = whole.cut(tmp_path / "features", from_features) / "cache" / "features"
    assert len(list(stored.glob("*.npy"))) == 4  # and the val part's
    for row, other in zip(numbers(features.history), numbers(pictures.history), strict=True):
        assert row.pop("phase") == other.pop("phase")
        assert row == pytest.approx(other, rel=1e-4)
    for one, other in zip(features.model.get_weights(), pictures.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_fewer_views_than_epochs_come_in_turn(whole: Whole) -> None:
    once, new = whole.run(head(1)), whole.run(head(3))
    assert numbers(once.history)[0] == numbers(new.history)[0]
    assert numbers(once.history)[1] != numbers(new.history)[1]


def test_the_fast_schedule_has_stored_features_and_leaves_the_first_blocks_as_they_are(tmp_path: Path) -> None:
    from brain_tumor.models.classifier import build_classifier
    from brain_tumor.training.freezing import apply_phase, as_built

    schedule = configured(
        tmp_path,
        "schedule=fast",
        "schedule.head.unfreeze=head",  # what the settings that tests share have changed
        "schedule.head.update_batch_norm=false",
    ).schedule
    assert schedule["head"].feature_views == 1
    model = build_classifier("effnet_lite0", shape=(SIDE, SIDE, 3), weights=None, dropout=0.2, seed=0)
    apply_phase(model, schedule["all"], "all", as_built(model))
    learning = [layer.name for layer in model.layers if layer.trainable_variables]
    assert learning[0].startswith("block4a")
    assert learning[-1] == "logits"


def test_only_a_frozen_backbone_has_features() -> None:
    with pytest.raises(ValueError, match="feature_views=2 needs unfreeze=head"):
        phase(feature_views=2)

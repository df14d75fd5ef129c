"""One model on two devices (CPU devices of a process of its own): the history of one device, and an ordinary model."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from toy import TINY, environment
from trials import assert_equal, numbers, prepared, trial

# All that carries a state: batch-norm statistics, warm-up and plateau, momenta, averaged weights. Each device draws its
# own dropout, so there is none. Of 40 images in batches of 13 one is left over, which goes to both devices.
OVERRIDES = (
    "model.dropout=0",
    "schedule.head.batch_size=10",
    "schedule.head.class_weights=balanced",
    "schedule.head.decay=plateau",
    "schedule.head.warmup_epochs=0.5",
    "schedule.head.plateau={patience: 1, factor: 0.5, min_learning_rate: 0}",
    "schedule.all.dropout=0",
    "schedule.all.batch_size=13",
    "schedule.all.update_batch_norm=false",
    "schedule.all.weight_averaging=0.5",
)

FEATURES = (
    "model.dropout=0",
    "schedule.head.unfreeze=head",
    "schedule.head.update_batch_norm=false",
    "schedule.head.epochs=2",
    "schedule.head.feature_views=1",
    "schedule.head.batch_size=10",
    "schedule.all.epochs=1",
    "schedule.all.warmup_epochs=0",
    "schedule.all.unfreeze=head",
    "schedule.all.dropout=0",
)

PROCESS = """
import sys
from pathlib import Path
sys.path[:0] = {tests!r}
from brain_tumor.models.backend import import_tensorflow
import_tensorflow()
import tensorflow
(cpu,) = tensorflow.config.list_physical_devices("CPU")
tensorflow.config.set_logical_device_configuration(cpu, [tensorflow.config.LogicalDeviceConfiguration()] * 2)
from brain_tumor.models import cnn
from test_distribute import train_mirrored
from trials import FILTERS
cnn._FILTERS = FILTERS
train_mirrored(Path({images!r}), Path({work!r}))
"""


def train_mirrored(images: Path, work: Path) -> None:
    """Train through, go on from what is there in the middle of a phase, and keep what came out."""
    import tensorflow as tf

    from brain_tumor.training.preparation import train_model

    def copy(row: dict[str, Any]) -> None:
        if row["step"] == 3:
            shutil.copytree(work / "whole", work / "cut")

    overrides = (*OVERRIDES, "hardware=mirrored")
    (work / "whole").mkdir()
    run = train_model(prepared(images, *overrides), work / "whole", on_epoch=copy)
    assert_equal(trial(images, work / "cut", *overrides)[1], run)
    assert not any(isinstance(each.value, tf.distribute.DistributedValues) for each in run.model.variables)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
    np.savez(work / "predicted.npz", pixels=pixels, probabilities=run.model.predict_on_batch(pixels))
    run.model.save(work / "model.keras")
    (work / "history.json").write_text(json.dumps(run.history))
    (work / "features.json").write_text(
        json.dumps(trial(images, work / "features", *FEATURES, "hardware=mirrored")[1].history)
    )


@pytest.fixture(scope="module")
def mirrored(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("mirrored")
    tests = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]
    code = PROCESS.format(tests=tests, images=str(images), work=str(work))
    where = {**environment(work), "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run([sys.executable, "-c", code], env=where, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return work


@pytest.mark.slow
def test_the_history_is_that_of_one_device(
    mirrored: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from brain_tumor.training import batch_norm

    # One device would take its statistics in one operation, which rounds otherwise, and training makes much of that.
    monkeypatch.setattr(batch_norm, "can_fuse", lambda layer: False)
    history = numbers(json.loads((mirrored / "history.json").read_text()))
    expected = numbers(trial(images, tmp_path / "run", *OVERRIDES)[1].history)
    assert len(history) == len(expected) == 4
    for row, other in zip(history, expected, strict=True):
        # What is left over counts twice in what training itself reports: two of the 36 images.
        reported = [] if row["phase"] == "head" else ["train/loss", "train/accuracy"]
        exact = {name: value for name, value in row.items() if name not in ("phase", *reported)}
        assert row["phase"] == other["phase"]
        assert exact == pytest.approx({name: other[name] for name in exact}, rel=1e-4)
        assert [row[name] for name in reported] == pytest.approx(
            [other[name] for name in reported], rel=0.05, abs=2 / 38
        )


@pytest.mark.slow
def test_several_devices_learn_from_features(mirrored: Path, images: Path, tmp_path: Path) -> None:
    history = numbers(json.loads((mirrored / "features.json").read_text()))
    expected = numbers(trial(images, tmp_path / "features", *FEATURES)[1].history)
    assert [row.pop("phase") for row in history] == [row.pop("phase") for row in expected] == ["head", "head", "all"]
    for row, other in zip(history, expected, strict=True):
        assert row == pytest.approx(other, rel=1e-4)


@pytest.mark.slow
def test_the_saved_model_knows_nothing_of_devices(mirrored: Path) -> None:
    import keras

    model = keras.saving.load_model(mirrored / "model.keras")
    with np.load(mirrored / "predicted.npz") as kept:
        np.testing.assert_allclose(model.predict_on_batch(kept["pixels"]), kept["probabilities"], atol=1e-6)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms
    assert not any(layer.synchronized for layer in norms)


@pytest.mark.parametrize(("size", "count"), [(8, 2), (7, 2), (1, 2), (2, 8), (10, 4)])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_mean_over_shares_is_that_over_the_batch(size: int, count: int, weighted: bool) -> None:
    from brain_tumor.training.distribute import shares

    rng = np.random.default_rng(size)
    images = rng.normal(size=(size, 1, 1, 3))
    weights = rng.random(size) if weighted else np.ones(size)
    batch = (images, np.arange(size), *([weights] if weighted else []))
    found = list(shares(batch, count))
    assert {len(labels) for _, labels, _ in found} == {-(-size // count)}
    losses = rng.random(size)
    mean = np.mean([np.mean(losses[labels] * given) for _, labels, given in found])
    assert mean == pytest.approx(np.mean(losses * weights))
    for shared, labels, _ in found:
        np.testing.assert_array_equal(shared, images[labels])


def test_a_stream_that_nobody_reads_any_more_ends() -> None:
    import keras

    from brain_tumor.training.distribute import fed

    ended = []

    def stream() -> Any:
        try:
            while True:
                yield np.zeros((2, 4, 4, 3), np.uint8), np.zeros(2, np.int32)
        finally:
            ended.append(True)

    with fed(keras.Sequential([keras.layers.Flatten()]), stream) as batches:
        next(batches)
    assert ended == [True]


def test_too_few_devices_is_one_line_before_the_images_are_read(
    run: Callable[..., subprocess.CompletedProcess[str]], bars: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    seen = {"CPU": [SimpleNamespace(name="/device:CPU:0")], "GPU": []}
    monkeypatch.setattr(tf.config, "list_logical_devices", seen.__getitem__)
    data = bars()
    for path in data.rglob("[1-9]*.png"):
        path.write_bytes(b"no image")
    done = run("train", "data=folder", f"data.root={data}", *TINY, "hardware=mirrored")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: hardware.strategy=mirrored needs two GPUs or more, and TensorFlow sees only CPU:0: "
        "use hardware=auto, or see that TensorFlow finds the others (nvidia-smi, CUDA_VISIBLE_DEVICES)"
    ]

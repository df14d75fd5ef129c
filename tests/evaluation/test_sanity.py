"""Maps of randomised weights, and what they say of the maps of the trained ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from brain_tumor.data.classes import STANDARD
from brain_tumor.data.dataset import Dataset
from brain_tumor.data.split import Split
from brain_tumor.evaluation.explanation import sanity
from brain_tumor.evaluation.explanation.map_scores import VERDICTS, Lesions, known_lesions
from brain_tumor.evaluation.explanation.maps import Explainer
from brain_tumor.evaluation.explanation.sanity import randomise, verdict
from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.models.classifier import build_classifier

SIDE, COUNT = 32, 12


@pytest.fixture
def lesions(tmp_path: Path) -> Lesions:
    """Gliomas: a bright square on black, which is the mask, in another place of each image."""
    rng = np.random.default_rng(0)
    pixels = np.zeros((COUNT, SIDE, SIDE, 3), np.uint8)
    rows = []
    for row, (y, x) in enumerate(rng.integers(0, SIDE - 8, (COUNT, 2))):
        pixels[row, y : y + 8, x : x + 8] = 255
        Image.fromarray(pixels[row, ..., 0] > 0).save(tmp_path / f"{row}.png")
        rows.append((f"{row}.jpg", "glioma", "test", f"{row}", "", f"{row}", f"{row}"))
    columns = ["path", "label", "part", "group", "site", "sha256", "twin"]
    split = Split(pd.DataFrame(rows, columns=columns), root=tmp_path, source="folder", synthetic=False)
    dataset = Dataset(split, pixels, np.arange(COUNT), tuple(f"{row}.png" for row in range(COUNT)))
    evaluation = Evaluation(split.table, np.eye(4)[[0] * COUNT], STANDARD.names, "test")
    found = known_lesions(dataset, "test", evaluation)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("head", "first", "weights_of_head", "kind"),
    [
        ("pooled", "logits", 2, ("layercam", "block4_relu")),  # the logits' kernel and bias
        ("evidence", "head", 14, ("evidence", "lesion_map")),  # and those of the map
    ],
)
def test_every_block_is_randomised_and_all_is_put_back(head, first, weights_of_head, kind, lesions, monkeypatch):
    model = build_classifier("cnn_baseline", shape=(SIDE, SIDE, 3), weights=None, dropout=0, seed=5, head=head)
    for weights in model.weights:
        weights.assign(weights + 1e-3)
    before = model.get_weights()
    states = []

    def watch(chosen, make):
        states.append(model.get_weights())
        raw = np.zeros((len(chosen), 19))
        raw[:, 0] = len(states) == 1
        raw[:, 1] = 1 / len(states)
        return [type("Survey", (), {"raw": raw})]

    monkeypatch.setattr(sanity, "survey", watch)
    table = randomise(Explainer(model, *kind, 1), "cnn_baseline", lesions, resamples=100)
    assert table["block"].tolist() == ["", first, "block4", "block3", "block2", "block1", "stem"]
    assert table["depth"].tolist() == list(range(7))
    assert table["pointing"].tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert table["energy_low"].tolist() == pytest.approx([1 / depth for depth in range(1, 8)])
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))
    changed = [sum(not np.array_equal(a, b) for a, b in zip(before, state, strict=True)) for state in states]
    assert changed[0] == 0
    assert changed[1] == weights_of_head
    assert changed == sorted(changed)
    assert changed[-2] == len(before)  # the stem is the scaling alone here, which has no weights
    assert changed[-1] == len(before)


def test_the_weights_come_back_after_a_mistake_too(lesions, monkeypatch):
    model = build_classifier("cnn_baseline", shape=(SIDE, SIDE, 3), weights=None, dropout=0, seed=5)
    before = model.get_weights()
    count = iter(range(3))

    def fail(chosen, make):
        if next(count) == 2:
            raise KeyboardInterrupt
        return [type("Survey", (), {"raw": np.zeros((len(chosen), 19))})]

    monkeypatch.setattr(sanity, "survey", fail)
    with pytest.raises(KeyboardInterrupt):
        randomise(Explainer(model, "layercam", "block4_relu", 1), "cnn_baseline", lesions)
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))


def test_maps_that_show_the_image_alone_are_found_out(lesions):
    """The input itself is bright where the lesion is: at so early a layer no weights are needed to point there."""
    model = build_classifier("cnn_baseline", shape=(SIDE, SIDE, 3), weights=None, dropout=0, seed=5)
    table = randomise(Explainer(model, "layercam", "rescaling", 1), "cnn_baseline", lesions, resamples=200)
    assert table["pointing"].iloc[-1] > 0.5
    assert verdict(table) == "insensitive"


@pytest.mark.parametrize(
    ("lows", "highs", "expected"),
    [
        ([0, -0.5, -0.6], [0, -0.1, -0.4], "sensitive"),
        ([0, -0.1, -0.6], [0, 0.1, -0.4], "insensitive_to_head"),
        ([0, -0.1, -0.6], [0, -0.05, -0.4], "insensitive_to_head"),  # a little worse is not lost
        ([0, -0.1, -0.2], [0, 0.1, 0.2], "insensitive"),
        ([0, -0.5, -0.2], [0, -0.2, 0.1], "insensitive"),
        ([0, -0.5, -0.5], [0, -0.2, 0.1], "undecided"),
        ([0, -0.5, -0.5], [0, 0.1, -0.1], "undecided"),
        ([np.nan] * 3, [np.nan] * 3, "undecided"),
    ],
)
def test_the_verdict_is_by_the_change_on_the_same_lesions(lows, highs, expected):
    table = pd.DataFrame({"pointing": [0.7, 0.5, 0.5], "change_low": lows, "change_high": highs})
    assert verdict(table) == expected
    assert expected in VERDICTS


def test_the_same_lesions_are_compared(lesions, monkeypatch):
    """Half of the lesions are easy, whatever the weights; each of the others is lost: that is not by chance."""
    easy = np.arange(COUNT) % 2 == 0
    calls = iter(range(100))

    def scores(chosen, make):
        raw = np.zeros((len(chosen), 19))
        raw[:, 0] = easy if next(calls) else True
        return [type("Survey", (), {"raw": raw})]

    monkeypatch.setattr(sanity, "survey", scores)
    model = build_classifier("cnn_baseline", shape=(SIDE, SIDE, 3), weights=None, dropout=0, seed=5)
    table = randomise(Explainer(model, "layercam", "block4_relu", 1), "cnn_baseline", lesions, resamples=200)
    assert table["change"].iloc[1:].tolist() == pytest.approx([easy.mean() - 1] * 6)
    assert (table["change_high"].iloc[1:] < 0).all()
    assert verdict(table) == "sensitive"


def test_lesions_of_one_group_decide_nothing(lesions, monkeypatch):
    alone = lesions.take(np.array([0]))
    monkeypatch.setattr(sanity, "survey", lambda chosen, make: [type("Survey", (), {"raw": np.zeros((1, 19))})])
    model = build_classifier("cnn_baseline", shape=(SIDE, SIDE, 3), weights=None, dropout=0, seed=5)
    table = randomise(Explainer(model, "layercam", "block4_relu", 1), "cnn_baseline", alone, resamples=200)
    assert verdict(table) == "undecided"


def test_at_most_so_many_images_are_used(lesions, monkeypatch):
    monkeypatch.setattr(sanity, "IMAGES", 5)
    chosen = sanity._sample(len(lesions))
    assert len(chosen) == len(set(chosen)) == 5
    assert sanity._sample(3).tolist() == [0, 1, 2]

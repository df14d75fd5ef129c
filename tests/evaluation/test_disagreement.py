"""How far networks are from their mean, and what ranking by it is worth, by hand."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.evaluation.uncertainty.disagreement import alone, compare, disagreement, of_members

RIGHT = np.array([0.9, 0.8, 0.7, 0.4])  # the probability of the true class, by which the last answer is wrong
ROWS = pd.DataFrame({"label": ["a"] * 4, "group": list("wxyz"), "path": list("wxyz")})
EVALUATION = Evaluation(ROWS, np.column_stack([RIGHT, 1 - RIGHT]), ("a", "b"), "")


def test_networks_that_contradict_each_other_disagree_by_one_bit() -> None:
    sure = np.array([[1.0, 0.0], [0.3, 0.7]])
    other = np.array([[0.0, 1.0], [0.3, 0.7]])
    assert disagreement([sure, other]) == pytest.approx([np.log(2), 0])


def test_areas_by_hand() -> None:
    table = compare(EVALUATION, np.array([0.3, 0.2, 0.4, 0.1]), resamples=50).set_index("by")
    assert table["aurc"]["confidence"] == pytest.approx((0 + 0 + 0 + 1 / 4) / 4)
    assert table["aurc"]["disagreement"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)  # the mistake comes first
    assert table["aurc"]["difference"] == pytest.approx(11 / 24)
    assert (table["low"] <= table["aurc"]).all()
    assert (table["aurc"] <= table["high"]).all()


def test_each_network_is_scored_by_itself() -> None:
    table = alone(EVALUATION, [EVALUATION.probabilities, EVALUATION.probabilities[:, ::-1]])
    assert table["accuracy"].tolist() == [0.75, 0.25]


def test_networks_are_asked_by_as_many_views_as_their_mean() -> None:
    """One looks at the left edge of an image for its first class, one at the right edge: mirrored they change sides."""
    import keras

    image = keras.Input((4, 4, 3), name="image")
    outputs = []
    for number, edge in enumerate((0, 3), start=1):
        light = keras.layers.Lambda(lambda x, edge=edge: x[:, 0, edge, :1] / 255)(image)
        logits = keras.layers.Activation("linear", name=f"member{number}_logits")(light)
        both = keras.layers.Concatenate(name=f"member{number}_probabilities")([logits, 1 - logits])
        outputs.append(both)
    model = keras.Model(image, keras.layers.Average()(outputs))
    pixels = np.zeros((1, 4, 4, 3), np.uint8)
    pixels[0, :, 0] = 255
    rows = np.array([0])
    dataset: Any = SimpleNamespace(pixels=pixels, pixel_rows=rows, rows=lambda part: rows)
    once = of_members(model, dataset, "test", batch_size=1)
    assert [each[0].tolist() for each in once] == [[1, 0], [0, 1]]
    twice = of_members(model, dataset, "test", batch_size=1, views=2)
    assert [each[0].tolist() for each in twice] == [[0.5, 0.5], [0.5, 0.5]]

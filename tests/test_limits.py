"""The limits of a key are those of the type that checks it."""

import math

import pytest

from brain_tumor.config.limits import limits


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("schedule.all.dropout", (0, True, 1, False)),
        ("schedule.all.augment_strength", (0, True, 1, True)),
        ("schedule.head.learning_rate", (0, False, math.inf, False)),
        ("schedule.all.plateau.factor", (0, False, 1, False)),
        ("+model.dropout", (0, True, 1, False)),
        ("no.such.key", (-math.inf, False, math.inf, False)),
    ],
)
def test_limits(key: str, found: tuple[float, bool, float, bool]) -> None:
    assert limits(key) == found

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.typing import ArrayLike

from brain_tumor.data.classes import STANDARD
from brain_tumor.evaluation.metrics import Evaluation


@pytest.fixture
def make_evaluation() -> Callable[..., Evaluation]:
    """An evaluation from label indices (N,) and probabilities (N, C); each image is a group unless told."""

    def make(
        labels: ArrayLike,
        probabilities: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        paths: list[str] | None = None,
        classes: tuple[str, ...] = STANDARD.names,
        title: str = "test, SYNTHETIC phantom",
    ) -> Evaluation:
        labels = np.asarray(labels)
        ids = [f"{index:04d}" for index in range(len(labels))]
        rows = pd.DataFrame(
            {
                "path": paths or [f"Testing/{classes[label]}/{i}.png" for i, label in zip(ids, labels, strict=True)],
                "label": np.asarray(classes)[labels],
                "part": "test",
                "group": ids if groups is None else np.asarray(groups).astype(str),
                "site": "",
                "sha256": ids,
            }
        )
        return Evaluation(rows, np.asarray(probabilities, dtype=np.float64), classes, title)

    return make


@pytest.fixture
def simulate(make_evaluation: Callable[..., Evaluation]) -> Callable[..., Evaluation]:
    """A plausible classifier's evaluation: noisy logits that favour the truth by `skill`."""

    def make(
        size: int,
        *,
        skill: float = 1.5,
        seed: int = 0,
        ties: bool = False,
        present: int = 4,
        **options: object,
    ) -> Evaluation:
        rng = np.random.default_rng(seed)
        labels = np.concatenate([np.arange(present), rng.integers(present, size=size - present)])
        logits = rng.normal(size=(size, len(STANDARD)))
        logits[np.arange(size), labels] += skill
        if ties:
            logits = np.round(logits)
        odds = np.exp(logits)
        return make_evaluation(labels, odds / odds.sum(axis=1, keepdims=True), **options)

    return make

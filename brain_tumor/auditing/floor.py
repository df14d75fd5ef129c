"""The shortcut floor: how far features go that know nothing of tumours, on the very protocol that models are scored on.

A model that does not clearly beat the floor has not been shown to have learned more (DeGrave, Janizek & Lee 2021,
"AI for radiographic COVID-19 detection selects shortcuts over signal", doi 10.1038/s42256-021-00338-7).
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.auditing.image_features import ImageFeatures
from brain_tumor.data.split import folds
from brain_tumor.evaluation.bootstrap import mean_intervals
from brain_tumor.lazy import lazy
from brain_tumor.progress import progress

sklearn = lazy("sklearn")
threadpoolctl = lazy("threadpoolctl")

FOLDS = 5
TREES = 100
OFFICIAL, GROUPED = "official", "grouped"
Features = NDArray[np.float32]


@dataclass(frozen=True)
class Shortcut:
    """A trivial classifier: what it sees, and what learns from that."""

    name: str  # as in metrics
    title: str
    see: Callable[[pd.DataFrame, Any, NDArray[np.int64]], Features]  # images, measures, their rows there
    model: Callable[[int, int], Any]  # seed, workers


def forest(seed: int, workers: int) -> Any:
    return sklearn.ensemble.RandomForestClassifier(TREES, random_state=seed, n_jobs=workers)


def tree(seed: int, workers: int) -> Any:
    return sklearn.tree.DecisionTreeClassifier(random_state=seed)


def logistic(seed: int, workers: int) -> Any:
    return sklearn.pipeline.make_pipeline(
        sklearn.preprocessing.StandardScaler(), sklearn.linear_model.LogisticRegression(C=0.1, max_iter=300)
    )


def _neighbour(seed: int, workers: int) -> Any:
    return sklearn.neighbors.KNeighborsClassifier(1, n_jobs=workers)


def majority(seed: int, workers: int) -> Any:
    return sklearn.dummy.DummyClassifier(strategy="most_frequent")


def nothing(images: pd.DataFrame, measures: Any, rows: NDArray[np.int64]) -> Features:
    return np.zeros((len(rows), 1), np.float32)


def _mode(images: pd.DataFrame, measures: ImageFeatures, rows: NDArray[np.int64]) -> Features:
    return np.asarray(pd.get_dummies(images["mode"]).to_numpy(np.float32))


def _size(images: pd.DataFrame, measures: ImageFeatures, rows: NDArray[np.int64]) -> Features:
    return np.asarray(images[["width", "height"]].to_numpy(np.float32))


def _border(images: pd.DataFrame, measures: ImageFeatures, rows: NDArray[np.int64]) -> Features:
    return measures.border[rows]


def _statistics(images: pd.DataFrame, measures: ImageFeatures, rows: NDArray[np.int64]) -> Features:
    return measures.statistics[rows]


def _thumbnail(images: pd.DataFrame, measures: ImageFeatures, rows: NDArray[np.int64]) -> Features:
    return measures.thumbnails[rows].reshape(len(rows), -1).astype(np.float32)


SHORTCUTS = (
    Shortcut("majority", "the most frequent class", nothing, majority),
    Shortcut("mode", "image mode (L, RGB …) alone", _mode, tree),
    Shortcut("size", "width and height alone", _size, tree),
    Shortcut("border", "black border and rim alone, random forest", _border, forest),
    Shortcut("statistics", "five global statistics, random forest", _statistics, forest),
    Shortcut("thumbnail_logistic", "16 x 16 thumbnail, logistic regression", _thumbnail, logistic),
    Shortcut("thumbnail_forest", "16 x 16 thumbnail, random forest", _thumbnail, forest),
    Shortcut("thumbnail_neighbour", "16 x 16 thumbnail, one nearest neighbour", _thumbnail, _neighbour),
)


def shortcut_floor(
    images: pd.DataFrame,
    measures: Any,
    rows: NDArray[np.int64],
    *,
    seed: int,
    workers: int,
    shortcuts: Sequence[Shortcut] = SHORTCUTS,
) -> pd.DataFrame:
    """Accuracy of every shortcut on the official test part, and pooled over grouped folds, with progress.

    Args:
        images: columns label, part, group, mode, width, height; corrupt ones left out.
        measures: of the pictures, or volumes: what the shortcuts see.
        rows: where each image's picture is in `measures`.
        seed: of the forests and of the folds.
        workers: threads.
        shortcuts: the first is the most frequent class.

    Returns:
        Columns protocol (official: test scored by what learns from train and val, if there is a test part; grouped:
        out-of-fold answers of up to 5 stratified folds that never cut a group, if every class has 2 groups), shortcut,
        title, images, accuracy, low, high (95 %, see `accuracy`).
    """
    protocols = {OFFICIAL: _official(images), GROUPED: _folds(images, seed)}
    protocols = {name: cuts for name, cuts in protocols.items() if cuts}
    labels, groups = images["label"].to_numpy(), images["group"].to_numpy()
    found = []
    # BLAS threads that compete with other processes for a core make a logistic regression 100 times slower.
    with (
        threadpoolctl.threadpool_limits(1, "blas"),
        progress(len(shortcuts) * sum(map(len, protocols.values())), "shortcut floor", "fit") as bar,
    ):
        for name, cuts in protocols.items():
            scored = np.concatenate([test for _, test in cuts])
            for shortcut in shortcuts:
                features = shortcut.see(images, measures, rows)
                right = []
                for train, test in cuts:
                    model = shortcut.model(seed, workers)
                    with warnings.catch_warnings():
                        warnings.filterwarnings("ignore", message="(?s).*failed to converge")
                        model.fit(features[train], labels[train])
                    right.append(model.predict(features[test]) == labels[test])
                    bar.update()
                [share], [low], [high] = mean_intervals(np.concatenate(right)[:, None].astype(float), groups[scored])
                found.append((name, shortcut.name, shortcut.title, len(scored), share, low, high))
    return pd.DataFrame(found, columns=["protocol", "shortcut", "title", "images", "accuracy", "low", "high"])


def _official(images: pd.DataFrame) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    part = images["part"].to_numpy()
    test = np.flatnonzero(part == "test")
    train = np.flatnonzero(np.isin(part, ("train", "val")))
    classes = images["label"].iloc[train].nunique()
    return [(train, test)] if len(test) and classes > 1 else []


def _folds(images: pd.DataFrame, seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    count = min(FOLDS, int(images.groupby("label")["group"].nunique().min()))
    if count < 2 or images["label"].nunique() < 2:
        return []
    fold = folds(images, count, seed)
    return [(np.flatnonzero(fold != each), np.flatnonzero(fold == each)) for each in range(count)]

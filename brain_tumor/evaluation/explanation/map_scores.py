"""The maps of the lesions that a model has classified correctly, scored; and what validation settles first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data.dataset import Dataset
from brain_tumor.data.pixels import at_once
from brain_tumor.evaluation.explanation.gradcam import Kind
from brain_tumor.evaluation.explanation.localisation import (
    Maps,
    Masks,
    best_quantile,
    centred_gaussian,
    raw_scores,
    settled,
)
from brain_tumor.evaluation.explanation.maps import Mapper
from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.progress import progress

# The maps that a row of scores is of.
MODEL, CENTRE, CLASS_MEAN = "model", "centre", "class_mean"
# What `sanity.verdict` says of maps, in words.
VERDICTS = {
    "sensitive": "maps need what the whole model has learned",
    "insensitive_to_head": "maps need the learned features, but NOT the classifier: random logits point as well",
    "insensitive": "INSENSITIVE: maps point as well when all weights are random",
    "undecided": "undecided: too few lesions, or groups of them, to tell whether maps of random weights point worse",
}
BATCH = 16


@dataclass(frozen=True, eq=False)
class Lesions:
    """The correctly classified images of one part whose lesion is known."""

    dataset: Dataset
    rows: NDArray[np.int64]  # (N,) of the data set
    positions: NDArray[np.int64]  # (N,) in the part's evaluation
    classes: NDArray[np.int64]  # (N,) index of the class
    names: NDArray[np.str_]  # (N,) of the class
    groups: NDArray[np.str_]  # (N,)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: NDArray[np.int64]) -> "Lesions":
        """Some of them, by position."""
        columns = (self.rows, self.positions, self.classes, self.names, self.groups)
        return Lesions(self.dataset, *(column[chosen] for column in columns))  # type: ignore[arg-type]

    def masks(self, part: slice = slice(None)) -> Masks:
        """bool (n, S, S), or (n, D, H, W), none empty."""
        masks = self.dataset.mask_of(self.rows[part])
        assert masks is not None
        return masks

    def batches(self) -> Iterator[slice]:
        """Slices of at most BATCH, of whole volumes of fewer."""
        size = at_once(self.dataset.shape, BATCH)
        return (slice(start, start + size) for start in range(0, len(self), size))


def known_lesions(dataset: Dataset, part: str, evaluation: Evaluation) -> Lesions | None:
    """Those of a part, all of whose rows `evaluation` is of, in their order; None if there are none."""
    if dataset.mask_paths is None:
        return None
    rows = dataset.rows(part)
    known = np.array([dataset.mask_paths[row] != "" for row in rows], dtype=bool)
    positions = np.flatnonzero(evaluation.correct & known)
    if not len(positions):
        return None
    names, groups = (evaluation.rows[column].to_numpy(dtype=str)[positions] for column in ("label", "group"))
    every = Lesions(dataset, rows[positions], positions, evaluation.labels[positions], names, groups)
    # A mask may be black, or lose a lesion of less than a pixel when it is fitted.
    filled = np.concatenate([_any(every.masks(part)) for part in every.batches()])
    return every.take(np.flatnonzero(filled)) if filled.any() else None


def _any(masks: Masks) -> NDArray[np.bool_]:
    """Whether (N,) each mask has anything."""
    return np.asarray(masks.reshape(len(masks), -1).any(axis=1))


def why_none(dataset: Dataset, part: str, evaluation: Evaluation) -> str:
    """In words, why `known_lesions` finds none in a part of a data set with masks."""
    masks = dataset.mask_paths or ("",) * len(dataset.split)
    known = np.array([masks[row] != "" for row in dataset.rows(part)], dtype=bool)
    if not known.any():
        return f"none of its {len(known)} images has a mask"
    right = int((evaluation.correct & known).sum())
    if not right:
        return f"none of its {known.sum()} images with a mask is classified correctly"
    return f"{right} of its images with a mask are classified correctly, and these masks are black"


@dataclass(frozen=True, eq=False)
class Survey:
    """The maps of one kind over some lesions."""

    raw: NDArray[np.float64]  # (N, 2 + Q), see `raw_scores`
    class_maps: Mapping[str, Maps]  # (H, W), or (D, H, W): the mean map of each class that is there


def survey(lesions: Lesions, make: Mapper, *, title: str | None = None) -> list[Survey]:
    """Score every kind of map that `make` gives, in one pass over the images; no map is kept."""
    raw: list[list[NDArray[np.float64]]] = []
    sums: list[dict[str, Maps]] = []
    with progress(len(lesions), title or "", disable=title is None) as bar:
        for part in lesions.batches():
            masks, names = lesions.masks(part), lesions.names[part]
            found = make(lesions.dataset.images(lesions.rows[part]), lesions.classes[part])
            raw = raw or [[] for _ in found]
            sums = sums or [{} for _ in found]
            for own, total, maps in zip(raw, sums, found, strict=True):
                own.append(raw_scores(maps, masks))
                for name in set(names):
                    total[name] = total.get(name, np.float32(0)) + maps[names == name].sum(axis=0)
            bar.update(len(masks))
    counts = {name: int((lesions.names == name).sum()) for name in set(lesions.names)}
    return [
        Survey(np.concatenate(own), {name: values / np.float32(counts[name]) for name, values in total.items()})
        for own, total in zip(raw, sums, strict=True)
    ]


def compare_kinds(kinds: Sequence[Kind], surveys: Sequence[Survey]) -> pd.DataFrame:
    """Mean scores of each kind of map over the validation part, the best first: by pointing, then by energy.

    Columns: method, layer, pointing, energy, iou (at its own best quantile); the index is the position in `kinds`.
    """
    means = [settled(each.raw, best_quantile(each.raw)).mean(axis=0) for each in surveys]
    rows = [(*kind, *values) for kind, values in zip(kinds, means, strict=True)]
    table = pd.DataFrame(rows, columns=["method", "layer", "pointing", "energy", "iou"])
    return table.sort_values(["pointing", "energy"], ascending=False, kind="stable")


@dataclass(frozen=True, eq=False)
class Reference:
    """What the validation part settles before another part is scored."""

    class_maps: Mapping[str, Maps]  # the mean map (H, W) of each class
    quantiles: Mapping[str, int]  # of each of MODEL, CENTRE and CLASS_MEAN: a position in QUANTILES


def fit_reference(lesions: Lesions, found: Survey) -> Reference:
    """The reference that the survey of the validation part gives."""
    quantiles = {name: best_quantile(raw) for name, raw in _every_raw(lesions, found, found.class_maps).items()}
    return Reference(found.class_maps, quantiles)


def score_lesions(lesions: Lesions, found: Survey, reference: Reference | None) -> dict[str, NDArray[np.float64]]:
    """The scores (N, 3) of the model's maps and of both baselines.

    Without a reference there is no mean map of a class, and each IoU is NaN. A class that the reference lacks has an
    empty mean map, which scores 0.
    """
    every = _every_raw(lesions, found, reference.class_maps if reference else None)
    return {name: settled(raw, reference.quantiles[name] if reference else None) for name, raw in every.items()}


def _every_raw(
    lesions: Lesions, found: Survey, class_maps: Mapping[str, Maps] | None
) -> dict[str, NDArray[np.float64]]:
    size = lesions.dataset.shape[:-1]
    centre, nothing = centred_gaussian(size), np.zeros(size, np.float32)
    raw: dict[str, list[NDArray[np.float64]]] = {CENTRE: [], CLASS_MEAN: []}
    for part in lesions.batches():
        masks, names = lesions.masks(part), lesions.names[part]
        raw[CENTRE].append(raw_scores(np.broadcast_to(centre, masks.shape), masks))
        if class_maps is not None:
            maps = np.stack([class_maps.get(name, nothing) for name in names])
            raw[CLASS_MEAN].append(raw_scores(maps, masks))
    return {MODEL: found.raw} | {name: np.concatenate(each) for name, each in raw.items() if each}

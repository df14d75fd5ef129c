"""Which images of another source a model has met in training: as they are, as twins, or by their patient."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data.cache import cache_folder
from brain_tumor.data.grouping import joined, patients_table
from brain_tumor.data.image_table import listed_paths, locate
from brain_tumor.data.split import PARTS, Split
from brain_tumor.data.twins import find_twins

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Contamination:
    """Which images of a source have a twin, or their patient, in a model's train, val or calibration part."""

    twins: NDArray[np.bool_]  # (N,): a twin
    seen: NDArray[np.bool_]  # (N,): a twin or their patient
    strangers: NDArray[np.bool_]  # (N,): not seen, and nothing is known by which their patient could be compared
    complete: bool  # whether all training images were there to compare with; otherwise some twins may be missed

    @property
    def verdict(self) -> str:
        """true, false, or unknown: none was found, but not all could be searched."""
        return "true" if self.seen.any() else "false" if self.complete else "unknown"


def either(first: Contamination, second: Contamination) -> Contamination:
    """What one model or another has met of the same images."""
    seen = first.seen | second.seen
    strangers = (first.strangers | second.strangers) & ~seen
    return Contamination(first.twins | second.twins, seen, strangers, first.complete and second.complete)


def find_contamination(
    split: Split,
    trained_on: Split,
    root: Path,
    cache: str | None,
    workers: int,
    patients: str | None = None,
    *,
    whole: bool = False,
    parts: Collection[str] = PARTS[:-1],
    advice: str = "say where they are with trained_root=DIR",
) -> Contamination:
    """The images of `split` that a model knows which was trained on `trained_on`, by their twins or their patient.

    The logged images are looked for in `root`, wherever they are there. Of those that are not there any more only
    byte-identical copies can be found, which a warning says, with `advice`. `parts` are those that it knows.

    Of `whole` volumes a twin is one of the very same values, which were logged: `root` is not looked into.

    Images of one patient are those of one group of `split`, or of one group of `trained_on` where a twin of the image
    stands there, tested or not; and those to which the file `patients` gives one patient, which may name images of
    `split` and logged ones.
    """
    table, own = trained_on.table, split.table
    trained = table["part"].isin(list(parts)).to_numpy()
    if whole:
        slices, complete = pd.concat([table["twin"], own["twin"]], ignore_index=True), True
    else:
        slices, complete = _slices(split, trained_on, trained, root, cache, workers, advice)
    groups = pd.Series([*("logged " + table["group"]), *("own " + own["group"])])  # each names its own
    patient = pd.Series([*_patients(patients, table, others=own), *_patients(patients, own)])
    person = joined(joined(slices, groups), patient)

    logged = np.arange(len(slices)) < len(table)
    known = logged & np.append(trained, np.zeros(len(own), np.bool_))
    seen = person.isin(set(person[known]))
    comparable = pd.Series(split.synthetic, index=slices.index)  # a phantom's subjects are no one's patients
    if (table["group"] != table["twin"]).any():  # the logged groups know patients
        comparable |= slices.isin(set(slices[logged]))
    if (patient[known] != "").any():
        comparable |= patient != ""
    return Contamination(
        slices.isin(set(slices[known])).to_numpy()[~logged],
        seen.to_numpy()[~logged],
        (~seen & ~comparable).to_numpy()[~logged],
        complete,
    )


def _slices(
    split: Split,
    trained_on: Split,
    trained: NDArray[np.bool_],
    root: Path,
    cache: str | None,
    workers: int,
    advice: str,
) -> "tuple[pd.Series[str], bool]":
    """Which slice each image of both splits shows, the logged ones first; and whether all `trained` ones were found."""
    table, own = trained_on.table, split.table
    places = locate(table, root, workers)
    present = np.array([place is not None for place in places], np.bool_)
    if not present[trained].all():
        logger.warning(
            "%d of the model's %d training images are not in %s any more, and of these only byte-identical copies are "
            "found: %s",
            *(int((~present[trained]).sum()), int(trained.sum()), root, advice),
        )
    files = {sha: place for sha, place in zip(table["sha256"], places, strict=True) if place is not None}
    files |= {sha: split.root / path for sha, path in zip(own["sha256"], own["path"], strict=True)}
    graph = find_twins(files, cache=cache_folder(cache), workers=workers)
    slices = pd.Series(graph.groups([*table["sha256"], *own["sha256"]]))
    return slices, bool(present[trained].all())


def _patients(file: str | None, table: pd.DataFrame, others: pd.DataFrame | None = None) -> list[str]:
    """The patient of each row, "" where none is known. A path that one of `others` has, too, is meant for that one."""
    if file is None:
        return [""] * len(table)
    known = patients_table(file).to_dict()
    for path in listed_paths(others) if others is not None else []:
        known.pop(path, None)
    return [str(known.get(path, "")) for path in listed_paths(table)]

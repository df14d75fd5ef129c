"""Which images of another source a model has met in training, as they are or as twins."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.cache import cache_folder, hash_files
from brain_tumor.data.split import Split
from brain_tumor.data.twins import find_twins

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Contamination:
    """Which images of a source have a twin in a model's train, val or calibration part."""

    seen: NDArray[np.bool_]  # (N,)
    complete: bool  # whether all training images were there to compare with; otherwise some twins may be missed

    @property
    def verdict(self) -> str:
        """true, false, or unknown: none was found, but not all could be searched."""
        return "true" if self.seen.any() else "false" if self.complete else "unknown"


def find_contamination(split: Split, trained_on: Split, root: Path, cache: str | None, workers: int) -> Contamination:
    """The images of `split` that a model knows which was trained on `trained_on`, as they are or as twins.

    The training images are looked for in `root`, where they have the paths of their split. Of those that are not there
    any more only byte-identical copies can be found, which a warning says.
    """
    table = trained_on.table
    seen = table[table["part"] != "test"]
    places = [root / path for path in seen["path"]]
    there, _ = hash_files(places, workers)
    present = [sha == known for sha, known in zip(there, seen["sha256"], strict=True)]
    if not all(present):
        logger.warning(
            "%d of the model's %d training images are not in %s any more, and of these only byte-identical copies are "
            "found: say where they are with trained_root=DIR",
            *(len(present) - sum(present), len(present), root),
        )
    files = {sha: place for sha, place, here in zip(seen["sha256"], places, present, strict=True) if here}
    files |= {sha: split.root / path for sha, path in zip(split.table["sha256"], split.table["path"], strict=True)}
    graph = find_twins(files, cache=cache_folder(cache), workers=workers)
    known = set(graph.groups([sha for sha in seen["sha256"] if sha in files]))
    groups = np.array(graph.groups(split.table["sha256"].tolist()))
    byte_identical = split.table["sha256"].isin(set(seen["sha256"])).to_numpy()
    return Contamination(np.asarray(np.isin(groups, sorted(known)) | byte_identical), all(present))

"""Which images of another source a model has met in training, as they are or as twins."""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.cache import cache_folder, hash_files
from brain_tumor.data.split import Split
from brain_tumor.data.twins import find_twins

logger = logging.getLogger(__name__)


def seen_in_training(split: Split, trained_on: Split, root: Path, cache: str | None, workers: int) -> NDArray[np.bool_]:
    """bool (len(split),): images with a twin in the train, val or calibration part of `trained_on`.

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
    return np.asarray(np.isin(groups, sorted(known)) | byte_identical)

"""Volumes of known class, answered slice by slice as `predict` does, and which of them a model may learn from."""

import hashlib
import logging
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.config.commands import PoolConfig
from brain_tumor.config.train import OnCorrupt
from brain_tumor.data.grouping import joined
from brain_tumor.data.pixels import spread
from brain_tumor.data.split import Split
from brain_tumor.data.twins.graph import SIZE
from brain_tumor.errors import InputError
from brain_tumor.jobs.met_in_training import met_in_training
from brain_tumor.jobs.pool_checks import require_enough
from brain_tumor.paths import sha256_of
from brain_tumor.progress import progress
from brain_tumor.serving.files import answer_files, read_each
from brain_tumor.serving.predictor import brain_slices, keras_predictor
from brain_tumor.serving.registered_model import RegisteredModel

logger = logging.getLogger(__name__)

COMPARED = 24  # slices of a volume, at most, that are compared with the model's training images
LISTED = 3  # volumes that a line names

Slices = list[NDArray[np.float64]]  # of each volume the probabilities (n, C) of its slices that pass as brain MRI


@dataclass(frozen=True, eq=False)
class Volumes:
    """The volumes to fit on."""

    rows: pd.DataFrame  # (N): path, label, site, group (of one patient, or of the same values), slices, brain_slices
    slices: Slices
    complete: bool  # whether all of the model's training images were there to compare with


def answered_volumes(config: PoolConfig, registered: RegisteredModel, images: pd.DataFrame) -> Volumes:
    """Those of the volumes `images`, see `list_volumes`, that can be fitted on.

    Left out, with a warning, are those of which no slice passes as brain MRI, and those of which a slice, or one of the
    same patient's, has a twin among the images that the model was trained on.

    Raises:
        InputError: some cannot be read (see `data.on_corrupt`), or too few patients are left of a class.
    """
    rows, slices = _answered(config, registered, images)
    unread = rows["error"] != ""
    if unread.any() and config.data.on_corrupt is OnCorrupt.error:
        raise InputError(
            f"some volumes cannot be read: {_named(rows[unread])}; repair or remove them, or leave them out with "
            "data.on_corrupt=skip"
        )
    met, complete = _met(config, registered, rows)
    rows["group"], rows["brain_slices"] = joined(rows["digest"], rows["group"]), rows["brains"].map(len)
    blank = ~unread & (rows["brain_slices"] == 0)
    _warn(rows[unread], "they cannot be read (data.on_corrupt=skip)")
    _warn(rows[blank], "no slice of theirs passes as brain MRI")
    _warn(rows[met], "the model has met a slice of theirs, or of their patient, in training")
    usable = (~unread & ~blank & ~met).to_numpy()
    left = f", {int((~usable).sum())} of {len(rows)} volumes being left out" if not usable.all() else ""
    kept = rows.loc[usable, ["path", "label", "site", "group", "slices", "brain_slices"]].reset_index(drop=True)
    require_enough(kept, registered.classes, left)
    return Volumes(kept, [each for each, use in zip(slices, usable, strict=True) if use], complete)


def _answered(config: PoolConfig, registered: RegisteredModel, images: pd.DataFrame) -> tuple[pd.DataFrame, Slices]:
    """The rows with `slices`, `brains` (those that pass), `digest` (of the pixels) and `error`; and probabilities."""
    model, uncertainty = registered.model, registered.uncertainty
    alone = None if uncertainty is None else replace(uncertainty, volumes=None)
    predictor = keras_predictor(model, registered.uri, registered.classes, alone)
    facts, slices = [], []
    reads = read_each(map(Path, images["file"]), predictor.size, workers=config.data.workers)
    with progress(len(images), "answering", "volume") as bar:
        for place, (file, found) in enumerate(answer_files(predictor, reads)):
            several = found is not None and found.volume is not None
            brains = brain_slices(found.slices) if found is not None and several else []
            error = file.error or ("" if several else "it has a single slice")
            digest = str(place)  # nobody's
            if file.pixels is not None and several:
                digest = hashlib.sha256(file.pixels.tobytes()).hexdigest()[:16]
            answers = [list(found.slices[index].probabilities.values()) for index in brains] if found else []
            slices.append(np.array(answers).reshape(len(brains), len(registered.classes)))
            facts.append((0 if found is None else len(found.slices), brains, digest, error))
            bar.update()
    columns = ["slices", "brains", "digest", "error"]
    return images.join(pd.DataFrame(facts, columns=columns, index=images.index)), slices


def _met(config: PoolConfig, registered: RegisteredModel, rows: pd.DataFrame) -> tuple["pd.Series[bool]", bool]:
    """Which rows the model has met in training, by some of their slices; and whether all it met could be compared."""
    with tempfile.TemporaryDirectory() as folder:
        _save(rows, Path(folder), config.data.workers)
        return _compared(config, registered, rows, Path(folder))


def _save(rows: pd.DataFrame, folder: Path, workers: int) -> None:
    """Save some of the slices that pass, as large as twins are looked for in, below the volume's place in the rows."""
    for place, file in enumerate(read_each(map(Path, rows["file"]), SIZE, workers=workers)):
        (folder / str(place)).mkdir()
        for index in spread(np.array(rows["brains"].iloc[place], np.int64), COMPARED):
            assert file.pixels is not None
            Image.fromarray(file.pixels[index]).save(folder / str(place) / f"{index}.png", compress_level=1)


def _compared(
    config: PoolConfig, registered: RegisteredModel, rows: pd.DataFrame, folder: Path
) -> tuple["pd.Series[bool]", bool]:
    files = sorted(folder.glob("*/*.png"))
    if not files:
        return pd.Series(False, index=rows.index), True
    saved = rows.iloc[[int(file.parent.name) for file in files]][["label", "group", "site"]]
    table = saved.assign(
        path=[file.relative_to(folder).as_posix() for file in files],
        part="test",
        sha256=[sha256_of(file) for file in files],
    )
    split = Split(table, root=folder, source="folder", synthetic=False, classes=registered.classes)
    cache, workers = str(folder / "cache"), config.data.workers
    known = met_in_training(registered, split, config.trained_root, cache=cache, workers=workers)
    patients = set(split.table["group"][known.seen])
    return rows["group"].isin(patients), known.complete


def _warn(rows: pd.DataFrame, why: str) -> None:
    if len(rows):
        logger.warning("left out, since %s: %s", why, _named(rows))


def _named(rows: pd.DataFrame) -> str:
    """How many volumes, and which."""
    first = rows.head(LISTED)
    said = [path + (f" ({why})" if why else "") for path, why in zip(first["path"], first["error"], strict=True)]
    more = ", …" if len(rows) > LISTED else ""
    return f"{len(rows)} volume{'' if len(rows) == 1 else 's'} ({', '.join(said)}{more})"

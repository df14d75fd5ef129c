"""Pictures with the map of their class laid over them, a file a slice, and reports that hold them."""

import errno
import hashlib
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.config.commands import MapsConfig
from brain_tumor.data.classes import ClassList
from brain_tumor.errors import InputError
from brain_tumor.evaluation.explanation import kinds
from brain_tumor.evaluation.explanation.gradcam import EVIDENCE, Kind, described
from brain_tumor.evaluation.explanation.localisation import LESION_FROM
from brain_tumor.evaluation.explanation.maps import Maps, check_layer, mapper, upsample
from brain_tumor.evaluation.explanation.overlay import overlay
from brain_tumor.evaluation.explanation.region import outlined
from brain_tumor.evaluation.planes import cuts, drawn
from brain_tumor.paths import printable
from brain_tumor.serving.case_report import Answerer, Case, Drawn, report
from brain_tumor.serving.files import Read
from brain_tumor.serving.inputs import MAPS_MARK
from brain_tumor.serving.predictor import Prediction, ScanPrediction
from brain_tumor.serving.side_marks import marked

BATCH = 16
_UNUSABLE = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)


def kind_of(config: MapsConfig, model: Any, backbone: str) -> Kind:
    """Method and layer that are configured; InputError if the model has no such map."""
    try:
        kind = kinds.kind_of(config, model, backbone)
        check_layer(model, kind[1])
    except InputError as error:
        raise InputError(str(error).replace("explain.", "maps.")) from error
    return kind


Draw = Callable[[Read, ScanPrediction], Iterator[Drawn]]


def overlay_drawer(model: Any, kind: Kind | None, views: int, names: ClassList) -> Draw:
    """Function that draws a file's slice under its map; of a volume the slices to look at, or the middle one.

    Without a `kind` there is no map.

    A lesion map is the answer's own, and what it marks has an outline. Where the file says how it lies, letters say
    which side is which.
    """
    draw = _drawer(model, kind, views, names) if kind else None

    def pictures(file: Read, found: ScanPrediction) -> Iterator[Drawn]:
        assert file.pixels is not None
        looked_at = found.volume.shown if found.volume else (0,)
        if not looked_at:  # no slice is a brain: one is shown, and no map explains it
            middle = len(found.slices) // 2
            yield Drawn(middle, _marked(file, middle, file.pixels[middle]), None)
            return
        for start in range(0, len(looked_at), BATCH):
            chosen = list(looked_at[start : start + BATCH])
            said = [found.slices[index] for index in chosen]
            pixels = file.pixels[chosen]
            shown, overlays = draw(pixels, said) if draw else (drawn(pixels, cuts(pixels)), [None] * len(chosen))
            for index, own, over in zip(chosen, shown, overlays, strict=True):
                picture = _marked(file, index, own)
                if kind is None or over is None:
                    yield Drawn(index, picture, None)
                    continue
                yield Drawn(index, picture, _marked(file, index, over), described(*kind, found.slices[index].label))

    return pictures


def _marked(file: Read, index: int, pixels: NDArray[np.uint8]) -> Image.Image:
    """A picture of a file's slice with the sides named, where they are known."""
    return marked(Image.fromarray(pixels), file.places[index].plane if file.places else None)


@dataclass(frozen=True, eq=False)
class Overlays:
    """Writes what is drawn of a file into `folder`: NAME.png; of a volume NAME.slices/SLICE.png.

    A name that cannot be had there, being too long or another's folder, is replaced by its digest. Raises InputError
    where nothing can be written.
    """

    folder: Path

    def __post_init__(self) -> None:
        _made(self.folder)

    def write(self, file: Read, found: ScanPrediction, each: Drawn) -> None:
        """One slice of a file."""
        assert each.over is not None
        suffix = f".slices/{each.index:04d}.png" if len(found.slices) > 1 else ".png"
        _save(each.over, self.folder, file.name, suffix)


@dataclass(frozen=True, eq=False)
class Reports:
    """Writes a file's report into `folder`: NAME.html, or as `Overlays` does where that cannot be had."""

    folder: Path
    by: Answerer

    def __post_init__(self) -> None:
        _made(self.folder)

    def write(self, file: Read, found: ScanPrediction, drawn: Sequence[Drawn]) -> None:
        """All that was drawn of a file, and all that is said of it."""
        case = Case(file.name, file.kind, file.plane, file.remarks)
        _save(report(case, found, drawn, self.by, datetime.now()), self.folder, file.name, ".html")


def _made(folder: Path) -> None:
    """Make a folder of what is no input."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MAPS_MARK).touch()
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}") from error


def _drawer(
    model: Any, kind: Kind, views: int, names: ClassList
) -> Callable[[NDArray[np.uint8], Sequence[Prediction]], tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Function of slices (N, S, S, 3) and what is said of them: they, and their maps laid over them.

    Of whole volumes they are the three planes through the map's peak.
    """
    if kind[0] == EVIDENCE:

        def own(images: NDArray[np.uint8], said: Sequence[Prediction]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
            small: Maps = np.stack([each.lesion.map for each in said if each.lesion])
            maps = upsample(small, (images.shape[1], images.shape[2]))
            return images, outlined(overlay(images, maps), maps >= LESION_FROM)

        return own
    explain = mapper(model, [kind], views)

    def of_class(images: NDArray[np.uint8], said: Sequence[Prediction]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        maps = explain(images, np.array([names.index(each.label) for each in said]))[0]
        at = cuts(images, maps)
        shown = drawn(images, at)
        return shown, overlay(shown, drawn(maps, at))

    return of_class


def _save(content: Image.Image | str, folder: Path, name: str, suffix: str) -> None:
    try:
        try:
            _write(content, folder / f"{name}{suffix}")
        except OSError as error:
            if error.errno not in _UNUSABLE:
                raise
            digest = hashlib.sha256(os.fsencode(name)).hexdigest()
            _write(content, folder / f"{digest}{suffix}")
    except OSError as error:
        reason, what = error.strerror or error, "report" if isinstance(content, str) else "map"
        raise InputError(f"the {what} of {printable(name)} cannot be written to {folder}: {reason}") from error


def _write(content: Image.Image | str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}.part")  # as short as may be
    try:
        if isinstance(content, str):
            temporary.write_text(content, encoding="utf-8", errors="replace")
        else:
            content.save(temporary, "PNG")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)

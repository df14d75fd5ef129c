"""Files that somebody has dropped on the page, opened and answered: pictures, volumes, and series of DICOM files."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.cuts import Cuts, Point, cuts_of
from brain_tumor.data.scans.geometry import PLANES
from brain_tumor.data.scans.opening import open_scan, volume_in
from brain_tumor.data.scans.scan import Limits, Plane, Scan
from brain_tumor.data.scans.series_volume import volume_of
from brain_tumor.data.scans.stacks import Content, Stack, open_stack, stacks
from brain_tumor.data.scans.volume import Volume, slices_of
from brain_tumor.data.scans.zipped import is_zip, unzipped
from brain_tumor.data.volumes import decoding
from brain_tumor.errors import InputError
from brain_tumor.serving.predictor import ScanPrediction, for_plane, predict_scan
from brain_tumor.serving.requests import MOST_FILES
from brain_tumor.serving.review_page import pictures
from brain_tumor.serving.review_page.models import Shown

SLICES, SAMPLES, PIXEL_BYTES = 512, 2**26, 2**28  # of a file: slices, values decoded, bytes in a model's size
VALUE_BYTES = 4  # that a value of a volume takes, about
DECODERS = threading.Semaphore(2)  # a picture of a few kilobytes may take a quarter GiB while it is decoded
NO_VOLUME = (
    "no whole volume, which this model takes: drop the files of a DICOM series, their folder or zip, or a NIfTI, NRRD "
    "or MetaImage file"
)
SMALL = np.iinfo(np.int16)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A volume as a model of whole volumes takes it."""

    grays: NDArray[np.uint8]  # (1, D, H, W, 1)
    grid: NDArray[np.float64]  # (4, 4) from its voxels to mm, RAS+
    attention: tuple[float, ...]  # how much each slice (D,) counts; () of a model that does not weigh them


@dataclass(frozen=True, eq=False)
class Opened:
    """A picture or a volume: what is said of it by each model, or why it was refused."""

    name: str  # as the user calls it; to be escaped
    scan: Scan | None  # of a model of whole volumes one picture stands for all
    pixels: Mapping[int, NDArray[np.uint8]]  # size -> (1, size, size, 3), of a picture; a volume's are fitted anew
    answers: tuple[ScanPrediction, ...]  # a model each
    refused: str | None
    held: int = 0  # bytes of memory, about
    cuts: Cuts | None = None  # of a volume that can be looked at in three planes
    fitted: tuple[Fitted, ...] = ()  # a model of whole volumes each

    @property
    def slices(self) -> int:
        """That are answered by themselves."""
        return self.scan.count if self.scan else 0

    @property
    def first(self) -> int:
        """The slice to begin with: of a volume, the first of those to look at, or else its middle."""
        volume = self.answers[0].volume if self.answers else None
        return volume.shown[0] if volume and volume.shown else max(0, self.slices - 1) // 2

    @property
    def axis(self) -> int | None:
        """The axis of `cuts` along which the slices lie that are answered; None where the volume is answered whole."""
        return None if self.cuts is None or self.fitted or not self.scan else PLANES.index(str(self.scan.plane))

    def start(self, index: int) -> Point:
        """The voxel of `cuts` to begin with: the middle of the slice `index`.

        Of a volume that is answered whole the middle of its head, or of the slice that counts most.
        """
        assert self.cuts is not None
        if self.fitted:
            taken = self.fitted[0]
            depth, *others = (count // 2 for count in taken.grays.shape[1:4])
            return self.place(0, [int(np.argmax(taken.attention)) if taken.attention else depth, *others])
        x, y, z = (index if axis == self.axis else count // 2 for axis, count in enumerate(self.cuts.values.shape))
        return x, y, z

    def place(self, model: int, voxel: Sequence[int]) -> Point:
        """The voxel of `cuts` where one (d, h, w) of what a model takes lies."""
        assert self.cuts is not None
        return self.cuts.voxel((self.fitted[model].grid @ [*voxel, 1])[:3])


def limits(models: Sequence[Shown], file_bytes: int) -> Limits:
    """What a file may cost here: the slices in the models' sizes are held at once."""
    sizes = [model.predictor.size for model in models if model.takes is None]
    most = min((PIXEL_BYTES // (3 * size * size) for size in sizes), default=SLICES)
    return Limits(file_bytes, min(SLICES, most), SAMPLES)


def opened(
    files: Sequence[tuple[str, bytes]], models: Sequence[Shown], allowed: Limits, plane: Plane = "auto"
) -> tuple[Opened, ...]:
    """What files hold, in their order; one that cannot be read is said to be so, and the others are answered.

    Files of a DICOM series, also in a zip file, are one volume, see `stacks`. Raises InputError where they are more
    pictures and volumes than are answered at once.
    """
    found: list[tuple[int, Callable[[], Opened]]] = []
    single: dict[str, Content] = {}
    places: dict[str, int] = {}
    left = allowed.file_bytes  # of all zip files together
    for place, (called, content) in enumerate(files):
        name = called if called not in places else f"{called} ({place + 1})"
        places[name] = place
        if not is_zip(content):
            single[name] = partial(_head, content)
            continue
        try:
            packed = {
                f"{name}/{each}": inner for each, inner in unzipped(content, replace(allowed, file_bytes=left)).items()
            }
        except CorruptImageError as error:
            found.append((place, partial(_refused, name, str(error))))
            continue
        left -= sum(map(len, packed.values()))
        contents: dict[str, Content] = {each: partial(_head, inner) for each, inner in packed.items()}
        found += [(place, partial(_open, each, contents, models, allowed, plane)) for each in stacks(contents, allowed)]
    for stack in stacks(single, allowed):
        first = min(places[each] for each in stack.files)
        found.append((first, partial(_open, stack, single, models, allowed, plane)))
    if len(found) > MOST_FILES:
        raise InputError(f"{len(found)} pictures and volumes are too many: at most {MOST_FILES} at once")
    return tuple(open_it() for _, open_it in sorted(found, key=lambda each: each[0]))


def _head(content: bytes, size: int) -> bytes:
    return content[:size]


def _refused(name: str, why: str) -> Opened:
    return Opened(name, None, {}, (), why)


def _open(
    stack: Stack, contents: Mapping[str, Content], models: Sequence[Shown], allowed: Limits, plane: Plane
) -> Opened:
    try:
        if models[0].takes:
            return _open_whole(stack, contents, models, allowed)
        return _open_slices(stack, contents, models, allowed, plane)
    except CorruptImageError as error:
        return _refused(stack.name, str(error))


def _open_slices(
    stack: Stack, contents: Mapping[str, Content], models: Sequence[Shown], allowed: Limits, plane: Plane
) -> Opened:
    sizes = {model.predictor.size for model in models}
    with DECODERS:
        scan, cuts = _scan(stack, contents, plane, allowed)
        fitted = {size: scan.fitted(size) for size in sizes}
        pixels = {size: found for size, (found, _) in fitted.items()}
        width, height = scan.picture(0).size
        held = sum(len(contents[name](allowed.file_bytes)) for name in stack.files)
        held += scan.held + VALUE_BYTES * scan.count * width * height
        if scan.kind == "image":  # what is not shown of it is let go
            small = pictures.shown(scan.picture(0), max(sizes))
            scan = replace(scan, picture=lambda _: small)
            held = 3 * small.width * small.height + sum(each.nbytes for each in pixels.values())
    answers = tuple(predict_scan(for_plane(each.predictor, plane), *fitted[each.predictor.size]) for each in models)
    held += sum(each.lesion.map.nbytes for answer in answers for each in answer.slices if each.lesion)
    return Opened(stack.name, scan, pixels if scan.kind == "image" else {}, answers, None, held, cuts)


def _scan(stack: Stack, contents: Mapping[str, Content], plane: Plane, allowed: Limits) -> tuple[Scan, Cuts | None]:
    """The slices of a stack, and the volume that they are, where it can be cut in three planes."""
    name, *others = stack.files
    if not others:
        content = contents[name](allowed.file_bytes + 1)
        volume = volume_in(content, allowed)
        if volume is None:
            return open_scan(content, plane, allowed), None
        scan = slices_of(volume, plane, allowed)
        return scan, cuts_of(volume) if min(volume.values.shape) > 1 else None
    scan = open_stack(stack, contents, plane, allowed)
    try:
        cuts = cuts_of(_of_files(stack, contents, allowed))
    except CorruptImageError as error:
        return replace(scan, remarks=(*scan.remarks, f"there are no three planes of it: {error}")), None
    # An oblique one may be nearest to another plane by its slices' sides than by their normal.
    return scan, cuts if scan.plane and cuts.stacked == (PLANES.index(scan.plane), True) else None


def _open_whole(stack: Stack, contents: Mapping[str, Content], models: Sequence[Shown], allowed: Limits) -> Opened:
    name, *others = stack.files
    with DECODERS:
        if others:
            volume: Volume | None = _of_files(stack, contents, allowed)
        else:
            volume = volume_in(contents[name](allowed.file_bytes + 1), allowed)
        if volume is None:
            raise CorruptImageError(NO_VOLUME)
        cuts = cuts_of(volume)
        fitted = _fitted(volume, models)
    answers = tuple(predict_scan(model.predictor, each.grays) for model, each in zip(models, fitted, strict=True))
    remarks = (*volume.said, *stack.remarks)
    middle = cuts.values.shape[2] // 2
    scan = Scan(volume.kind, 1, None, lambda _: pictures.gray(cuts.gray("axial", middle)), remarks=remarks)
    held = volume.values.nbytes + sum(each.grays.nbytes for each in fitted)
    return Opened(stack.name, scan, {}, answers, None, held, cuts, fitted)


def _fitted(volume: Volume, models: Sequence[Shown]) -> tuple[Fitted, ...]:
    made: dict[Any, tuple[NDArray[np.uint8], NDArray[np.float64]]] = {}
    found = []
    for takes in [model.takes for model in models if model.takes]:
        key = takes.shape, takes.spacing
        if key not in made:
            grays, facts = decoding.fitted(volume, *key)
            made[key] = grays[None, ..., None], np.array(json.loads(facts.volume)["grid"])
        attention = tuple(takes.attention(made[key][0]).tolist()) if takes.attention else ()
        found.append(Fitted(*made[key], attention))
    return tuple(found)


def _of_files(stack: Stack, contents: Mapping[str, Content], allowed: Limits) -> Volume:
    """The volume of a series, its values as small as they can be kept."""
    if len(stack.files) > allowed.slices:
        raise CorruptImageError(f"too large: {len(stack.files):,} slices are over the limit of {allowed.slices:,}")
    volume = volume_of(stack.files, contents, allowed)
    values = volume.values
    if SMALL.min <= values.min() and values.max() <= SMALL.max and (values == np.rint(values)).all():
        return replace(volume, values=values.astype(np.int16))
    return volume

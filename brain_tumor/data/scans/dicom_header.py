"""What a DICOM file says of its pixels, checked, in plain numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.dicom_elements import Budget, guarded, items, numbers, words
from brain_tumor.data.scans.dicom_gray import Grays, Table, Window
from brain_tumor.data.scans.dicom_placing import placing_of_frame
from brain_tumor.data.scans.geometry import orientation_of
from brain_tumor.data.scans.levels import PICTURE_PIXELS
from brain_tumor.data.scans.placing import Placing
from brain_tumor.data.scans.scan import Limits

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

PIXELS = {0x7FE00010: "PixelData", 0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData"}
GROUPS = (0x52009229, 0x52009230)  # Shared and Per-Frame Functional Groups Sequence (PS3.3, C.7.6.16)
# Group 28: Image Pixel, Modality LUT and VOI LUT modules (PS3.3, C.7.6.3, C.11.1, C.11.2)
TAGS = [
    *(0x00280002, 0x00280004, 0x00280006, 0x00280008, 0x00280010, 0x00280011, 0x00280030, 0x00280034),
    *(0x00280100, 0x00280101, 0x00280103, 0x00280120, 0x00280121),
    *(0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00281056, 0x00283000, 0x00283010),
    *(0x00281101, 0x00281102, 0x00281103, 0x00281201, 0x00281202, 0x00281203),
    *(0x00200020, 0x00200037, 0x00181164, *GROUPS, *PIXELS),
]
# How pixels may be stored; of other kinds pydicom makes lists of numbers or words. None and "OB or OW": implicit
BULK = (None, "OB", "OD", "OF", "OW", "OB or OW", "UN")
ENTRIES = 2**22  # of all lookup tables of a file: of 4,096 in each of 1,024 frames
KILO = 1024  # bytes that the facts of a frame take, about
GRAY = ("MONOCHROME1", "MONOCHROME2")
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
PALETTE = "PALETTE COLOR"


_Table = Callable[["list[Dataset]", str, float | None], Table | None]


@dataclass(frozen=True)
class Shape:
    """How the pixels lie in the file (PS3.3, C.7.6.3)."""

    keyword: str  # PixelData, FloatPixelData or DoubleFloatPixelData
    vr: str
    frames: int
    rows: int
    columns: int
    samples: int  # values of a pixel: 1 or 3
    photometric: str
    planar: int
    allocated: int  # bits
    stored: int  # bits
    signed: bool


@dataclass(frozen=True, eq=False)
class FrameFacts:
    """What is said of one frame."""

    grays: Grays
    spacing: tuple[float, float]  # height and width of a pixel
    orientation: tuple[float, ...]  # empty where unknown
    pixel_mm: float | None  # the shorter side of a pixel, in the patient
    placing: Placing  # among the frames


@dataclass(frozen=True, eq=False)
class Header:
    shape: Shape
    frames: tuple[FrameFacts, ...]
    padding: tuple[float, float] | None  # stored values from … to that are no picture (PS3.3, C.7.5.1.1.2)
    palette: tuple[Table, ...]  # red, green, blue; empty where the pixels are no palette's

    @property
    def held(self) -> int:
        """Bytes of memory, about."""
        tables = {id(each): each for frame in self.frames for each in (frame.grays.modality, frame.grays.voi) if each}
        return KILO * len(self.frames) + sum(each.entries.nbytes for each in (*tables.values(), *self.palette))


def read_header(elements: "Dataset", limits: Limits, budget: Budget) -> Header:
    """The header of a file whose `TAGS` are `elements`.

    Raises:
        CorruptImageError: there are no pixels, the header contradicts itself, or they are over a limit.
    """
    shape = guarded("a damaged header of a DICOM file", lambda: _shape(elements))
    _check(shape, limits)
    return guarded("a damaged header of a DICOM file", lambda: _header(elements, shape, budget))


def _shape(elements: "Dataset") -> Shape:
    keys = [keyword for tag, keyword in PIXELS.items() if tag in elements]
    raw = [elements.get_item(keyword) for keyword in keys]
    if len(keys) != 1 or not raw[0].value:
        raise CorruptImageError("a DICOM file without pictures (a report, a plan, or the like)")
    if raw[0].VR not in BULK or not isinstance(elements[keys[0]].value, bytes):
        raise CorruptImageError("a damaged header of a DICOM file")
    floating = keys[0] != "PixelData"
    allocated = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(keys[0]) or int(elements.BitsAllocated)
    return Shape(
        keyword=keys[0],
        vr=str(elements[keys[0]].VR),
        frames=int(elements.get("NumberOfFrames") or 1),
        rows=int(elements.Rows),
        columns=int(elements.Columns),
        samples=int(elements.get("SamplesPerPixel") or 1),
        photometric=str(elements.PhotometricInterpretation).strip().upper(),
        planar=int(elements.get("PlanarConfiguration") or 0),
        allocated=allocated,
        stored=allocated if floating else int(elements.get("BitsStored") or allocated),
        signed=not floating and int(elements.get("PixelRepresentation") or 0) == 1,
    )


def _check(shape: Shape, limits: Limits) -> None:
    if min(shape.rows, shape.columns, shape.frames) < 1 or max(shape.rows, shape.columns) > 0xFFFF:
        raise CorruptImageError("a DICOM file with impossible dimensions")
    if shape.frames > limits.slices:
        raise CorruptImageError(f"too large: {shape.frames:,} slices are over the limit of {limits.slices:,}")
    if shape.rows * shape.columns > PICTURE_PIXELS:
        raise CorruptImageError(
            f"too large: {shape.columns} x {shape.rows} is over the limit of {PICTURE_PIXELS:,} pixels"
        )
    values = shape.rows * shape.columns * shape.samples * shape.frames
    if values > limits.samples:
        raise CorruptImageError(f"too large: {values:,} values are over the limit of {limits.samples:,}")
    gray = shape.photometric in (*GRAY, PALETTE)
    if not gray and shape.photometric not in COLOURS:
        raise CorruptImageError("a DICOM file with colours in a form that is not read")
    if shape.samples != (1 if gray else 3) or shape.planar not in (0, 1):
        raise CorruptImageError("a DICOM file whose header contradicts itself on its colours")
    if shape.allocated not in (1, 8, 16, 32, 64) or not 1 <= shape.stored <= shape.allocated:
        raise CorruptImageError("a DICOM file with impossible bits a value")


def _header(elements: "Dataset", shape: Shape, budget: Budget) -> Header:
    padding = _integers(elements, "PixelPaddingValue", shape.signed)
    limit = _integers(elements, "PixelPaddingRangeLimit", shape.signed) or padding
    shared, each = (items(elements, tag, budget) for tag in GROUPS)
    table = _tables(shape.signed, budget)
    frames = []
    for index in range(shape.frames):
        groups = [*each[index : index + 1], *shared[:1]]
        frames.append(_frame(elements, groups, table, budget, index))
    palette: tuple[Table, ...] = ()
    if shape.photometric == PALETTE:
        if "RedPaletteColorLookupTableData" not in elements:
            raise CorruptImageError("a DICOM file with a palette in a form that is not read")
        palette = tuple(_palette(elements, colour, shape.signed) for colour in ("Red", "Green", "Blue"))
    ends = (min(padding[0], limit[0]), max(padding[0], limit[0])) if padding and limit else None
    return Header(shape, tuple(frames), ends, palette)


def _frame(elements: "Dataset", groups: "list[Dataset]", table: "_Table", budget: Budget, index: int) -> FrameFacts:
    def grouped(sequence: str) -> "list[Dataset]":
        """Where to look for an element: the frame's own functional group, the shared one."""
        return [item for group in groups for item in items(group, sequence, budget)[:1]]

    def places(sequence: str) -> "list[Dataset]":
        """Or else the file."""
        return [*grouped(sequence), elements]

    pixel_values = places("PixelValueTransformationSequence")
    windows = places("FrameVOILUTSequence")
    grays = Grays(
        slope=_first(pixel_values, "RescaleSlope", 1.0) or 1.0,
        intercept=_first(pixel_values, "RescaleIntercept", 0.0),
        modality=table(pixel_values, "ModalityLUTSequence", None),
        window=_window(windows),
        voi=table(windows, "VOILUTSequence", 255.0),
    )
    measured = numbers(places("PixelMeasuresSequence"), ("PixelSpacing",))
    spacing = measured or numbers(places("PixelMeasuresSequence"), ("ImagerPixelSpacing",))
    if len(spacing) != 2 or min(spacing) <= 0:
        spacing = numbers([elements], ("PixelAspectRatio",))
    orientation = tuple(numbers(places("PlaneOrientationSequence"), ("ImageOrientationPatient",)))
    orientation = orientation or orientation_of(words(elements, "PatientOrientation"))
    pixel = (spacing[0], spacing[1]) if len(spacing) == 2 and min(spacing) > 0 else (1.0, 1.0)
    return FrameFacts(
        grays,
        pixel,
        orientation,
        min(measured) if len(measured) == 2 and min(measured) > 0 else None,
        placing_of_frame(grouped, orientation, pixel, index),
    )


def _first(places: "list[Dataset]", keyword: str, default: float) -> float:
    return next(iter(numbers(places, (keyword,))), default)


def _window(places: "list[Dataset]") -> Window | None:
    """The first window, of those that a frame offers."""
    for place in places:
        center, width = (numbers([place], (keyword,)) for keyword in ("WindowCenter", "WindowWidth"))
        function = str(place.get("VOILUTFunction") or "LINEAR").strip().upper()
        # PS3.3, C.11.2.1.2: at least 1 for LINEAR, above 0 for the others; a window that says otherwise is none
        if center and width and (width[0] >= 1 if function == "LINEAR" else width[0] > 0):
            return Window(center[0], width[0], function)
    return None


def _integers(place: "Dataset", keyword: str, signed: bool) -> list[int]:
    """The values of an element that is US, SS or OW, by the file or by the sign of its pixels."""
    value = place.get(keyword)
    if value is None or value == "":
        return []
    if isinstance(value, bytes):  # of OW, and of `US or SS` where the file does not say which of the two
        order = ">" if place.original_encoding[1] is False else "<"
        words = np.frombuffer(value[: len(value) // 2 * 2], f"{order}{'i' if signed else 'u'}2")
        return [int(each) for each in words]
    return [int(each) for each in (value if np.iterable(value) else [value])]


def _tables(signed: bool, budget: Budget) -> "_Table":
    """A function that finds a table by the sequence that holds it, and makes one that frames share only once."""
    made: dict[int, Table] = {}
    equal: dict[bytes, Table] = {}

    def table(places: "list[Dataset]", sequence: str, white: float | None) -> Table | None:
        for place in places:
            for item in items(place, sequence, budget)[:1]:
                if id(item) not in made:
                    found = _lookup(item, "LUTDescriptor", "LUTData", signed, white)
                    made[id(item)] = equal.setdefault(found.digest(), found)
                    if sum(len(each.entries) for each in equal.values()) > ENTRIES:
                        raise CorruptImageError("a DICOM file with more lookup tables than can be true")
                return made[id(item)]
        return None

    return table


def _palette(elements: "Dataset", colour: str, signed: bool) -> Table:
    name = f"{colour}PaletteColorLookupTable"
    return _lookup(elements, f"{name}Descriptor", f"{name}Data", signed, 255.0)


def _lookup(place: "Dataset", descriptor: str, data: str, signed: bool, white: float | None) -> Table:
    """A lookup table (PS3.3, C.11.1.1.1): count (0 stands for 65,536), first value that is mapped, bits of an entry."""
    count, first, bits = _integers(place, descriptor, signed)
    count = count & 0xFFFF or 0x10000
    bits &= 0xFFFF
    entries = _words(place, data)
    raw = place.get_item(data).value
    if isinstance(raw, bytes) and bits == 8 and len(raw) in (count, count + 1):  # a byte an entry, padded
        entries = np.frombuffer(raw[:count], np.uint8)
    if not 1 <= bits <= 16 or len(entries) < count:
        raise CorruptImageError("a DICOM file with a damaged lookup table")
    return Table(first, entries[:count].astype(np.uint16), None if white is None else (2**bits - 1, white))


def _words(place: "Dataset", keyword: str) -> NDArray[np.integer[Any]]:
    """The values of a table's element, never as a list."""
    element: Any = place.get_item(keyword)
    if not isinstance(element.value, bytes):
        return np.asarray(_integers(place, keyword, False), np.int64)
    little = getattr(element, "is_little_endian", place.original_encoding[1] is not False)
    return np.frombuffer(element.value[: len(element.value) // 2 * 2], "<u2" if little else ">u2")

"""Where a DICOM file, or a frame of one, says that its slice lies, and what tells it from others at the same place."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from brain_tumor.data.scans.dicom_elements import numbers, words
from brain_tumor.data.scans.placing import Mark, Placing

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# Of a file that is a slice (PS3.3, C.7.6.2, C.8.3.1, C.8.13): of MARKS, in their order
FILE_TAGS = (
    *(0x00080008, 0x00180081, 0x00180086, 0x00181060, 0x00189087, 0x00189089, 0x00200012, 0x00200013, 0x00200032),
    *(0x00200037, 0x00200100, 0x00280010, 0x00280011, 0x00280030),
)
_FILE = (
    "EchoNumbers", "EchoTime", "TemporalPositionIdentifier", "TriggerTime", "DiffusionBValue",
    "DiffusionGradientOrientation", "ImageType", "AcquisitionNumber",
)  # fmt: skip
# Of a frame: the functional group that holds it, and the element (PS3.3, C.7.6.16, C.8.13.5)
_FRAME = (
    None, ("MREchoSequence", "EffectiveEchoTime"), ("FrameContentSequence", "TemporalPositionIndex"),
    ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"), ("MRDiffusionSequence", "DiffusionBValue"),
    None, ("MRImageFrameTypeSequence", "FrameType"), ("FrameContentSequence", "FrameAcquisitionNumber"),
)  # fmt: skip
_WORDS = ("ImageType", "FrameType")


def placing_of_file(elements: "Dataset") -> Placing:
    """What a file of one slice, whose FILE_TAGS are `elements`, says; for use inside `guarded`."""
    spacing = _numbers([elements], "PixelSpacing")
    return Placing(
        position=_numbers([elements], "ImagePositionPatient"),
        orientation=_numbers([elements], "ImageOrientationPatient"),
        grid=(float(elements.Rows), float(elements.Columns), *(spacing if len(spacing) == 2 else (0.0, 0.0))),
        number=next(iter(_numbers([elements], "InstanceNumber")), float("inf")),
        marks=tuple(_mark([elements], keyword) for keyword in _FILE),
    )


def placing_of_frame(
    group: "Callable[[str], list[Dataset]]", orientation: tuple[float, ...], spacing: tuple[float, float], index: int
) -> Placing:
    """What is said of a frame, by the items of a sequence in its functional groups; for use inside `guarded`."""
    return Placing(
        position=_numbers(group("PlanePositionSequence"), "ImagePositionPatient"),
        orientation=orientation,
        grid=spacing,
        number=index,
        marks=tuple(_mark(group(place[0]), place[1]) if place else () for place in _FRAME),
    )


def _mark(places: "list[Dataset]", keyword: str) -> Mark:
    if keyword in _WORDS:
        return tuple(word for place in places[:1] for word in words(place, keyword))
    return _numbers(places, keyword)


def _numbers(places: "list[Dataset]", keyword: str) -> tuple[float, ...]:
    """None where it cannot be read: pixels do not depend on it."""
    try:
        return tuple(numbers(places, (keyword,)))
    except Exception:  # pydicom lets errors of several kinds through
        return ()

"""Slices of a DICOM file."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.dicom_elements import Budget, data_set
from brain_tumor.data.scans.dicom_frames import Frames, frames
from brain_tumor.data.scans.dicom_gray import gray_levels, padded
from brain_tumor.data.scans.dicom_header import GRAY, PALETTE, TAGS, Header, read_header
from brain_tumor.data.scans.dicom_kind import KIND_TAGS, T1, TRAINED_ON, refuse_others, weighting
from brain_tumor.data.scans.dicom_scale import GrayScale, Sample, sampled, scale_of
from brain_tumor.data.scans.geometry import plane_of, square_pixels, turned
from brain_tumor.data.scans.levels import levels
from brain_tumor.data.scans.placing import Ordered, volumes_of
from brain_tumor.data.scans.scan import Limits, Scan
from brain_tumor.data.scans.volume import chosen, remark_on

UNTURNED = "the file does not say which side is which: shown as it is stored"
MISSED = "its window shows nothing of it: shown by the range of its values"


def open_dicom(content: bytes, limits: Limits, scale: GrayScale | None = None, volume: int | None = None) -> Scan:
    """The frames of a DICOM file, of its only volume or of `volume`.

    They are in the order in which they lie in the patient, where each says so (Plane Position, C.7.6.16.2.3); see
    `volumes_of`.

    Gray values go through the modality's lookup table, or slope and intercept; then through the frame's VOI table or
    one window for all frames, whose ends are black and white (PS3.3, C.11.1 and C.11.2), see `scale_of`. Functional
    groups of enhanced files come before the file's own elements (C.7.6.16). Without a window, or where it misses the
    values, black and white are percentiles of all frames. Padding is black and has no part in that. MONOCHROME1 is
    inverted, palettes and YBR become RGB (C.7.6.3.1), and pixels are made square by Pixel Spacing, Imager Pixel Spacing
    or Pixel Aspect Ratio.

    Each frame is turned to the radiological convention, as NIfTI volumes are, by its Image Orientation (Patient)
    (C.7.6.2.1.1), or else the file's Patient Orientation (C.7.6.1.1.1); one without either is shown as it is stored.

    A single frame is decoded at once, several when they are asked for, by one thread at a time.

    Nothing of the file's elements reaches an error, a log record, a warning or the terminal.

    Args:
        content: of the file.
        limits: what it may cost.
        scale: of the series that it is a part of; None: its own.
        volume: which of several, such as echoes, from 0; None: there is but one.

    Raises:
        CorruptImageError: it is no MR image of a head (see `refuse_others`), has no pixels, is damaged, or is over a
            limit; there is no such volume, or none is chosen of several; or pydicom or a decoder is missing.
    """
    header, decode, remarks = _opened(content, limits)
    if scale is None and (sample := sampled(header, decode)):
        scale = scale_of([sample])
    placed, which = _volume(header, volume)
    shown = [header.frames[index] for index in placed.places]
    planes = tuple(plane_of(each.orientation) for each in shown)
    plane, *others = dict.fromkeys(planes)
    sides = tuple(each.pixel_mm for each in shown)
    remarks = (*((UNTURNED,) if None in planes else ()), *((MISSED,) if scale and scale.missed else ()), *remarks)
    remarks = (*which, *placed.remarks, *remarks)
    if header.shape.frames > 1:
        several = (None, planes) if others else (plane, ())
        return Scan(
            "dicom",
            len(shown),
            several[0],
            lambda index: _picture(header, decode, scale, placed.places[index]),
            header.held,
            remarks,
            several[1],
            sides,
            placed.positions,
        )
    only = _picture(header, decode, scale, 0)
    return Scan("dicom", 1, plane, lambda _: only, remarks=remarks, pixel_mm=sides)


def sample_of(content: bytes, limits: Limits, values: int) -> Sample | None:
    """What a file has to say on the scale of its series, by about so many values at most; None of colours.

    Raises CorruptImageError as `open_dicom`.
    """
    header, decode, _ = _opened(content, limits)
    return sampled(header, decode, values)


def values_of(content: bytes, limits: Limits) -> NDArray[np.float32]:
    """The values (rows, columns) of a file that is one slice, in the unit of its modality; padding is their least.

    Where the smallest value is white (MONOCHROME1) they are negated. Raises CorruptImageError as `open_dicom`.
    """
    header, decode, _ = _opened(content, limits)
    if header.shape.photometric not in GRAY or header.shape.frames > 1:
        raise CorruptImageError("it is no slice of gray levels")
    stored = decode(0)[0].astype(np.float64)
    with np.errstate(all="ignore"):
        values = np.nan_to_num(header.frames[0].grays.values(stored))
    values = -values if header.shape.photometric == "MONOCHROME1" else values
    nothing = padded(stored, header.padding)
    if nothing.any() and not nothing.all():
        values[nothing] = values[~nothing].min()
    return values.astype(np.float32)


def _opened(content: bytes, limits: Limits) -> tuple[Header, Frames, tuple[str, ...]]:
    budget = Budget()
    syntax, elements = data_set(content, limits, [*TAGS, *KIND_TAGS], budget)
    refuse_others(elements)
    header = read_header(elements, limits, budget)
    decode = frames(syntax, header.shape, elements[header.shape.keyword].value)
    how = weighting(elements)
    remarks = () if how in (None, T1) else (f"the file says {how}: {TRAINED_ON}",)
    if header.shape.frames > 1:
        return header, decode, remarks
    only = decode(0)
    return header, lambda _: only, remarks


def _volume(header: Header, volume: int | None) -> tuple[Ordered, tuple[str, ...]]:
    """The frames that are shown, as they are stored where not all say how they lie; and which of several those are."""
    placings = [each.placing for each in header.frames]
    if len(placings) > 1 and all(each.placed for each in placings):
        found = volumes_of(placings)
    else:
        found = [Ordered(tuple(range(len(placings))), (), "", ())]
    return found[chosen(volume, len(found))], remark_on(volume, len(found))


def _picture(header: Header, decode: Frames, scale: GrayScale | None, index: int) -> Image.Image:
    stored, colours = decode(index)
    facts, shape = header.frames[index], header.shape
    if shape.photometric in GRAY:
        assert scale is not None
        inverted = shape.photometric == "MONOCHROME1"
        picture = Image.fromarray(gray_levels(stored, scale.of(facts.grays), scale.ends, header.padding, inverted))
    elif shape.photometric == PALETTE:
        picture = Image.fromarray(np.stack([levels(stored, each.of) for each in header.palette], axis=-1))
    elif colours == "RGB":
        picture = Image.fromarray(levels(stored, lambda values: values * (255 / (2**shape.stored - 1))))
    else:
        raise CorruptImageError("a DICOM file with colours in a form that is not read")
    return turned(square_pixels(picture.convert("RGB"), *facts.spacing), facts.orientation)

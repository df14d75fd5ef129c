"""Slices of a DICOM file."""

from functools import partial

import numpy as np
from PIL import Image

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.dicom_elements import Budget, data_set
from brain_tumor.data.scans.dicom_frames import Frames, frames
from brain_tumor.data.scans.dicom_gray import gray_levels, value_range
from brain_tumor.data.scans.dicom_header import GRAY, PALETTE, TAGS, Header, read_header
from brain_tumor.data.scans.dicom_kind import KIND_TAGS, T1, TRAINED_ON, refuse_others, weighting
from brain_tumor.data.scans.geometry import plane_of, square_pixels, turned
from brain_tumor.data.scans.levels import levels
from brain_tumor.data.scans.scan import Limits, Scan

UNTURNED = "the file does not say which side is which: shown as it is stored"


def open_dicom(content: bytes, limits: Limits) -> Scan:
    """The frames of a DICOM file.

    Gray values go through the modality's lookup table, or slope and intercept; then through the frame's VOI table or
    its first window, whose ends are black and white (PS3.3, C.11.1 and C.11.2). Functional groups of enhanced
    files come before the file's own elements (C.7.6.16). Without a window, black and white are the smallest and the
    largest value of all frames, as in 16-bit pictures. Padding is black and has no part in that. MONOCHROME1 is
    inverted, palettes and YBR become RGB (C.7.6.3.1), and pixels are made square by Pixel Spacing, Imager Pixel Spacing
    or Pixel Aspect Ratio.

    Each frame is turned to the radiological convention, as NIfTI volumes are, by its Image Orientation (Patient)
    (C.7.6.2.1.1), or else the file's Patient Orientation (C.7.6.1.1.1); one without either is shown as it is stored.

    A single frame is decoded at once, several when they are asked for, by one thread at a time.

    Nothing of the file's elements reaches an error, a log record, a warning or the terminal.

    Raises:
        CorruptImageError: it is no MR image of a head (see `refuse_others`), has no pixels, is damaged, or is over a
            limit; or pydicom or a decoder is missing.
    """
    budget = Budget()
    syntax, elements = data_set(content, limits, [*TAGS, *KIND_TAGS], budget)
    refuse_others(elements)
    header = read_header(elements, limits, budget)
    decode = frames(syntax, header.shape, elements[header.shape.keyword].value)
    scale = _scale(header, decode)
    picture = partial(_picture, header, decode, scale)
    planes = tuple(plane_of(each.orientation) for each in header.frames)
    plane, *others = dict.fromkeys(planes)
    remarks = ((UNTURNED,) if None in planes else ()) + _weighted(weighting(elements))
    if header.shape.frames > 1:
        several = (None, planes) if others else (plane, ())
        return Scan("dicom", header.shape.frames, several[0], picture, header.held, remarks, several[1])
    only = picture(0)
    return Scan("dicom", 1, plane, lambda _: only, remarks=remarks)


def _weighted(how: str | None) -> tuple[str, ...]:
    return () if how in (None, T1) else (f"the file says {how}: {TRAINED_ON}",)


def _scale(header: Header, decode: Frames) -> tuple[float, float] | None:
    """The values of black and white for the frames that have no window."""
    if header.shape.photometric not in GRAY or all(each.grays.windowed for each in header.frames):
        return None
    ranges = [value_range(decode(index)[0], each.grays, header.padding) for index, each in enumerate(header.frames)]
    found = [each for each in ranges if each is not None]
    return (min(low for low, _ in found), max(high for _, high in found)) if found else None


def _picture(header: Header, decode: Frames, scale: tuple[float, float] | None, index: int) -> Image.Image:
    stored, colours = decode(index)
    facts, shape = header.frames[index], header.shape
    if shape.photometric in GRAY:
        inverted = shape.photometric == "MONOCHROME1"
        picture = Image.fromarray(gray_levels(stored, facts.grays, scale, header.padding, inverted))
    elif shape.photometric == PALETTE:
        picture = Image.fromarray(np.stack([levels(stored, each.of) for each in header.palette], axis=-1))
    elif colours == "RGB":
        picture = Image.fromarray(levels(stored, lambda values: values * (255 / (2**shape.stored - 1))))
    else:
        raise CorruptImageError("a DICOM file with colours in a form that is not read")
    return turned(square_pixels(picture.convert("RGB"), *facts.spacing), facts.orientation)

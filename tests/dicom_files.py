"""DICOM files, written for tests."""

import io
from typing import Any

import pytest
from numpy.typing import NDArray

pydicom = pytest.importorskip("pydicom")
EXPLICIT, IMPLICIT, BIG, DEFLATED = (f"1.2.840.10008.1.2{each}" for each in (".1", "", ".2", ".1.99"))
RLE = "1.2.840.10008.1.2.5"


def dicom(pixels: NDArray[Any], syntax: str = EXPLICIT, frames: list[bytes] | None = None, **values: Any) -> bytes:
    """A file of pixels (rows, columns) or (frames, rows, columns), or in colour (rows, columns, 3).

    Args:
        pixels: stored as they are, of 8, 16 or 32 bits.
        syntax: the transfer syntax.
        frames: compressed pictures, in place of the pixels.
        values: elements by keyword, besides or in place of those that follow from the pixels; None leaves one out.
    """
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    little, implicit = syntax != BIG, syntax == IMPLICIT
    colour = values.get("PhotometricInterpretation", "MONOCHROME2").startswith(("RGB", "YBR"))
    shape = pixels.shape[:-1] if colour else pixels.shape
    bits = 8 * pixels.dtype.itemsize
    elements = pydicom.Dataset()
    elements.file_meta = pydicom.dataset.FileMetaDataset()
    elements.file_meta.TransferSyntaxUID = UID(syntax)
    stored = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4",
        "SOPInstanceUID": "1.2.3.4",
        "Rows": shape[-2],
        "Columns": shape[-1],
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
    }
    if colour:
        stored["PlanarConfiguration"] = 0
    if len(shape) == 3:
        stored["NumberOfFrames"] = shape[0]
    for keyword, value in {**stored, **values}.items():
        if value is not None:
            setattr(elements, keyword, value)
    if frames is None:
        elements.PixelData = pixels.astype(pixels.dtype.newbyteorder("<" if little else ">")).tobytes()
        if len(elements.PixelData) % 2:
            elements.PixelData += b"\0"
        elements["PixelData"].VR = "OB" if bits == 8 and not implicit else "OW"
    else:
        elements.PixelData = encapsulate(frames)
        elements["PixelData"].VR = "OB"
        elements["PixelData"].is_undefined_length = True
    file = io.BytesIO()
    pydicom.dcmwrite(file, elements, enforce_file_format=True, little_endian=little, implicit_vr=implicit)
    return file.getvalue()


def item(**values: Any) -> Any:
    """An item of a sequence."""
    elements = pydicom.Dataset()
    for keyword, value in values.items():
        setattr(elements, keyword, value)
    return elements

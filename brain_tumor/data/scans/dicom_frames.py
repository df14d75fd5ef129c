"""The stored values of a DICOM file's frames, one frame at a time."""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.decompression_limits import SCAN, costly, scanned
from brain_tumor.data.scans.codestream import END, j2k_codestream, j2k_parts, j2k_size, jpeg_size
from brain_tumor.data.scans.dicom_elements import guarded
from brain_tumor.data.scans.dicom_header import Shape
from brain_tumor.data.scans.jpeg_plugin import JPEG, JPEG_2000, JPEG_LS, NAME
from brain_tumor.lazy import lazy

pydicom = lazy("pydicom")

# One decoder a transfer syntax (PS3.6, A.1), so that the same file gives the same pixels everywhere.
RLE = "1.2.840.10008.1.2.5"
PLUGINS = {
    "1.2.840.10008.1.2.4.50": "pillow",  # JPEG Baseline
    RLE: "pydicom",
    **dict.fromkeys((*JPEG, *JPEG_LS, *JPEG_2000), NAME),
}
NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
EXTRA = "pip install 'brain-tumor[dicom]'"

Frames = Callable[[int], tuple[NDArray[Any], str]]


def frames(syntax: str, shape: Shape, data: bytes) -> Frames:
    """A function that decodes the frame of an index: its values (rows, columns[, 3]), and their colour space.

    Raises, as does the function:
        CorruptImageError: the transfer syntax is not read or needs a package, or the data are not what the header says.
    """
    if syntax in NATIVE or syntax not in PLUGINS:
        return _native(syntax, shape, data)
    decoder = guarded(f"{_name(syntax)} is not read", lambda: _decoder(syntax))
    if PLUGINS[syntax] not in decoder.available_plugins:
        raise CorruptImageError(f"{_name(syntax)} needs a decoder: {EXTRA}")
    pieces = guarded("its compressed pictures are damaged", lambda: _pieces(data, shape.frames))
    if len(pieces) < shape.frames:
        raise CorruptImageError("truncated: it has fewer pictures than its header says")
    if syntax not in (RLE, *JPEG_2000):
        scans = sum(piece.count(SCAN) for piece in pieces)
        if reason := scanned(scans, shape.rows * shape.columns):
            raise CorruptImageError(reason)

    checked: dict[int, bytes] = {}

    def decode(index: int) -> tuple[NDArray[Any], str]:
        if index not in checked:
            checked[index] = _checked(syntax, shape, pieces[index])
        return guarded("a compressed picture is damaged", lambda: _decode(decoder, shape, checked[index]))

    return decode


def _native(syntax: str, shape: Shape, data: bytes) -> Frames:
    if syntax not in NATIVE:
        raise CorruptImageError(f"{_name(syntax)} is not read")
    half = shape.photometric == "YBR_FULL_422"  # two colours for four values (PS3.3, C.7.6.3.1.2)
    values = shape.rows * shape.columns * shape.samples * (2 / 3 if half else 1)
    size = math.ceil(values * shape.allocated * shape.frames / 8)
    if len(data) < size:
        raise CorruptImageError("truncated: it has fewer pixels than its header says")
    if half and shape.columns % 2:
        raise CorruptImageError("a DICOM file whose header contradicts itself on its colours")
    data = data[: 2 * size + 2]  # what follows would be kept with it; pydicom looks for too much, too
    decoder = guarded(f"{_name(syntax)} is not read", lambda: _decoder(syntax))
    return lambda index: guarded(
        "its pixels are damaged",
        lambda: _array(decoder, shape, data, index, number_of_frames=shape.frames, pixel_vr=shape.vr),
    )


def _decode(decoder: Any, shape: Shape, piece: bytes) -> tuple[NDArray[Any], str]:
    plugin = PLUGINS[str(decoder.UID)]
    return _array(decoder, shape, pydicom.encaps.encapsulate([piece]), 0, number_of_frames=1, decoding_plugin=plugin)


def _array(decoder: Any, shape: Shape, data: bytes, index: int, **options: Any) -> tuple[NDArray[Any], str]:
    values, facts = decoder.as_array(
        data,
        index=index,
        pixel_keyword=shape.keyword,
        rows=shape.rows,
        columns=shape.columns,
        samples_per_pixel=shape.samples,
        photometric_interpretation=shape.photometric,
        planar_configuration=shape.planar,
        bits_allocated=shape.allocated,
        bits_stored=shape.stored,
        pixel_representation=int(shape.signed),
        **options,
    )
    return np.asarray(values), str(facts["photometric_interpretation"])


def _pieces(data: bytes, count: int) -> list[bytes]:
    found: list[bytes] = []
    for piece in pydicom.encaps.generate_frames(data, number_of_frames=count):
        found.append(piece)
        if len(found) == count:
            break
    return found


def _checked(syntax: str, shape: Shape, piece: bytes) -> bytes:
    """The piece, after a look at how large a picture it would have a decoder make."""
    if syntax == RLE:
        # PS3.5, G.3.1: at worst a byte more for 128; one that is longer would unpack to up to 64 times of itself
        plain = shape.rows * shape.columns * shape.samples * max(1, shape.allocated // 8)
        if len(piece) > 2 * plain + 1024:
            raise CorruptImageError("a compressed picture is longer than its pixels")
        return piece
    if syntax in JPEG_2000:
        piece = j2k_codestream(piece)
        size = j2k_size(piece)
    else:
        size = jpeg_size(piece)
        if reason := costly(piece):
            raise CorruptImageError(reason)
        # CharLS spends seconds at the end of a picture that is cut, however small.
        if syntax in JPEG_LS and not piece.rstrip(b"\0").endswith(END):
            raise CorruptImageError("truncated: a compressed picture has no end")
    if size != (shape.columns, shape.rows, shape.samples):
        raise CorruptImageError("a compressed picture has another size than its header says")
    if syntax in JPEG_2000:
        j2k_parts(piece)
    return piece


def _decoder(syntax: str) -> Any:
    decoder = pydicom.pixels.get_decoder(syntax)
    if PLUGINS.get(syntax) == NAME and NAME not in decoder.available_plugins:
        with suppress(ValueError):  # added before, and its package is missing
            decoder.add_plugin(NAME, ("brain_tumor.data.scans.jpeg_plugin", "decode_frame"))
    return decoder


def _name(syntax: str) -> str:
    """Of a transfer syntax, where the standard has one: what else stands there is the file's own text."""
    name, kind, *_ = pydicom.uid.UID_dictionary.get(syntax, ("", ""))
    return f"a DICOM file in {name}" if kind == "Transfer Syntax" else "a DICOM file in a private transfer syntax"

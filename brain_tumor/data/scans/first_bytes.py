"""What a file is, by its first bytes: names lie, and DICOM files are often called by a number."""

import zlib
from pathlib import Path
from typing import Literal

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans import metaimage, nrrd
from brain_tumor.data.scans.dicom_elements import is_dicom
from brain_tumor.data.scans.nifti import is_nifti
from brain_tumor.data.scans.on_disk import values_path
from brain_tumor.data.scans.packed import is_gzip

# How they begin: JPEG, PNG, BMP, WebP (RIFF), TIFF and BigTIFF, little and big endian
PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
HEAD = 4096  # bytes that are looked at
HEADERS = {".nhdr": nrrd.values_name, ".mhd": metaimage.values_name}  # of files that hold a header alone, as a rule
_BMP = frozenset({12, 16, 40, 52, 56, 64, 108, 124})  # lengths of the header that follows; text may begin with BM
Kind = Literal["picture", "dicom", "nifti", "nrrd", "metaimage"]


def kind_of(head: bytes) -> Kind | None:
    """What a file that begins with `head` is; None of one that nothing here reads."""
    if is_dicom(head):
        return "dicom"
    if is_nifti(_unpacked(head) if is_gzip(head) else head):
        return "nifti"
    if nrrd.is_nrrd(head):
        return "nrrd"
    if metaimage.is_metaimage(head):
        return "metaimage"
    if head.startswith(b"BM"):
        return "picture" if int.from_bytes(head[14:18], "little") in _BMP else None
    if head.startswith(b"RIFF"):
        return "picture" if head[8:12] == b"WEBP" else None
    return "picture" if head.startswith(PICTURES) else None


def _unpacked(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(head, 4)
    except zlib.error:
        return b""


def kind_of_file(path: Path) -> Kind | None:
    """`kind_of` of a file on disk. Raises OSError where it cannot be read."""
    with open(path, "rb") as file:
        return kind_of(file.read(HEAD))


def values_of(path: Path) -> Path | None:
    """The file beside a header (.nhdr, .mhd) that holds its values; None of any other file, and where there is none."""
    if (named := HEADERS.get(path.suffix.lower())) is None:
        return None
    try:
        with open(path, "rb") as file:
            name = named(file.read(nrrd.LONGEST))
    except (CorruptImageError, OSError):  # said when it is its turn
        return None
    return values_path(path, name) if name else None

"""What a file is, by its first bytes: names lie, and DICOM files are often called by a number."""

import zlib
from pathlib import Path
from typing import Literal

from brain_tumor.data.scans.dicom_elements import is_dicom
from brain_tumor.data.scans.nifti import is_gzip, is_nifti

# How they begin: JPEG, PNG, BMP, WebP (RIFF), TIFF and BigTIFF, little and big endian
PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
HEAD = 4096  # bytes that are looked at
_BMP = frozenset({12, 16, 40, 52, 56, 64, 108, 124})  # lengths of the header that follows; text may begin with BM
Kind = Literal["picture", "dicom", "nifti"]


def kind_of(head: bytes) -> Kind | None:
    """What a file that begins with `head` is; None of one that nothing here reads."""
    if is_dicom(head):
        return "dicom"
    if is_nifti(_unpacked(head) if is_gzip(head) else head):
        return "nifti"
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

"""A DICOM series in a zip file, of whoever sends it: unpacked in memory, never further than the limits allow."""

import io
import zipfile
import zlib
from posixpath import basename

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.dicom_elements import is_dicom
from brain_tumor.data.scans.scan import Limits

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENTRY = b"PK\x01\x02"  # begins each entry of a zip file's directory (APPNOTE 4.3.12)
_OTHERS = 64  # entries that are no slices, at most: folders, an index, what a desktop adds


def is_zip(content: bytes) -> bool:
    return content.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def unzipped(content: bytes, limits: Limits) -> dict[str, bytes]:
    """The DICOM files of a zip file, by neutral names; its folders, an index (DICOMDIR) and hidden files are left out.

    The names in it are never used as paths, nor shown: they may name a patient.

    Raises:
        CorruptImageError: it is damaged or encrypted, holds anything else or nothing, or more files or bytes than the
            limits allow a volume.
    """
    found: dict[str, bytes] = {}
    left = limits.file_bytes
    if content.count(_ENTRY) > limits.slices + _OTHERS:  # before any of them takes memory
        raise CorruptImageError(f"too large: more files than the limit of {limits.slices:,}")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            for number, entry in enumerate(packed.infolist(), start=1):
                if entry.is_dir() or _is_beside(entry.filename):
                    continue
                name = f"file {number:04d} in the zip"
                if entry.flag_bits & 1 or entry.compress_type not in _METHODS:
                    raise CorruptImageError(f"{name} is encrypted, or packed in a way that is not read")
                with packed.open(entry) as file:
                    data = file.read(left + 1)
                left -= len(data)
                if left < 0:
                    raise CorruptImageError(f"too large: unpacked it is over the limit of {limits.file_bytes:,} bytes")
                if not is_dicom(data):
                    raise CorruptImageError(f"{name} is no DICOM file: a zip may hold a DICOM series, and nothing else")
                found[name] = data
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError):
        pass  # and not `raise … from`: the error may hold a name in it
    else:
        if not found:
            raise CorruptImageError("a zip file without DICOM files")
        return found
    raise CorruptImageError("a damaged zip file")


def _is_beside(name: str) -> bool:
    return basename(name) == "DICOMDIR" or basename(name).startswith(".") or name.startswith("__MACOSX/")

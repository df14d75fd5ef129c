"""Which format a file is in, by its content, and opening it."""

from pathlib import Path

from brain_tumor.data.decode import CorruptImageError, open_picture
from brain_tumor.data.scans.dicom import open_dicom
from brain_tumor.data.scans.dicom_elements import is_dicom
from brain_tumor.data.scans.dicom_scale import GrayScale
from brain_tumor.data.scans.first_bytes import PICTURES
from brain_tumor.data.scans.nifti import is_gzip, is_nifti, open_nifti
from brain_tumor.data.scans.scan import Limits, Plane, Scan

ACCEPTED = "not a JPEG, PNG, BMP, TIFF or WebP picture, nor a DICOM or NIfTI file"


def open_scan(
    content: bytes, plane: Plane = "auto", limits: Limits | None = None, scale: GrayScale | None = None
) -> Scan:
    """Open the content of a file.

    Args:
        content: of a JPEG, PNG, BMP, TIFF or WebP picture, of a DICOM file, or of a NIfTI volume (`.nii`, `.nii.gz`).
        plane: in which a NIfTI volume is cut; other files have the slices that they have.
        limits: what the file may cost; None: the defaults.
        scale: of the series that a DICOM file is a part of, see `SeriesScales`; None: its own.

    Raises:
        CorruptImageError: it cannot be read, is over a limit, or needs a package that is not installed.
    """
    limits = limits or Limits()
    if len(content) > limits.file_bytes:
        raise CorruptImageError(f"too large: {len(content):,} bytes are over the limit of {limits.file_bytes:,}")
    if is_dicom(content):
        return open_dicom(content, limits, scale)
    if is_gzip(content) or is_nifti(content):
        return open_nifti(content, plane, limits)
    if content and not content.startswith(PICTURES):
        raise CorruptImageError(ACCEPTED)
    picture, _ = open_picture(content)
    return Scan("image", 1, None, lambda _: picture)


def read_scan(path: Path, plane: Plane = "auto", limits: Limits | None = None) -> Scan:
    """`open_scan` for a file on disk, which is not read where it is over the limit."""
    limits = limits or Limits()
    return open_scan(read_content(path, limits), plane, limits)


def read_content(path: Path, limits: Limits) -> bytes:
    """The bytes of a file, or as many as are over the limit; CorruptImageError where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(limits.file_bytes + 1)
    except OSError as error:
        raise CorruptImageError(error.strerror or str(error)) from error

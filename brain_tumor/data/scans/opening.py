"""Which format a file is in, by its content, and opening it."""

from pathlib import Path

from brain_tumor.data.decode import CorruptImageError, open_picture
from brain_tumor.data.scans.dicom import open_dicom
from brain_tumor.data.scans.dicom_elements import is_dicom
from brain_tumor.data.scans.dicom_scale import GrayScale
from brain_tumor.data.scans.first_bytes import PICTURES
from brain_tumor.data.scans.metaimage import is_metaimage, open_metaimage, read_metaimage
from brain_tumor.data.scans.nifti import is_nifti, open_nifti, read_nifti
from brain_tumor.data.scans.nrrd import is_nrrd, open_nrrd, read_nrrd
from brain_tumor.data.scans.on_disk import Beside, beside, read_content
from brain_tumor.data.scans.packed import is_gzip
from brain_tumor.data.scans.scan import Limits, Plane, Scan
from brain_tumor.data.scans.series_volume import read_series
from brain_tumor.data.scans.volume import Volume, chosen

ACCEPTED = "not a JPEG, PNG, BMP, TIFF or WebP picture, nor a DICOM, NIfTI, NRRD or MetaImage file"


def open_scan(
    content: bytes,
    plane: Plane = "auto",
    limits: Limits | None = None,
    scale: GrayScale | None = None,
    volume: int | None = None,
    beside: Beside | None = None,
) -> Scan:
    """Open the content of a file.

    Args:
        content: of a JPEG, PNG, BMP, TIFF or WebP picture, of a DICOM file, or of a volume: NIfTI (`.nii`, `.nii.gz`),
            NRRD (`.nrrd`, `.nhdr`) or MetaImage (`.mha`, `.mhd`).
        plane: in which a volume is cut; other files have the slices that they have.
        limits: what the file may cost; None: the defaults.
        scale: of the series that a DICOM file is a part of, see `SeriesScales`; None: its own.
        volume: which volume of a file of several, from 0; None: there is but one.
        beside: gives the file that a header (`.nhdr`, `.mhd`) names for its values; None: such a header is refused.

    Raises:
        CorruptImageError: it cannot be read, holds several volumes of which none is chosen, or not that one, is over a
            limit, or needs a package that is not installed.
    """
    limits = limits or Limits()
    if len(content) > limits.file_bytes:
        raise CorruptImageError(f"too large: {len(content):,} bytes are over the limit of {limits.file_bytes:,}")
    if is_dicom(content):
        return open_dicom(content, limits, scale, volume)
    if is_gzip(content) or is_nifti(content):
        return open_nifti(content, plane, limits, volume)
    if is_nrrd(content):
        return open_nrrd(content, plane, limits, volume, beside)
    if is_metaimage(content):
        return open_metaimage(content, plane, limits, volume, beside)
    if content and not content.startswith(PICTURES):
        raise CorruptImageError(ACCEPTED)
    chosen(volume, 1)
    picture, _ = open_picture(content)
    return Scan("image", 1, None, lambda _: picture)


def read_scan(path: Path, plane: Plane = "auto", limits: Limits | None = None) -> Scan:
    """`open_scan` for a file on disk, which is not read where it is over the limit."""
    limits = limits or Limits()
    return open_scan(read_content(path, limits), plane, limits, beside=beside(path, limits))


def read_volume(path: Path, limits: Limits | None = None) -> Volume:
    """The volume that a file on disk holds, NIfTI, NRRD or MetaImage, or that the DICOM files of a folder are.

    Raises CorruptImageError as `open_scan` and `read_series`, and where it is none.
    """
    if path.is_dir():
        return read_series(path, limits)
    limits = limits or Limits()
    return volume_in(read_content(path, limits), limits, beside(path, limits))


def volume_in(content: bytes, limits: Limits, beside: Beside | None = None) -> Volume:
    """The volume that a file's content is; `beside` as in `open_scan`. Raises CorruptImageError as `read_volume`."""
    if len(content) > limits.file_bytes:
        raise CorruptImageError(f"too large: it is over the limit of {limits.file_bytes:,} bytes")
    if is_gzip(content) or is_nifti(content):
        return read_nifti(content, limits)
    if is_nrrd(content):
        return read_nrrd(content, limits, None, beside)
    if is_metaimage(content):
        return read_metaimage(content, limits, None, beside)
    raise CorruptImageError("no whole volume: not a NIfTI, NRRD or MetaImage file, nor several DICOM files of a series")

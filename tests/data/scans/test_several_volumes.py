"""Files of several volumes, of which one is asked for: what is shown is what a file of that volume alone shows."""

import gzip
import io
import zlib
from collections.abc import Callable
from typing import Any

import nibabel
import numpy as np
import pytest
from dicom_files import dicom
from numpy.typing import NDArray
from PIL import Image
from volume_files import metaimage, nrrd, raw

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.opening import open_scan
from brain_tumor.data.scans.scan import Limits

AFFINE = np.diag([-1.0, -1, 1, 1])
SERIES = np.random.default_rng(0).integers(0, 900, (5, 6, 7, 3)).astype(np.int16)  # the last axis is time
PLACED = {"space": "left-posterior-superior", "space directions": "(1,0,0) (0,1,0) (0,0,1) none"}
MATRIX = {"TransformMatrix": "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1", "ElementSpacing": "1 1 1 2.5"}


def nifti(values: NDArray[Any]) -> bytes:
    return bytes(nibabel.Nifti1Image(values, AFFINE).to_bytes())


def slices(content: bytes, volume: int | None = None) -> NDArray[np.uint8]:
    scan = open_scan(content, "axial", volume=volume)
    return np.stack([np.asarray(scan.picture(index))[..., 0] for index in range(scan.count)])


def listed_first(values: NDArray[Any]) -> bytes:
    """As 3D Slicer writes a sequence: a voxel of each volume in turn."""
    directions = {"space": "left-posterior-superior", "space directions": "none (1,0,0) (0,1,0) (0,0,1)"}
    return nrrd(np.moveaxis(values, -1, 0), kinds="list domain domain domain", **directions)


WRITERS: dict[str, Callable[[NDArray[Any]], bytes]] = {
    "nifti": nifti,
    "nifti.gz": lambda values: gzip.compress(nifti(values)),
    "nrrd": lambda values: nrrd(values, kinds="domain domain domain time", **PLACED),
    "nrrd.gz": lambda values: nrrd(values, None, gzip.compress(raw(values)), encoding="gzip", **PLACED),
    "nrrd, listed first": listed_first,
    "metaimage": lambda values: metaimage(values, **MATRIX),
    "metaimage, packed": lambda values: metaimage(
        values, None, zlib.compress(raw(values)), CompressedData="True", **MATRIX
    ),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_the_volume_that_is_asked_for_is_shown(write: Callable[[NDArray[Any]], bytes]) -> None:
    content = write(SERIES)
    for index in range(3):
        scan = open_scan(content, volume=index)
        assert (scan.remarks, scan.plane) == ((f"volume {index} of 0 to 2",), "axial")
        assert np.array_equal(slices(content, index), slices(nifti(SERIES[..., index])))
    with pytest.raises(CorruptImageError, match=r"^holds 3 volumes: split the file, or .*volume=INDEX, from 0 to 2"):
        open_scan(content)
    with pytest.raises(CorruptImageError, match=r"^volume=3 is none of its volumes, of which the last is 2$"):
        open_scan(content, volume=3)


def test_volumes_along_two_axes_are_counted_through() -> None:
    values = np.stack([SERIES, SERIES[::-1]], axis=-1)
    assert np.array_equal(slices(nifti(values), 4), slices(nifti(SERIES[::-1, ..., 1])))


def test_a_file_of_one_volume_has_the_first_alone() -> None:
    file = io.BytesIO()
    Image.fromarray(SERIES[:, :, 0, 0].astype(np.uint8)).save(file, "PNG")
    for content in (nifti(SERIES[..., 0]), file.getvalue(), dicom(SERIES[:, :, 0, 0].astype(np.uint8))):
        assert open_scan(content, volume=0).remarks == open_scan(content).remarks
        with pytest.raises(CorruptImageError, match="volume=1 is none of its volumes, of which the last is 0"):
            open_scan(content, volume=1)


def test_a_long_series_is_unpacked_as_far_as_the_volume_that_is_asked_for() -> None:
    content = gzip.compress(nifti(SERIES))
    limits = Limits(file_bytes=352 + 2 * SERIES[..., 0].nbytes)
    assert open_scan(content, "axial", limits, volume=1).count == 7
    with pytest.raises(CorruptImageError, match="unpacked are over the limit"):
        open_scan(content, "axial", limits, volume=2)
    cut = nifti(SERIES)[: 352 + 2 * SERIES[..., 0].nbytes]
    assert open_scan(cut, volume=1).count == 7
    with pytest.raises(CorruptImageError, match="truncated"):
        open_scan(cut, volume=2)

"""NRRD and MetaImage files that lie, cost too much, or hold what is no volume of grays."""

import bz2
import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from volume_files import metaimage, nrrd, raw

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.opening import open_scan
from brain_tumor.data.scans.scan import Limits

VOLUME = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)
AFFINE = np.diag([0.9, 1.2, 2.5, 1])
WRITERS = [pytest.param(nrrd, "nrrd", id="nrrd"), pytest.param(metaimage, "metaimage", id="metaimage")]
Writer = Callable[..., bytes]


def refused(content: bytes, **options: Any) -> str:
    with pytest.raises(CorruptImageError) as caught:
        open_scan(content, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kinds", "values"),
    [
        ("RGB-color domain domain domain", np.zeros((3, 4, 5, 6), "u1")),
        ("3-vector space space space", np.zeros((3, 4, 5, 6), "f4")),
    ],
)
def test_colours_and_vectors_are_refused(kinds: str, values: NDArray[Any]) -> None:
    assert "not single numbers" in refused(nrrd(values, kinds=kinds))
    directions = "none (1,0,0) (0,1,0) (0,0,1)"
    assert "not single numbers" in refused(nrrd(values, kinds=kinds, space="LPS", **{"space directions": directions}))
    assert "not single numbers" in refused(metaimage(values[0], ElementNumberOfChannels="3"))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"sizes": "5 6 8"}, "fewer values"),
        ({"sizes": "5 -6 7"}, "impossible dimensions"),
        ({"sizes": "5 0 7"}, "impossible dimensions"),
        ({"sizes": "99999 99999 99999"}, "too large"),
        ({"sizes": "9" * 400 + " 1 1"}, "impossible dimensions"),
        ({"sizes": "5 6"}, "header is damaged"),
        ({"dimension": "2"}, "header is damaged"),
        ({"dimension": "17", "sizes": " ".join("1" * 17), "space directions": "", "kinds": ""}, "dimensions"),
        ({"dimension": "", "sizes": ""}, "header is damaged"),
        ({"type": "block", "blocksize": "3"}, "not single numbers"),
        ({"type": "quaternion"}, "header is damaged"),
        ({"endian": ""}, "header is damaged"),
        ({"encoding": "ascii"}, "written as text"),
        ({"encoding": "hex"}, "written as text"),
        ({"encoding": "gzip"}, "damaged gzip"),
        ({"encoding": "bzip2"}, "values are damaged"),
        ({"encoding": "gzip", "byte skip": "-1"}, "header is damaged"),
        ({"byte skip": "-2"}, "header is damaged"),
        ({"byte skip": "9" * 30}, "too large"),
        ({"line skip": "4000"}, "header is damaged"),
        ({"line skip": "9" * 30}, "header is damaged"),
        ({"space directions": "(1,0,0) (0,1,0)"}, "header is damaged"),
        ({"space directions": "(1,0,0) (0,1,0) (0,nan,1)"}, "orientation"),
        ({"space directions": "(1,0,0) (0,1,0) (0,0,0)"}, "orientation"),
        ({"space directions": "(1,0,0) (1,0,0) (0,0,1)"}, "orientation"),
        ({"space directions": "(1e30,0,0) (0,1,0) (0,0,1)"}, "orientation"),
        ({"space directions": "(1,0,0) (0,100,0) (0,0,0.1)"}, "distances"),
        ({"space directions": "none none none"}, "header is damaged"),
        ({"space directions": "", "spacings": "1 -1 0"}, "orientation"),
        ({"type": "short\ntype: int"}, "header is damaged"),
    ],
)
def test_lying_nrrd_headers_are_refused(fields: dict[str, str], reason: str) -> None:
    with pytest.raises(CorruptImageError, match=reason):
        open_scan(nrrd(VOLUME, AFFINE, **fields), "sagittal")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"DimSize": "5 6 8"}, "fewer values"),
        ({"DimSize": "5 -6 7"}, "impossible dimensions"),
        ({"DimSize": "5 6"}, "header is damaged"),
        ({"DimSize": ""}, "header is damaged"),
        ({"DimSize": "99999 99999 99999"}, "too large"),
        ({"NDims": "x"}, "header is damaged"),
        ({"ObjectType": "Tube"}, "holds no image"),
        ({"ElementType": "MET_STRING"}, "not single numbers"),
        ({"BinaryData": "False"}, "written as text"),
        ({"CompressedData": "True"}, "values are damaged"),
        ({"HeaderSize": "9999"}, "fewer values"),
        ({"ElementSpacing": "1 1 0"}, "orientation"),
        ({"ElementSpacing": "1 1 nan"}, "orientation"),
        ({"TransformMatrix": "1 0 0 0 1 0"}, "header is damaged"),
        ({"TransformMatrix": "1 0 0 1 0 0 0 0 1"}, "orientation"),
        ({"Comment": "\nx" * 2000}, "header is damaged"),
    ],
)
def test_lying_metaimage_headers_are_refused(fields: dict[str, str], reason: str) -> None:
    with pytest.raises(CorruptImageError, match=reason):
        open_scan(metaimage(VOLUME, AFFINE, **fields), "sagittal")


def test_headers_without_an_end_are_refused() -> None:
    assert "header is damaged" in refused(nrrd(VOLUME, AFFINE).split(b"\n\n")[0] + b"\nx: " + b"y" * 2**20)
    assert "fewer values" in refused(nrrd(VOLUME, AFFINE).split(b"\n\n")[0])
    assert "header is damaged" in refused(b"ObjectType = Image\n" + b"x" * 2**20)
    assert "later version" in refused(b"NRRD0009\n\n")


@pytest.mark.parametrize(
    "content",
    [
        nrrd(VOLUME, AFFINE, gzip.compress(bytes(2**26)), encoding="gzip"),
        nrrd(VOLUME, AFFINE, bz2.compress(bytes(2**26)), encoding="bzip2"),
        metaimage(VOLUME, AFFINE, zlib.compress(bytes(2**26)), CompressedData="True"),
    ],
    ids=["gzip", "bzip2", "zlib"],
)
def test_no_more_is_unpacked_than_the_header_says(content: bytes) -> None:
    open_scan(nrrd(VOLUME))  # which imports what reads it
    tracemalloc.start()
    open_scan(content)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**22


@pytest.mark.parametrize(("write", "kind"), WRITERS)
def test_limits_are_kept(write: Writer, kind: str) -> None:
    content = write(VOLUME, AFFINE)
    assert "7 slices are over the limit of 6" in refused(content, limits=Limits(slices=6))
    assert "210 voxels are over the limit of 209" in refused(content, limits=Limits(samples=209))
    large = np.zeros((40, 40, 40), np.uint8)
    packed = gzip.compress(raw(large))
    fields = {"encoding": "gzip"} if kind == "nrrd" else {"CompressedData": "True"}
    assert "unpacked are over the limit of 50,000" in refused(
        write(large, AFFINE, packed, **fields), limits=Limits(file_bytes=50_000)
    )


def test_nothing_is_kept_of_blank_lines_that_have_no_end() -> None:
    content = b"\n" * 2**22 + b"NDims = 3\n"
    tracemalloc.start()
    assert "not a JPEG" in refused(content)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**22

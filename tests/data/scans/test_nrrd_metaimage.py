"""Volumes in NRRD and MetaImage show what nibabel's NIfTI of the same volume shows; what cannot be true is refused."""

import bz2
import gzip
import itertools
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from volume_files import metaimage, nrrd, nrrd_header, raw

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.first_bytes import kind_of, values_of
from brain_tumor.data.scans.nrrd import UNPLACED
from brain_tumor.data.scans.opening import open_scan, read_scan
from brain_tumor.serving.inputs import find_files

VOLUME = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7) ** 2 % 901
AFFINE = np.array([[0.9, 0, 0, 3], [0, 1.2, 0, 4], [0, 0, 2.5, 5], [0, 0, 0, 1]])
WRITERS = [pytest.param(nrrd, "nrrd", id="nrrd"), pytest.param(metaimage, "metaimage", id="metaimage")]
Writer = Callable[..., bytes]


def slices(content: bytes, plane: Any = "auto", **options: Any) -> NDArray[np.uint8]:
    scan = open_scan(content, plane, **options)
    return np.stack([np.asarray(scan.picture(index))[..., 0] for index in range(scan.count)])


def nifti(values: NDArray[Any], affine: NDArray[Any]) -> bytes:
    return bytes(nibabel.Nifti1Image(values, affine).to_bytes())


@pytest.mark.parametrize(("write", "kind"), WRITERS)
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, -1, 1), (1, -1, -1), (-1, -1, -1)])
def test_every_order_of_the_axes_shows_what_nibabel_reads(
    write: Writer, kind: str, order: tuple[int, ...], flips: tuple[int, ...]
) -> None:
    ways = np.array([[order[axis], flips[axis]] for axis in range(3)])
    stored = nibabel.orientations.apply_orientation(VOLUME, ways)
    tilted = nibabel.eulerangles.euler2mat(0.1, -0.2, 0.15)  # a head that is not straight in the scanner
    affine = AFFINE @ nibabel.orientations.inv_ornt_aff(ways, VOLUME.shape)
    affine[:3, :3] = tilted @ affine[:3, :3]
    content = write(stored, affine)
    assert (open_scan(content).kind, open_scan(content).remarks, kind_of(content[:4096])) == (kind, (), kind)
    for plane in ("auto", "axial", "coronal", "sagittal"):
        assert open_scan(content, plane).plane == open_scan(nifti(stored, affine), plane).plane  # type: ignore[arg-type]
        assert np.array_equal(slices(content, plane), slices(nifti(stored, affine), plane))


def test_the_first_voxel_of_a_volume_in_dicoms_space_is_at_the_top_left_of_the_feet() -> None:
    """By hand: axes to the left, back and head are how a slice is looked at."""
    for write in (nrrd, metaimage):
        shown = slices(write(VOLUME, np.diag([-1.0, -1, 1, 1])), "axial")
        low, high = (float(np.percentile(VOLUME, q, method=m)) for q, m in ((0.1, "lower"), (99.5, "higher")))
        assert np.array_equal(shown[2], np.rint(np.clip((VOLUME[:, :, 2].T - low) / (high - low), 0, 1) * 255))


@pytest.mark.parametrize(
    ("space", "signs"),
    [("right-anterior-superior", (1, 1)), ("RAS", (1, 1)), ("LAS", (-1, 1)), ("left-posterior-superior", (-1, -1))],
)
def test_each_space_of_nrrd_leads_to_the_same_sides(space: str, signs: tuple[int, int]) -> None:
    directions = f"({signs[0]},0,0) (0,{signs[1]},0) (0,0,1)"
    content = nrrd(VOLUME, np.eye(4), space=space, **{"space directions": directions})
    assert np.array_equal(slices(content), slices(nifti(VOLUME, np.eye(4))))
    assert open_scan(content).remarks == ()


@pytest.mark.parametrize(("write", "kind"), WRITERS)
def test_a_file_that_does_not_say_how_it_lies_says_so_and_has_no_sides(write: Writer, kind: str) -> None:
    scan = open_scan(write(VOLUME))
    assert (scan.remarks, scan.plane, scan.plane_of(3)) == ((UNPLACED,), "axial", None)
    assert np.array_equal(slices(write(VOLUME)), slices(nifti(VOLUME, np.diag([-1.0, -1, 1, 1]))))
    # A space that names no side of the patient is none
    unknown = nrrd(VOLUME, np.diag([3.0, 1, 1, 1]), space="scanner-xyz")
    assert (open_scan(unknown).remarks, open_scan(unknown).plane) == ((UNPLACED,), "sagittal")


def test_spacings_without_directions_are_used() -> None:
    assert open_scan(nrrd(VOLUME, spacings="1 3 1")).plane == "coronal"
    assert open_scan(metaimage(VOLUME, ElementSpacing="1 3 1")).plane == "coronal"
    assert open_scan(metaimage(VOLUME, ElementSize="1 3 1")).plane == "coronal"
    assert open_scan(nrrd(VOLUME, spacings="1 2 5")).picture(0).size == (5, 12)


@pytest.mark.parametrize(("write", "kind"), WRITERS)
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", ">i2", ">f4", ">u8"])
def test_every_number_is_read(write: Writer, kind: str, dtype: str) -> None:
    values = np.arange(120, dtype=dtype).reshape(4, 5, 6)
    assert np.array_equal(slices(write(values, AFFINE)), slices(nifti(values.astype("i2"), AFFINE)))


def test_met_long_has_four_bytes_as_itk_writes_it() -> None:
    assert np.array_equal(
        slices(metaimage(VOLUME.astype("i4"), AFFINE, ElementType="MET_LONG")), slices(nifti(VOLUME, AFFINE))
    )


def test_packed_values_are_read() -> None:
    expected, values = slices(nifti(VOLUME, AFFINE)), raw(VOLUME)
    for encoding, data in (
        ("gzip", gzip.compress(values)),
        ("gz", gzip.compress(values)),
        ("bzip2", bz2.compress(values)),
    ):
        assert np.array_equal(slices(nrrd(VOLUME, AFFINE, data, encoding=encoding)), expected)
    halves = gzip.compress(values[:100]) + gzip.compress(values[100:])
    assert np.array_equal(slices(nrrd(VOLUME, AFFINE, halves, encoding="gzip")), expected)
    for data in (zlib.compress(values), gzip.compress(values)):
        packed = metaimage(VOLUME, AFFINE, data, CompressedData="True", CompressedDataSize=str(len(data)))
        assert np.array_equal(slices(packed), expected)


def test_what_stands_before_the_values_is_skipped() -> None:
    expected, values = slices(nifti(VOLUME, AFFINE)), raw(VOLUME)
    skipping = nrrd(VOLUME, AFFINE, b"one\ntwo\n12345" + values, **{"line skip": "2", "byte skip": "5"})
    assert np.array_equal(slices(skipping), expected)
    packed = nrrd(VOLUME, AFFINE, gzip.compress(b"12345" + values), **{"byteskip": "5", "encoding": "gzip"})
    assert np.array_equal(slices(packed), expected)
    assert np.array_equal(slices(nrrd(VOLUME, AFFINE, b"1234567" + values, **{"byte skip": "-1"})), expected)
    assert np.array_equal(slices(metaimage(VOLUME, AFFINE, b"1234567" + values, HeaderSize="-1")), expected)


def test_lines_of_windows_and_of_tools_are_no_matter() -> None:
    for content in (nrrd(VOLUME, AFFINE, b""), metaimage(VOLUME, AFFINE, b"")):
        assert np.array_equal(slices(content.replace(b"\n", b"\r\n") + raw(VOLUME)), slices(nifti(VOLUME, AFFINE)))
    own = nrrd(VOLUME, AFFINE).replace(b"\n\n", b'\nmodality:=DWMRI\ntype:="nothing\nlabels: "a\n\n', 1)
    assert np.array_equal(slices(own), slices(nifti(VOLUME, AFFINE)))
    own = b"# by hand\nComment = x\n" + metaimage(VOLUME, AFFINE, Name="A B", Modality="MET_MOD_MR")
    assert np.array_equal(slices(own), slices(nifti(VOLUME, AFFINE)))


@pytest.mark.parametrize(("write", "kind"), WRITERS)
def test_gaps_and_blank_volumes_are_as_in_nifti(write: Writer, kind: str) -> None:
    values = VOLUME.astype(np.float32)
    values[0, 0, 0], values[4, 5, 6], values[0, 5, 6] = np.nan, np.inf, -np.inf
    head = np.zeros((12, 12, 12), np.float32)
    head[3:9, 3:9, 3:9] = np.linspace(-1, 1, 216).reshape(6, 6, 6)  # cut out and normalised
    for each in (values, head):
        assert np.array_equal(slices(write(each, AFFINE)), slices(nifti(each, AFFINE)))
    with pytest.raises(CorruptImageError, match="there is nothing to see"):
        open_scan(write(np.full((5, 6, 7), 7, np.uint8), AFFINE)).pixels(32)


def test_a_picture_of_two_axes_is_one_slice() -> None:
    values = np.arange(30, dtype=np.uint8).reshape(5, 6)
    for content in (nrrd(values), metaimage(values)):
        scan = open_scan(content)
        assert (scan.count, scan.plane_of(0)) == (1, None)
        assert np.array_equal(np.argsort(slices(content)[0].ravel()), np.argsort(values.T.ravel()))
    placed = nrrd(values, space="LPS", **{"space directions": "(1,0,0) (0,0,-1)"})
    assert (open_scan(placed).plane, open_scan(placed).remarks) == ("coronal", ())


@pytest.mark.parametrize(
    ("write", "header", "values"), [(nrrd, "a.nhdr", "data file"), (metaimage, "a.mhd", "ElementDataFile")]
)
def test_a_header_is_read_with_the_file_beside_it_and_with_no_other(
    tmp_path: Path, write: Writer, header: str, values: str
) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "a.raw.gz").write_bytes(raw(VOLUME))
    (tmp_path / "outside.raw").write_bytes(raw(VOLUME))
    (folder / "link.raw").symlink_to(tmp_path / "outside.raw")

    def named(name: str) -> Path:
        (folder / header).write_bytes(write(VOLUME, AFFINE, b"", **{values: name}))
        return folder / header

    for name in ("a.raw.gz", "./a.raw.gz"):
        scan = read_scan(named(name))
        shown = np.stack([np.asarray(scan.picture(index))[..., 0] for index in range(scan.count)])
        assert np.array_equal(shown, slices(nifti(VOLUME, AFFINE)))
        assert values_of(folder / header) == folder / "a.raw.gz"
        assert find_files(str(folder / "*")).names == (header, "link.raw")
        found = find_files(str(folder))
        assert (found.names, dict(found.skipped)) == ((header,), {".raw": 1})
    for name in (
        str(tmp_path / "outside.raw"),
        "../outside.raw",
        "link.raw",
        "missing.raw",
        "..",
        "x\0y",
        "/etc/passwd",
        ".",
    ):
        with pytest.raises(CorruptImageError, match="does not lie beside it, which is not opened"):
            read_scan(named(name))
        assert values_of(folder / header) is None
    for name in ("LIST", "slice%03d.raw 1 7 1"):
        with pytest.raises(CorruptImageError, match="values are in many files"):
            read_scan(named(name))
    # Where a file was sent, there is none beside it
    with pytest.raises(CorruptImageError, match="half of a pair of files"):
        open_scan(named("a.raw.gz").read_bytes())


def test_what_only_looks_like_one_is_not_taken_for_one() -> None:
    for text in (b"NRRD", b"NDimensions: 3\n", b"Comment = x\n", b"# only\n# remarks\n", b"\n" * 4000):
        assert kind_of(text) is None
    assert kind_of(nrrd_header(VOLUME, AFFINE).encode()) == "nrrd"


@pytest.mark.real_data
def test_a_real_nrrd_volume_is_shown_as_nibabel_shows_its_values() -> None:
    import nrrd as pynrrd  # beside the writer of the same name

    place = Path(os.environ.get("BRAIN_TUMOR_DATA", "")) / "scans" / "brain1_t1c.nrrd"
    if not os.environ.get("BRAIN_TUMOR_DATA") or not place.is_file():
        pytest.skip("needs the scans below BRAIN_TUMOR_DATA")
    values, header = pynrrd.read(str(place))
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1, -1, 1]) @ header["space directions"].T
    scan = read_scan(place)
    assert (scan.kind, scan.count, scan.plane, scan.remarks) == ("nrrd", 25, "axial", ())
    assert np.array_equal(slices(place.read_bytes()), slices(nifti(values.astype(np.int16), affine)))
    # The tumour of the mask beside it is on the left of the picture where it is on the patient's right
    mask, _ = pynrrd.read(str(place.with_name("brain1_tumour.nrrd")))
    x, y, z = np.argwhere(mask).mean(axis=0)
    right = (affine @ [x, y, z, 1])[0] > (affine @ [*np.subtract(values.shape, 1) / 2, 1])[0]
    shown = slices(place.with_name("brain1_tumour.nrrd").read_bytes())
    columns = np.argwhere(shown > 0)[:, 2].mean()
    assert right == (columns < shown.shape[2] / 2)

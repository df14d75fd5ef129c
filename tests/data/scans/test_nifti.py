"""Slices of NIfTI volumes: where a voxel lands, which plane is shown, what is refused."""

import gzip
import itertools
import struct
import tracemalloc
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.nifti import UNPLACED
from brain_tumor.data.scans.opening import open_scan
from brain_tumor.data.scans.scan import Limits

SHAPE = (5, 6, 7)  # to the right, front and head
MARK = (1, 2, 3)


def volume() -> NDArray[np.uint8]:
    """In RAS+: black, and one white voxel that is right of the middle of nothing."""
    values = np.zeros(SHAPE, np.uint8)
    values[MARK] = 200
    return values


def nifti(values: NDArray[Any], affine: NDArray[np.float64] | None = None, kind: type = nibabel.Nifti1Image) -> bytes:
    return bytes(kind(values, np.eye(4) if affine is None else affine).to_bytes())


def gray(content: bytes, plane: Any = "auto", index: int = 0) -> NDArray[np.uint8]:
    return np.asarray(open_scan(content, plane).picture(index))[..., 0]


def patched(content: bytes, place: int, layout: str, *values: Any) -> bytes:
    """Another value at a place of the header (nifti1.h)."""
    out = bytearray(content)
    struct.pack_into(layout, out, place, *values)
    return bytes(out)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", list(itertools.product((1, -1), repeat=3)))
def test_every_order_of_the_axes_gives_the_same_slices(order: tuple[int, ...], flips: tuple[int, ...]) -> None:
    """A scanner may store axes in any order and direction; the affine says which."""
    affine = np.eye(4)
    affine[:3, 3] = (10, 20, 30)
    ras = nibabel.Nifti1Image(volume(), affine)
    turned = nibabel.orientations.apply_orientation(volume(), np.array([[order[i], flips[i]] for i in range(3)]))
    matrix = affine @ nibabel.orientations.inv_ornt_aff(np.array([[order[i], flips[i]] for i in range(3)]), SHAPE)
    stored = nibabel.Nifti1Image(turned, matrix)
    assert np.array_equal(nibabel.as_closest_canonical(stored).get_fdata(), ras.get_fdata())
    content = bytes(stored.to_bytes())
    # One voxel of 210: the 99.5th percentile is below it, so it is white. Axial: five wide, the patient's right (voxel
    # 4) on the left, so voxel 1 is in column 3; six high, the front (5) above, so voxel 2 is in row 3.
    for plane, count, index, size, place in (
        ("axial", 7, 3, (6, 5), (3, 3)),
        ("coronal", 6, 2, (7, 5), (3, 3)),  # head (6) above: voxel 3 in row 3
        ("sagittal", 5, 1, (7, 6), (3, 3)),  # front (5) on the left: voxel 2 in column 3
    ):
        scan = open_scan(content, plane)  # type: ignore[arg-type]
        assert (scan.kind, scan.count, scan.plane) == ("nifti", count, plane)
        shown = gray(content, plane, index)
        assert shown.shape == size
        assert np.argwhere(shown == 255).tolist() == [list(place)]
        assert not gray(content, plane, index - 1).any()


def test_each_side_is_where_radiologists_expect_it() -> None:
    right, front, head = (np.zeros((4, 4, 4), np.uint8) for _ in range(3))
    right[2:], front[:, 2:], head[:, :, 2:] = 9, 9, 9
    assert (gray(nifti(right), "axial") == [255, 255, 0, 0]).all()
    assert (gray(nifti(right), "coronal") == [255, 255, 0, 0]).all()
    assert (gray(nifti(front), "axial").T == [255, 255, 0, 0]).all()
    assert (gray(nifti(front), "sagittal") == [255, 255, 0, 0]).all()
    assert (gray(nifti(head), "coronal").T == [255, 255, 0, 0]).all()
    assert (gray(nifti(head), "sagittal").T == [255, 255, 0, 0]).all()


def test_a_file_that_does_not_say_how_it_lies_says_so_and_has_no_sides() -> None:
    known, unknown = nifti(volume()), patched(nifti(volume()), 252, "<hh", 0, 0)  # qform_code and sform_code
    assert open_scan(known).remarks == ()
    scan = open_scan(unknown)
    assert scan.remarks == (UNPLACED,)
    assert (scan.plane, scan.plane_of(3)) == ("axial", None)
    assert open_scan(known).plane_of(3) == "axial"


@pytest.mark.parametrize(
    ("spacing", "plane", "size"),
    [
        ((1, 1, 1), "axial", (5, 6)),
        ((1.04, 1.04, 1), "axial", (5, 6)),  # 5 % are equal
        ((1, 3, 1), "coronal", (5, 7)),
        ((4, 1, 2), "sagittal", (6, 14)),
        ((1, 2, 5), "axial", (5, 12)),
    ],
)
def test_the_plane_is_across_the_thickest_axis(spacing: tuple[float, ...], plane: str, size: tuple[int, int]) -> None:
    scan = open_scan(nifti(volume(), np.diag([*spacing, 1.0])))
    assert (scan.plane, scan.picture(0).size) == (plane, size)


def test_a_single_slice_is_shown_as_it_is() -> None:
    scan = open_scan(nifti(volume()[:, 2:3]))
    assert (scan.count, scan.plane, scan.picture(0).size) == (1, "coronal", (5, 7))


def test_the_scale_goes_from_percentile_to_percentile_of_the_volume() -> None:
    # 0.1 and 99.5 % of the way from -300 to 700: -299 and 695
    values = np.arange(1001, dtype=np.int16).reshape(7, 11, 13) - 300
    for content in (nifti(values), nifti(values.astype(np.float32)), nifti(values, kind=nibabel.Nifti2Image)):
        scan = open_scan(content, "axial")
        pictures = np.stack([np.asarray(scan.picture(k))[..., 0] for k in range(13)], axis=-1)[::-1, ::-1]
        expected = np.rint(np.clip((values + 299) / 994, 0, 1) * 255).transpose(1, 0, 2)
        assert np.array_equal(pictures, expected)


def test_the_slope_is_applied() -> None:
    values = np.arange(1000, dtype=np.int16).reshape(10, 10, 10)
    rising = patched(nifti(values), 112, "<ff", 0.5, -7)
    assert np.array_equal(gray(rising), gray(nifti(values)))
    falling = gray(patched(nifti(values), 112, "<ff", -2, 100), "sagittal", 9)
    # Of 0 to 999 the percentiles, outwards to values that are there, are 999 and 4; 900 is the brightest of that slice
    assert falling.max() == round((999 - 900) / (999 - 4) * 255)
    assert falling.min() == 0


def head(below: float, share: float) -> NDArray[np.float32]:
    """A skull-stripped head of values 100 to 900 in zeros, a share of which is `below` them."""
    rng = np.random.default_rng(0)
    values = np.zeros((40, 40, 40), np.float32)
    values[10:35, 10:35, 10:35] = rng.uniform(100, 900, (25, 25, 25))
    places = rng.random(values.shape) < share
    values[places & (values == 0)] = below
    return values


@pytest.mark.parametrize(("slope", "inter"), [(1.0, 0.0), (0.5, 0.0), (2.0, -200.0), (-1.0, 0.0)])
@pytest.mark.parametrize("share", [0.0, 0.00002, 0.002])
def test_a_background_of_zeros_stays_black_below_which_a_few_values_lie(
    share: float, slope: float, inter: float
) -> None:
    values = head(-250, share)
    stored = ((values - inter) / slope).astype(np.float32)
    shown = gray(patched(nifti(stored), 112, "<ff", slope, inter), "axial", 20)
    assert (shown[:4] == 0).all()
    assert np.median(shown[shown > 0]) > 90


def test_a_single_hole_does_not_brighten_a_volume() -> None:
    values = np.random.default_rng(0).integers(200, 900, (30, 30, 30)).astype(np.int16)
    plain = gray(nifti(values), "axial", 7)
    values[0, 0, 0] = -32768
    assert np.abs(gray(nifti(values), "axial", 7).astype(int) - plain).max() <= 1


def test_the_background_of_a_normalised_head_is_black_and_half_of_the_head_is_not() -> None:
    values = head(0, 0)
    inside = values > 0
    values[inside] = (values[inside] - values[inside].mean()) / values[inside].std()
    shown = gray(nifti(values), "axial", 20)
    assert (shown[:4] == 0).all()
    assert (shown[(inside[:, :, 20].T)[::-1, ::-1]] > 10).mean() > 0.9


def test_gaps_are_tolerated() -> None:
    values = volume().astype(np.float32)
    values[0, 0, 0], values[4, 5, 6], values[0, 5, 6] = np.nan, np.inf, -np.inf
    assert gray(nifti(values), "axial", 3).max() == 255
    assert gray(nifti(values), "axial", 6)[0].tolist() == [255, 0, 0, 0, 0]
    assert not gray(nifti(np.full(SHAPE, np.nan, np.float32))).any()
    assert not gray(nifti(np.full(SHAPE, 7, np.uint8))).any()


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", ">i2", ">f4"])
def test_every_number_is_read(kind: str) -> None:
    values = np.arange(120, dtype=kind).reshape(4, 5, 6)
    image = nibabel.Nifti1Image(
        values, np.eye(4), nibabel.Nifti1Header(endianness=">" if kind[0] == ">" else "<"), dtype=kind
    )
    assert np.array_equal(gray(bytes(image.to_bytes())), gray(nifti(np.arange(120, dtype=np.int16).reshape(4, 5, 6))))


def test_one_volume_in_four_dimensions_is_a_volume_and_several_are_not() -> None:
    assert np.array_equal(gray(nifti(volume()[..., None])), gray(nifti(volume())))
    with pytest.raises(CorruptImageError, match="holds 3 volumes"):
        open_scan(nifti(np.stack([volume()] * 3, axis=-1)))


def test_packed_files_are_read_and_bombs_are_not() -> None:
    content = nifti(volume())
    assert np.array_equal(gray(gzip.compress(content)), gray(content))
    parts = gzip.compress(content[:400]) + gzip.compress(content[400:])
    assert np.array_equal(gray(parts), gray(content))
    bomb = gzip.compress(patched(content, 40, "<4h", 3, 1000, 1000, 1000) + bytes(2**24))
    with pytest.raises(CorruptImageError, match=r"too large: 1,000,000,000 voxels"):
        open_scan(bomb)
    with pytest.raises(CorruptImageError, match="unpacked are over the limit"):
        open_scan(gzip.compress(content), limits=Limits(file_bytes=500))
    with pytest.raises(CorruptImageError, match="truncated: it has fewer values"):
        open_scan(gzip.compress(content[:-1]))
    with pytest.raises(CorruptImageError, match="damaged gzip"):
        open_scan(gzip.compress(content)[:60])
    with pytest.raises(CorruptImageError, match="holds no NIfTI"):
        open_scan(gzip.compress(b"a letter" * 100))


@pytest.mark.parametrize(
    ("place", "layout", "values", "reason"),
    [
        (40, "<4h", (3, 5, 6, 8), "fewer values"),
        (40, "<4h", (3, -5, 6, 7), "impossible dimensions"),
        (40, "<4h", (3, 0, 6, 7), "impossible dimensions"),
        (40, "<h", (0,), "impossible dimensions"),
        (40, "<h", (9,), "impossible dimensions"),
        (40, "<4h", (3, 32767, 32767, 32767), "too large"),
        (40, "<8h", (7, 5, 6, 7, 32767, 32767, 32767, 32767), "volumes"),
        (70, "<h", (128,), "not single numbers"),  # RGB
        (70, "<h", (32,), "not single numbers"),  # complex
        (70, "<h", (1536,), "not single numbers"),  # 128 bits
        (70, "<h", (999,), "not single numbers"),
        (108, "<f", (float("nan"),), "offset"),
        (108, "<f", (-1.0,), "offset"),
        (108, "<f", (1e30,), "offset"),
        (280, "<4f", (float("nan"),) * 4, "orientation"),
        (280, "<12f", (0.0,) * 12, "orientation"),
        (280, "<12f", (1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0), "orientation"),  # two axes are one
        (280, "<12f", (1e30, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0), "orientation"),
        (280, "<12f", (1, 0, 0, 0, 0, 100, 0, 0, 0, 0, 0.1, 0), "distances"),
        (344, "4s", (b"ni1\0",), "pair of files"),
        (344, "4s", (b"\0\0\0\0",), "Analyze"),
    ],
)
def test_lying_headers_are_refused(place: int, layout: str, values: tuple[Any, ...], reason: str) -> None:
    with pytest.raises(CorruptImageError, match=reason):
        open_scan(patched(nifti(volume()), place, layout, *values), "sagittal")


def test_limits_are_kept() -> None:
    with pytest.raises(CorruptImageError, match="7 slices are over the limit of 6"):
        open_scan(nifti(volume()), limits=Limits(slices=6))
    assert open_scan(nifti(volume()), "sagittal", Limits(slices=6)).count == 5
    with pytest.raises(CorruptImageError, match="210 voxels are over the limit of 209"):
        open_scan(nifti(volume()), limits=Limits(samples=209))


def test_a_file_that_nibabel_saves_is_read(tmp_path: Any) -> None:
    from brain_tumor.data.scans.opening import read_scan

    for name in ("scan.nii", "scan.nii.gz", "without a name that says so"):
        image = nibabel.Nifti1Image(volume(), np.eye(4))
        if "." in name:
            nibabel.save(image, tmp_path / name)
        else:
            (tmp_path / name).write_bytes(image.to_bytes())
        assert read_scan(tmp_path / name).count == 7


def test_a_slice_costs_a_slice_and_not_the_volume() -> None:
    scan = open_scan(nifti(np.zeros((100, 100, 200), np.uint8)), "sagittal")
    tracemalloc.start()
    scan.picture(50)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 100 * 200 * 80  # bytes of one slice in real numbers, a few times; the volume has 2,000,000


def test_gzip_of_several_members_is_read_and_of_endless_ones_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    volume = nibabel.Nifti1Image(np.arange(24, dtype=np.uint8).reshape(2, 3, 4), np.eye(4)).to_bytes()
    parts = [gzip.compress(volume[start : start + 100]) for start in range(0, len(volume), 100)]
    whole = open_scan(volume)
    for content in (b"".join(parts), b"\0\0".join(parts) + bytes(99)):
        scan = open_scan(content)
        assert all(np.array_equal(scan.picture(index), whole.picture(index)) for index in range(whole.count))
    named = b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * 200_000 + b"\0" + gzip.compress(volume)[10:]
    assert open_scan(named).count == whole.count
    monkeypatch.setattr("brain_tumor.data.scans.packed.MEMBERS", 100)
    with pytest.raises(CorruptImageError, match=r"^a damaged gzip file$"):
        open_scan(gzip.compress(b"") * 100 + gzip.compress(volume))
    packed = gzip.compress(volume + bytes(999))
    assert open_scan(packed).count == whole.count
    wrong = parts[-1][:-8] + bytes(4) + parts[-1][-4:]  # its checksum
    for content in (
        b"".join(parts)[:-9],
        b"".join(parts[:-1]) + wrong,
        parts[0] + parts[1] + b"rubbish",
        parts[0] + b"\x1f",
    ):
        with pytest.raises(CorruptImageError, match=r"^a damaged gzip file$"):
            open_scan(content)

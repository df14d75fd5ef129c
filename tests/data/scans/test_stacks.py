"""Files of a series become volumes: found, ordered, told apart, and read, by files whose geometry is known."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import nibabel
import numpy as np
import pytest
from dicom_files import dicom, item
from numpy.typing import NDArray

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.opening import open_scan
from brain_tumor.data.scans.placing import UNPLACED
from brain_tumor.data.scans.scan import Limits, Scan
from brain_tumor.data.scans.stacks import Content, Stack, open_stack, stacks

AXIAL = (1.0, 0, 0, 0, 1, 0)
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # DICOM's axes run to the left and back, NIfTI's to the right and front
VALUES = np.random.default_rng(0).integers(0, 900, (9, 7, 8)).astype(np.uint16)  # slices, rows, columns


def placed(
    index: int,
    position: float,
    orientation: Sequence[float] = AXIAL,
    pixels: NDArray[np.uint16] = VALUES,
    **values: Any,
) -> bytes:
    """A slice of a series at `position` mm along its normal."""
    corner = np.array([-90.0, -120, 30]) + position * np.cross(orientation[:3], orientation[3:])
    said = {
        "SeriesInstanceUID": "1.2.3",
        "InstanceNumber": index + 1,
        "ImageOrientationPatient": list(orientation),
        "ImagePositionPatient": corner.tolist(),
        "PixelSpacing": [1.0, 1.0],
    }
    return dicom(pixels[index % len(pixels)], **{**said, **values})


def contents(files: dict[str, bytes]) -> dict[str, Content]:
    return {name: partial(lambda content, size: content[:size], each) for name, each in files.items()}


def found(files: dict[str, bytes], limits: Limits | None = None) -> list[Stack]:
    return stacks(contents(files), limits or Limits())


def opened(files: dict[str, bytes], limits: Limits | None = None) -> Scan:
    [stack] = found(files)
    return open_stack(stack, contents(files), "auto", limits or Limits())


def pictures(scan: Scan) -> NDArray[np.uint8]:
    return np.stack([np.asarray(scan.picture(index))[..., 0] for index in range(scan.count)])


def shuffled(count: int) -> list[int]:
    return np.random.default_rng(1).permutation(count).tolist()


@pytest.mark.parametrize(
    ("orientation", "plane"),
    [
        ((1, 0, 0, 0, 1, 0), "axial"),
        ((-0.998006, -0.0619698, -0.0119883, -0.0533518, 0.929711, -0.364405), "axial"),  # rows run to the right
        ((0, 1, 0, 0, 0, -1), "sagittal"),
        ((0, 0.98, 0.199, 0, 0.199, -0.98), "sagittal"),
        ((1, 0, 0, 0, 0, -1), "coronal"),
        ((0, 0, 1, 1, 0, 0), "coronal"),
    ],
)
@pytest.mark.parametrize("step", [3.0, -3.0])
def test_a_series_shows_what_a_nifti_of_it_shows_whatever_its_names_and_numbers(
    orientation: tuple[float, ...], plane: Any, step: float
) -> None:
    """Turned alike, in the same order, from the patient's left, back or feet, in the same gray levels."""
    names = shuffled(len(VALUES))
    files = {f"{name}.dcm": placed(index, step * index, orientation) for index, name in enumerate(names)}
    scan = opened(files)
    row, column = np.reshape(orientation, (2, 3))
    affine = np.eye(4)
    affine[:3] = np.stack([row, column, step * np.cross(row, column), [-90.0, -120, 30]], axis=1)
    volume = nibabel.Nifti1Image(VALUES.transpose(2, 1, 0), TO_RAS @ affine)
    nifti = open_scan(bytes(volume.to_bytes()), plane)
    assert (scan.count, scan.plane, scan.remarks) == (9, plane, ())
    assert np.abs(pictures(scan).astype(int) - pictures(nifti)).max() <= 1
    assert np.diff(np.array(scan.positions, float)) == pytest.approx([3.0] * 8, abs=1e-3)
    assert [scan.place_of(index).file for index in range(9)] == list(scan.files)
    assert set(scan.files) == set(files)


def test_a_volume_is_named_by_its_folder_and_a_number_and_other_files_stay_by_themselves() -> None:
    files = {f"a/{index}": placed(index, index, SeriesNumber=7) for index in range(3)}
    files |= {f"a/x{index}": placed(index, index, SeriesInstanceUID="1.2.4", SeriesNumber=2) for index in range(4)}
    files |= {"b/0": placed(0, 0), "b/note.txt": b"text", "b/1": dicom(VALUES, SeriesInstanceUID="1.2.3")}
    files |= {"c.dcm": placed(0, 0, ImageType=["ORIGINAL", "PRIMARY", "MOSAIC"]), "d.dcm": placed(1, 1)[:300]}
    assert [(each.name, each.files) for each in found(files)] == [
        ("a/series 2 (3 slices)", ("a/0", "a/1", "a/2")),
        ("a/series 1 (4 slices)", ("a/x0", "a/x1", "a/x2", "a/x3")),
        *((name, (name,)) for name in ("b/0", "b/1", "b/note.txt", "c.dcm", "d.dcm")),
    ]


@pytest.mark.parametrize(
    ("keyword", "values", "called"),
    [
        ("EchoNumbers", (1, 2), "echo"),
        ("EchoTime", (20, 80), "echo time"),
        ("TemporalPositionIdentifier", (3, 5), "time"),
        ("TriggerTime", (10, 510), "trigger time"),
        ("DiffusionBValue", (0.0, 1000.0), "b-value"),
        ("ImageType", (["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"]), "image type"),
        ("AcquisitionNumber", (4, 9), "acquisition"),
    ],
)
def test_two_slices_at_each_place_are_two_volumes(keyword: str, values: tuple[Any, Any], called: str) -> None:
    files = {
        f"{index}{which}": placed(index, 3.0 * index, **{keyword: value})
        for index in range(4)
        for which, value in zip("ab", values, strict=True)
    }
    del files["3b"]  # one is missing
    assert [(each.name, each.files, each.remarks) for each in found(files)] == [
        (f"series 1, {called} 1 (4 slices)", ("0a", "1a", "2a", "3a"), ()),
        (f"series 1, {called} 2 (3 slices)", ("0b", "1b", "2b"), ()),
    ]


def test_echoes_of_several_times_are_a_volume_each() -> None:
    files = {
        f"{index}{echo}{time}": placed(index, index, EchoNumbers=echo, EchoTime=20 * echo, AcquisitionNumber=time)
        for index in range(3)
        for echo in (1, 2)
        for time in (1, 2)
    }
    assert [each.name for each in found(files)] == [
        f"series 1, echo {echo}, acquisition {time} (3 slices)" for echo in (1, 2) for time in (1, 2)
    ]


def test_what_differs_from_place_to_place_alone_does_not_part_a_volume() -> None:
    """As the numbers of interleaved acquisitions do."""
    files = {f"{index}": placed(index, index, AcquisitionNumber=1 + index % 2, EchoTime=index) for index in range(6)}
    assert [each.name for each in found(files)] == ["series 1 (6 slices)"]


def test_slices_that_lie_otherwise_are_another_volume() -> None:
    files = {f"a{index}": placed(index, index) for index in range(3)}
    files |= {f"b{index}": placed(index, index, (0, 1, 0, 0, 0, -1)) for index in range(2)}
    files |= {f"c{index}": placed(index, index, PixelSpacing=[2.0, 2.0]) for index in range(2)}
    files |= {f"d{index}": placed(index, index, pixels=VALUES[:, :6]) for index in range(2)}
    files |= {f"e{index}": placed(index, index, ImagePositionPatient=[60, -120, 30 + index]) for index in range(2)}
    files |= {"f": placed(0, 0, (0, 0, 1, 1, 0, 0))}
    assert [(each.name, len(each.files)) for each in found(files)] == [
        ("series 1, part 1 (3 slices)", 3),
        *((f"series 1, part {part} (2 slices)", 2) for part in (2, 3, 4, 5)),
        ("f", 1),
    ]


def test_gaps_and_doubled_places_are_said() -> None:
    missing = {f"{place}": placed(place, 2.0 * place) for place in range(9) if place not in (3, 6, 7)}
    [stack] = found(missing)
    assert stack.remarks == ("slices are missing at 2 places: up to 6.0 mm lie between two, elsewhere 2.0 mm",)
    doubled = {f"{place}": placed(place, 2.0 * place) for place in range(5)} | {"again": placed(2, 4.001)}
    scan = opened(doubled)
    assert (scan.count, scan.remarks) == (6, ("1 of its slices lies where another one does",))
    same = {f"{name}{place}": placed(place, 2.0 * place) for place in range(3) for name in "ab"}  # nothing tells
    assert [(len(each.files), each.remarks) for each in found(same)] == [
        (6, ("3 of its slices lie where another one does",))
    ]
    irregular = {f"{place}": placed(place, 2.0 * place + 0.3 * (place % 2)) for place in range(6)}
    assert found(irregular)[0].remarks == ()


def test_slices_without_a_position_come_by_their_numbers_and_apart_from_the_others() -> None:
    files = {f"{place}": placed(9 - place, 0, ImagePositionPatient=None) for place in range(4)}
    [stack] = found(files)
    assert (stack.files, stack.remarks) == (("3", "2", "1", "0"), (UNPLACED,))
    assert opened(files).positions == (None,) * 4
    files |= {f"p{place}": placed(place, place) for place in range(2)}
    assert [each.name for each in found(files)] == ["series 1, part 1 (4 slices)", "series 1, part 2 (2 slices)"]


@pytest.mark.parametrize(
    "values",
    [
        {"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]},
        {"ImageOrientationPatient": [1e300, 0, 0, 0, 1e300, 0]},
        {"ImageOrientationPatient": [1, 0, 0]},
        {"ImagePositionPatient": [0, 0, 1e300]},
        {"ImagePositionPatient": [0, "nan", 0]},
        {"ImagePositionPatient": [1, 2]},
        {"PixelSpacing": [1]},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Value|Invalid:UserWarning")
def test_a_slice_that_lies_as_nothing_can_is_apart_and_stops_no_other(values: dict[str, Any]) -> None:
    files = {f"{place}": placed(place, place) for place in range(3)} | {"x": placed(3, 3, **values)}
    assert [(each.name, len(each.files)) for each in found(files)] == [("series 1, part 1 (3 slices)", 3), ("x", 1)]


def test_files_that_say_no_series_are_one_by_their_study_frame_and_geometry() -> None:
    none: dict[str, Any] = {"SeriesInstanceUID": None, "StudyInstanceUID": "1.9", "FrameOfReferenceUID": "1.8"}
    files = {f"a{place}": placed(place, place, **none) for place in range(3)}
    files |= {f"b{place}": placed(place, place, **{**none, "StudyInstanceUID": "1.7"}) for place in range(2)}
    files |= {f"c{place}": placed(place, place, **{**none, "ImagePositionPatient": None}) for place in range(2)}
    assert [each.name for each in found(files)] == ["series 1 (3 slices)", "series 2 (2 slices)", "c0", "c1"]


@pytest.mark.filterwarnings("ignore:The value length")
def test_a_header_that_is_longer_than_its_first_bytes_is_read_whole() -> None:
    long = {"ImageComments": "x" * 60_000, "FrameComments": "x" * 60_000}
    assert opened({f"{place}": placed(place, place, **long) for place in range(3)}).count == 3


def test_a_volume_with_a_slice_that_cannot_be_read_is_refused_with_its_name() -> None:
    files = {f"{place}.dcm": placed(place, place) for place in range(4)}
    files["2.dcm"] = files["2.dcm"][:-20]
    scan = opened(files)
    with pytest.raises(CorruptImageError, match=r"^2\.dcm: truncated: it has fewer pixels than its header says$"):
        scan.fitted(16)
    files["2.dcm\x1b[31m"] = files.pop("2.dcm")
    with pytest.raises(CorruptImageError, match=r"^2\.dcm\\x1b\[31m: truncated"):
        opened(files).fitted(16)


def test_a_volume_over_a_limit_is_refused_before_it_is_read() -> None:
    files = {f"{place}": placed(place, place) for place in range(5)}
    with pytest.raises(CorruptImageError, match=r"^too large: 5 slices are over the limit of 4$"):
        opened(files, Limits(slices=4))
    with pytest.raises(CorruptImageError, match=r"^too large: 280 values are over the limit of 279$"):
        opened(files, Limits(samples=279))
    assert opened(files, Limits(slices=5, samples=280)).count == 5


def test_nothing_of_the_files_is_held() -> None:
    read: list[str] = []
    files = {f"{place}": placed(place, place) for place in range(4)}

    def content(name: str, size: int) -> bytes:
        read.append(name)
        return files[name][:size]

    lazily = {name: partial(content, name) for name in files}
    [stack] = stacks(lazily, Limits())
    scan = open_stack(stack, lazily, "coronal", Limits())
    assert scan.remarks == ("its slices are axial: a DICOM series is not cut anew",)
    read.clear()
    scan.picture(2)
    scan.picture(2)
    assert read == ["2", "2"]


def frames(order: Sequence[int], **marks: Sequence[Any]) -> bytes:
    """An enhanced file whose frames lie in `order`, 3 mm apart; marks: TemporalPositionIndex or EffectiveEchoTime."""
    groups = []
    for place, index in enumerate(order):
        group = item(
            PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 3.0 * index])],
            PlaneOrientationSequence=[item(ImageOrientationPatient=list(AXIAL))],
            PixelMeasuresSequence=[item(PixelSpacing=[1.0, 1.0])],
            FrameContentSequence=[item(InStackPositionNumber=index + 1)],
        )
        for keyword, values in marks.items():
            if keyword == "EffectiveEchoTime":
                group.MREchoSequence = [item(EffectiveEchoTime=values[place])]
            else:
                setattr(group.FrameContentSequence[0], keyword, values[place])
        groups.append(group)
    pixels = np.stack([VALUES[index] + 50 * place for place, index in enumerate(order)])
    kind = "1.2.840.10008.5.1.4.1.1.4.1"
    return dicom(pixels.astype(np.uint16), SOPClassUID=kind, PerFrameFunctionalGroupsSequence=groups)


def test_the_frames_of_an_enhanced_file_come_in_the_order_in_which_they_lie() -> None:
    sorted_, mixed = open_scan(frames(range(5))), open_scan(frames([3, 0, 4, 1, 2]))
    assert mixed.positions == sorted_.positions == (0.0, 3.0, 6.0, 9.0, 12.0)
    brightness = [each.mean() for each in pictures(mixed)]
    stored = [each.mean() for each in (VALUES[index] + 50.0 * [3, 0, 4, 1, 2].index(index) for index in range(5))]
    assert np.argsort(brightness).tolist() == np.argsort(stored).tolist()
    assert open_scan(frames([0, 1, 4, 5])).remarks == (
        "slices are missing at 1 place: up to 9.0 mm lie between two, elsewhere 3.0 mm",
    )


@pytest.mark.parametrize("keyword", ["TemporalPositionIndex", "EffectiveEchoTime"])
def test_of_an_enhanced_file_of_several_volumes_one_is_chosen(keyword: str) -> None:
    content = frames([0, 0, 1, 1, 2, 2], **{keyword: [1, 2] * 3})
    with pytest.raises(CorruptImageError, match=r"^holds 2 volumes: split the file, or .*volume=INDEX, from 0 to 1"):
        open_scan(content)
    scan = open_scan(content, volume=1)
    assert (scan.count, scan.positions, scan.remarks) == (3, (0.0, 3.0, 6.0), ("volume 1 of 0 to 1",))


@pytest.mark.filterwarnings("error")
def test_nothing_of_the_files_reaches_a_warning_or_the_log(caplog: pytest.LogCaptureFixture) -> None:
    files = {f"{place}": placed(place, place) for place in range(2)}
    broken = {name: each.replace(b"1.2.3\0", b"DOE^J\0") for name, each in files.items()}  # no identifier
    assert broken != files
    assert [len(each.files) for each in found(broken)] == [2]
    assert not caplog.records

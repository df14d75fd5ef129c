"""Elements of DICOM files of which pydicom would make far more than their bytes."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import EXPLICIT, IMPLICIT, dicom, item

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.dicom_elements import GROUP_2, SMALL, TABLE
from brain_tumor.data.scans.opening import open_scan, read_scan
from brain_tumor.data.scans.scan import Scan

PIXELS = np.arange(64, dtype=np.uint8).reshape(8, 8)
MANY = [1] * (SMALL // 2 + 1)  # of two bytes each: numbers as text with what parts them, and numbers of 16 bits


def refused(content: bytes) -> str:
    with pytest.raises(CorruptImageError) as caught:
        open_scan(content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def table(entries: Any, descriptor: Any = (4, 0, 8)) -> Any:
    return item(LUTDescriptor=list(descriptor), LUTData=np.asarray(entries, "<u2").tobytes())


@pytest.mark.parametrize(
    "values",
    [
        {"WindowCenter": MANY, "WindowWidth": MANY},
        {"RescaleSlope": MANY},
        {"PixelSpacing": MANY},
        {"ImageOrientationPatient": MANY},
        {"PixelPaddingValue": MANY},
        {"BitsStored": MANY},
        {"PhotometricInterpretation": ["X"] * len(MANY)},
        {"SharedFunctionalGroupsSequence": [item(FrameVOILUTSequence=[item(WindowCenter=MANY, WindowWidth=MANY)])]},
        {"VOILUTSequence": [table(range(4), MANY)]},
        {"VOILUTSequence": [table(np.zeros(TABLE // 2 + 1))]},
    ],
    ids=lambda values: next(iter(values)),
)
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.filterwarnings("ignore")
def test_elements_of_endless_numbers(values: dict[str, Any], syntax: str) -> None:
    photometric = values.get("PhotometricInterpretation")
    content = dicom(PIXELS, syntax, **{key: each for key, each in values.items() if each is not photometric})
    if photometric:  # between the others: pydicom reads the last of those that are there twice
        place = content.index(b"\xe0\x7f\x10\x00")
        text = b"\\".join(each.encode() for each in photometric) + b" "
        head = struct.pack("<HH", 0x28, 4)
        head += b"CS" + struct.pack("<H", len(text)) if syntax == EXPLICIT else struct.pack("<I", len(text))
        content = content[:place] + head + text + content[place:]
    assert "longer element than can be true" in refused(content)


@pytest.mark.parametrize("inside", [False, True])
def test_endless_character_sets(inside: bool) -> None:
    groups = {"SharedFunctionalGroupsSequence": [item(FrameVOILUTSequence=[item(WindowCenter=1, WindowWidth=9)])]}
    content = dicom(PIXELS, **groups)
    assert open_scan(content).count == 1
    text = b"ISO_IR 6\\" * 200
    characters = struct.pack("<HH2sH", 8, 5, b"CS", len(text)) + text
    if inside:
        place = content.index(b"\x00\x52\x29\x92SQ")
        rest = content.index(b"\xe0\x7f\x10\x00")
        body = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(characters)) + characters
        groups_head = content[place : place + 8] + struct.pack("<I", len(body))
        assert "longer element" in refused(content[:place] + groups_head + body + content[rest:])
    else:
        place = content.index(b"\x08\x00\x16\x00UI")
        assert "longer element" in refused(content[:place] + characters + content[place:])


def test_pixels_that_are_words() -> None:
    content = dicom(PIXELS)
    place = content.index(b"\xe0\x7f\x10\x00") + 4
    assert open_scan(content).count == 1
    from pydicom.data import get_testdata_file

    implicit = get_testdata_file("SC_rgb_jpeg.dcm", download=False)  # its pixels are of no stated kind
    assert read_scan(Path(implicit)).count == 1
    assert "damaged header" in refused(content[:place] + b"UC" + content[place + 2 : place + 8] + b"1\\" * 32)


def test_endless_elements_before_the_data_set() -> None:
    content = dicom(PIXELS)
    place = content.index(b"\x08\x00\x16\x00UI")
    empty = b"\x02\x00\x99\x00UL\x00\x00"
    assert open_scan(content[:place] + empty * 50 + content[place:]).count == 1
    assert "damaged" in refused(content[:place] + empty * GROUP_2 + content[place:])


def of_tables(tables: list[Any]) -> Scan:
    frames = [item(FrameVOILUTSequence=[item(VOILUTSequence=[each])]) for each in tables]
    return open_scan(dicom(np.stack([PIXELS] * len(tables)), PerFrameFunctionalGroupsSequence=frames))


def test_equal_tables_of_frames_are_held_once_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = np.arange(1000) % 256
    one, equal = of_tables([table(entries, (1000, 0, 8))]), of_tables([table(entries, (1000, 0, 8)) for _ in range(8)])
    several = of_tables([table((entries + index) % 256, (1000, 0, 8)) for index in range(8)])
    assert one.held == 0  # its picture is made at once
    assert several.held - equal.held == 7 * 2 * 1000
    assert np.asarray(several.picture(3))[0, :2, 0].tolist() == [3, 4]
    monkeypatch.setattr("brain_tumor.data.scans.dicom_header.ENTRIES", 7999)
    assert of_tables([table(entries, (1000, 0, 8)) for _ in range(8)]).held == equal.held
    with pytest.raises(CorruptImageError, match="more lookup tables than can be true"):
        of_tables([table((entries + index) % 256, (1000, 0, 8)) for index in range(8)])

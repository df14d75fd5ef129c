"""What a server takes for a file, and what it refuses in one line."""

import base64
import io
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from dicom_files import dicom
from PIL import Image

from brain_tumor.data.scans.scan import Extent, Limits
from brain_tumor.data.volumes.decoding import volumes
from brain_tumor.errors import InputError
from brain_tumor.serving.requests import (
    LIMITS,
    MOST_FILES,
    SentFile,
    SentScan,
    fitted,
    fitted_volume,
    sent_files,
    sent_scans,
)


def png(side: int = 40) -> bytes:
    file = io.BytesIO()
    pixels = np.full((side, side, 3), 200, np.uint8)
    pixels[side // 2 :] = 0
    pixels[-1] = 100
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def read(file: SentFile) -> Any:
    [scan] = sent_scans([file])
    return fitted(scan, 32)


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_files_come_as_they_were_sent() -> None:
    wrapped = base64.encodebytes(png()).decode()  # lines of 76 characters
    found = sent_files([{"content": text(png())}, {"content": wrapped, "plane": "coronal"}, {"content": text(b"a")}])
    assert found == [
        SentFile("file 1 of 3", png(), "auto"),
        SentFile("file 2 of 3", png(), "coronal"),
        SentFile("file 3 of 3", b"a", "auto"),
    ]


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_row_without_a_plane_leaves_it_to_us(missing: Any) -> None:
    assert sent_files([{"content": text(b"a"), "plane": missing}])[0].plane == "auto"


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([], "0 files: a request has 1 to 32"),
        ([{"content": text(b"a")}] * (MOST_FILES + 1), "33 files: a request has 1 to 32"),
        ([{"content": text(b"a")}, {}], "file 2 of 2: content is missing, or is no text"),
        ([{"content": ""}], "file 1 of 1: content is missing"),
        ([{"content": float("nan")}], "file 1 of 1: content is missing"),
        ([{"content": b"a"}], "file 1 of 1: content is missing, or is no text"),
        ([{"content": "/etc/passwd"}], "file 1 of 1: content is not base64: give the file's bytes; no path"),
        ([{"content": "http://127.0.0.1/a.png"}], "file 1 of 1: content is not base64"),
        ([{"content": "data:image/png;base64," + text(png())}], "file 1 of 1: content is not base64"),
        ([{"content": text(png())[:-1]}], "file 1 of 1: content is not base64"),
        ([{"content": "é" * 4}], "file 1 of 1: content is not base64"),
        ([{"content": text(b"a"), "plane": "oblique"}], "file 1 of 1: plane should be one of auto, axial, coronal"),
    ],
)
def test_what_is_no_file_is_refused_in_a_line(rows: list[dict[str, Any]], line: str) -> None:
    with pytest.raises(InputError) as caught:
        sent_files(rows)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_all_files_of_a_request_share_one_limit() -> None:
    limits = Limits(file_bytes=1000)
    for size in (998, 999, 1000):
        assert len(sent_files([{"content": text(bytes(size))}], limits)) == 1
    assert len(sent_files([{"content": text(bytes(500))}] * 2, limits)) == 2
    for sizes in ((1003,), (600, 600), (400, 400, 400)):
        with pytest.raises(InputError, match=r"too large: .* bytes are over a request's limit of 1,000"):
            sent_files([{"content": text(bytes(size))} for size in sizes], limits)


def test_a_picture_is_fitted_as_in_training() -> None:
    scan, pixels, [extent] = read(SentFile("file 1 of 1", png(), "auto"))
    assert (scan.kind, pixels.shape) == ("image", (1, 32, 32, 3))
    assert (set(pixels[0, :12].ravel()), set(pixels[0, 20:28].ravel())) == ({200}, {0})
    assert extent == Extent(40, 40)


@pytest.mark.parametrize("content", [b"hello", b"", png()[:60]])
def test_what_is_no_picture_is_named(content: bytes) -> None:
    with pytest.raises(InputError, match=r"^file 2 of 3: "):
        read(SentFile("file 2 of 3", content, "auto"))


def test_content_that_reads_as_a_path_opens_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scan").write_bytes(png())
    monkeypatch.chdir(tmp_path)
    [sent] = sent_files([{"content": "scan"}])  # four letters of the alphabet of base64
    assert sent.content == base64.b64decode("scan")
    with pytest.raises(InputError):
        read(sent)


def slice_(place: int, pixels: np.ndarray | None = None, **values: Any) -> bytes:
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8) * (place + 1) if pixels is None else pixels
    said = {"SeriesInstanceUID": "1.2.3", "InstanceNumber": place, "PixelSpacing": [1, 1]}
    said |= {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [0, 0, 2.0 * place]}
    return dicom(pixels, **{**said, **values})


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as file:
        for name, each in files.items():
            file.writestr(name, each)
    return content.getvalue()


def scans(*contents: bytes, limits: Limits = LIMITS) -> list[SentScan]:
    return sent_scans(sent_files([{"content": text(each)} for each in contents]), limits)


def test_files_of_a_series_are_one_scan_and_others_are_one_each() -> None:
    found = scans(slice_(2), png(), slice_(0), slice_(1), slice_(0, SeriesInstanceUID="1.2.4"))
    assert [each.files for each in found] == [(1, 3, 4), (2,), (5,)]
    scan, pixels, _ = fitted(found[0], 8)
    assert (scan.count, scan.positions, scan.files) == (3, (0, 2, 4), ("file 3 of 5", "file 4 of 5", "file 1 of 5"))
    assert pixels[:, 0].max(axis=(1, 2)).tolist() == sorted(pixels[:, 0].max(axis=(1, 2)).tolist())


def test_a_zip_of_a_series_is_that_volume() -> None:
    files = {f"PATIENT^DOE/{place}.dcm": slice_(place) for place in (2, 0, 1)}
    files |= {"DICOMDIR": b"x", "__MACOSX/1.dcm": b"x", "PATIENT^DOE/.DS_Store": b"x"}
    [sent] = scans(zipped(files))
    scan, pixels, _ = fitted(sent, 8)
    [plain] = scans(*(slice_(place) for place in range(3)))
    assert np.array_equal(pixels, fitted(plain, 8)[1])
    assert (sent.files, scan.positions) == ((1,), (0, 2, 4))
    assert scan.files[0] == "file 1 of 1, file 0002 in the zip"
    assert "DOE" not in repr(sent.stack)
    two = {**files, **{f"b{place}": slice_(place, EchoNumbers=1, SeriesInstanceUID="1.9") for place in range(2)}}
    assert [(each.files, len(each.stack.files)) for each in scans(png(), zipped(two))] == [
        ((1,), 1),
        ((2,), 3),
        ((2,), 2),
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (
            zipped({"a": slice_(0), "b.txt": b"text"}),
            "file 0002 in the zip is no DICOM file: a zip may hold a DICOM series",
        ),
        (zipped({"a.zip": zipped({"a": slice_(0)})}), "file 0001 in the zip is no DICOM file"),
        (zipped({"../a": slice_(0)}, zipfile.ZIP_BZIP2), "file 0001 in the zip is encrypted, or packed in a way that"),
        (zipped({}), "a zip file without DICOM files"),
        (zipped({"folder/": b""}), "a zip file without DICOM files"),
        (zipped({"a": slice_(0)})[:-30], "a damaged zip file"),
        (b"PK\x03\x04" + bytes(100), "a damaged zip file"),
        (zipped({"a": slice_(0)}, zipfile.ZIP_STORED).replace(b"DICM", b"DICN"), "a damaged zip file"),
        (
            zipped({"a": slice_(0)}).replace(b"\x14\0\0\0\x08\0", b"\x14\0\1\0\x08\0"),
            "file 0001 in the zip is encrypted",
        ),
        (
            zipped({str(place): b"" for place in range(LIMITS.slices + 65)}),
            "too large: more files than the limit of 512",
        ),
        (zipped({"a": bytes(LIMITS.file_bytes + 1)}), "too large: unpacked it is over the limit of 67,108,864 bytes"),
    ],
    ids=["text", "nested", "method", "empty", "folder", "cut", "head", "changed", "encrypted", "many", "bomb"],
)
def test_a_zip_of_anything_else_is_refused_in_a_line(content: bytes, line: str) -> None:
    with pytest.raises(InputError) as caught:
        scans(content)
    assert str(caught.value).startswith(f"file 1 of 1: {line}")
    assert "\n" not in str(caught.value)


def test_all_zip_files_of_a_request_share_one_limit() -> None:
    content = zipped({"a": slice_(0, ImageComments="x" * 9000)})
    assert len(scans(content, limits=Limits(file_bytes=10_000))) == 1
    with pytest.raises(InputError, match="file 2 of 2: too large: unpacked it is over the limit of"):
        scans(content, content, limits=Limits(file_bytes=10_000))


def test_a_slice_that_cannot_be_read_refuses_its_volume() -> None:
    [sent] = scans(zipped({"0": slice_(0), "1": slice_(1)[:-20], "2": slice_(2)}))
    line = r"^series 1 \(3 slices\): file 1 of 1, file 0002 in the zip: truncated: it has fewer pixels"
    with pytest.raises(InputError, match=line):
        fitted(sent, 8)


def test_a_series_is_one_volume_to_a_model_of_whole_ones_however_it_is_sent(tmp_path: Path) -> None:
    head = np.zeros((8, 12, 10), np.uint16)  # rows, columns, slices
    head[1:7, 2:10, 1:9] = 100 + np.random.default_rng(0).integers(0, 50, (6, 8, 8))
    files = {
        f"{place}.dcm": slice_(place, pixels=head[..., place], PixelSpacing=[2, 2], BitsStored=12)
        for place in range(10)
    }
    affine = np.diag([-2.0, -2.0, 2.0, 1.0])  # DICOM's axes run to the left and the back
    nifti = nibabel.Nifti1Image(head.transpose(1, 0, 2), affine)
    nibabel.save(nifti, tmp_path / "head.nii.gz")
    shape = (8, 6, 8, 1)
    trained = volumes(shape, None).read(tmp_path / "head.nii.gz")[1]
    assert trained.std() > 20
    sent = {
        "nifti": ((tmp_path / "head.nii.gz").read_bytes(),),
        "files": tuple(files[name] for name in sorted(files, reverse=True)),
        "zip": (zipped({f"DOE/{name}": content for name, content in files.items()}),),
    }
    for contents in sent.values():
        [scan] = scans(*contents)
        found = fitted_volume(scan, shape, None)
        assert found.pixels is not None
        np.testing.assert_array_equal(found.pixels[0, ..., 0], trained)
    with pytest.raises(InputError, match=r"^file 1 of 1: no whole volume: not a NIfTI"):
        fitted_volume(scans(png())[0], shape, None)
    [cut] = sent_scans([SentFile("file 1 of 1", sent["nifti"][0], "coronal")])
    with pytest.raises(InputError, match=r"^file 1 of 1: the model takes whole volumes, which are not cut"):
        fitted_volume(cut, shape, None)

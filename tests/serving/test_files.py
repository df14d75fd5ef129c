"""Finding and reading files, by hand-made folders."""

import gzip
import io
import os
import struct
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pytest
from dicom_files import dicom
from PIL import Image

from brain_tumor.data.classes import STANDARD
from brain_tumor.errors import InputError
from brain_tumor.evaluation.prediction import Answers
from brain_tumor.layout.blocks import Paragraph
from brain_tumor.serving import answer_lines
from brain_tumor.serving.files import answer_files, find_stacks, read_each, read_stacks
from brain_tumor.serving.inputs import HIDDEN, MAPS, NAMELESS, SPECIAL, TWICE, Files, find_files
from brain_tumor.serving.predictor import Predictor


def picture(path: Path, value: int = 9) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = io.BytesIO()
    pixels = np.full((8, 8), value, np.uint8)
    pixels[4:] = np.linspace(0, 255, 8)  # something to see
    Image.fromarray(pixels).save(file, "PNG")
    path.write_bytes(file.getvalue())
    return path


def test_a_folder_is_searched_with_all_below_it(tmp_path: Path) -> None:
    for name in ("b/2.PNG", "a.dcm", "IM0001", "x/y/v.nii.gz", ".hidden.png", ".git/1.png"):
        picture(tmp_path / name)
    for name in ("notes.txt", "more.txt", "table.csv"):
        (tmp_path / name).write_text("1")
    found = find_files(str(tmp_path))
    assert (found.base, found.names) == (tmp_path, ("IM0001", "a.dcm", "b/2.PNG", "x/y/v.nii.gz"))
    assert found.skipped == Counter({".txt": 2, ".csv": 1, HIDDEN: 2})


def test_what_a_file_is_its_first_bytes_say(tmp_path: Path) -> None:
    names = ("1.2.840.113619.2.5.1762583153", "IM0001", "scan.001", "x.jfif", "y.jpe", "picture.of.mine")
    for name in names:
        picture(tmp_path / name)
    (tmp_path / "1.2.840.5.77").write_bytes(bytes(128) + b"DICM" + bytes(20))
    (tmp_path / "volume.orig").write_bytes(struct.pack("<i", 348) + bytes(400))
    (tmp_path / "broken.jfif").write_bytes(b"")
    (tmp_path / "packed").write_bytes(gzip.compress((tmp_path / "volume.orig").read_bytes()))
    (tmp_path / "letters.tgz").write_bytes(gzip.compress(b"letters" * 9))
    for name in ("README", "1.2.3.4", "BMI.numbers", "RIFF.x"):
        (tmp_path / name).write_text("BMI of all, in kg / m2" if name.startswith("BM") else "RIFF and more text")
    found = find_files(str(tmp_path))
    assert found.names == tuple(sorted([*names, "1.2.840.5.77", "volume.orig", "packed", "broken.jfif"]))
    assert found.skipped == Counter({NAMELESS: 1, ".4": 1, ".numbers": 1, ".x": 1, ".tgz": 1})
    [line] = answer_lines.closing(found)
    assert isinstance(line, Paragraph)
    assert line.text.startswith("Warning: 5 left out: 1 ")
    assert not list(answer_lines.closing(Files(tmp_path, (), Counter())))


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    picture(tmp_path / "outside/1.png")
    picture(tmp_path / "scans/b/2.png")
    (tmp_path / "scans/a").symlink_to(tmp_path / "scans/b")
    (tmp_path / "scans/c").symlink_to(tmp_path / "outside")
    (tmp_path / "scans/b/up").symlink_to(tmp_path / "scans")
    found = find_files(str(tmp_path / "scans"))
    assert found.names == ("b/2.png", "c/1.png")
    assert found.skipped == Counter({TWICE: 2})


def test_maps_of_earlier_answers_and_pipes_are_left_out_and_a_broken_link_is_not(tmp_path: Path) -> None:
    for name in ("a.png", "x_maps/a.png.png", "x_maps/sub/b.png.png", "x_maps/.maps"):
        picture(tmp_path / name)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    found = find_files(str(tmp_path))
    assert found.names == ("a.png", "gone.png")
    assert found.skipped == Counter({MAPS: 1, SPECIAL: 1})


def test_a_file_and_a_glob_are_taken_whatever_their_suffix(tmp_path: Path) -> None:
    for name in ("a/1.scan", "a/b/2.scan", "c/3.scan", "c/4.png"):
        picture(tmp_path / name)
    assert find_files(str(tmp_path / "c/3.scan")).names == ("3.scan",)
    found = find_files(str(tmp_path / "**/*.scan"))
    assert (found.base, found.names) == (tmp_path, ("a/1.scan", "a/b/2.scan", "c/3.scan"))


def test_a_name_that_looks_like_a_glob_is_taken_as_it_is(tmp_path: Path) -> None:
    picture(tmp_path / "[1].png")
    picture(tmp_path / "1.png")
    assert find_files(str(tmp_path / "[1].png")).names == ("[1].png",)


@pytest.mark.parametrize(("name", "message"), [("*.png", "no file that this matches"), ("empty", "holds no picture")])
def test_nothing_found_is_an_error(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").write_text("1")
    with pytest.raises(InputError, match=message):
        find_files(str(tmp_path / name))


def bright(images: np.ndarray) -> Answers:
    """The brightness of an image's first pixel, in percent, is the probability of glioma."""
    first = images[:, 0, 0, :1].astype(np.float32) / 100
    probabilities = np.concatenate([first, 0 * first, 1 - first, 0 * first], axis=1)
    return Answers(probabilities, probabilities, first)


def test_a_broken_file_stops_no_other_and_each_keeps_its_answer(tmp_path: Path) -> None:
    names = [f"{index:03d}.png" for index in range(90)]  # more than one batch
    for index, name in enumerate(names):
        picture(tmp_path / name, index)
    (tmp_path / names[40]).write_bytes(b"no picture")
    (tmp_path / names[41]).write_bytes(b"")
    (tmp_path / names[89]).unlink()
    read = read_stacks(tmp_path, find_stacks(tmp_path, names), 8, plane="auto", workers=3)
    found = list(answer_files(Predictor("models:/m/1", bright, 8, STANDARD, None), read))
    assert [file.name for file, _ in found] == names
    refused = {file.name: file.error for file, answer in found if answer is None}
    assert set(refused) == {names[40], names[41], names[89]}
    assert refused[names[41]] == "the file is empty"
    assert refused[names[89]] == "No such file or directory"
    for index, (_, answer) in enumerate(found):
        if answer is not None:
            assert answer.slices[0].probabilities["glioma"] == pytest.approx(index / 100)


def test_volumes_of_known_class_are_read_as_those_that_are_asked_about(tmp_path: Path) -> None:
    """A file, and a folder with one series, whose files are in another order than its slices."""
    rng = np.random.default_rng(0)
    for name, series in (("one", (1,)), ("two", (1, 2))):
        (tmp_path / name).mkdir()
        for number in series:
            for place in range(4):
                said = {
                    **{"SeriesInstanceUID": f"1.2.{number}", "ImagePositionPatient": [0, 0, 5.0 * place]},
                    **{"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [1, 1]},
                }
                pixels = rng.integers(0, 900, (20, 21)).astype(np.uint16)
                (tmp_path / name / f"{number}{9 - place}.dcm").write_bytes(dicom(pixels, **said))
    values = rng.integers(0, 900, (20, 21, 5)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1, 1, 4, 1])), tmp_path / "a.nii.gz")
    names = ["a.nii.gz", *(f"one/{path.name}" for path in sorted((tmp_path / "one").iterdir()))]
    asked = list(read_stacks(tmp_path, find_stacks(tmp_path, names), 16, plane="auto", workers=2))
    file, folder, several = read_each([tmp_path / name for name in ("a.nii.gz", "one", "two")], 16, workers=2)
    for one, other in zip((file, folder), asked, strict=True):
        assert one.pixels is not None
        assert other.pixels is not None
        np.testing.assert_array_equal(one.pixels, other.pixels)
    assert folder.pixels is not None
    assert len(folder.pixels) == 4
    assert several.error == (
        "a folder of DICOM files that are 2 series of slices: give each series a folder of its own"
    )

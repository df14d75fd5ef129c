"""Where the overlays of files are written, and that they are the model's."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from brain_tumor.config.commands import MapsConfig
from brain_tumor.data.classes import STANDARD, ClassList
from brain_tumor.data.scans.scan import Extent, Place
from brain_tumor.errors import InputError
from brain_tumor.evaluation.explanation.gradcam import Kind
from brain_tumor.evaluation.explanation.overlay import overlay
from brain_tumor.evaluation.explanation.region import COLOUR
from brain_tumor.models.classifier import build_classifier
from brain_tumor.serving.files import Read
from brain_tumor.serving.lesions import lesion_of
from brain_tumor.serving.overlays import Overlays, kind_of, overlay_drawer
from brain_tumor.serving.predictor import Prediction, ScanPrediction, VolumeCounts

SAID = Prediction("glioma", dict.fromkeys(STANDARD.names, 0.25), {}, None, None)
PICTURE = ScanPrediction((SAID,))
VOLUME = ScanPrediction((SAID,) * 5, VolumeCounts(5, 5, None, {"glioma": 1.0}, (1, 3)))


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return build_classifier("cnn_baseline", shape=(32, 32, 3), weights=None, dropout=0.2, seed=0)


def writer(
    model: keras.Model, kind: Kind, views: int, folder: Path, names: ClassList
) -> Callable[[Read, ScanPrediction], None]:
    draw, overlays = overlay_drawer(model, kind, views, names), Overlays(folder)

    def write(file: Read, found: ScanPrediction) -> None:
        for each in draw(file, found):
            overlays.write(file, found, each)

    return write


def read(name: str, slices: int = 1) -> Read:
    pixels = np.random.default_rng(0).integers(0, 255, (slices, 32, 32, 3)).astype(np.uint8)
    return Read(name, "image", None, pixels)


def test_a_map_covers_by_its_own_strength() -> None:
    image = np.full((1, 1, 3, 3), 100, np.uint8)
    maps = np.array([[[0, 0.5, 1]]], np.float32)
    left, middle, right = overlay(image, maps, 1.0)[0, 0].astype(int)
    assert left.tolist() == [100, 100, 100]
    assert right.tolist() == [252, 255, 164]  # inferno's last colour, #fcffa4
    assert middle.tolist() == [144, 78, 92]  # half of #bc3754, half of the picture


def test_each_file_has_its_place_whatever_it_is_called(model: keras.Model, tmp_path: Path) -> None:
    write = writer(
        model, kind_of(MapsConfig("gradcam", None, 1), model, "cnn_baseline"), 1, tmp_path / "maps", STANDARD
    )
    long = "n" * 253
    for name, slices, found in [
        ("c", 1, PICTURE),
        ("c.png", 5, VOLUME),
        ("c.png/below", 1, PICTURE),  # a folder that is called as the first one's map
        (long, 1, PICTURE),
        ("sub/\udcff.png", 1, PICTURE),
    ]:
        write(read(name, slices), found)
    names = sorted(os.path.relpath(path, tmp_path / "maps") for path in (tmp_path / "maps").rglob("*.png"))
    assert [name for name in names if len(name) != 68] == [
        "c.png", "c.png.slices/0001.png", "c.png.slices/0003.png", "sub/\udcff.png.png",
    ]  # fmt: skip
    assert len(names) == 6  # two by their digests
    for name in names:
        with Image.open(tmp_path / "maps" / name) as shown:
            assert shown.size == (32, 32)


def test_what_a_lesion_map_marks_has_a_line_around_it(model: keras.Model, tmp_path: Path) -> None:
    write = writer(model, ("evidence", "lesion_map"), 8, tmp_path / "maps", STANDARD)
    drawn = np.zeros((32, 32), np.float32)
    drawn[10:12, 20] = 0.5, 1
    drawn[20, 5] = 0.49
    found = replace(PICTURE, slices=(replace(SAID, lesion=lesion_of(drawn, 32, Extent(32, 32))),))
    black = replace(read("a"), pixels=np.zeros((1, 32, 32, 3), np.uint8))
    write(black, found)
    shown = np.asarray(Image.open(tmp_path / "maps" / "a.png"))
    line = {(9, 20), (10, 19), (10, 21), (11, 19), (11, 21), (12, 20)}
    assert {(int(row), int(column)) for row, column in np.argwhere((shown == COLOUR).all(axis=-1))} == line
    assert shown[11, 20].tolist() == pytest.approx([164, 166, 107], abs=1)  # 0.65 of inferno's last colour, #fcffa4
    assert shown[20, 5].max() > 0  # heat without a line


def test_sides_are_marked_where_they_are_known(model: keras.Model, tmp_path: Path) -> None:
    kind = kind_of(MapsConfig("gradcam", None, 1), model, "cnn_baseline")
    write = writer(model, kind, 1, tmp_path / "maps", STANDARD)
    for name, plane in (("unknown", None), ("known", "coronal")):
        write(replace(read(name), places=(Place(plane),)), PICTURE)
    unknown, known = (np.asarray(Image.open(tmp_path / "maps" / f"{name}.png"), int) for name in ("unknown", "known"))
    differing = np.abs(known - unknown).max(axis=-1) > 0
    assert differing[12:20, :12].any()
    assert not differing[10:22, 12:20].any()


def test_what_cannot_be_written_is_said_without_control_characters(model: keras.Model, tmp_path: Path) -> None:
    kind = kind_of(MapsConfig("gradcam", None, 1), model, "cnn_baseline")
    with pytest.raises(InputError, match=r"^/proc/maps cannot be written: "):
        writer(model, kind, 1, Path("/proc/maps"), STANDARD)
    write = writer(model, kind, 1, tmp_path / "maps", STANDARD)
    (tmp_path / "maps" / ".maps").unlink()
    (tmp_path / "maps").rmdir()
    (tmp_path / "maps").touch()
    with pytest.raises(InputError, match=r"^the map of a\\x1b\[31m cannot be written to .*/maps: ") as error:
        write(read("a\x1b[31m"), PICTURE)
    assert str(error.value).isprintable()


def test_a_layer_that_is_not_there_is_said_by_its_own_key(model: keras.Model) -> None:
    with pytest.raises(InputError, match=r"^maps\.layer=nolayer is unknown"):
        kind_of(MapsConfig("gradcam", "nolayer", 1), model, "cnn_baseline")

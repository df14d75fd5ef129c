"""Lesion masks of real images, found by the images' own names."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brain_tumor.config.train import DataConfig, Source
from brain_tumor.data.cache import pictures
from brain_tumor.data.classes import STANDARD
from brain_tumor.data.dataset import find_by_content, load_whole
from brain_tumor.data.logged_split import load_logged
from brain_tumor.data.masks import find_masks, read_mask
from brain_tumor.errors import InputError

MakeFolders = Callable[..., Path]
MakeConfig = Callable[..., DataConfig]


def save(path: Path, mask: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return path


def box(height: int = 24, width: int = 20, *, rows: slice = slice(6, 12), columns: slice = slice(10, 15)) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[rows, columns] = True
    return mask


def test_masks_stand_beside_their_images_and_nowhere_else(
    tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig
) -> None:
    root = make_folders(tmp_path / "data")
    masks = tmp_path / "my masks"
    save(masks / "Training" / "glioma" / "2.png", box())
    save(masks / "Testing" / "pituitary" / "0.png", box(48, 40, rows=slice(0, 2), columns=slice(0, 40)))
    save(masks / "Testing" / "pituitary" / "nobody.png", box())
    dataset = load_whole(data_config(root, masks=str(masks)), shape=(24, 24, 3), known=STANDARD)
    paths = dataset.split.table["path"].tolist()
    found = dataset.mask_of(np.arange(len(paths)))
    assert found is not None
    known = {path: mask for path, mask in zip(paths, found, strict=True) if mask.any()}
    assert sorted(known) == ["Testing/pituitary/0.png", "Training/glioma/2.png"]
    # 20 x 24 pixels stand in a square of 24 with two black columns a side.
    first = known["Training/glioma/2.png"]
    assert np.array_equal(first[:, 2:22], box())
    assert first.sum() == 30
    # Twice the size, so half the rows: the uppermost one, over the image's width.
    assert np.argwhere(known["Testing/pituitary/0.png"]).tolist() == [[0, column] for column in range(2, 22)]


def test_logged_images_find_their_masks_wherever_they_are(
    tmp_path: Path,
    make_folders: MakeFolders,
    data_config: MakeConfig,
    caplog: pytest.LogCaptureFixture,
) -> None:
    root = make_folders(tmp_path / "data")
    masks = tmp_path / "masks"
    save(masks / "Training" / "glioma" / "2.png", box())
    config = data_config(root, masks=str(masks))
    split = load_whole(config, shape=(24, 24, 3), known=STANDARD).split
    again = load_logged(split, config, root=None, shape=(24, 24, 3))
    assert again.mask_paths is not None
    assert sum(path != "" for path in again.mask_paths) == 1
    moved = masks.rename(tmp_path / "moved")
    assert load_logged(split, config, root=None, shape=(24, 24, 3)).mask_paths is None
    assert f"the masks are no longer in {masks}" in caplog.text
    given = load_logged(split, config, root=None, shape=(24, 24, 3), masks=str(moved))
    assert given.mask_paths is not None
    assert [path for path in given.mask_paths if path] == [str(moved / "Training" / "glioma" / "2.png")]


def test_images_that_moved_find_their_masks_by_their_logged_names(
    tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig
) -> None:
    root = make_folders(tmp_path / "data", parts=("Training",))
    glioma = root / "Training" / "glioma"
    shutil.copy(glioma / "2.png", glioma / "copy of 2.png")
    masks = tmp_path / "masks"
    first = save(masks / "Training" / "glioma" / "2.png", box())
    split = load_whole(data_config(root, masks=str(masks)), shape=(24, 24, 3), known=STANDARD).split
    deeper = tmp_path / "new" / "deeper"
    deeper.parent.mkdir()
    root.rename(deeper)
    again = load_logged(split, data_config(root, masks=str(masks)), root=str(deeper.parent), shape=(24, 24, 3))
    assert again.mask_paths is not None
    assert [path for path in again.mask_paths if path] == [str(first)]


def test_masks_of_several_roots_stand_by_site_wherever_the_roots_are(
    tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    roots = [make_folders(tmp_path / "one" / "A", seed=1), make_folders(tmp_path / "two" / "B", seed=2)]
    masks = tmp_path / "masks"
    first = save(masks / "A" / "Training" / "glioma" / "2.png", box())
    config = data_config([str(root) for root in roots], masks=str(masks))
    dataset = load_whole(config, shape=(24, 24, 3), known=STANDARD)
    assert dataset.mask_paths is not None
    assert [path for path in dataset.mask_paths if path] == [str(first)]
    assert "has no mask of the site B (looked for that of B/Testing/glioma/0.png)" in caplog.text
    (tmp_path / "moved").mkdir()
    for root in roots:
        root.rename(tmp_path / "moved" / root.name)
    again = load_logged(dataset.split, config, root=str(tmp_path / "moved"), shape=(24, 24, 3))
    assert again.mask_paths == dataset.mask_paths
    below = save(tmp_path / "by path" / "one" / "A" / "Training" / "glioma" / "3.png", box())
    shutil.move(tmp_path / "moved" / "A", roots[0])
    shutil.move(tmp_path / "moved" / "B", roots[1])
    found = load_whole(replace(config, masks=str(tmp_path / "by path")), shape=(24, 24, 3), known=STANDARD).mask_paths
    assert found is not None
    assert [path for path in found if path] == [str(below)]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
def test_whatever_is_not_black_is_the_lesion(tmp_path: Path, mode: str) -> None:
    mask = box()
    if mode == "I;16":
        picture = Image.fromarray(mask.astype(np.uint16) * 3)
    else:
        picture = Image.fromarray(mask.astype(np.uint8) * 255).convert(mode)
    picture.save(tmp_path / "mask.png")
    assert np.array_equal(read_mask(tmp_path / "mask.png", 24)[:, 2:22], mask)


def test_faint_colours_count_too(tmp_path: Path) -> None:
    colour = np.zeros((24, 24, 3), np.uint8)
    colour[3:5, 7, 2] = 1
    Image.fromarray(colour).save(tmp_path / "mask.png")
    assert np.argwhere(read_mask(tmp_path / "mask.png", 24)).tolist() == [[3, 7], [4, 7]]


def refusal(folder: Path, paths: list[str], sizes: list[tuple[int, int]]) -> str:
    with pytest.raises(InputError) as caught:
        find_masks(str(folder), paths, sizes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "masks is no folder" in refusal(tmp_path / "masks", ["a.jpg"], [(8, 8)])


def test_a_folder_of_other_names_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "b.png", box())
    assert "a mask of none of the 1 images (looked for x/a.png for x/a.jpg)" in refusal(
        tmp_path, ["x/a.jpg"], [(20, 24)]
    )


def test_a_mask_of_two_images_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.png", box())
    message = refusal(tmp_path, ["a.jpg", "b.jpg", "a.bmp"], [(20, 24)] * 3)
    assert "a.png could be the mask of a.jpg and a.bmp" in message


@pytest.mark.parametrize("damage", [b"", b"no image", None])
def test_a_broken_mask_is_named(tmp_path: Path, damage: bytes | None) -> None:
    path = save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 255, (24, 20), np.uint8))
    path.write_bytes(path.read_bytes()[:200] if damage is None else damage)
    assert "a.png cannot be decoded (" in refusal(tmp_path, ["a.jpg"], [(20, 24)])


@pytest.mark.parametrize(
    ("size", "fits"), [((20, 24), True), ((40, 48), True), ((10, 12), True), ((24, 24), False), ((24, 20), False)]
)
def test_a_mask_has_the_shape_of_its_image(tmp_path: Path, size: tuple[int, int], fits: bool) -> None:
    save(tmp_path / "a.png", box(size[1], size[0]))
    if fits:
        assert find_masks(str(tmp_path), ["a.jpg"], [(20, 24)]) == (str(tmp_path / "a.png"),)
    else:
        message = refusal(tmp_path, ["a.jpg"], [(20, 24)])
        assert f"a.png is {size[0]} x {size[1]} pixels, which is not the shape of its image (20 x 24)" in message


def test_images_are_no_masks_of_themselves(tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig) -> None:
    root = make_folders(tmp_path / "data")
    with pytest.raises(
        InputError, match=r"data\.masks=.*0\.png is its own image and no mask: give the folder of masks"
    ):
        load_whole(data_config(root, masks=str(root)), shape=(16, 16, 3), known=STANDARD)


@pytest.mark.parametrize("kind", ["image", "JPEG", "smoothed"])
def test_more_than_two_gray_levels_are_no_mask(tmp_path: Path, kind: str) -> None:
    pictures = {
        "image": Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 20), np.uint8)),
        "JPEG": Image.fromarray(box()).convert("L"),
        "smoothed": Image.fromarray(box()).convert("L").resize((40, 48), Image.Resampling.BILINEAR),
    }
    with (tmp_path / "a.png").open("wb") as file:  # its name alone is a PNG's
        pictures[kind].save(file, "JPEG" if kind == "JPEG" else "PNG")
    message = refusal(tmp_path, ["a.jpg"], [(20, 24)])
    assert "a.png has more than two gray levels, so it is no mask: save masks as black and one level" in message


@pytest.mark.parametrize(("lit", "warned"), [(12, False), (13, True)])
def test_a_mask_of_most_of_its_image_is_suspect(
    tmp_path: Path, lit: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path / "a.png", box(rows=slice(0, lit), columns=slice(0, 20)))  # of 24 rows
    save(tmp_path / "b.png", box())
    assert all(find_masks(str(tmp_path), ["a.jpg", "b.jpg"], [(20, 24)] * 2))
    said = "1 of 2 masks cover more than half of their image (a.png …): is the lesion black in them?"
    assert (said in caplog.text) == warned


def test_rounded_sides_still_fit(tmp_path: Path) -> None:
    save(tmp_path / "a.png", box(213, 160))  # of 480 x 640: a third of 640 is 213.3
    assert find_masks(str(tmp_path), ["a.jpg"], [(480, 640)])


def test_the_phantom_takes_no_other_masks(tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig) -> None:
    dataset = load_whole(data_config(make_folders(tmp_path / "data")), shape=(16, 16, 3), known=STANDARD)
    synthetic = type(dataset.split)(
        dataset.split.table, root=dataset.split.root, source=Source.phantom.value, synthetic=True
    )
    with pytest.raises(InputError, match=r"data\.masks=.* is not read with data=phantom, which brings its own"):
        find_by_content(
            synthetic, dataset.split.root, decoder=pictures(16), masks=str(tmp_path), cache=str(tmp_path / "cache")
        )

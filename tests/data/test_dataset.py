import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from composition import composed
from PIL import Image
from toy import OFFICIAL

from brain_tumor.config.train import DataConfig, OnCorrupt
from brain_tumor.config.validation import typed
from brain_tumor.data import cache
from brain_tumor.data.cache import pictures
from brain_tumor.data.classes import STANDARD
from brain_tumor.data.dataset import find_by_content, load, load_whole
from brain_tumor.errors import InputError

MakeFolders = Callable[..., Path]
MakeConfig = Callable[..., DataConfig]


def official(data: DataConfig, size: int = 16):  # type: ignore[no-untyped-def]
    return load(data, shape=(size, size, 3), protocol=OFFICIAL)


@pytest.mark.parametrize(
    ("parts", "sizes"),
    [
        (("Training", "Testing"), {"train": 48, "val": 16, "test": 64}),
        (("train", "val", "test"), {"train": 64, "val": 64, "test": 64}),
        (("train", "valid"), {"train": 48, "val": 64, "test": 16}),
        (("",), {"train": 36, "val": 12, "test": 16}),  # a quarter of all, then a quarter of the rest
    ],
)
def test_what_the_folders_lack_is_carved_from_training(
    parts: tuple[str, ...],
    sizes: dict[str, int],
    tmp_path: Path,
    make_folders: MakeFolders,
    data_config: MakeConfig,
) -> None:
    dataset = official(data_config(make_folders(tmp_path / "data", parts, count=16)))
    counts = dataset.split.counts
    assert {part: sum(classes.values()) for part, classes in counts.items()} == sizes
    assert all(len(set(classes.values())) == 1 for classes in counts.values())
    if "Testing" in parts:
        assert dataset.split.part("test")["path"].str.startswith("Testing/").all()
        assert dataset.split.part("val")["path"].str.startswith("Training/").all()


def test_images_labels_and_rows_belong_together(
    tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig
) -> None:
    root = make_folders(tmp_path / "data")
    dataset = official(data_config(root), size=24)
    rows = dataset.rows("test")
    images, labels = dataset.images(rows), dataset.labels(rows)
    assert images.shape == (24, 24, 24, 3)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int32)
    for path, image, label in zip(dataset.split.part("test")["path"], images, labels, strict=True):
        with Image.open(root / path) as picture:  # 20 x 24: padded by two columns a side
            assert np.array_equal(image[:, 2:22], np.asarray(picture))
        assert path.split("/")[1] == STANDARD.names[label]
    assert dataset.mask_of(rows) is None
    assert dataset.image_size == 24


def test_same_configuration_same_split(tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig) -> None:
    root = make_folders(tmp_path / "data", count=12)
    first, again = official(data_config(root)), official(data_config(root, workers=1))
    other = official(data_config(root, split_seed=1))
    assert first.split.digest == again.split.digest != other.split.digest


def test_a_subset_is_a_stratified_share_of_the_training_part_alone(
    tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig
) -> None:
    root = make_folders(tmp_path / "data", ("train",), count=60)
    make_folders(root, ("val", "test"), count=4, seed=1)
    for label in STANDARD.names:  # whole groups: the first ten images have a copy each
        for index in range(10):
            shutil.copy(root / "train" / label / f"{index}.png", root / "train" / label / f"copy{index}.png")
    whole = official(data_config(root)).split
    in_train = whole.part("train")
    for subset, kept in ((0.5, 30), (0.1, 6), (0.05, 3)):
        split = official(data_config(root, subset=subset)).split
        for part in ("val", "test"):
            assert split.part(part)["path"].tolist() == whole.part(part)["path"].tolist()
        train, left_out = split.part("train"), set(in_train["group"]) - set(split.part("train")["group"])
        assert train["label"].value_counts().to_numpy() == pytest.approx(np.full(4, kept * 70 / 60), abs=2)
        assert set(train["path"]) == set(in_train.loc[~in_train["group"].isin(left_out), "path"])
        assert split.digest == official(data_config(root, subset=subset, workers=1)).split.digest
        other = official(data_config(root, subset=subset, split_seed=1)).split
        assert split.digest not in (whole.digest, other.digest)


def test_a_subset_comes_after_the_carving_and_keeps_pixels_with_rows(
    tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig
) -> None:
    root = make_folders(tmp_path / "data", count=16)
    whole, dataset = official(data_config(root), 24), official(data_config(root, subset=0.5), 24)
    assert dataset.split.counts["train"] == dict.fromkeys(STANDARD.names, 6)
    for part in ("val", "test"):
        assert dataset.split.part(part)["path"].tolist() == whole.split.part(part)["path"].tolist()
    rows = dataset.rows("train")
    for path, image in zip(dataset.split.part("train")["path"], dataset.images(rows), strict=True):
        with Image.open(root / path) as picture:  # 20 x 24: padded by two columns a side
            assert np.array_equal(image[:, 2:22], np.asarray(picture))


def test_a_subset_that_leaves_nothing_of_a_class(
    tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig
) -> None:
    with pytest.raises(InputError, match=r"^data\.subset=0\.01 is too small a share") as caught:
        official(data_config(make_folders(tmp_path / "data"), subset=0.01))
    assert "\n" not in str(caught.value)


def test_pixel_identical_images_never_sit_on_both_sides(
    tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folders(tmp_path / "data", ("Training", "Testing"), count=8)
    for label in STANDARD.names:  # four copies of the first image, in another format and another mode
        first = root / "Training" / label / "0.png"
        for copy in range(4):
            with Image.open(first) as image:
                image.convert("RGBA").save(root / "Training" / label / f"copy{copy}.tiff")
    shutil.copy(root / "Training/glioma/0.png", root / "Testing/glioma/leak.png")
    shutil.copy(root / "Training/notumor/1.png", root / "Training/pituitary/conflict.png")
    with caplog.at_level(logging.INFO):
        split = official(data_config(root)).split
    table = split.table
    assert table["group"].nunique() == 4 * 16
    train, val = (set(split.part(name)["group"]) for name in ("train", "val"))
    assert not train & val
    assert "LEAKS: 1 of 33 test images have a twin in training" in caplog.text
    assert (
        "slices that stand under two classes: 1 (Training/notumor/1.png, Training/pituitary/conflict.png)"
        in caplog.text
    )
    assert len(split.part("val")) == len(val)  # a copy is no further evidence
    assert f"split {split.digest[:12]}" in caplog.text


def test_corrupt_images_stop_the_run_or_are_left_out(
    tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folders(tmp_path / "data")
    (root / "Training/glioma/0.png").write_bytes(b"")
    (root / "Training/glioma/zz.jpg").write_bytes(b"no image")
    (root / "Testing/notumor/link.png").symlink_to("nowhere")
    whole = (root / "Testing/pituitary/0.png").read_bytes()
    (root / "Testing/pituitary/0.png").write_bytes(whole[:-200])
    for _ in range(2):  # decoded, then from the cache
        with pytest.raises(InputError) as caught:
            official(data_config(root))
        message = str(caught.value)
        assert "\n" not in message
        assert message.startswith(f"4 of 50 images in {root} cannot be decoded: ")
        assert "Testing/notumor/link.png (a broken link)" in message
        assert "Training/glioma/0.png (the file is empty), ..." in message
        assert "data.on_corrupt=skip" in message
    split = official(data_config(root, on_corrupt=OnCorrupt.skip)).split
    assert len(split) == 46
    assert "4 of 50 images" in caplog.text
    assert not split.table["path"].isin(["Training/glioma/0.png", "Testing/notumor/link.png"]).any()


def test_class_of_which_nothing_is_left(tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig) -> None:
    root = make_folders(tmp_path / "data", count=2)
    for path in (root / "Testing/notumor").iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match=f"^{root}: none of the images of notumor, test part can be decoded"):
        official(data_config(root, on_corrupt=OnCorrupt.skip))


def test_class_of_one_image(tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig) -> None:
    root = make_folders(tmp_path / "data", count=2)
    (root / "Training/glioma/1.png").unlink()
    with pytest.raises(InputError, match=r"data\.val_fraction=0\.25: of 'glioma' only 1 image can be"):
        official(data_config(root))


def test_no_training_part(tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig) -> None:
    data = data_config(make_folders(tmp_path / "data", ("test",)))
    with pytest.raises(InputError, match="no training part, only test"):
        official(data)
    assert set(load_whole(data, shape=(16, 16, 3), known=STANDARD).split.table["part"]) == {"test"}


def test_load_whole_takes_all_images_as_test(
    tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig
) -> None:
    names = ("glioma_tumor", "meningioma_tumor", "no_tumor", "pituitary_tumor")
    dataset = load_whole(
        data_config(make_folders(tmp_path / "site B", count=1, names=names)), shape=(16, 16, 3), known=STANDARD
    )
    assert dataset.split.counts == {"test": dict.fromkeys(STANDARD.names, 2)}
    assert set(dataset.split.table["site"]) == {"site B"}


def test_read_only_folder(tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig) -> None:
    root = make_folders(tmp_path / "data")
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    before = sorted(root.rglob("*"))
    for folder in folders:
        folder.chmod(0o555)
    try:
        assert len(official(data_config(root)).split) == 48
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert sorted(root.rglob("*")) == before


def test_second_run_only_hashes(
    tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_config(make_folders(tmp_path / "data"))
    first = official(data)
    monkeypatch.setattr(cache, "decode", None)
    second = official(data)
    assert second.split.digest == first.split.digest
    assert np.array_equal(second.images(second.rows("val")), first.images(first.rows("val")))


def test_moved_images_are_found_by_content(tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig) -> None:
    data = data_config(make_folders(tmp_path / "data"))
    first = official(data)
    in_place = find_by_content(first.split, first.split.root, decoder=pictures(16), cache=data.cache)
    assert in_place.split.table["path"].tolist() == first.split.table["path"].tolist()

    moved = tmp_path / "elsewhere (2)"
    (moved / "deep").mkdir(parents=True)
    for number, path in enumerate(sorted((tmp_path / "data").rglob("*.png"))):
        os.rename(path, moved / "deep" / f"{number}.png")
    again = find_by_content(first.split, moved, decoder=pictures(16), cache=data.cache)
    assert again.split.digest == first.split.digest
    assert again.split.root == moved
    for part in ("train", "val", "test"):
        assert np.array_equal(again.images(again.rows(part)), first.images(first.rows(part)))
        assert np.array_equal(again.labels(again.rows(part)), first.labels(first.rows(part)))

    (moved / "deep/0.png").unlink()
    (moved / "deep/1.png").write_bytes(b"changed")
    with pytest.raises(InputError, match=r"2 of the split's 48 images are not under .*data\.root=DIR"):
        find_by_content(first.split, moved, decoder=pictures(16), cache=data.cache)
    with pytest.raises(InputError, match="no longer in"):
        find_by_content(first.split, tmp_path / "nowhere", decoder=pictures(16), cache=data.cache)


def test_configuration_files_fill_the_data_configuration() -> None:
    for name in ("phantom", "folder", "kaggle"):
        data = typed(DataConfig, composed("train", f"data={name}").data)
        assert data.source.value == name
        assert (data.phantom is not None) == (name == "phantom")
        assert (data.handle is not None) == (name == "kaggle")

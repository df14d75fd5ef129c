"""What a source holds, before anything is divided."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from toy import OFFICIAL

from brain_tumor.config.train import DataConfig, ProtocolConfig
from brain_tumor.data.dataset import load
from brain_tumor.data.image_table import read_images, source_folders
from brain_tumor.data.logged_split import load_logged
from brain_tumor.errors import InputError

GROUPED, ONE_OUT = ProtocolConfig(name="grouped"), ProtocolConfig(name="leave_one_site_out")
MakeFolders = Callable[..., Path]
MakeConfig = Callable[..., DataConfig]


def test_a_row_says_what_its_file_is(tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig) -> None:
    root = make_folders(tmp_path / "scans", count=2)
    Image.new("L", (30, 10), 7).save(root / "Testing" / "glioma" / "gray.png")
    (root / "Testing" / "glioma" / "broken.jpg").write_bytes(b"no image")
    (root / "Testing" / "glioma" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    data = data_config(root)
    listing = read_images(data, source_folders(data), (16, 16, 3))
    table = listing.table.set_index("path")
    assert len(table) == len(listing.files) == 2 * 4 * 2 + 3
    gray = table.loc["Testing/glioma/gray.png"]
    assert (gray["label"], gray["part"], gray["site"], gray["mode"]) == ("glioma", "test", "scans", "L")
    assert (gray["width"], gray["height"], gray["error"]) == (30, 10, "")
    assert table.loc["Testing/glioma/broken.jpg", "error"] == "not an image that can be read"
    assert table.loc["Testing/glioma/gone.jpg", ["sha256", "digest", "error"]].tolist() == ["", "", "a broken link"]
    assert (table["error"] != "").sum() == 2
    assert [file.relative_to(root).as_posix() for file in listing.files] == table.index.tolist()


def test_several_roots_are_sites_with_layouts_of_their_own(
    tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig
) -> None:
    first = make_folders(tmp_path / "first", count=1, seed=1)
    second = make_folders(tmp_path / "second", ("",), count=1)
    data = data_config([str(second), str(first)])
    listing = read_images(data, source_folders(data), (16, 16, 3))
    assert listing.table["site"].tolist() == ["second"] * 4 + ["first"] * 8
    assert listing.table["path"].iloc[0] == "second/glioma/0.png"
    assert listing.files[0] == second / "glioma" / "0.png"
    assert set(listing.table.loc[listing.table["site"] == "first", "part"]) == {"train", "test"}
    split = load(data_config([str(second), str(first)], val_fraction=0.5), shape=(16, 16, 3), protocol=GROUPED).split
    assert split.root == tmp_path
    assert set(split.table["path"].str.split("/").str[0]) == {"first", "second"}
    assert (split.root / split.table["path"][0]).is_file()


def test_each_site_is_left_out_in_turn(tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig) -> None:
    make_folders(tmp_path / "A", count=6)
    make_folders(tmp_path / "B", ("",), count=3, seed=1)
    people = tmp_path / "people.csv"
    people.write_text("path,patient\nA/Training/glioma/0.png,p\nB/glioma/1.png,p\n")
    roots = [str(tmp_path / "A"), str(tmp_path / "B")]
    data = data_config(roots, patients=str(people))
    for site, count in (("A", 48), ("B", 12)):
        split = load(data, shape=(16, 16, 3), protocol=replace(ONE_OUT, site=site)).split
        assert set(split.part("test")["site"]) == {site}
        assert len(split.part("test")) == count
        assert len(split) == 60 - 1  # the patient's image at the other site does not train
        assert {"train", "val", "test"} == set(split.table["part"])


def test_logged_images_are_looked_for_in_one_folder(
    tmp_path: Path, make_folders: MakeFolders, data_config: MakeConfig
) -> None:
    data = data_config(make_folders(tmp_path / "data", count=8))
    split = load(data, shape=(16, 16, 3), protocol=OFFICIAL).split
    with pytest.raises(InputError, match="give the one that holds the logged images"):
        load_logged(split, data, root=("a", "b"), shape=(16, 16, 3))

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from listing import DATA, listed

from brain_tumor.data.class_folders import check_layout, image_folder, list_images, site_folders
from brain_tumor.data.classes import STANDARD
from brain_tumor.data.image_files import SCANS, image_files
from brain_tumor.errors import InputError

MakeFolders = Callable[..., Path]


def look(*roots: Path, readable: bool) -> None:
    check_layout(tuple((root.name, root) for root in roots), DATA, readable=readable)


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (("Training", "Testing"), {"train", "test"}),
        (("train", "val", "test"), {"train", "val", "test"}),
        (("TRAIN", "Valid", "TEST"), {"train", "val", "test"}),
        (("train", "validation"), {"train", "val"}),
        (("",), {""}),
    ],
)
def test_layouts(folders: tuple[str, ...], parts: set[str], tmp_path: Path, make_folders: MakeFolders) -> None:
    images = listed(make_folders(tmp_path, folders, count=2))
    assert len(images) == len(folders) * 4 * 2
    assert set(images["part"]) == parts
    assert images.groupby(["part", "label"]).size().eq(2).all()
    assert images["path"].is_monotonic_increasing
    assert all((tmp_path / path).is_file() for path in images["path"])


@pytest.mark.parametrize(
    "names",
    [
        ("glioma_tumor", "meningioma_tumor", "no_tumor", "pituitary_tumor"),
        ("Glioma", "MENINGIOMA", "No Tumor", "Pituitary-Tumour"),
        ("Glioma Tumor", "meningioma-tumor", "no", "Pituitary"),
        ("gliomas", "meningiomas", "Normal", "pituitary adenoma"),
        ("glioma", "meningioma", "healthy", "pituitary"),
    ],
)
def test_spellings_of_the_classes(names: tuple[str, ...], tmp_path: Path, make_folders: MakeFolders) -> None:
    images = listed(make_folders(tmp_path, ("",), count=1, names=names))
    folders = [path.split("/")[0] for path in images["path"]]
    assert dict(zip(folders, images["label"], strict=True)) == dict(zip(names, STANDARD.names, strict=True))


@pytest.mark.parametrize("name", ["a b (1), c=d", "~x", "größe é", "[x]", "a'b\"c", "100%", "$HOME", "x=${y}", "#1"])
def test_root_is_taken_literally(
    name: str, tmp_path: Path, make_folders: MakeFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folders(tmp_path / name, ("",), count=1)
    monkeypatch.chdir(tmp_path)
    for text in (name, str(tmp_path / name)):
        assert len(listed(image_folder(text))) == 4


def test_tilde_is_the_home_folder_where_no_folder_has_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "images").mkdir()
    assert image_folder("~/images") == tmp_path / "images"


def test_the_phantom_does_not_pass_for_real(tmp_path: Path) -> None:
    images = tmp_path / "phantom-0123" / "images"
    images.mkdir(parents=True)
    assert image_folder(str(images)) == images
    (images.parent / "table.csv").touch()
    for root in (images, images.parent):
        with pytest.raises(InputError, match="synthetic phantom"):
            image_folder(str(root))


def test_root_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for text, message in (
        (None, r"add data\.root=DIR"),
        ("", r"add data\.root=DIR"),
        (str(tmp_path / "missing"), "does not exist"),
        ("~nosuchuser/x", "does not exist"),
        (str(tmp_path / "file"), "is a file"),
        (str(tmp_path / ("x" * 300)), "cannot be read"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            image_folder(text)
        assert "\n" not in str(caught.value)


def test_unreadable_folders(tmp_path: Path, make_folders: MakeFolders) -> None:
    make_folders(tmp_path / "data", ("",), count=1)
    locked = tmp_path / "data" / "glioma"
    locked.chmod(0)
    tmp_path.chmod(0o755)
    user = os.geteuid()
    if user == 0:  # root may read everything
        os.seteuid(65534)
    try:
        with pytest.raises(InputError, match=r"cannot (be )?read"):
            listed(image_folder(str(tmp_path / "data")))
    finally:
        if user == 0:
            os.seteuid(0)
        locked.chmod(0o755)


def test_empty_root_and_root_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no folder; expected Training/"):
        listed(tmp_path)
    (tmp_path / "cats").mkdir()
    with pytest.raises(InputError, match="two classes at least, and there is only cats"):
        listed(tmp_path)


def test_folders_that_do_not_fit(tmp_path: Path, make_folders: MakeFolders) -> None:
    def fails(message: str, names: tuple[str, ...], part: str = "") -> None:
        root = make_folders(tmp_path / str(len(list(tmp_path.iterdir()))), (part,), count=1, names=names)
        with pytest.raises(InputError, match=message):
            listed(root)

    fails("'no' and 'no_tumor', which are one class", (*STANDARD.names[:2], "no_tumor", "no", "pituitary"))
    root = make_folders(tmp_path / "parts", ("train", "Training"), count=1)
    with pytest.raises(InputError, match="'Training' and 'train', which are one part"):
        listed(root)


def test_class_without_an_image(tmp_path: Path, make_folders: MakeFolders) -> None:
    root = make_folders(tmp_path, count=1)
    (root / "Testing/notumor/0.png").rename(root / "Testing/notumor/0.txt")
    with pytest.raises(InputError, match="Testing/notumor holds no image"):
        listed(root)


def test_other_files_are_ignored_and_counted_once(
    tmp_path: Path, make_folders: MakeFolders, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folders(tmp_path, ("",), count=1)
    for name in ("Thumbs.db", ".DS_Store", "._0.png", "notes.txt"):
        (root / "glioma" / name).touch()
    (root / "pituitary" / ".ipynb_checkpoints").mkdir()
    (root / "pituitary" / ".ipynb_checkpoints" / "0-checkpoint.png").touch()
    (root / "__MACOSX").mkdir()
    with caplog.at_level(logging.INFO):
        assert len(listed(root)) == 4
    assert [record.message for record in caplog.records if "4 file(s)" in record.message]
    assert len(caplog.records) == 1


def test_pictures_without_an_extension_are_told_by_their_bytes_and_scans_are_counted_as_such(
    tmp_path: Path, make_folders: MakeFolders, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folders(tmp_path, ("",), count=1)
    content = (root / "glioma" / "0.png").read_bytes()
    for name in ("1", "1.2.840.77", "x.jfif", "y.JPE"):
        (root / "glioma" / name).write_bytes(content)
    for name in ("IM2", "1.2.840.78", "z.dcm", "v.nii.gz", "v.nrrd", "v.mhd"):
        (root / "glioma" / name).write_bytes(bytes(128) + b"DICM" + bytes(20))
    for name in ("x.png.part", "README"):
        (root / "glioma" / name).write_bytes(b"a text" if name == "README" else content)
    os.mkfifo(root / "glioma" / "pipe")
    with caplog.at_level(logging.INFO):
        images = listed(root)
    names = [Path(path).name for path in images.loc[images["label"] == "glioma", "path"]]
    assert sorted(names) == ["0.png", "1", "1.2.840.77", "x.jfif", "y.JPE"]
    assert len(image_files(root / "glioma")) == 5
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert f"9 file(s) that are no images are ignored (6 {SCANS}, 2 without an extension, 1 .part)" in record.message


def test_extensions_in_any_case_and_folders_within_a_class(tmp_path: Path, make_folders: MakeFolders) -> None:
    root = make_folders(tmp_path, ("",), count=1)
    (root / "glioma" / "patient 1").mkdir()
    for suffix in (".JPG", ".jpeg", ".PNG", ".bmp", ".tif", ".TIFF", ".WebP"):
        (root / "glioma" / "patient 1" / f"x{suffix}").touch()
    images = listed(root)
    assert (images["label"] == "glioma").sum() == 1 + 7


def test_links_are_followed_but_not_in_circles(tmp_path: Path, make_folders: MakeFolders) -> None:
    real = make_folders(tmp_path / "real", ("",), count=2)
    root = tmp_path / "linked"
    root.mkdir()
    for name in STANDARD.names:
        (root / name).symlink_to(real / name)
    (real / "glioma" / "again").symlink_to(real / "glioma")
    assert len(listed(root)) == 8
    assert len(image_files(root)) == 8


def test_file_name_that_is_not_utf8(tmp_path: Path, make_folders: MakeFolders) -> None:
    root = make_folders(tmp_path, ("",), count=1)
    os.rename(root / "glioma" / "0.png", os.fsencode(root / "glioma") + b"/\xe9.png")
    with pytest.raises(InputError, match="not UTF-8: rename"):
        listed(root)


def test_nothing_is_written_beside_the_images(tmp_path: Path, make_folders: MakeFolders) -> None:
    root = make_folders(tmp_path, count=1)
    before = sorted(tmp_path.rglob("*"))
    listed(root)
    assert sorted(tmp_path.rglob("*")) == before


def test_several_roots_are_sites_named_as_their_folders(tmp_path: Path) -> None:
    for name in ("one/scans", "two/scans", "two/other", "x/two/other"):
        (tmp_path / name).mkdir(parents=True)
    roots = site_folders([str(tmp_path / "one/scans"), str(tmp_path / "two/other")])
    assert roots == {"scans": tmp_path / "one/scans", "other": tmp_path / "two/other"}
    assert list(site_folders([str(tmp_path / "one/scans"), str(tmp_path / "two/scans")])) == ["one/scans", "two/scans"]
    deep = site_folders([str(tmp_path / "two/other"), str(tmp_path / "x/two/other")])
    assert list(deep) == [f"{tmp_path.name}/two/other", "x/two/other"]
    assert site_folders(str(tmp_path / "one/scans")) == {"scans": tmp_path / "one/scans"}


def test_refuses_a_root_that_is_named_twice_or_an_empty_list(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "scans")
    with pytest.raises(InputError, match="twice: name every folder once"):
        site_folders([str(tmp_path / "scans"), str(tmp_path / "link")])
    (tmp_path / "scans" / "part").mkdir()
    with pytest.raises(InputError, match=r"part lies in .*scans, which has its images already: name only one of them"):
        site_folders([str(tmp_path / "scans" / "part"), str(tmp_path / "scans")])
    with pytest.raises(InputError, match=r"add data\.root=DIR"):
        site_folders([])


@pytest.mark.parametrize("spoilt", ["Training/glioma", "Testing/notumor"])
def test_a_class_of_which_nothing_can_be_decoded_is_known_before_all_of_it_is_read(
    bars: MakeFolders, spoilt: str
) -> None:
    root = bars(train=3, test=2)
    look(root, readable=True)
    first, *others = sorted((root / spoilt).iterdir())
    for path in others:
        path.write_bytes(b"no picture")
    look(root, readable=True)  # one is enough
    first.write_bytes(b"")
    look(root, readable=False)
    part, label = spoilt.lower().replace("ing", "").split("/")
    with pytest.raises(
        InputError, match=f"none of the images of {label}, {part} part can be decoded .*: the file is empty"
    ):
        look(root, readable=True)


def test_what_is_left_out_is_said_once_however_often_the_layout_is_looked_at(
    bars: MakeFolders, caplog: pytest.LogCaptureFixture
) -> None:
    root = bars(train=1, test=1)
    (root / "Drafts").mkdir()
    look(root, readable=True)
    assert not caplog.records
    listed(root)
    assert [record.message for record in caplog.records] == [f"{root}: folders that are no part are left out: Drafts"]


def test_a_class_that_one_site_has_sound_is_there(tmp_path: Path, make_folders: MakeFolders) -> None:
    sound, broken = (make_folders(tmp_path / name, ("",)) for name in ("sound", "broken"))
    for path in broken.rglob("*.png"):
        path.write_bytes(b"no picture")
    look(sound, broken, readable=True)
    with pytest.raises(InputError, match="none of the images of"):
        look(broken, readable=True)


def test_a_data_set_in_a_folder_is_no_class(tmp_path: Path, make_folders: MakeFolders) -> None:
    root = make_folders(tmp_path / "archive", ("Training", "Testing"), count=1).parent
    with pytest.raises(InputError, match=r"archive holds 'Testing', 'Training' .* give data.root=.*archive, several"):
        listed(root)
    kinds = make_folders(tmp_path / "kinds" / "tumour", ("",), count=1, names=("glioma", "pituitary")).parent
    make_folders(kinds, ("",), count=1, names=("healthy",))
    with pytest.raises(InputError, match="tumour holds 'glioma', 'pituitary'"):
        listed(kinds)
    images, classes = list_images({"kinds": kinds}, replace(DATA, classes=("healthy", "tumour")))
    assert (images["label"].value_counts().to_dict(), classes.healthy) == ({"healthy": 1, "tumour": 2}, "healthy")


def test_what_data_classes_leaves_out_is_counted(
    tmp_path: Path, make_folders: MakeFolders, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folders(tmp_path / "data", count=2, names=("glioma", "no", "pred"))
    (root / "Testing" / "pred" / "0.png").unlink()
    (root / "Testing" / "pred" / "1.png").unlink()  # what is left out may be empty
    images, _ = list_images({"data": root}, replace(DATA, classes=("no", "glioma")))
    assert len(images) == 8
    assert [record.message for record in caplog.records] == ["data.classes leaves out 2 image(s): 2 of 'pred'"]


def test_two_folders_become_one_class_where_that_is_meant(tmp_path: Path, make_folders: MakeFolders) -> None:
    root = make_folders(tmp_path / "data", ("",), count=2, names=("HGG", "LGG", "no"))
    images, _ = list_images({"data": root}, replace(DATA, rename=(("HGG", "glioma"), ("lgg", "glioma"))))
    assert images["label"].value_counts().to_dict() == {"glioma": 4, "notumor": 2}
    # However the new name is spelt, and whatever the model calls it.
    spelt = replace(DATA, rename=(("HGG", "Glioma"), ("lgg", "Glioma")))
    assert set(list_images({"data": root}, spelt, STANDARD)[0]["label"]) == {"glioma", "notumor"}
    with pytest.raises(InputError, match=r"one class \(notumor\): .*'data.rename=\{normal: notumor\}'"):
        list_images({"data": make_folders(tmp_path / "twice", ("",), count=1, names=("no", "normal", "x"))}, DATA)

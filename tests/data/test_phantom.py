"""The phantom: the same bytes every time, lesions where they grow, and no shortcut that solves it."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from phantoms import drawn
from PIL import Image

from brain_tumor.config.train import PhantomConfig
from brain_tumor.data.cache import hash_files
from brain_tumor.data.classes import STANDARD
from brain_tumor.data.masks import find_masks
from brain_tumor.data.phantom import ensure_phantom
from brain_tumor.data.phantom.generate import draw_subject
from brain_tumor.errors import InputError

SMALL = PhantomConfig(subjects=48, slices_per_subject=3, test_fraction=0.25, size=64, seed=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn(SMALL, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "table.csv", keep_default_na=False)


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_the_same_bytes_with_any_number_of_workers(tmp_path: Path) -> None:
    config = PhantomConfig(subjects=8, slices_per_subject=1, size=64, seed=3)  # four for each of two processes
    folder, again = drawn(config, tmp_path / "here"), ensure_phantom(config, tmp_path / "there", workers=2)
    assert again.name == folder.name
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.*"))
    assert files == sorted(path.relative_to(again) for path in again.rglob("*.*"))
    assert all((folder / name).read_bytes() == (again / name).read_bytes() for name in files)


def test_another_seed_is_another_set(folder: Path, tmp_path: Path) -> None:
    other = drawn(PhantomConfig(subjects=4, slices_per_subject=1, size=64, seed=4), tmp_path)
    assert other.name != folder.name
    assert pixels(next(other.rglob("images/glioma/*.png"))).shape == (64, 64)


def test_a_second_call_generates_nothing(folder: Path) -> None:
    before = (folder / "table.csv").stat().st_mtime_ns
    assert ensure_phantom(SMALL, folder.parent, workers=1) == folder
    assert (folder / "table.csv").stat().st_mtime_ns == before
    assert list(folder.parent.iterdir()) == [folder]  # no temporary folder is left


def test_classes_are_balanced_and_subjects_stay_whole(table: pd.DataFrame) -> None:
    assert table.groupby(["part", "label"]).size().to_dict() == {
        (part, name): count for part, count in (("train", 27), ("test", 9)) for name in STANDARD.names
    }
    assert (table.groupby("group")["part"].nunique() == 1).all()
    assert (table.groupby("group").size() == 3).all()
    assert (table["site"] == "phantom").all()


def test_every_image_differs(folder: Path, table: pd.DataFrame) -> None:
    assert len({pixels(folder / path).tobytes() for path in table["path"]}) == len(table)


def test_masks_belong_to_tumours_and_show_enough(folder: Path, table: pd.DataFrame) -> None:
    for row in table.itertuples():
        assert (row.mask == "") == (row.label == "notumor")
        if row.mask:
            mask = pixels(folder / row.mask) > 0
            # 60 mm² of a field of 225 mm, magnified by at most 1.12
            assert mask.sum() >= 60 / (225 / 0.9 / 64) ** 2
            assert mask.sum() < 0.15 * mask.size


def test_a_cut_that_shows_little_of_the_head_is_made_in_another_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    from brain_tumor.data.phantom import lesions

    drawn_there = lesions.DRAW["meningioma"](np.random.default_rng(0))
    frontal = replace(drawn_there, centre=np.array([8, 66, 0], np.float32), radius=15.0, side=0.0)
    monkeypatch.setattr(lesions, "DRAW", {**lesions.DRAW, "meningioma": lambda rng: frontal})
    slices = list(draw_subject(PhantomConfig(slices_per_subject=6, size=64), STANDARD.names.index("meningioma")))
    assert {plane for plane, _, _ in slices} == {"axial", "sagittal"}
    assert all(mask is not None and mask.any() for _, _, mask in slices)


def test_the_masks_are_masks(folder: Path, table: pd.DataFrame, caplog: pytest.LogCaptureFixture) -> None:
    shas, _ = hash_files([folder / path for path in table["path"]], 2)
    paths = table["path"].str.removeprefix("images/").tolist()
    found = find_masks(str(folder / "masks"), paths, [(64, 64)] * len(paths), shas=shas)
    assert [path != "" for path in found] == (table["label"] != "notumor").tolist()
    assert not caplog.records


def test_tumours_are_brighter_than_their_surroundings(folder: Path, table: pd.DataFrame) -> None:
    from scipy.ndimage import binary_dilation

    brighter = []
    for row in table[table["label"].isin(["meningioma", "pituitary"])].itertuples():
        image, mask = pixels(folder / row.path).astype(float), pixels(folder / row.mask) > 0
        around = binary_dilation(mask, iterations=4) & ~binary_dilation(mask, iterations=1)
        brighter.append(np.percentile(image[mask], 75) > image[around].mean())
    assert np.mean(brighter) > 0.95


def test_lesions_lie_where_their_class_grows() -> None:
    """Checked in template space, against nilearn's own masks."""
    from nilearn.datasets import load_mni152_brain_mask

    from brain_tumor.data.phantom import anatomy, lesions

    image = load_mni152_brain_mask(resolution=1)
    brain = np.asarray(image.dataobj) > 0
    step = 2.5
    axes = [np.arange(low, high, step, dtype=np.float32) for low, high in ((-90, 91), (-125, 91), (-60, 100))]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    voxels = np.round(points - image.affine[:3, 3]).astype(int)
    inside = brain[tuple(np.moveaxis(np.clip(voxels, 0, np.array(brain.shape) - 1), -1, 0))]
    head = anatomy.draw_head(np.random.default_rng(0))
    depth = anatomy.template().depth.at(points)
    values = anatomy.tissue(head, points, depth)
    for seed in range(6):
        rng = np.random.default_rng(seed)
        found = {kind: lesions.apply(draw(rng), points, values, depth)[1] for kind, draw in lesions.DRAW.items()}
        assert inside[found["glioma"]].mean() > 0.9
        reach = points[found["pituitary"]]
        assert abs(reach[:, 0].mean()) < 5
        assert -45 < reach[:, 2].mean() < -15
        assert -12 < reach[:, 1].mean() < 20
        base = np.abs(points[found["meningioma"]][:, 0]) < 3  # the falx, or else the hull
        assert base.any() or np.abs(depth[found["meningioma"]]).min() < 2


def test_thumbnails_do_not_solve_it(folder: Path, table: pd.DataFrame) -> None:
    from brain_tumor.data.phantom.__main__ import thumbnail_floor

    thumbnails = np.stack(
        [np.asarray(Image.open(folder / path).resize((16, 16), Image.Resampling.BOX)) for path in table["path"]]
    )
    labels = table["label"].to_numpy(str)
    train = (table["part"] == "train").to_numpy()
    assert thumbnail_floor(thumbnails, labels, train) < 0.75
    # The same classifier does solve what is solvable: thumbnails that show their label.
    telling = np.repeat(np.unique(labels, return_inverse=True)[1], 256).reshape(-1, 16, 16).astype(np.uint8) * 50
    assert thumbnail_floor(telling, labels, train) == 1.0


def test_a_folder_without_its_table_does_not_count(tmp_path: Path) -> None:
    config = PhantomConfig(subjects=4, slices_per_subject=1, size=32, seed=1)
    made = drawn(config, tmp_path)
    (made / "table.csv").unlink()
    shutil.rmtree(made / "masks")
    again = drawn(config, tmp_path)
    assert again == made
    assert (made / "table.csv").is_file()
    assert (made / "masks").is_dir()


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"phantom set cannot be written to .*data\.cache=DIR"):
        ensure_phantom(SMALL, tmp_path / "file", workers=1)

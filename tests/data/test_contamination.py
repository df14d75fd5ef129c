"""A second scanner: which of its images a model has met in training, whatever their contrast."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from phantoms import drawn
from PIL import Image

from brain_tumor.config.train import PhantomConfig
from brain_tumor.data.cache import hash_files
from brain_tumor.data.classes import STANDARD
from brain_tumor.data.contamination import Contamination, either, find_contamination
from brain_tumor.data.split import Split
from brain_tumor.evaluation.external_site import by_contamination, remarks
from brain_tumor.evaluation.metrics import Evaluation

HOME = PhantomConfig(subjects=16, slices_per_subject=1, size=128, seed=0)
OTHERS = PhantomConfig(subjects=24, slices_per_subject=2, size=128, seed=1)


def scan(source: Path, target: Path) -> None:
    """Show a slice as another scanner would: harder contrast, less range, other pixels, more blur, JPEG."""
    with Image.open(source) as image:
        values = np.asarray(image.convert("L")) / 255
        shown = np.clip((values - 0.04) / 0.8, 0, 1) ** 0.6
        other = Image.fromarray((30 + 200 * shown).astype(np.uint8)).resize((128, 128), Image.Resampling.BILINEAR)
    target.parent.mkdir(parents=True, exist_ok=True)
    other.save(target, quality=70)


def split_of(root: Path, table: pd.DataFrame) -> Split:
    rows = table[["path", "label", "part"]].copy()
    rows["group"] = rows["path"]
    rows["twin"] = rows["path"]
    rows["site"] = root.name
    rows["sha256"], _ = hash_files([root / path for path in rows["path"]], 2)
    return Split(rows, root=root, source="folder", synthetic=True)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame, Path, pd.DataFrame]:
    cache = tmp_path_factory.mktemp("phantoms")
    folders = [drawn(config, cache) for config in (HOME, OTHERS)]
    home, others = (pd.read_csv(folder / "table.csv", keep_default_na=False) for folder in folders)
    return folders[0], home, folders[1], others


def test_a_second_scanner_is_new_where_its_subjects_are(
    phantoms: tuple[Path, pd.DataFrame, Path, pd.DataFrame], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home_root, home, other_root, others = phantoms
    known = home[home["part"] == "train"].iloc[:12]
    site = tmp_path / "second"
    rows = []
    for root, table, prefix in ((home_root, known, "again"), (other_root, others, "new")):
        for path, label in zip(table["path"], table["label"], strict=True):
            name = f"{label}/{prefix}-{Path(path).stem}.jpg"
            scan(root / path, site / name)
            rows.append({"path": name, "label": label, "part": "test"})
    there = split_of(site, pd.DataFrame(rows))
    found = find_contamination(there, split_of(home_root, home), home_root, str(tmp_path / "cache"), 2)
    seen = found.seen
    again = there.table["path"].str.contains("again-").to_numpy()
    recall, precision = float(seen[again].mean()), float(again[seen].mean())
    assert (again.sum(), len(again)) == (12, 60)
    assert (recall, precision) == (1.0, 1.0)
    assert (found.complete, found.verdict) == (True, "true")
    assert "are not in" not in caplog.text


def saved(root: Path, names: dict[str, str], seed: int) -> pd.DataFrame:
    """Pictures like no others, of smooth noise: path -> part; columns path, label, part."""
    rng = np.random.default_rng(seed)
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).resize((64, 64)).save(root / name)
    return pd.DataFrame({"path": list(names), "label": "glioma", "part": list(names.values())})


def patients(place: Path, **known: str) -> str:
    """A CSV that gives each image (`a` is a.png) its patient."""
    place.write_text("path,patient\n" + "".join(f"{name}.png,{who}\n" for name, who in known.items()))
    return str(place)


def test_a_test_image_whose_patient_was_trained_on_is_seen(tmp_path: Path) -> None:
    home, site = tmp_path / "home", tmp_path / "site"
    table = saved(home, {"a.png": "train", "b.png": "test", "c.png": "test", "d.png": "train"}, seed=0)
    logged = split_of(home, table).table.assign(group=["P", "P", "Q", "R"])  # b's patient trains, as under official
    trained = Split(logged, root=home, source="folder", synthetic=False)
    saved(site, {"new.png": "test"}, seed=1)
    for name in "bc":
        with Image.open(home / f"{name}.png") as image:
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(site / f"{name}2.png")
    there = pd.DataFrame({"path": ["b2.png", "c2.png", "new.png"], "label": "glioma", "part": "test"})
    own = Split(split_of(site, there).table, root=site, source="folder", synthetic=False)
    found = find_contamination(own, trained, home, str(tmp_path / "cache"), 2)
    assert found.twins.tolist() == [False, False, False]
    assert found.seen.tolist() == [True, False, False]
    assert found.strangers.tolist() == [False, False, True]  # c2 was compared by its twin, of new nothing is known
    [remark] = remarks(found)
    assert remark.verdict == (
        "The patients of 1 of 3 images were NOT compared with those trained on: name images of both in "
        "data.patients=CSV (path, patient)."
    )
    probabilities = np.full((3, 4), 0.25)
    parts = by_contamination(Evaluation(own.table, probabilities, STANDARD.names, "test part"), found)
    assert parts["test"].title == (
        "test part (CONTAMINATED: 1 of 3 have a twin or their patient (0 a twin) in training)"
    )
    assert parts["unseen"].title == "test part, without those that have a twin or their patient in training"
    assert parts["unseen"].rows["path"].tolist() == ["c2.png", "new.png"]


def test_patients_are_compared_by_a_file_that_names_images_of_both(tmp_path: Path) -> None:
    home, site = tmp_path / "home", tmp_path / "site"
    trained = split_of(home, saved(home, {"a.png": "train", "b.png": "train", "x.png": "test"}, seed=0))
    own = split_of(site, saved(site, {"b.png": "test", "c.png": "test", "d.png": "test", "e.png": "test"}, seed=1))
    own = Split(own.table, root=site, source="folder", synthetic=False)
    cache = str(tmp_path / "cache")
    assert find_contamination(own, trained, home, cache, 2).strangers.all()
    # b.png is another picture at home, where it trained: what the file says of that path is meant for the site's.
    file = patients(tmp_path / "p.csv", a="P", b="Q", c="P", d="Q", x="R")
    found = find_contamination(own, trained, home, cache, 2, patients=file)
    assert found.seen.tolist() == [False, True, False, False]
    assert found.strangers.tolist() == [False, False, False, True]


def test_the_sites_own_groups_hold_their_patients(tmp_path: Path) -> None:
    home, site = tmp_path / "home", tmp_path / "site"
    trained = split_of(home, saved(home, {"a.png": "train"}, seed=0))
    rows = split_of(site, saved(site, {"a.png": "test", "b.png": "test", "c.png": "test"}, seed=1)).table
    shutil.copy(home / "a.png", site / "a.png")
    rows["sha256"], _ = hash_files([site / path for path in rows["path"]], 2)
    own = Split(rows.assign(group=["P", "P", "Q"]), root=site, source="folder", synthetic=False)
    found = find_contamination(own, trained, home, str(tmp_path / "cache"), 2)
    assert (found.twins.tolist(), found.seen.tolist()) == ([True, False, False], [True, True, False])


def test_training_images_that_were_renamed_are_found_by_content(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home, site = tmp_path / "home", tmp_path / "site"
    trained = split_of(home, saved(home, {"a.png": "train", "b.png": "train"}, seed=0))
    own = split_of(site, saved(site, {"c.png": "test"}, seed=1))
    with Image.open(home / "a.png") as image:
        image.transpose(Image.Transpose.ROTATE_90).save(site / "c.png")
    rows = own.table
    rows["sha256"], _ = hash_files([site / "c.png"], 2)
    own = Split(rows, root=site, source="folder", synthetic=False)
    (home / "deeper").mkdir()
    (home / "a.png").rename(home / "deeper" / "renamed.png")
    found = find_contamination(own, trained, home, str(tmp_path / "cache"), 2)
    assert (found.complete, found.verdict) == (True, "true")
    assert not caplog.records
    (home / "b.png").unlink()
    again = find_contamination(own, trained, home, str(tmp_path / "cache"), 2)
    assert (again.complete, again.verdict) == (False, "true")
    assert "1 of the model's 2 training images are not in" in caplog.text


def test_of_whole_volumes_copies_are_known_by_their_values_wherever_the_training_volumes_are(tmp_path: Path) -> None:
    columns = ("path", "label", "part", "group", "twin", "site", "sha256", "patient")
    logged = [
        ("a.nii", "glioma", "train", "A", "values 1", "home", "1" * 64, "p0"),
        ("a2.nii", "glioma", "train", "A", "values 2", "home", "2" * 64, "p0"),
        ("b.nii", "glioma", "test", "B", "values 3", "home", "3" * 64, "p1"),
    ]
    site = [
        ("x.mha", "glioma", "test", "X", "values 2", "site", "4" * 64, "p0"),  # another file of the same values
        ("x2.mha", "glioma", "test", "X", "values 8", "site", "5" * 64, "p0"),  # of the same patient
        ("y.mha", "glioma", "test", "Y", "values 3", "site", "6" * 64, "p1"),  # which was only tested on
        ("z.mha", "glioma", "test", "Z", "values 9", "site", "7" * 64, "p2"),
    ]
    trained, own = (
        Split(pd.DataFrame(rows, columns=columns), root=tmp_path / "gone", source="folder", synthetic=False)
        for rows in (logged, site)
    )
    found = find_contamination(own, trained, tmp_path / "gone", None, 2, whole=True)
    assert found.twins.tolist() == [True, False, False, False]
    assert found.seen.tolist() == [True, True, False, False]
    assert found.strangers.tolist() == [False, False, False, True]
    assert found.complete


def test_images_that_were_only_tested_on_were_not_met_in_training(
    phantoms: tuple[Path, pd.DataFrame, Path, pd.DataFrame], tmp_path: Path
) -> None:
    root, home, _, _ = phantoms
    trained = split_of(root, home)
    seen = find_contamination(trained, trained, root, str(tmp_path / "cache"), 2).seen
    assert seen.tolist() == (home["part"] != "test").tolist()


def test_what_one_of_two_models_has_met_is_met_and_unsure_where_one_is() -> None:
    def met(twins: list[int], seen: list[int], strangers: list[int], complete: bool) -> Contamination:
        return Contamination(*(np.array(each, np.bool_) for each in (twins, seen, strangers)), complete)

    both = either(
        met([1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], True), met([0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], False)
    )
    assert both.twins.tolist() == [True, False, False, False]
    assert both.seen.tolist() == [True, True, False, False]
    assert both.strangers.tolist() == [False, False, True, False]
    assert not both.complete

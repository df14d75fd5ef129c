"""Labels that a person has corrected reach the images of that content, and nothing else."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from toy import OFFICIAL

from brain_tumor.config.train import DataConfig
from brain_tumor.data.classes import STANDARD
from brain_tumor.data.dataset import load
from brain_tumor.data.relabel import read_labels
from brain_tumor.errors import InputError

A, B = "a" * 64, "b" * 64


def written(folder: Path, text: str) -> str:
    file = folder / "corrected.csv"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_an_image_has_its_new_label_in_the_part_that_it_had(
    tmp_path: Path, make_folders: Callable[..., Path], data_config: Callable[..., DataConfig]
) -> None:
    root = make_folders(tmp_path / "data", count=12)
    before = load(data_config(root), shape=(16, 16, 3), protocol=OFFICIAL).split
    path = before.part("val").iloc[0]["path"]
    was = path.split("/")[1]
    new = next(name for name in STANDARD.names if name != was)
    sha = sha256((root / path).read_bytes()).hexdigest()
    file = written(tmp_path, f"path,label,new_label,sha256\n{path},{was},{new},{sha}\n")
    after = load(data_config(root, relabel=file), shape=(16, 16, 3), protocol=OFFICIAL).split
    changed = before.table["label"] != after.table["label"]
    assert after.table.loc[changed, ["path", "label"]].values.tolist() == [[path, new]]
    assert before.table.drop(columns="label").equals(after.table.drop(columns="label"))
    assert (before.digest != after.digest, before.listed) == (True, after.listed)
    with pytest.raises(InputError, match=r"corrected.csv names none of the images"):
        load(
            data_config(root, relabel=written(tmp_path, f"sha256,new_label\n{A},glioma\n")),
            shape=(16, 16, 3),
            protocol=OFFICIAL,
        )


def test_rows_that_nobody_filled_in_say_nothing(tmp_path: Path) -> None:
    file = written(tmp_path, f"sha256;new_label\n{A};glioma\n{B};\n{A.upper()};glioma\n")
    assert read_labels(file, STANDARD).to_dict() == {A: "glioma"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"sha256,new_label\n{A},\n", "has no new label: write the right class into its column new_label"),
        (f"sha256,new_label\n{A},glioma\n{A},notumor\n", f"gives the image {A} two new labels"),
        (f"sha256,new_label\n{A},glioblastoma\n", "new_label 'glioblastoma' is none of glioma, meningioma, notumor"),
        (f"sha256,label\n{A},glioma\n", "rename label to new_label"),
    ],
)
def test_a_file_that_does_not_fit(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_labels(written(tmp_path, text), STANDARD)

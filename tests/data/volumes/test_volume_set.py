"""`data=volumes`: folders of volumes, whose they are, and their masks."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from volume_files import metaimage, nrrd

from brain_tumor.config.train import DataConfig, ProtocolConfig
from brain_tumor.data.dataset import Dataset, find_by_content, load
from brain_tumor.data.image_table import decoder_of
from brain_tumor.data.protocol import leak
from brain_tumor.errors import InputError

MakeConfig = Callable[..., DataConfig]
SHAPE = (8, 12, 10, 1)
GROUPED = ProtocolConfig(name="grouped")
AFFINE = np.diag([-4.0, -4.0, 8.0, 1.0])  # axes to the left, the back and the head


def head(seed: int, lesion: bool) -> tuple[np.ndarray, np.ndarray]:
    """A block with noise in it on nothing, and a mask of a part of it."""
    values, mask = np.zeros((20, 24, 12), np.int16), np.zeros((20, 24, 12), np.uint8)
    values[4:16, 4:20, 2:10] = 100 + np.random.default_rng(seed).integers(0, 20, (12, 16, 8))
    if lesion:
        mask[6:9, 6:10, 4:6] = 1  # on the right, in the front
        values[mask > 0] += 150
    return values, mask


def save(path: Path, values: np.ndarray, kind: str = "nii.gz") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path = path.with_name(f"{path.name}.{kind}")
    if kind == "nrrd":
        path.write_bytes(nrrd(values, AFFINE))
    elif kind == "mha":
        path.write_bytes(metaimage(values, AFFINE))
    else:
        nibabel.save(nibabel.Nifti1Image(values, AFFINE), path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Nine patients of each of two classes, of two volumes each, in three formats; the tumours have masks."""
    for place, name in enumerate(("glioma", "notumor")):
        for patient in range(9):
            for visit in range(2):
                values, mask = head(100 * place + 10 * patient + visit, name == "glioma")
                kind = ("nii.gz", "nrrd", "mha")[patient % 3]
                save(tmp_path / "data" / name / f"{name[0]}{patient}" / f"visit{visit}", values, kind)
                if name == "glioma":
                    save(tmp_path / "masks" / name / f"{name[0]}{patient}" / f"visit{visit}", mask)
    return tmp_path / "data"


def loaded(root: Path, data_config: MakeConfig, **changes: object) -> Dataset:
    config = data_config(root, volume_shape=SHAPE[:3], classes=("glioma", "notumor"), **changes)
    return load(config, shape=SHAPE, protocol=GROUPED)


def test_a_patient_stands_in_one_part(root: Path, data_config: MakeConfig) -> None:
    dataset = loaded(root, data_config)
    table = dataset.split.table
    assert len(table) == 36
    assert dataset.pixels.shape == (36, *SHAPE)
    folder = table["path"].str.split("/").str[:-1].str.join("/")
    assert (table.groupby(folder)["part"].nunique() == 1).all()
    assert (table.groupby(folder)["patient"].nunique() == 1).all()
    assert table["patient"].nunique() == 18
    assert set(table["part"]) == {"train", "val", "test"}


def test_a_list_of_patients_says_otherwise(root: Path, data_config: MakeConfig, tmp_path: Path) -> None:
    lines = ["path,patient"]
    for path in sorted(root.rglob("visit*")):
        name = path.relative_to(root).as_posix()
        number = int(path.parent.name[1:])
        lines.append(f"{name},{path.parent.name[0]}{number // 2}")  # two folders are one person's
    (tmp_path / "patients.csv").write_text("\n".join(lines))
    table = loaded(root, data_config, patients=str(tmp_path / "patients.csv")).split.table
    person = table["path"].str.extract(r"(\w)(\d)/").apply(lambda row: f"{row[0]}{int(row[1]) // 2}", axis=1)
    assert table["patient"].nunique() == person.nunique() == 10
    assert (table.groupby(person)["part"].nunique() == 1).all()


def test_the_same_volume_twice_stands_in_one_part(root: Path, data_config: MakeConfig) -> None:
    values = np.asarray(nibabel.load(root / "glioma/g0/visit0.nii.gz").dataobj)
    turned = nibabel.Nifti1Image(values, AFFINE).as_reoriented(np.array([[1, -1], [2, 1], [0, 1]]))
    again = np.ascontiguousarray(turned.dataobj, np.float32)  # other axes, another type of number, another format
    (root / "glioma/g1/again.nrrd").write_bytes(nrrd(again, turned.affine))
    table = loaded(root, data_config).split.table
    assert table.loc[table["label"] == "glioma", "group"].nunique() == 8
    assert table.loc[table["path"].str.contains("g0/|g1/"), "group"].nunique() == 1


def test_a_patient_of_two_of_the_datas_own_parts_is_one(root: Path, data_config: MakeConfig, tmp_path: Path) -> None:
    for part, patients in (("Training", range(9)), ("Testing", range(5))):
        for place, name in enumerate(("glioma", "notumor")):
            for patient in patients:
                values, _ = head(1000 + 100 * place + patient + 50 * (part == "Testing"), False)
                save(tmp_path / "parts" / part / name / f"{name[0]}{patient}" / f"{part}", values)
    split = loaded(tmp_path / "parts", data_config).split
    assert (split.table.groupby(split.table["path"].str.split("/").str[2])["group"].nunique() == 1).all()
    config = data_config(tmp_path / "parts", volume_shape=SHAPE[:3], classes=("glioma", "notumor"))
    own = load(config, shape=SHAPE, protocol=ProtocolConfig(name="official")).split
    found = leak(own)
    assert found is not None
    assert found.startswith("LEAKS: 10 of 10")


def test_who_is_not_in_the_list_is_known_by_the_folder(root: Path, data_config: MakeConfig, tmp_path: Path) -> None:
    (tmp_path / "patients.csv").write_text("path,patient\nglioma/g0/visit0.nii.gz,somebody\n")
    table = loaded(root, data_config, patients=str(tmp_path / "patients.csv")).split.table
    others = table[~table["path"].str.contains("g0/")]
    assert (others.groupby(others["path"].str.split("/").str[1])["group"].nunique() == 1).all()


def test_a_mask_among_the_volumes_is_no_volume(root: Path, data_config: MakeConfig, tmp_path: Path) -> None:
    save(root / "glioma/g0/segmentation", head(0, True)[1])
    with pytest.raises(InputError, match=r"segmentation.* \(it has 2 different values, as a mask has: keep masks out"):
        loaded(root, data_config)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda mask: nibabel.Nifti1Image(mask, AFFINE @ np.diag([1, 1, 1.5, 1])), "says that they lie elsewhere"),
        (lambda mask: nibabel.Nifti1Image(mask[2:], AFFINE + 900 * np.eye(4, k=3)), "marks nothing that lies in"),
        (lambda mask: nibabel.Nifti1Image(mask, None), "do not both say where"),
        (lambda mask: nibabel.Nifti1Image(np.random.default_rng(0).random(mask.shape), AFFINE), "so it is no mask"),
    ],
)
def test_a_mask_that_is_not_of_its_volume_is_refused(
    root: Path, data_config: MakeConfig, tmp_path: Path, change: Callable[..., Any], said: str
) -> None:
    nibabel.save(change(head(0, True)[1]), tmp_path / "masks/glioma/g0/visit0.nii.gz")
    with pytest.raises(InputError, match=rf"g0/visit0\.nii\.gz .*{said}"):
        loaded(root, data_config, masks=str(tmp_path / "masks"))


def test_a_scaled_mask_is_what_its_file_means(root: Path, data_config: MakeConfig, tmp_path: Path) -> None:
    mask = head(0, True)[1]
    plain = loaded(root, data_config, masks=str(tmp_path / "masks"))
    # Stored as -300 and 300: nibabel writes values into a header of whole numbers like that.
    scaled = nibabel.Nifti1Image((mask.astype(np.int16) * 600 - 300).astype(np.int16), AFFINE)
    scaled.header.set_slope_inter(1 / 600, 0.5)
    path = tmp_path / "masks/glioma/g0/visit0.nii.gz"
    path.write_bytes(gzip.compress(scaled.to_bytes()))
    assert np.unique(nibabel.load(path).get_fdata().round(6)).tolist() == [0, 1]
    again = loaded(root, data_config, masks=str(tmp_path / "masks"))
    row = np.flatnonzero(plain.split.table["path"] == "glioma/g0/visit0.nii.gz")
    np.testing.assert_array_equal(again.mask_of(row), plain.mask_of(row))


def test_masks_are_fitted_as_their_volumes(root: Path, data_config: MakeConfig, tmp_path: Path) -> None:
    dataset = loaded(root, data_config, masks=str(tmp_path / "masks"))
    rows = np.flatnonzero(dataset.split.table["label"] == "glioma")
    masks = dataset.mask_of(rows)
    assert masks is not None
    assert masks.shape == (18, *SHAPE[:3])
    # The lesion is what is bright, in the front of the patient's right: above, and on the left of a shown slice.
    volumes = dataset.images(rows)[..., 0]
    for mask, volume in zip(masks, volumes, strict=True):
        assert volume[mask].mean() > volume[~mask & (volume > 0)].mean() + 80
        _, across, along = np.argwhere(mask).mean(axis=0)
        assert across < (SHAPE[1] - 1) / 2
        assert along < (SHAPE[2] - 1) / 2
    healthy = dataset.mask_of(np.flatnonzero(dataset.split.table["label"] == "notumor"))
    assert healthy is not None
    assert not healthy.any()


def test_the_very_volumes_are_found_again_by_their_content(root: Path, data_config: MakeConfig) -> None:
    dataset = loaded(root, data_config)
    moved = root.rename(root.parent / "elsewhere")
    decoder = decoder_of(data_config(moved, volume_shape=SHAPE[:3]), SHAPE)
    again = find_by_content(dataset.split, moved, decoder=decoder, cache=str(root.parent / "other cache"))
    assert again.split.digest == dataset.split.digest
    np.testing.assert_array_equal(again.images(np.arange(36)), dataset.images(np.arange(36)))


def test_what_is_no_volume_is_named(root: Path, data_config: MakeConfig) -> None:
    (root / "glioma/g0/visit0.nii.gz").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"1 of 36 .*g0/visit0\.nii\.gz .*repair or remove"):
        loaded(root, data_config)
    with pytest.raises(InputError, match=r"glioma.* holds no image"):
        load(data_config(root, classes=("glioma", "notumor")), shape=(16, 16, 3), protocol=GROUPED)

"""Planted twins are found, planted neighbours are not, and the public data gives what is known of it."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from phantoms import drawn
from PIL import Image

from brain_tumor.config.train import PhantomConfig
from brain_tumor.data.cache import hash_files
from brain_tumor.data.twins import THRESHOLD, TwinGraph, find_twins, graph

Picture = Image.Image
SETTINGS = PhantomConfig(subjects=12, slices_per_subject=5, size=224, seed=3)


def as_jpeg(image: Picture, quality: int) -> Picture:
    stream = io.BytesIO()
    image.save(stream, "jpeg", quality=quality)
    return Image.open(stream).convert("L")


def windowed(image: Picture, low: float, high: float, gamma: float = 1.0) -> Picture:
    values = np.clip((np.asarray(image) / 255 - low) / (high - low), 0, 1) ** gamma
    return Image.fromarray((values * 255).astype(np.uint8))


def shifted(image: Picture, x: int, y: int) -> Picture:
    return image.transform(image.size, Image.Transform.AFFINE, (1, 0, x, 0, 1, y))


def cropped(image: Picture, left: int, top: int) -> Picture:
    """Without so many pixels on either side, whether that cuts into the head or not."""
    return image.crop((left, top, image.width - left, image.height - top))


def margin(image: Picture, pixels: int) -> Picture:
    wide = Image.new("L", (image.width + 2 * pixels, image.height + 2 * pixels))
    wide.paste(image, (pixels, pixels))
    return wide


TURNS = Image.Transpose
# What is done to a slice, and what kind of twin that makes.
PLANTED: dict[str, tuple[Callable[[Picture], Picture], str]] = {
    "in another mode": (lambda image: image.convert("RGB"), "identical"),
    "JPEG 90": (lambda image: as_jpeg(image, 90), "same"),
    "JPEG 30": (lambda image: as_jpeg(image, 30), "same"),
    "brighter window": (lambda image: windowed(image, 0.0, 0.7), "same"),
    "darker window": (lambda image: windowed(image, 0.1, 1.0, 1.5), "same"),
    "shifted by 2 px": (lambda image: shifted(image, 2, -2), "same"),
    "half the size": (lambda image: image.resize((112, 112), Image.Resampling.BICUBIC), "same"),
    "twice the size": (lambda image: image.resize((448, 448), Image.Resampling.BICUBIC), "same"),
    "a wider margin": (lambda image: margin(image, 30), "same"),
    "cropped into the head": (lambda image: cropped(image, 4, 4), "same"),
    "cropped and stretched": (lambda image: cropped(image, 6, 0).resize((224, 224)), "same"),
    "mirrored": (lambda image: image.transpose(TURNS.FLIP_LEFT_RIGHT), "mirrored"),
    "upside down": (lambda image: image.transpose(TURNS.FLIP_TOP_BOTTOM), "mirrored"),
    "transposed": (lambda image: image.transpose(TURNS.TRANSPOSE), "mirrored"),
    "transversed": (lambda image: image.transpose(TURNS.TRANSVERSE), "mirrored"),
    "turned by 90": (lambda image: image.transpose(TURNS.ROTATE_90), "turned"),
    "turned by 180": (lambda image: image.transpose(TURNS.ROTATE_180), "turned"),
    "turned by 270": (lambda image: image.transpose(TURNS.ROTATE_270), "turned"),
    "mirrored, JPEG 60, brighter": (
        lambda image: as_jpeg(windowed(image.transpose(TURNS.FLIP_LEFT_RIGHT), 0, 0.8), 60),
        "mirrored",
    ),
}


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """60 phantom slices: `path`, `group` (the subject); the neighbours in a subject are the hard non-twins."""
    root = drawn(SETTINGS, tmp_path_factory.mktemp("phantom"))
    table = pd.read_csv(root / "table.csv", dtype=str, keep_default_na=False)
    return table.assign(path=[root / path for path in table["path"]])


def find(paths: list[Path], folder: Path) -> tuple[TwinGraph, list[str]]:
    shas, _ = hash_files(paths, 2)
    return find_twins(dict(zip(shas, paths, strict=True)), cache=folder / "cache", workers=2), shas


@pytest.fixture(scope="module")
def planted(slices: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> tuple[TwinGraph, pd.DataFrame]:
    """All slices, and of every sixth one each planted twin; the table has `sha`, `slice`, `what`."""
    folder = tmp_path_factory.mktemp("planted")
    rows = [(path, number, "as it is") for number, path in enumerate(slices["path"])]
    for number in range(0, len(slices), 6):
        with Image.open(slices["path"][number]) as opened:
            image = opened.convert("L")
        for what, (change, _) in PLANTED.items():
            path = folder / f"{number}-{what}.png"
            change(image).save(path)
            rows.append((path, number, what))
    table = pd.DataFrame(rows, columns=["path", "slice", "what"])
    found, shas = find(table["path"].tolist(), folder)
    return found, table.assign(sha=shas)


def test_planted_twins_are_found_and_neighbours_are_not(planted: tuple[TwinGraph, pd.DataFrame]) -> None:
    found, table = planted
    groups = pd.Series(found.groups(table["sha"].tolist()))
    original = table["slice"].map(dict(zip(table["slice"], groups, strict=False)))
    twins = table["what"] != "as it is"
    recall = {what: (groups == original)[table["what"] == what].mean() for what in PLANTED}
    assert min(recall.values()) == 1.0, recall
    slice_of = dict(zip(table["sha"], table["slice"], strict=True))
    right = found.edges["a"].map(slice_of) == found.edges["b"].map(slice_of)
    assert twins.sum() == 10 * len(PLANTED)
    assert right.mean() == 1.0  # precision
    assert groups[~twins].is_unique  # no two slices of a subject, nor of two, are one


def test_kinds_are_told(planted: tuple[TwinGraph, pd.DataFrame]) -> None:
    found, table = planted
    what = dict(zip(table["sha"], table["what"], strict=True))
    plain = {"as it is", "in another mode"}  # pixel for pixel: one of them stands for both
    edges = found.edges.assign(first=found.edges["a"].map(what), second=found.edges["b"].map(what))
    for name, (_, kind) in PLANTED.items():
        first, second = ({"as it is"}, {name}) if name in plain else (plain, {name})
        pairs = edges[
            (edges["first"].isin(first) & edges["second"].isin(second))
            | (edges["first"].isin(second) & edges["second"].isin(first))
        ]
        # Of 10; where three are alike pixel for pixel, one stands for the others, and what needs alignment is aligned
        # with one twin alone.
        assert len(pairs) >= (5 if "cropped" in name else 9), name
        assert (pairs["kind"] == kind).mean() >= 0.95, name  # a nearly symmetric slice is its own mirror image
    assert found.edges["score"].between(THRESHOLD, 1).all()
    assert (found.edges["a"] < found.edges["b"]).all()


def test_the_transform_takes_the_first_to_the_second(planted: tuple[TwinGraph, pd.DataFrame]) -> None:
    """A quarter turn there is the other quarter turn back, so it matters which of two images is `a`."""
    found, table = planted
    what = dict(zip(table["sha"], table["what"], strict=True))
    source = dict(zip(table["sha"], table["slice"], strict=True))
    pairs = found.candidates[found.candidates["score"] >= THRESHOLD]
    pairs = pairs[pairs["a"].map(source) == pairs["b"].map(source)]
    first, second = pairs["a"].map(what), pairs["b"].map(what)
    plain = {"as it is", "in another mode"}
    there = {"turned by 90": "turned by 90", "turned by 270": "turned by 270"}
    back = {"turned by 90": "turned by 270", "turned by 270": "turned by 90"}
    for from_plain, turned, expected in ((first, second, there), (second, first, back)):
        chosen = from_plain.isin(plain) & turned.isin(there)
        assert chosen.sum() >= 5
        assert (pairs["transform"][chosen] == turned[chosen].map(expected)).all()


def test_blank_and_broken_images_have_no_twin(tmp_path: Path) -> None:
    for number, level in enumerate((0, 0, 40, 41)):
        Image.new("L", (50 + number, 50 + number), level).save(tmp_path / f"{number}.png")
    (tmp_path / "4.png").write_bytes(b"no image")
    paths = sorted(tmp_path.glob("*.png"))
    found, shas = find(paths, tmp_path)
    assert len(found.edges) == 0
    assert len(set(found.groups(shas))) == 5


def test_blank_images_of_equal_pixels_are_identical(tmp_path: Path) -> None:
    for number, mode in enumerate(("L", "RGB")):
        Image.new("L", (50, 50), 40).convert(mode).save(tmp_path / f"{number}.png")
    found, shas = find(sorted(tmp_path.glob("*.png")), tmp_path)
    assert found.edges[["kind", "score"]].to_numpy().tolist() == [["identical", 1.0]]
    assert len(set(found.groups(shas))) == 1


def test_a_group_is_named_by_its_least_member() -> None:
    table = pd.DataFrame([("a1", "b2", "same", 0.95), ("b2", "c3", "same", 0.9), ("c3", "d4", "same", 0.5)])
    found = TwinGraph(table.set_axis(["a", "b", "transform", "score"], axis=1))
    assert found.groups(["d4", "c3", "b2", "a1", "e5"]) == ["td4", "ta1", "ta1", "ta1", "te5"]


def test_what_was_found_is_kept_and_a_damaged_file_made_anew(
    slices: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [*slices["path"].tolist()[:10], tmp_path / "twin.png"]
    with Image.open(paths[0]) as opened:
        windowed(opened, 0.1, 1.0).save(paths[-1])
    first, _ = find(paths, tmp_path)
    assert len(first.candidates)
    with monkeypatch.context() as patch:
        patch.setattr(graph, "_find", None)
        assert find(paths, tmp_path)[0].candidates.equals(first.candidates)
    kept = next((tmp_path / "cache" / "twins").iterdir())
    kept.write_text("a,b\n1")
    assert find(paths, tmp_path)[0].candidates.equals(first.candidates)


def test_twins_that_cannot_be_kept_are_found_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)).resize((64, 64))
    picture.save(tmp_path / "a.png")
    picture.transpose(TURNS.FLIP_LEFT_RIGHT).save(tmp_path / "b.png")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "twins").write_text("a file where the folder should be")
    found, _ = find([tmp_path / "a.png", tmp_path / "b.png"], tmp_path)
    assert found.edges["kind"].tolist() == ["mirrored"]
    assert f"cannot keep the twins in {tmp_path}/cache/twins (File exists): they will be looked for" in caplog.text


def test_the_order_and_the_threads_do_not_matter(slices: pd.DataFrame, tmp_path: Path) -> None:
    paths = slices["path"].tolist()[:30]
    files = dict(zip(hash_files(paths, 2)[0], paths, strict=True))
    other = dict(reversed(list(files.items())))
    one = find_twins(files, cache=tmp_path / "one", workers=1)
    two = find_twins(other, cache=tmp_path / "two", workers=2)
    assert one.candidates.equals(two.candidates)


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> tuple[TwinGraph, pd.DataFrame]:
    """The graph of both public folders; the table has `set`, `path`, `label`, `part`, `sha`, `group`, `figshare`."""
    if "BRAIN_TUMOR_DATA" not in os.environ:
        pytest.skip("BRAIN_TUMOR_DATA, the folder of the real datasets, is not set")
    home = Path(os.environ["BRAIN_TUMOR_DATA"])
    paths = sorted([*home.glob("brain-tumor-mri/*/*/*.jpg"), *home.glob("sartaj/*/*/*.jpg")])
    found, shas = find(paths, tmp_path_factory.mktemp("public"))
    parts = [path.relative_to(home).parts for path in paths]
    table = pd.DataFrame(parts, columns=["set", "part", "label", "name"]).assign(sha=shas, group=found.groups(shas))
    known = pd.read_csv(home / "patients.csv", dtype=str).set_index("path")["figshare_id"]
    table["path"] = table["part"] + "/" + table["label"] + "/" + table["name"]
    table["figshare"] = table["path"].map(known).where(table["set"] == "brain-tumor-mri")
    return found, table


@pytest.mark.real_data
@pytest.mark.slow
def test_twins_across_the_official_split(public: tuple[TwinGraph, pd.DataFrame]) -> None:
    """The counts are those of the data's own description, found there by another method."""
    table = public[1][public[1]["set"] == "brain-tumor-mri"]
    test, train = table[table["part"] == "Testing"], table[table["part"] == "Training"]
    twin = test["group"].isin(set(train["group"]))
    counts = twin.groupby(test["label"]).sum().to_dict()
    assert twin.sum() >= 980
    assert counts == pytest.approx({"glioma": 81, "meningioma": 289, "notumor": 405, "pituitary": 219}, abs=5)
    several = table.groupby("group")["label"].nunique()
    odd = table[table["group"].isin(several.index[several > 1])].groupby("label")["name"].apply(sorted).to_dict()
    assert odd == {
        "meningioma": ["Te-me_0156.jpg", "Tr-me_0831.jpg", "Tr-me_0942.jpg", "Tr-me_1311.jpg"],  # figshare says so too
        "pituitary": ["Te-piTr_0002.jpg", "Tr-pi_0043.jpg", "Tr-pi_0515.jpg", "Tr-pi_0520.jpg"],
    }
    glioma = table[table["label"] == "glioma"]
    assert glioma["group"].nunique() == pytest.approx(1426, abs=5)  # as many as figshare has


@pytest.mark.real_data
@pytest.mark.slow
def test_slices_with_a_known_source(public: tuple[TwinGraph, pd.DataFrame]) -> None:
    """Images of one figshare slice are twins, images of two are not, over all pairs of images whose slice is known.

    A weak test of recall: these twins are plain mirror images. Neighbouring slices of a patient do test precision.
    """
    found, table = public
    known = table.dropna(subset=["figshare"]).drop_duplicates("sha")
    source = dict(zip(known["sha"], known["figshare"], strict=True))
    edges = found.edges[found.edges["a"].isin(source) & found.edges["b"].isin(source)]
    right = edges["a"].map(source) == edges["b"].map(source)
    copies = known.groupby("figshare").size()
    there_are = int((copies * (copies - 1) // 2).sum())
    assert there_are == 1665
    assert right.sum() / there_are == 1.0  # recall
    assert right.mean() == 1.0  # precision
    assert (known.groupby("figshare")["group"].nunique() == 1).all()  # nor is a slice torn apart,
    assert (known.groupby("group")["figshare"].nunique() == 1).all()  # nor are two chained together


@pytest.mark.real_data
@pytest.mark.slow
def test_sartaj_is_no_other_site(public: tuple[TwinGraph, pd.DataFrame]) -> None:
    table = public[1]
    first, second = (table[table["set"] == name] for name in ("brain-tumor-mri", "sartaj"))
    assert second["group"].isin(set(first["group"])).sum() == pytest.approx(3138, abs=30)

"""An audit from end to end, on a folder with something planted for each finding."""

import re
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter, ImageOps
from toy import metrics_of, runs_in, tags_of, words

from brain_tumor.auditing.examine import examine
from brain_tumor.auditing.place import check_place
from brain_tumor.auditing.report import PAGE, summarize_audit, write_report
from brain_tumor.config.train import DataConfig, OnCorrupt, Source
from brain_tumor.data.classes import STANDARD
from brain_tumor.errors import InputError
from brain_tumor.layout.terminal import show_blocks

ODD = "<b>bold & 'quoted'.png"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def blobs(rng: np.random.Generator) -> Image.Image:
    """A gray picture like no other."""
    noise = Image.fromarray(rng.integers(0, 256, (64, 64), np.uint8)).filter(ImageFilter.GaussianBlur(3))
    return ImageOps.autocontrast(noise)


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """12 + 4 images of each class, and: 4 twins across the parts, a conflict, a blank and a corrupt image."""
    rng = np.random.default_rng(0)
    root = tmp_path / "scans, (1)"
    for part, count in (("Training", 12), ("Testing", 4)):
        for label in STANDARD.names:
            (root / part / label).mkdir(parents=True)
            for index in range(count):
                blobs(rng).save(root / part / label / f"{index}.png")
    train, test = root / "Training", root / "Testing"
    for label in ("glioma", "meningioma"):
        (test / label / "copy.png").write_bytes((train / label / "0.png").read_bytes())
    with Image.open(train / "notumor" / "0.png") as image:
        ImageOps.mirror(image).convert("RGB").save(test / "notumor" / ODD)
        ImageOps.flip(image).rotate(90).save(train / "pituitary" / "conflict.png")
    Image.new("L", (64, 64), 30).save(train / "glioma" / "blank.png")
    (train / "glioma" / "corrupt.png").write_bytes(b"")
    return root


def config(root: Path | list[str], cache: Path) -> DataConfig:
    return DataConfig(
        source=Source.folder,
        root=str(root) if isinstance(root, Path) else tuple(root),
        image_size=None,
        val_fraction=0.1,
        test_fraction=0.1,
        split_seed=0,
        on_corrupt=OnCorrupt.error,
        workers=2,
        cache=str(cache),
    )


class Seen(HTMLParser):
    """The tags, the addresses and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_what_was_planted_is_found(planted: Path, tmp_path: Path) -> None:
    audit = examine(config(planted, tmp_path / "cache"), floor=False)
    found = audit.found
    totals = found.across_parts.set_index("label").loc["all"]
    assert totals[["images", "identical", "same", "mirrored", "turned", "any"]].tolist() == [19, 2, 0, 1, 0, 3]
    assert sorted(found.conflicts["path"]) == [
        f"Testing/notumor/{ODD}", "Training/notumor/0.png", "Training/pituitary/conflict.png",
    ]  # fmt: skip
    assert found.conflicts["path"].iloc[0] == "Training/pituitary/conflict.png"  # one against two
    assert found.corrupt["path"].tolist() == ["Training/glioma/corrupt.png"]
    assert found.blank["path"].tolist() == ["Training/glioma/blank.png"]
    assert found.formats.set_index("mode").loc["RGB", "notumor"] == 1
    assert audit.verdict[0].startswith("3 of 19 test images (16%) have a twin in the training part")
    assert audit.floor is None


def test_the_report_opens_offline_and_shows_names_to_the_letter(
    planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit = examine(config(planted, tmp_path / "cache"), floor=False)
    write_report(audit, tmp_path / "report")
    page = Seen()
    page.feed((tmp_path / "report" / PAGE).read_text(encoding="utf-8"))
    assert "b" not in page.tags
    assert ODD in page.text
    assert len(page.addresses) == len(audit.figures)
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not page.tags & {"script", "link", "iframe"}
    listed = pd.read_csv(tmp_path / "report" / "tables" / "images.csv", keep_default_na=False)
    assert len(listed) == 64 + 6
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    _, details = summarize_audit(audit)
    show_blocks(*details)
    assert f"Testing/notumor/{ODD}" in capsys.readouterr().out


def test_sites_are_compared(planted: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    rng = np.random.default_rng(1)
    for label in STANDARD.names:
        (other / label).mkdir(parents=True)
        blobs(rng).save(other / label / "own.png")
        with Image.open(planted / "Testing" / label / "1.png") as image:
            image.resize((80, 80)).save(other / label / "taken.jpg", quality=90)
    audit = examine(config([str(planted), str(other)], tmp_path / "cache"), floor=False)
    totals = audit.found.across_sites[audit.found.across_sites["label"] == "all"].set_index("site")
    assert totals.loc["other", ["images", "same", "any"]].tolist() == [8, 4, 4]
    assert totals.loc["scans, (1)", "any"] == 4
    assert "other/glioma/taken.jpg" in set(audit.found.images["path"])


def test_nothing_can_be_decoded(tmp_path: Path) -> None:
    for label in STANDARD.names:
        (tmp_path / "data" / label).mkdir(parents=True)
        (tmp_path / "data" / label / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"none of the 4 images can be decoded \(glioma/a.png: the file is empty\)"):
        examine(config(tmp_path / "data", tmp_path / "cache"), floor=False)


def test_a_report_never_replaces_anything(tmp_path: Path) -> None:
    assert check_place(None) is None
    assert check_place(str(tmp_path / "new")) == tmp_path / "new"
    (tmp_path / "file").write_text("mine")
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(InputError, match="is there already: name a new folder"):
            check_place(str(taken))
    with pytest.raises(InputError, match=r"report=.* cannot be written"):
        check_place(str(tmp_path / "file" / "report"))


@pytest.mark.slow
def test_the_command_prints_logs_and_writes(run: Run, planted: Path, tmp_path: Path) -> None:
    work = tmp_path / "my work"
    typed = ("audit", "data=folder", f"data.root={planted}", "report=audit of mine", "tracking.system_metrics=false")
    done = run(*typed, cwd=work)
    assert done.returncode == 0, done.stderr
    assert words(done.stdout).startswith(
        "Audit of scans, (1) - 3 of 19 test images (16%) have a twin in the training p"
    )
    assert words(f"report {work}/audit of mine/{PAGE}") in words(done.stdout)
    logged = re.search(r"/runs/([0-9a-f]{32})", done.stdout)
    assert logged
    tags, metrics = tags_of(work, logged[1]), metrics_of(work, logged[1])
    assert (tags["job"], tags["data_kind"]) == ("audit", "real")
    assert (metrics["audit/images"], metrics["audit/test_in_train"], metrics["audit/corrupt"]) == (70, 3, 1)
    floor = pd.read_csv(work / "audit of mine" / "tables" / "floor.csv").set_index(["protocol", "shortcut"])
    assert metrics["floor/grouped/mode"] == pytest.approx(floor.loc[("grouped", "mode"), "accuracy"])
    artifacts = work / "mlruns" / "artifacts" / logged[1] / "artifacts"
    assert (artifacts / "report" / PAGE).read_bytes() == (work / "audit of mine" / PAGE).read_bytes()
    assert (artifacts / "config" / "config.yaml").is_file()

    for label in STANDARD.names:
        (work / "empty" / label).mkdir(parents=True)
    (work / "some" / "glioma").mkdir(parents=True)
    (work / "p.csv").write_text("path,patient\nelsewhere.png,P\n")
    for more, said in {
        f"data.root={work / 'empty'}": "holds no image",
        f"data.root={work / 'some'}": "two classes at least, and there is only glioma",
        f"data.patients={work / 'p.csv'}": "names none of the images",
    }.items():
        refused = run("audit", "data=folder", f"data.root={planted}", more, cwd=work)
        assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr
    assert [each.info.status for each in runs_in(work)] == ["FINISHED"]  # that of the audit above: none was left behind

    again = run(*typed, cwd=work)
    assert again.returncode == 2
    assert again.stderr.startswith("error: report=audit of mine is there already")
    gone = run("audit", "data=folder", f"data.root=['{planted}',{tmp_path}/nowhere]", cwd=work)
    assert gone.returncode == 2
    assert "nowhere does not exist" in gone.stderr
    masked = run("audit", "data=folder", f"data.root={planted}", f"data.masks={tmp_path}", cwd=work)
    assert masked.returncode == 2
    assert "data.masks=" in masked.stderr
    assert "is not read by an audit: leave it out" in masked.stderr

"""`python -m brain_tumor.lr_find`: what it refuses, and the line that it prints."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from composition import task
from PIL import Image
from toy import call, draw_folders

from brain_tumor.config.commands import LrFindConfig
from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.errors import InputError
from brain_tumor.jobs.lr_find import train_line
from brain_tumor.jobs.training_checks import check_lr_find


def checked(*overrides: str, **own: object) -> None:
    asked = {"phase": None, "lowest": 1e-6, "highest": 1.0, "steps": 20, "out": "lr.png", **own}
    check_lr_find(typed(TrainConfig, task("model=cnn_baseline", "schedule=scratch", *overrides)), LrFindConfig(**asked))


@pytest.mark.parametrize(
    ("overrides", "own", "said"),
    [
        (["seeds=[0,1]"], {}, "this asks for 2: give one of them, seed=0 say"),
        (["protocol.folds=5"], {}, "this asks for 5: give one of them, protocol.fold=0 say"),
        (["resume=abc"], {}, "resume=abc goes on with a run"),
        ([], {"phase": "al"}, "phase=al is none of this schedule, which has scratch"),
        ([], {"out": "lr.csv"}, "out=lr.csv: name a file that ends in .png, .svg, .pdf"),
        ([], {"out": "none/lr.png"}, "out=none/lr.png: "),
        ([], {"out": "there.png"}, "out=there.png is there already"),
    ],
)
def test_what_cannot_be_looked_for_is_refused(
    overrides: list[str], own: dict[str, object], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.png").touch()
    with pytest.raises(InputError, match=re.escape(said)):
        checked(*overrides, **own)


def test_the_line_to_paste_has_what_was_typed_but_what_train_does_not_take() -> None:
    given = ["data=folder", "data.root=/a b", "phase=all", "steps=50", "out=x.png", "schedule.all.learning_rate=1"]
    words = shlex.split(train_line(given, "schedule.all.learning_rate", 0.00123))
    assert words[1:] == [
        "-m",
        "brain_tumor.train",
        "data=folder",
        "data.root=/a b",
        "schedule.all.learning_rate=1.2e-03",
    ]


def test_it_draws_suggests_and_leaves_only_the_figure(tmp_path: Path) -> None:
    root = draw_folders(tmp_path / "images", train=12, test=2)
    typed_here = ["data=folder", f"data.root={root}", "data.image_size=32", "model=cnn_baseline", "schedule=scratch"]
    quick = ["protocol=official", "augment=none", "schedule.scratch.batch_size=8"]
    done = call(tmp_path, "lr_find", *typed_here, *quick, "steps=60", "highest=100")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [each.name for each in (tmp_path / "work").iterdir()] == ["lr_find.png"]
    with Image.open(tmp_path / "work" / "lr_find.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5  # something is drawn
    [line] = [each for each in done.stdout.splitlines() if "brain_tumor.train" in each]
    key, _, rate = shlex.split(line)[-1].partition("=")
    assert key == "schedule.scratch.learning_rate"
    assert 1e-7 < float(rate) < 10
    assert shlex.split(line)[3:-1] == [*typed_here, *quick]

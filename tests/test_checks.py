"""`python -m brain_tumor.checks`: what a training needs, looked at without making anything."""

import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path

import pytest
from composition import task
from packaging.requirements import Requirement
from toy import call, draw_folders, words

from brain_tumor.config.train import TrackingConfig, TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.data import kaggle
from brain_tumor.errors import InputError
from brain_tumor.jobs import checks
from brain_tumor.models import weights
from brain_tumor.models.weights import HostedFile
from brain_tumor.tracking.store_look import look

NOBODY = "http://127.0.0.1:1"  # a port at which nothing listens


def config(*overrides: str) -> TrainConfig:
    return typed(TrainConfig, task(*overrides))


def test_one_screen_says_what_there_is_and_nothing_is_made(tmp_path: Path) -> None:
    root = draw_folders(tmp_path / "images", train=2, test=1)
    done = call(tmp_path, "checks", "data=folder", f"data.root={root}", "model=cnn_baseline", "schedule=scratch")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) <= 24  # of a terminal
    assert [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "] == [
        *("versions", "extras", "device", "model", "weights", "data", "store", "disk")
    ]
    assert f"{root}: 12 images of " in done.stdout
    assert f"{tmp_path / 'work'}/mlruns/mlflow.db: is made by the first run" in done.stdout
    assert not list((tmp_path / "work").iterdir())
    assert not (tmp_path / "xdg").exists()


def test_what_stands_in_the_way_is_said_and_the_rest_is_seen(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_text("no database, but long enough for SQLite to look at what it is" * 20)
    done = call(tmp_path, "checks", "data=folder", "data.root=none", f"tracking.uri=sqlite:///{tmp_path}/broken.db")
    assert done.returncode == 2
    assert "data      NOT READY: data.root=none does not exist" in done.stdout
    assert "store NOT READY: tracking.uri=sqlite:///" in words(done.stdout)
    assert "effnet_lite0, 96 x 96 pixels" not in done.stdout  # 96 is the phantom's own
    assert "effnet_lite0, 224 x 224 pixels" in done.stdout
    assert done.stderr.splitlines()[-1] == "error: no training can start like this: see data, store above"


def test_a_package_that_is_broken_hides_nothing_else() -> None:
    def broken() -> str:
        raise ImportError("libcudart.so.12: cannot open\nshared object file")

    found = checks._checked("device", broken)
    assert (found.good, found.said) == (False, "ImportError: libcudart.so.12: cannot open shared object file")


def test_weights_that_are_not_here_are_looked_for_and_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "hosted_file", lambda _: HostedFile("b4.h5", f"{NOBODY}/b4.h5", "0" * 32))
    with pytest.raises(InputError, match=rf"effnet_b4 are not here, and {NOBODY}/b4.h5 cannot be reached \("):
        checks.model(config("model=effnet_b4"))
    monkeypatch.setattr(checks, "unreachable", lambda _: "")
    assert checks.model(config("model=effnet_b4")).endswith(f"not here, are downloaded from {NOBODY}/b4.h5")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("model=cct_5 model.weights=imagenet", "model=cct_5 has no ImageNet weights: give model.weights=none"),
        ("model=hybrid_lite0", "the ImageNet weights of hybrid_lite0 are not installed"),
        ("model=vit_ti16", "the ImageNet weights of vit_ti16 cannot be downloaded .no digest is known"),
    ],
)
def test_weights_that_cannot_be_had_are_said_to_be_so(asked: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=said):
        checks.model(config(*asked.split()))


def test_images_at_kaggle_are_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    monkeypatch.setattr(kaggle, "page_of", lambda _: NOBODY)
    asked = config("data=kaggle", "data.handle=someone/tumours/versions/3")
    with pytest.raises(InputError, match=f"someone/tumours/versions/3 is not here, and {NOBODY} cannot be reached"):
        checks.data(asked)
    place = tmp_path / "datasets" / "someone" / "tumours" / "versions" / "3"
    place.mkdir(parents=True)
    assert kaggle.downloaded("someone/tumours/versions/3") is None  # a download that was stopped
    (place.parents[1] / "3.complete").touch()  # as kagglehub marks one that was not
    assert checks.data(asked) == f"someone/tumours/versions/3: {place}"


def test_a_store_is_counted_and_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(file)) as database:
        for table, rows in (("experiments", 1), ("runs", 3), ("registered_models", 1), ("model_versions", 2)):
            database.execute(f"CREATE TABLE {table} (id INTEGER)")
            database.executemany(f"INSERT INTO {table} VALUES (?)", [(each,) for each in range(rows)])
        database.commit()
    before = file.read_bytes()
    said = look(TrackingConfig(f"sqlite:///{file}", "e", None, "c", False))
    assert said == f"{file}: 3 runs; 1 registered models, 2 versions of them"
    assert file.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=f"^{tmp_path}/file cannot be written to, and results go there"):
        checks.disk(config(f"tracking.checkpoints={tmp_path}/file/below"))


def test_the_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    for extra, packages in checks.EXTRAS.items():
        assert {Requirement(each).name for each in project["optional-dependencies"][extra]} == set(packages)

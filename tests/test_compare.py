"""`python -m brain_tumor.compare RUN_A RUN_B`: which runs are meant, what is refused, what is logged and printed."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from stores import Trained
from toy import TINY, client, run_id, scores_of, words

from brain_tumor.command_line import named_runs
from brain_tumor.config.train import TrackingConfig
from brain_tumor.data.cache import hash_files
from brain_tumor.data.classes import STANDARD
from brain_tumor.data.logged_split import load_pictures
from brain_tumor.data.split import Split
from brain_tumor.errors import InputError
from brain_tumor.evaluation import comparison
from brain_tumor.evaluation.metrics import Evaluation
from brain_tumor.layout.blocks import Alert
from brain_tumor.tracking import comparison_run, results, runs
from brain_tumor.tracking.store import Store, open_store

Run = Callable[..., "subprocess.CompletedProcess[str]"]
LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 3])
RIGHT_A = np.array([1, 1, 1, 1, 1, 1, 0, 0], bool)
RIGHT_B = np.array([0, 0, 0, 1, 1, 1, 1, 0], bool)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder for all tests here."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def store(work: Path) -> Store:
    """Where a command that runs in `work` keeps its runs."""
    return open_store(TrackingConfig(f"sqlite:///{work}/mlruns/mlflow.db", "brain-tumor", None, "c", False))


@pytest.fixture
def split(tmp_path: Path) -> Split:
    """Eight images, each gray and a group of its own."""
    root = tmp_path / "images"
    root.mkdir()
    paths = [f"{index}.png" for index in range(len(LABELS))]
    for index, path in enumerate(paths):
        Image.fromarray(np.full((50, 40, 3), 20 * index, np.uint8)).save(root / path)
    table = pd.DataFrame({"path": paths, "label": np.asarray(STANDARD.names)[LABELS], "part": "test", "site": ""})
    shas, _ = hash_files([root / path for path in paths], 1)
    rows = table.assign(group=paths, twin=paths, sha256=shas)
    return Split(rows, root=root, source="folder", synthetic=False)


def make(store: Store, split: Split, right: np.ndarray | None, job: str = "train", **tags: str) -> str:
    """A run that predicted the test part, right where `right` says so; None: nothing. Returns its id."""
    own = {"job": job, "data": "folder", "data_kind": "real", "protocol": "official", **tags}
    with runs.started(store, name=f"{job} of a test", tags=own, system_metrics=False) as run_id:
        runs.log_split(split, "training")
        if right is not None:
            # Whatever may come to stand in the tables; and what is known of lesions, of the first alone.
            rows = split.table.assign(later_column="x", trust=[float(right[0]), *[np.nan] * (len(right) - 1)])
            said = np.where(right, LABELS, (LABELS + 1) % 4)
            evaluation = Evaluation(rows, 0.6 * np.eye(4)[said] + 0.1, STANDARD.names, "test part, folder, official")
            results.log_evaluation(evaluation, "test", resamples=100)
    return run_id


def test_positional_runs_become_keys() -> None:
    assert named_runs(["a1", "models:/x@champion", "part=val"]) == ["run_a=a1", "run_b=models:/x@champion", "part=val"]
    assert named_runs(["part=val", "run_a=x", "b2"]) == ["part=val", "run_a=x", "run_b=b2"]
    assert named_runs(["--cfg", "job", "a", "b"]) == ["--cfg", "job", "run_a=a", "run_b=b"]
    assert named_runs(["--help"]) == ["--help"]
    assert named_runs(["-v", "a", "b"]) == ["-v", "run_a=a", "run_b=b"]
    with pytest.raises(InputError, match="c: only two runs can be compared"):
        named_runs(["a", "b", "c"])


def test_a_comparison_from_the_command_line(run: Run, store: Store, split: Split, work: Path) -> None:
    a, b = make(store, split, RIGHT_A), make(store, split, RIGHT_B, job="evaluate", leaking="true", contaminated="true")
    done = run("compare", a, b, "bootstrap=100", cwd=work)
    assert done.returncode == 0, done.stderr
    out = words(done.stdout)
    title = "test part, folder, official / test part, folder, official (LEAKS) (CONTAMINATED)"
    assert f"{title}: 8 images that both runs predicted, in 8 groups" in out
    assert f" A train of a test ({a}) B evaluate of a test ({b}) " in out
    assert "Left out" not in out
    assert "LEAKS: B had twins of test images in training" in out
    assert "CONTAMINATED: B had twins of test images in training" in out
    assert " accuracy 0.750 0.500 -0.250 -" in out
    assert " right, and not without the lesion 1.000 0.000 -1.000" in out
    assert "These images do not show that one of the two is more often right." in out
    # 3 and 1 of 4 that differ: 2 (C(4, 0) + C(4, 1)) / 2^4
    said = (
        "3 images that A got right B gets wrong, 1 the other way round (exact McNemar test: p = 0.62; it takes images"
    )
    assert said in out

    made = re.findall(r"/runs/([0-9a-f]{32})", out)[0]
    tags, metrics = mlflow.get_run(made).data.tags, mlflow.get_run(made).data.metrics
    assert (tags["job"], tags["run_a"], tags["run_b"], tags["part"]) == ("compare", a, b, "test")
    assert (tags["data_kind"], tags["protocol"]) == ("real", "official")
    assert f"/runs/{a})" in tags["mlflow.note.content"]
    assert f"/runs/{b})" in tags["mlflow.note.content"]
    assert metrics["difference/accuracy"] == pytest.approx(-0.25)
    assert metrics["difference/trust"] == -1
    assert metrics["mcnemar/p_value"] == pytest.approx(0.625)
    assert (metrics["images/compared"], metrics["images/only_a_right"]) == (8, 3)
    artifacts = work / "mlruns" / "artifacts" / made / "artifacts"
    changed = pd.read_csv(artifacts / "tables" / "changed.csv")
    assert changed["path_a"].tolist() == ["0.png", "1.png", "2.png", "6.png"]
    assert pd.read_csv(artifacts / "tables" / "differences.csv")["metric"].tolist()[0] == "accuracy"
    two = pd.read_csv(artifacts / "tables" / "right_and_wrong.csv", index_col=0)
    assert two.to_numpy().tolist() == [[3, 3], [1, 1]]
    for name in ("differences", "changed"):
        with Image.open(artifacts / "figures" / f"{name}.png") as picture:
            assert min(picture.size) > 500


def test_without_the_images_there_is_no_sheet(run: Run, store: Store, split: Split, work: Path) -> None:
    a, b = make(store, split, RIGHT_A), make(store, split, RIGHT_B)
    split.root.rename(split.root.with_name("moved"))
    done = run("compare", a[:20], f"run_b={b}", "bootstrap=100", cwd=work)
    assert done.returncode == 0, done.stderr
    assert "no sheet of the changed images: the images are no longer in" in words(done.stdout)
    made = re.findall(r"/runs/([0-9a-f]{32})", done.stdout)[0]
    figures = work / "mlruns" / "artifacts" / made / "artifacts" / "figures"
    assert [path.name for path in figures.iterdir()] == ["differences.png"]


def test_pictures_are_found_by_content(split: Split) -> None:
    shas = split.table["sha256"].tolist()
    (split.root / "deeper").mkdir()
    (split.root / "5.png").rename(split.root / "deeper" / "other.png")
    found = load_pictures(split, [shas[5], shas[2]], 32)
    assert {sha: (image.shape, int(image[16, 16, 0])) for sha, image in found.items()} == {
        shas[2]: ((32, 32, 3), 40),
        shas[5]: ((32, 32, 3), 100),
    }
    assert load_pictures(split, [], 32) == {}
    (split.root / "2.png").write_bytes(b"another file")
    with pytest.raises(InputError, match=r"1 of the split's 2 images are not under .* \(2.png\)"):
        load_pictures(split, [shas[5], shas[2]], 32)


def test_a_run_is_found_by_its_beginning(store: Store, split: Split) -> None:
    a = make(store, split, None)
    client = mlflow.MlflowClient()
    others = [client.create_run(store.experiment_id).info.run_id for _ in range(17)]  # two of them begin alike
    assert comparison_run.find(a, "run_a").info.run_id == a
    assert comparison_run.find(a[:25], "run_a").info.run_id == a
    firsts = [each[0] for each in others]
    twice = next(first for first in firsts if firsts.count(first) > 1)
    with pytest.raises(InputError, match=f"run_a={twice}: the ids of several runs begin so"):
        comparison_run.find(twice, "run_a")
    for meant in ("0" * 32, "%", "a' or '1", "runs:/x", ""):
        with pytest.raises(InputError, match=f"^run_b={re.escape(meant)}: sqlite:.* has no run whose id begins so"):
            comparison_run.find(meant, "run_b")


def test_a_model_means_the_run_that_trained_it(store: Store, split: Split) -> None:
    a = make(store, split, None)
    client = mlflow.MlflowClient()
    client.create_registered_model("brain-tumor")
    client.create_model_version("brain-tumor", f"runs:/{a}/model", run_id=a)
    client.create_model_version("brain-tumor", "file:///somewhere")
    client.set_registered_model_alias("brain-tumor", "champion", "1")
    for meant in ("models:/brain-tumor@champion", "models:/brain-tumor/1"):
        assert comparison_run.find(meant, "run_a").info.run_id == a
    for meant in ("models:/brain-tumor/77", "models:/brain-tumor@nobody", "models:/nothing/1"):
        with pytest.raises(InputError, match=f"^run_a={meant}: there is no such model in sqlite:"):
            comparison_run.find(meant, "run_a")
    with pytest.raises(InputError, match="models:/brain-tumor/2 names no model of a run: give models:/NAME@ALIAS or"):
        comparison_run.find("models:/brain-tumor/2", "run_a")
    for meant in ("models:/", "models:/brain-tumor"):
        with pytest.raises(InputError, match=f"^run_a={meant}(:|) "):
            comparison_run.find(meant, "run_a")


def test_a_parent_names_its_runs(store: Store, split: Split) -> None:
    with runs.started(store, name="several", tags={"job": "several"}, system_metrics=False) as parent:
        members = {}
        for seed in (0, 1):
            own = {"job": "train", "member": f"seed {seed}"}
            with runs.started(store, tags=own, parent=parent, system_metrics=False) as run_id:
                members[run_id] = seed
    named = ", ".join(f"{run_id} (seed {seed})" for run_id, seed in members.items())
    message = (
        f"run_a={parent} has no predictions of its test part: it stands for several runs; give one of them: {named}"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        comparison_run.predictions(mlflow.get_run(parent), "test", "run_a")


def test_a_validation_part_that_leaks_is_marked(store: Store, split: Split) -> None:
    title = "val part, folder, official (LEAKS)"
    found, run_ids = [], []
    for tags in ({"leaking_val": "true", "leaking": "false"}, {"leaking_val": "false", "leaking": "true"}):
        run_id = make(store, split, None, **tags)
        client = mlflow.MlflowClient()
        rows = split.table.assign(part="val")
        table = Evaluation(rows, 0.6 * np.eye(4)[LABELS] + 0.1, STANDARD.names, "val part, folder, official").table()
        client.log_text(run_id, table.to_csv(index=False), "tables/val_predictions.csv")
        run_ids.append(run_id)
        found.append(comparison_run.predictions(mlflow.get_run(run_id), "val", "run_a"))
    assert [each.title for each in found] == [title, "val part, folder, official"]
    compared = comparison.compare(*found, resamples=100)
    blocks, _ = comparison_run.summarize_comparison(compared, *map(mlflow.get_run, run_ids))
    assert [block for block in blocks if isinstance(block, Alert)] == [
        Alert("LEAKS: A had twins of val images in training, which flatters the scores")
    ]


@pytest.mark.parametrize(
    ("job", "status", "metrics", "part", "remedy"),
    [
        (
            "train",
            "FINISHED",
            {},
            "test",
            "it was never opened; compare part=val, or open it .* model_uri=runs:/.*/model",
        ),
        ("train", "RUNNING", {}, "test", r"it has not finished \(RUNNING\); wait, or go on: .* resume="),
        (
            "train",
            "FINISHED",
            {"test/accuracy": 1.0},
            "test",
            "it has scored them, and their table is not in .*/tables",
        ),
        ("evaluate", "FINISHED", {}, "val", "evaluate measures the test part alone; give the run that trained, abc"),
        ("evaluate", "FAILED", {}, "test", r"it has not finished \(FAILED\); wait, or evaluate again"),
        ("sweep", "FINISHED", {}, "test", "it is a study; give the run of a training"),
        ("ensemble", "FINISHED", {}, "test", "it registered a model, which only evaluate measures; give the run of a"),
        ("trial", "FINISHED", {"val/accuracy": 1.0}, "val", "it is a sweep's trial, .* train it again by itself"),
        ("other", "FINISHED", {}, "test", "brain_tumor has not logged it; give the run"),
    ],
)
def test_a_run_without_predictions_says_what_to_do(
    job: str, status: str, metrics: dict[str, float], part: str, remedy: str, store: Store, split: Split
) -> None:
    own = {"job": "train", "study": "s"} if job == "trial" else {"job": job}
    run_id = make(store, split, None, **own, trained_by="abc")
    client = mlflow.MlflowClient()
    for name, value in metrics.items():
        client.log_metric(run_id, name, value)
    client.update_run(run_id, status)
    with pytest.raises(InputError, match=f"^run_a={run_id} has no predictions of its {part} part: {remedy}"):
        comparison_run.predictions(client.get_run(run_id), part, "run_a")


def test_a_mistake_is_one_line(run: Run, store: Store, split: Split, work: Path) -> None:
    a = make(store, split, RIGHT_A)
    for arguments, message in (
        ([a], "error: run_b missing: "),
        ([a, "b", "c"], "error: c: only two runs can be compared: "),
        ([a, "models:/nothing@champion"], "error: run_b=models:/nothing@champion: there is no such model"),
        ([a, a, "part=val"], f"error: run_a={a} has no predictions of its val part: "),
    ):
        done = run("compare", *arguments, cwd=work)
        assert done.returncode == 2
        assert [line[: len(message)] for line in done.stderr.splitlines() if "rror" in line] == [message]


@pytest.mark.slow
def test_two_trainings_are_compared(trained: Trained, run: Run, tmp_path: Path) -> None:
    images = trained.copy(tmp_path).images
    second = run("train", "data=folder", f"data.root={images}", *TINY, "schedule.scratch.epochs=1", "seed=1")
    assert second.returncode == 0, second.stderr
    for part in ("test", "val"):
        done = run("compare", "models:/brain-tumor/1", "models:/brain-tumor/2", f"part={part}", "bootstrap=100")
        assert done.returncode == 0, done.stderr
        found = client(tmp_path / "work").get_run(run_id(done.stdout)).data
        a, b = (scores_of(tmp_path / "work", found.tags[key], part) for key in ("run_a", "run_b"))
        for name in ("accuracy", "macro_f1", "roc_auc", "log_loss", "brier", "ece"):
            expected = b[name] - a[name]
            assert found.metrics[f"difference/{name}"] == pytest.approx(expected, abs=1e-9)

"""A model that was registered before the package had its present layout: it still evaluates, answers and compares."""

import base64
import io
import sqlite3
import tarfile
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from toy import call, run_id, scores_of

PLACEHOLDER = "/made_before"
MODEL = "models:/brain-tumor@champion"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the store and its images, whose paths are those of this folder."""
    place = tmp_path_factory.mktemp("before")
    with tarfile.open(Path(__file__).parent / "store.tar.xz") as packed:
        packed.extractall(place, filter="data")
    for file in [*place.rglob("MLmodel"), *place.rglob("split.json")]:
        file.write_text(file.read_text().replace(PLACEHOLDER, str(place)))
    database = sqlite3.connect(place / "mlruns" / "mlflow.db")
    tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'").fetchall()]
    for table in tables:
        for _, column, *_ in database.execute(f'pragma table_info("{table}")').fetchall():
            change = f'update "{table}" set "{column}" = replace("{column}", ?, ?) where "{column}" like ?'
            database.execute(change, (PLACEHOLDER, str(place), f"%{PLACEHOLDER}%"))
    database.commit()
    database.close()
    return place


@pytest.fixture
def current_store(place: Path) -> Iterator[str]:
    """Make it MLflow's current one for this test."""
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    uri = f"sqlite:///{place}/mlruns/mlflow.db"
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    yield uri
    mlflow.set_tracking_uri(before[0])
    mlflow.set_registry_uri(before[1])


@pytest.fixture(scope="module")
def evaluated(place: Path) -> str:
    """Id of the run of an evaluation of the test part."""
    done = call(place, "evaluate", f"model_uri={MODEL}", "bootstrap=100", "explain.views=1", cwd=place)
    assert done.returncode == 0, done.stderr
    return run_id(done.stdout)


def trained_by(uri: str) -> str:
    return str(mlflow.MlflowClient(uri, uri).get_model_version_by_alias("brain-tumor", "champion").run_id)


def predictions(run: str) -> pd.DataFrame:
    table = mlflow.artifacts.load_text(f"runs:/{run}/tables/test_predictions.csv")
    rows = pd.read_csv(io.StringIO(table), index_col="path").sort_index()
    return rows[[name for name in rows if name.startswith("probability_")]]


def test_it_evaluates_to_the_numbers_that_were_logged_with_it(evaluated: str, current_store: str, place: Path) -> None:
    then = mlflow.get_run(trained_by(current_store)).data.metrics
    now = scores_of(place, evaluated)  # what was a metric then may stand in a table now
    scored = {name.removeprefix("test/"): value for name, value in then.items() if name.startswith("test/")}
    assert len(scored) > 20
    sets = {
        name: scored.pop(name)
        for name in list(scored)
        if name.startswith(("coverage_", "set_size_", "single_", "empty_"))
    }
    assert {name: now[name] for name in scored} == pytest.approx(scored, abs=1e-5)
    for level in ("90", "95"):  # then without the answer, where it was not probable enough for its class
        assert now[f"coverage_{level}"] >= sets[f"coverage_{level}"]
        assert now[f"set_size_{level}"] >= max(1, sets[f"set_size_{level}"])


def test_every_image_has_the_probabilities_that_it_had(evaluated: str, current_store: str) -> None:
    pd.testing.assert_frame_equal(predictions(evaluated), predictions(trained_by(current_store)), atol=1e-6)


def test_it_answers_for_files_as_it_was_measured(place: Path, current_store: str) -> None:
    done = call(place, "predict", f"model_uri={MODEL}", "input=images", "out=answers.csv", cwd=place)
    assert done.returncode == 0, done.stderr
    then = predictions(trained_by(current_store))
    now = pd.read_csv(place / "answers.csv", index_col="path")
    pd.testing.assert_frame_equal(now.loc[then.index, list(then)], then, atol=1e-5)
    for level in ("set_90", "set_95"):
        assert all(answer in names.split("; ") for answer, names in zip(now["class"], now[level], strict=True))


def test_the_code_that_was_saved_with_it_still_serves_it(place: Path, current_store: str) -> None:
    then = predictions(trained_by(current_store))
    model = mlflow.pyfunc.load_model(MODEL)  # runs the file of our code that MLflow has copied beside it
    sent = [base64.b64encode((place / "images" / path).read_bytes()).decode() for path in then.index]
    answers = [each["probabilities"] for each in model.predict(pd.DataFrame({"content": sent}))]
    now = pd.DataFrame(answers, index=then.index).add_prefix("probability_")[list(then)]
    pd.testing.assert_frame_equal(now, then, atol=1e-5)


def test_it_is_compared_with_its_evaluation(place: Path, evaluated: str, current_store: str) -> None:
    done = call(place, "compare", trained_by(current_store), evaluated, "bootstrap=100", cwd=place)
    assert done.returncode == 0, done.stderr


def test_its_card_says_that_its_sets_were_measured_without_the_answer(evaluated: str, current_store: str) -> None:
    card = mlflow.artifacts.load_text(f"runs:/{trained_by(current_store)}/card/model_card.md")
    assert "Measured before each set had the most probable class" in " ".join(card.split())

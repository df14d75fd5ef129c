"""Every worker finds the same study, no two get the same trial, and a storage that cannot be used is one line."""

import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import postgres
import pytest
import sqlalchemy
import stores
from optuna.trial import TrialState

from brain_tumor.errors import InputError
from brain_tumor.sweep.storage import address, open_existing, open_storage

# Told to begin once all are up, so that they meet at the storage and not at the imports.
WORKER = """
import sys
import optuna
from brain_tumor.sweep.storage import open_storage
print("ready", flush=True)
sys.stdin.readline()
study = optuna.create_study(study_name="s", storage=open_storage(sys.argv[1]), load_if_exists=True)
for _ in range(int(sys.argv[2])):
    trial = study.ask()
    x = trial.suggest_float("x", 0, 1)
    print(trial.number, trial._trial_id, flush=True)
    trial.report(x, step=0)
    study.tell(trial, x)
"""


def work(url: str, *, workers: int, trials: int) -> list[tuple[int, int]]:
    """Let several processes work on one study at once; the number and id of each trial they were handed."""
    command = [sys.executable, "-W", "ignore", "-c", WORKER, url, str(trials)]
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=Path(__file__).parents[2])
        for _ in range(workers)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=180) for process in processes]
    assert [process.returncode for process in processes] == [0] * workers, answers
    handed = [line.split() for out, _ in answers for line in out.splitlines()]
    return [(int(number), int(trial_id)) for number, trial_id in handed]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database that no one has opened yet."""
    if request.param == "sqlite":
        return address(None, tmp_path)
    url = sqlalchemy.make_url(address(request.getfixturevalue("postgres_url"), tmp_path))
    name = f"empty_{secrets.token_hex(4)}"
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return url.set(database=name).render_as_string(hide_password=False)


@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        (None, "sqlite:////home/me/project/mlruns/optuna.db"),
        ("sqlite:///a b/o.db", "sqlite:////home/me/project/a b/o.db"),
        ("sqlite:////data/o.db", "sqlite:////data/o.db"),
        ("postgresql://me:p%40ss@db:5433/studies", "postgresql+psycopg://me:p%40ss@db:5433/studies"),
        ("postgres://db/studies?sslmode=require", "postgresql+psycopg://db/studies?sslmode=require"),
        ("postgresql+psycopg://db/studies", "postgresql+psycopg://db/studies"),
    ],
)
def test_address(storage: str | None, expected: str) -> None:
    assert address(storage, Path("/home/me/project")) == expected
    assert address(expected, Path("/elsewhere")) == expected


def test_a_relative_working_folder_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert address("sqlite:///o.db", Path("sub")) == f"sqlite:///{tmp_path}/sub/o.db"


def test_home_in_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert address("sqlite:///~/o.db", Path("/x")) == f"sqlite:///{tmp_path}/o.db"


@pytest.mark.parametrize(
    ("storage", "complaint"),
    [
        ("mlruns/optuna.db", r"no address .*sqlite:///"),
        ("", "no address"),
        ("postgresql://db:port/studies", "no address"),
        ("redis://localhost", "no kind that Optuna takes"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///sub/", "names no file"),
        ("sqlite:///a?mode=ro", r"path with \?"),
        ("sqlite:///{a}.db", r"path with \{ \}"),
        ("oracle://db/studies", r"Python package .*install"),
    ],
)
def test_an_address_that_is_none(storage: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"^sweep.storage={storage.partition('?')[0].replace('{', '.')}.*{complaint}"):
        address(storage, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"is a folder: give sqlite:///{tmp_path}/optuna.db"):
        address(f"sqlite:///{tmp_path}", tmp_path)


def test_a_missing_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InputError, match=r"psycopg: \S+ -m pip install '.+\[postgres\]'$"):
        address("postgresql://db/studies", Path("/x"))


@pytest.mark.parametrize(
    "storage",
    ["postgresql://me:hush@db:port/x", "redis://me:hu@sh@db/x", "postgresql://db:port/x?user=me&password=hush"],
)
def test_no_password_in_the_complaint(storage: str) -> None:
    with pytest.raises(InputError, match=r"^sweep.storage=") as caught:
        address(storage, Path("/x"))
    assert "hu" not in str(caught.value)


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = address(f"postgresql://me:hush@127.0.0.1:{port}/studies", Path("/x"))
    with pytest.raises(InputError, match=rf"127.0.0.1:{port}/studies cannot be opened: .*refused") as caught:
        open_storage(url)
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_password(postgres_url: str) -> None:
    url = address(postgres_url.replace(postgres.PASSWORD, "hush"), Path("/x"))
    with pytest.raises(InputError, match=r"cannot be opened: .*password authentication failed") as caught:
        open_storage(url)
    assert "hush" not in str(caught.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "o.db").write_text("no database, but long enough to be taken for one " * 9)
    with pytest.raises(InputError, match=r"cannot be opened: .*not a database"):
        open_storage(address("sqlite:///o.db", tmp_path))


def test_mlflows_own_file_is_refused_and_stays_as_it_is(shared: Path, tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    shutil.copy(stores.empty(shared), database)
    before = database.read_bytes()
    for opened in (open_storage, lambda address: open_existing(address, "a sweep")):
        with pytest.raises(InputError, match=f"^sweep.storage=sqlite:///{database} is MLflow's database"):
            opened(f"sqlite:///{database}")
    assert database.read_bytes() == before


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot be opened: .*File exists"):
        open_storage(address("sqlite:///file/o.db", tmp_path))


def test_processes_make_one_storage_at_once(empty_database: str) -> None:
    handed = work(empty_database, workers=4, trials=4)
    assert sorted(number for number, _ in handed) == list(range(16))
    study = optuna.load_study(study_name="s", storage=open_storage(empty_database))
    assert [(trial.number, trial.state) for trial in study.trials] == [(n, TrialState.COMPLETE) for n in range(16)]


@pytest.mark.slow
def test_no_queued_trial_is_handed_out_twice(empty_database: str) -> None:
    study = optuna.create_study(study_name="s", storage=open_storage(empty_database))
    for index in range(45):
        study.enqueue_trial({"x": index / 45})
    handed = work(empty_database, workers=3, trials=15)
    assert sorted(number for number, _ in handed) == list(range(45))
    assert [trial.params["x"] for trial in study.trials] == [index / 45 for index in range(45)]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_trial_without_heartbeats_is_tried_again_afresh(empty_database: str) -> None:
    storage = open_storage(empty_database, heartbeat_interval=1, grace_period=1, max_retry=1)
    study = optuna.create_study(storage=storage)
    study.enqueue_trial({"x": 0.25})

    def fail_stale(number: int) -> bool:
        optuna.storages.fail_stale_trials(study)
        return bool(study.trials[number].state == TrialState.FAIL)

    for number in range(2):
        trial = study.ask()
        assert (trial.number, trial.suggest_float("x", 0, 1)) == (number, 0.25)
        assert trial.user_attrs == {}
        trial.set_user_attr("run_id", "of the one that died")
        trial.report(0.5, step=0)
        storage.record_heartbeat(trial._trial_id)
        wait_for(lambda n=number: fail_stale(n))
    states = [(trial.state, trial.intermediate_values) for trial in study.trials]
    assert states == [(TrialState.FAIL, {0: 0.5})] * 2  # the first and a retry


def test_a_connection_that_the_server_dropped(postgres_url: str) -> None:
    url = address(postgres_url, Path("/x"))
    study = optuna.create_study(storage=open_storage(url))
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        dropped = connection.exec_driver_sql(f"{others} AND backend_type = 'client backend'").scalars().all()
    engine.dispose()
    assert dropped
    study.tell(study.ask(), 1.0)
    assert study.best_value == 1.0

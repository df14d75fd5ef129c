"""A name that MLflow's registry, filters or addresses would trip over is refused before training, any other works."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import mlflow
import pytest
import yaml
from stores import Trained
from toy import TINY, client, run_id

from brain_tumor.config.train import TrackingConfig
from brain_tumor.errors import InputError
from brain_tumor.jobs import training_checks
from brain_tumor.jobs.preflight import check_name
from brain_tumor.tracking import registry
from brain_tumor.tracking.model_address import trained_by
from brain_tumor.tracking.store import open_store

Run = Callable[..., "CompletedProcess[str]"]
TAKEN = ["brain-tumor", "a b", "v1.2", "12", "m-1", "latest", "champion", "Universität 模型 👍"]
TAKEN += ["(v2), [x] {y}=&+;$~*|%20", 'say "hi"', "a\\b", "<b>`c`", "-x", "x" * 256]
REFUSED = ["", " ", " a", "a ", ".", "..", "...", ".b", "it's", "a#b", "a?b"]
REFUSED += ["a/b", "a:b", "a@b", "a\tb", "a\nb", "x" * 257]


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_does_not_work_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(InputError, match=r"^tracking\.register=.*give tracking\.register=NAME") as caught:
        check_name(name)
    assert "\n" not in str(caught.value)


def test_any_other_name_is_registered_found_and_crowned_by_mlflow(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    open_store(TrackingConfig(uri, "e", None, "c", False))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("flavors: {}\nmodel_uuid: same\n")
    made = mlflow.MlflowClient(uri, uri)
    for name in TAKEN:
        check_name(name)
        run = made.create_run("1").info.run_id
        made.create_registered_model(name)
        made.create_model_version(name, str(tmp_path / "model"), run)
        assert registry.registered_from(run, name) == "1", name
        assert registry.crown(name, "1").verdict.startswith("now champion"), name
        for address in (f"models:/{name}/1", f"models:/{name}/latest", f"models:/{name}@champion"):
            assert trained_by(address) == run, address
            assert mlflow.models.get_model_info(address).model_uuid == "same", address


def test_an_address_without_a_version_means_none(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    open_store(TrackingConfig(uri, "e", None, "c", False))
    made = mlflow.MlflowClient(uri, uri)
    made.create_registered_model("m")
    made.create_model_version("m", str(tmp_path), made.create_run("1").info.run_id)
    with pytest.raises(InputError, match="there is no such model"):
        trained_by("models:/m/champoin")  # once it meant the latest


@pytest.mark.parametrize("arguments", [(), ("seed=0,1", "-m")])
def test_it_is_refused_before_anything_is_made(arguments: tuple[str, ...], run: Run, tmp_path: Path) -> None:
    done = run("train", *TINY, "tracking.register=it's (v2), a=b", *arguments)  # and read to the letter
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith('error: tracking.register="it\'s (v2), a=b" is no name for a model')
    assert not (tmp_path / "work" / "mlruns").exists()


def test_an_interrupted_run_of_such_a_name_says_how_it_can_go_on(trained_copy: Trained, run: Run) -> None:
    config = trained_copy.artifacts / "config" / "config.yaml"
    values = yaml.safe_load(config.read_text())
    values["tracking"]["register"] = "a#b"
    config.write_text(yaml.safe_dump(values))
    client(trained_copy.work).set_terminated(trained_copy.run, "KILLED")
    done = run("train", f"resume={trained_copy.run}", cwd=trained_copy.work)
    assert done.returncode == 2
    assert f"error: resume={trained_copy.run}: tracking.register='a#b' is no name" in done.stderr
    done = run("train", f"resume={trained_copy.run}", "tracking.register=a:b", cwd=trained_copy.work)
    assert f"error: resume={trained_copy.run}: tracking.register='a:b' is no name" in done.stderr


@pytest.mark.slow
def test_a_run_that_could_not_register_its_model_goes_on_under_another_name(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:  # code that took any name
        earlier.setattr(training_checks, "check_name", lambda register: None)
        done = run("train", *TINY, "tracking.register=..")
    assert (done.returncode, 'Invalid value ".."' in done.stderr) == (2, True), done.stderr
    stopped = done.stderr.rsplit("resume=", 1)[1].split()[0]
    done = run("train", f"resume={stopped}", "tracking.register=another name")
    assert done.returncode == 0, done.stderr
    assert run_id(done.stdout) == stopped
    there = client(tmp_path / "work")
    assert there.get_model_version_by_alias("another name", "champion").run_id == stopped
    assert "'model_uri=models:/another name/1'" in done.stdout
    config = mlflow.artifacts.load_text(f"{there.get_run(stopped).info.artifact_uri}/config/config.yaml")
    assert yaml.safe_load(config)["tracking"]["register"] == "another name"

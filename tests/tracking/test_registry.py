"""When a model becomes champion, and how one comes back with all that made it."""

from pathlib import Path

import numpy as np
import pytest

from brain_tumor.config.train import TrackingConfig
from brain_tumor.data.classes import STANDARD, ClassList
from brain_tumor.errors import InputError

REAL = {"data_kind": "real", "data_digest": "d", "protocol": "official", "monitor": "val/macro_f1", "score": "0.9"}
HONEST, LEAKING = {**REAL, "leaking": "false"}, {**REAL, "leaking": "true"}
SYNTHETIC = {**REAL, "data_kind": "synthetic", "data_digest": "s", "score": "0.99"}


@pytest.mark.parametrize(
    ("champion", "challenger", "reason"),
    [
        (REAL, {**REAL, "score": "0.91"}, None),
        ({key: value for key, value in REAL.items() if key != "score"}, REAL, "has no score"),
        (REAL, {**REAL, "score": "0.9"}, "its val/macro_f1 is 0.9000, this one's 0.9000"),
        (REAL, SYNTHETIC, "it was trained on real data"),
        (SYNTHETIC, {**REAL, "score": "0.1"}, None),
        (SYNTHETIC, {**SYNTHETIC, "score": "0.995"}, None),
        (REAL, {**REAL, "score": "1", "data_digest": "x"}, "another data digest"),
        (REAL, {**REAL, "score": "1", "data_digest": "x", "protocol": "x"}, "another protocol"),
        (LEAKING, {**HONEST, "score": "0.1", "data_digest": "x", "protocol": "x"}, None),
        ({**HONEST, "leaking_val": "true"}, {**HONEST, "leaking_val": "false", "score": "0.1"}, None),
        (HONEST, {**LEAKING, "score": "0.99"}, "its split does not leak, and this one's does"),
        (LEAKING, {**HONEST, "job": "adopt"}, "this one was trained elsewhere, and has no score"),
        (LEAKING, {**HONEST, "job": "ensemble"}, "this one is the mean of several, and has no score"),
        (LEAKING, {**LEAKING, "score": "0.95"}, None),
        (REAL, {**LEAKING, "score": "0.95"}, "its split does not leak"),
        ({**SYNTHETIC, "leaking": "false"}, LEAKING, None),
        (REAL, {**REAL, "score": "1", "protocol": "x"}, "another protocol"),
        (LEAKING, {**HONEST, "classes": "no, yes"}, "it knows other classes (glioma, meningioma, notumor, pituitary)"),
        (REAL, {**REAL, "score": "1", "monitor": "val/loss"}, "another monitor"),
        ({**REAL, "monitor": "val/loss"}, {**REAL, "monitor": "val/loss", "score": "0.8"}, None),
        ({**REAL, "monitor": "val/loss"}, {**REAL, "monitor": "val/loss", "score": "1.0"}, "its val/loss is 0.9"),
    ],
)
def test_what_beats_a_champion(champion: dict[str, str], challenger: dict[str, str], reason: str | None) -> None:
    from brain_tumor.tracking.registry import refusal

    found = refusal(champion, challenger)
    assert found is None if reason is None else reason in str(found)


def test_the_same_network_takes_over_from_the_version_that_it_was(tmp_path: Path) -> None:
    """With the score of the champion, which is not better: another version has to beat it."""
    import mlflow

    from brain_tumor.tracking import registry
    from brain_tumor.tracking.store import open_store

    open_store(TrackingConfig(f"sqlite:///{tmp_path}/mlflow.db", "e", "m", "c", False))
    client = mlflow.MlflowClient()
    client.create_registered_model("m")
    for _ in range(4):
        client.create_model_version("m", source=str(tmp_path), tags=REAL)
    client.set_registered_model_alias("m", "champion", "1")
    assert registry.succeed("m", "2", "1").verdict == "now champion, as version 1 was"
    assert str(client.get_model_version_by_alias("m", "champion").version) == "2"
    for before in ("1", None):
        assert "stays champion: its val/macro_f1 is 0.9000" in registry.succeed("m", "3", before).verdict
    assert registry.tags_of("models:/m/2", "r") == REAL


def test_log_crown_and_load(tmp_path: Path) -> None:
    import keras
    import mlflow
    import pandas as pd
    from omegaconf import OmegaConf

    from brain_tumor.data.split import Split
    from brain_tumor.tracking import model_address, registry, runs
    from brain_tumor.tracking.store import open_store

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    store = open_store(TrackingConfig(uri, "e", "m", "c", False))
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, keras.layers.Dense(4)(keras.layers.Flatten()(inputs)))
    row = {"path": "a.png", "label": "glioma", "part": "test", "group": "g", "site": "s", "sha256": "0"}
    split = Split(pd.DataFrame([row]), root=tmp_path, source="folder", synthetic=False)
    verdicts, typed = [], ""
    for score in ("0.9", "0.8", "0.95"):
        with runs.started(store, system_metrics=False):
            mlflow.log_text(OmegaConf.to_yaml({"score": score}), "config/config.yaml")
            runs.log_split(split, "training")
            own = ClassList(("a", "b", "c", "d"), "b") if score == "0.8" else STANDARD
            _, version = registry.log_model(model, own, register="m", tags={**REAL, "score": score})
            assert version is not None
            assert model_address.find(f"models:/m/{version}").classes == own
            crowned = registry.crown("m", version)
            verdicts.append(crowned.detail)
            typed = crowned.command or typed
    assert verdicts[0] == "m version 1 (real) is now champion."
    assert verdicts[1].startswith("m version 1 (real) stays champion: its val/macro_f1 is 0.9000, this one's 0.8000. ")
    assert verdicts[2] == "m version 3 (real) is now champion."
    client = mlflow.MlflowClient()
    for version in ("1", "2"):
        client.set_model_version_tag("m", version, "leaking", "true")
    client.set_registered_model_alias("m", "champion", "1")
    client.set_model_version_tag("m", "2", "score", "0.93")
    assert registry.crown("m", "2").detail == "m version 2 (real, LEAKS) is now champion."
    client.set_model_version_tag("m", "3", "leaking", "false")
    assert registry.crown("m", "3").detail == "m version 3 (real) is now champion."
    assert registry.crown("m", "1").detail.startswith("m version 3 (real) stays champion: its split does not leak")

    assert "not a medical device" in mlflow.MlflowClient().get_model_version("m", "1").description
    loaded = registry.load_model("models:/m@champion")
    assert (loaded.name, loaded.version, loaded.config) == ("m", "3", {"score": "0.95"})
    assert loaded.split.digest == split.digest
    images = np.ones((2, 4, 4, 3), np.uint8)
    np.testing.assert_array_equal(loaded.model.predict_on_batch(images), model.predict_on_batch(images))
    by_run = registry.load_model(f"runs:/{loaded.run_id}/model")
    assert (by_run.name, by_run.run_id) == (None, loaded.run_id)

    # As models were logged before they could be served.
    with runs.started(store, system_metrics=False):
        mlflow.log_text(OmegaConf.to_yaml({"score": "old"}), "config/config.yaml")
        runs.log_split(split, "training")
        info = mlflow.keras.log_model(model, name="model", pip_requirements=["keras"])
    old = registry.load_model(f"models:/old/{registry.register_model(info.model_uri, 'old', {})}")
    assert old.config == {"score": "old"}
    np.testing.assert_array_equal(old.model.predict_on_batch(images), model.predict_on_batch(images))

    # The printed command does what it says.
    import subprocess

    subprocess.run(typed, shell=True, check=True)
    assert registry.load_model("models:/m@champion").version == "2"

    assert registry.load_model("models:/m/latest").version == "3"
    for missing in (
        "http://127.0.0.1:9/x",
        "models:/m@nobody",
        "models:/none@champion",
        "models:/m/77",
        "runs:/0123/model",
        "m",
        "models:/m",
    ):
        with pytest.raises(InputError, match=r"model_uri=.* cannot be loaded") as caught:
            registry.load_model(missing)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"^model_b=models:/m/77 cannot be loaded"):
        registry.load_model("models:/m/77", "model_b")

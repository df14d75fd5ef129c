"""What a training run logs of how it was composed."""

import pytest
from hydra import compose, initialize_config_dir

from brain_tumor.config.composition import Composition
from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import plain, typed
from brain_tumor.data.classes import STANDARD
from brain_tumor.entry import conf_dir
from brain_tumor.tracking import setup
from brain_tumor.tracking.model_address import Found
from brain_tumor.tracking.setup import parameters


@pytest.mark.parametrize("override", ["debug=tiny", "experiment=two_phase_b4", "seed=3"])
def test_an_experiment_is_a_parameter_where_one_was_chosen(override: str) -> None:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        choices = dict(compose("train", overrides=[override], return_hydra_config=True).hydra.runtime.choices)
        values = plain(compose("train", overrides=[override]))
    del values["sweep"]
    logged = parameters(Composition(typed(TrainConfig, values), values, [override], choices))
    key, _, value = override.partition("=")
    assert str(logged[key]) == value
    assert len({"debug", "experiment"} & logged.keys()) == (key != "seed")
    assert logged["schedule"] == choices["schedule"]


def test_a_run_that_pools_is_tagged_as_what_made_the_network_and_leads_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tags = {"a": {"job": "ensemble", "score": "0.9", "card_failed": "why"}}
    monkeypatch.setattr(setup, "own_tags_of", tags.__getitem__)
    monkeypatch.setattr(setup, "networks", lambda run_id: {"a": ["x", "y"], "b": ["x", "y"]}[run_id])
    first = setup.pooling_tags(Found("models:/m/1", "a", STANDARD))
    assert first == {
        **{"job": "pool", "pooled_job": "ensemble", "pooled_from": "models:/m/1", "member_runs": "x, y"},
        "score": "0.9",
    }
    tags["b"] = first  # pooled once more
    assert setup.pooling_tags(Found("models:/m/2", "b", STANDARD)) == {**first, "pooled_from": "models:/m/2"}

"""What a training run logs of how it was composed."""

import pytest
from hydra import compose, initialize_config_dir

from brain_tumor.config.composition import Composition
from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import plain, typed
from brain_tumor.entry import conf_dir
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

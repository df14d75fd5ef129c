"""What Hydra cannot compose is told in one line, with what there is instead."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hydra
import pytest
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from isolation import fresh_logging
from omegaconf import DictConfig

from brain_tumor.config.refusals import FULL_ERROR, check_flags, hand_back_errors, refusals
from brain_tumor.config.sweep import SweepConfig
from brain_tumor.config.validation import plain, typed
from brain_tumor.entry import conf_dir
from brain_tumor.errors import InputError
from brain_tumor.sweep.hooks import Hooks
from brain_tumor.sweep.search_request import read
from brain_tumor.sweep.sweeper import _check


def start(monkeypatch: pytest.MonkeyPatch, command: str, *arguments: str) -> None:
    """Start a command as `entry.run` does, whose work must not begin."""

    def work(config: DictConfig) -> None:
        raise AssertionError("it has begun")

    monkeypatch.setattr("sys.argv", [command, *arguments])
    with fresh_logging(), refusals(conf_dir(), command):
        check_flags(arguments)
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=command)(work)()


BY = "no known key: what a sweep searches, and how, is set by sweep"
REFUSED = {
    "train schedule=scratch schedule.all.epochs=3": "schedule=scratch has no phase 'all': its phase is 'scratch'",
    "train schedule.body.epochs=3": "schedule=finetune has no phase 'body': its phases are 'head', 'all'",
    "train schedule.all.epoch=3": "schedule.all.epoch: no known key; nearest: schedule.all.epochs, ",
    "train image_size=64": "image_size: no known key; nearest: data.image_size",
    "train seed.x=1": "seed.x: no known key; nearest: seed",
    "train ~sed": "sed: no known key; nearest: seed",
    "train model={nam:x}": "model.nam: no known key; nearest: model.name, ",
    "train model=effnet_b9": "model=effnet_b9 is none of cct_5, cnn3d_baseline, cnn_baseline, effnet_b0, ",
    "train experiment=ofical": "two_phase_b4; nearest: official",
    "train model=null": "model=null is none of cct_5, cnn3d_baseline, cnn_baseline, ",
    "train --help sweep/sampler=nope": "sweep/sampler=nope is none of cmaes, gp, grid, nsga2, random, tpe",
    "train maps=auto": "maps=auto: this command has no group maps; it has augment, data, debug, ",
    "train seeds=0,1": "seeds=0,1: several values are a sweep, which needs -m; a list is seeds=[0,1]",
    "train seed=choice(0,1)": "seed=choice(0,1): several values are a sweep, which needs -m",
    "train +seed=1": "+seed=1: there is such a key: seed=1",
    "train +schedule=scratch": "+schedule=scratch: schedule is chosen already: schedule=scratch",
    "train ~schedule": "~schedule: the command needs one: schedule= one of fast, finetune, head_only, ",
    "train ~data.root": "~data.root: the key is needed: data.root=null leaves it empty",
    "train =3": "=3: give KEY=VALUE",
    "train sweep/samplr=tpe -m": "sweep/samplr: no known group; nearest: sweep/sampler",
    "train seed=rang(3) -m": "seed=rang(3): no known function rang; nearest: range",
    "train sweep.space={seed:range(3)} -m": "}: to add a key to it, write +sweep.space={seed:range(3)}",
    "train hydra.sweeper.n_trials=5 -m": f"hydra.sweeper.n_trials: {BY}.n_trials",
    "train +hydra.sweeper.params={seed:range(3)} -m": f"hydra.sweeper.params: {BY}.space",
    "train +hydra.sweeper.params.seed=1,2 -m": f"hydra.sweeper.params.seed: {BY}.space",
    "train hydra/sweeper=basic schedule.all.epoch=1,2 -m": "schedule.all.epoch: no known key; nearest: ",
    "train hydra/sweeper=basic model=cnn_baseline,cnn -m": "model=cnn is none of cct_5, cnn3d_baseline, cnn_baseline, ",
    "train seed=[1": "seed=[1 cannot be read (",
    "train images": "images: give KEY=VALUE",
    "train hydra.job.num=many": "hydra.job.num=many: Value 'many' of type 'str' could not be converted to Integer",
    "train model=nope seed=1,2 -m": "model=nope is none of ",
    "train hydra.job.num=1,2 -m": "hydra.job.num=1,2: Sweeping over Hydra's configuration is not supported",
    "train --mulirun": "--mulirun: no known flag; nearest: --multirun, ",
    "train --cfg jobs": "argument --cfg/-c: invalid choice: 'jobs'",
    "train seed=1 -m bootstrap=100": "bootstrap=100: write all KEY=VALUE together, before the flags",
    "train --cfg job -m": "Only one of --run, --multirun, --cfg",
    "train --config-dir no/such/folder seed=1": "no/such/folder' not found",
    "study data=folder": "data=folder: this command has no group data; it has none",
    "app data=folder": "data=folder: this command has no group data; it has tracking",
    "predict maps=nope": "maps=nope is none of auto, default, gradcam, layercam",
}


@pytest.mark.parametrize(("line", "message"), REFUSED.items())
def test_what_does_not_compose_is_one_line(line: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError) as caught:
        start(monkeypatch, *line.split())
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert FULL_ERROR not in os.environ


def test_who_asks_for_hydras_own_words_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FULL_ERROR, "1")
    with pytest.raises(ConfigCompositionException, match="Could not override 'sed'"):
        start(monkeypatch, "train", "sed=3")
    assert os.environ[FULL_ERROR] == "1"


def test_what_a_command_raises_itself_stays_as_it_is() -> None:
    def command() -> None:
        with refusals(conf_dir(), "train"):
            assert os.environ[FULL_ERROR] == "1"
            hand_back_errors()
            assert FULL_ERROR not in os.environ
            raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        command()


@contextmanager
def loading() -> Iterator[ConfigLoader]:
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


NO_PHASE = "schedule=scratch has no phase 'all': its phase is 'scratch'"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("+sweep.space={schedule.all.epoch:'interval(0,1)'}", "schedule.all.epoch: no known key; nearest: "),
        ("schedule=scratch schedule.all.epochs=2,3", f"schedule.all.epochs: {NO_PHASE}"),
        ("sweep=grid model.dropot=0.1,0.2", "model.dropot: no known key; nearest: model.dropout, "),
        ("model=effnet_lite0,effnet_b9", "model=effnet_b9 is none of cct_5, cnn3d_baseline, cnn_baseline, effnet_b0"),
    ],
)
def test_a_point_of_a_sweep_that_does_not_compose_is_one_line(line: str, message: str) -> None:
    arguments = line.split()
    with loading() as loader:
        config: Any = loader.load_configuration("train", arguments, RunMode.MULTIRUN)
        request = read(arguments, typed(SweepConfig, plain(config.sweep), "sweep."), loader)
        with pytest.raises(InputError) as caught:
            _check(request, config, loader, Hooks())
    assert str(caught.value).startswith(message)
    assert "(a key of" not in str(caught.value)

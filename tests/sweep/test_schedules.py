"""Each sweep of conf/sweep with each schedule of conf/schedule."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from brain_tumor.config.refusals import no_phase
from brain_tumor.config.sweep import SweepConfig
from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import plain, typed
from brain_tumor.entry import conf_dir
from brain_tumor.errors import InputError
from brain_tumor.sweep.search_request import Request, read
from brain_tumor.sweep.space import overrides

OTHERS = ("hydra", "sweep")
PHASES = {"finetune": "all", "fast": "all", "two_phase": "all", "vit": "all"}  # the last
PHASES |= {"scratch": "scratch", "head_only": "head"}


@contextmanager
def loading() -> Iterator[ConfigLoader]:
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


def request(loader: ConfigLoader, *arguments: str) -> tuple[Any, Request]:
    """What `train` is configured with, and what its sweep searches."""
    config: Any = loader.load_configuration("train", list(arguments), RunMode.MULTIRUN)
    settings = typed(SweepConfig, plain(config.sweep), "sweep.")
    return config, read(arguments, settings, loader, partial(no_phase, config))


def trained(loader: ConfigLoader, config: Any, point: list[str]) -> TrainConfig:
    """What a trial is configured with."""
    composed: Any = loader.load_sweep_config(config, point)
    return typed(TrainConfig, plain(OmegaConf.masked_copy(composed, [key for key in composed if key not in OTHERS])))


def stems(group: str) -> set[str]:
    return {path.stem for path in (conf_dir() / group).glob("*.yaml")}


def test_the_default_sweep_fits_every_schedule_at_every_end_of_its_space() -> None:
    assert stems("schedule") == set(PHASES)
    for schedule, phase in PHASES.items():
        with loading() as loader:
            config, asked = request(loader, f"schedule={schedule}")
            assert asked.left_out == ()
            assert {key.rpartition(".")[0] for key in asked.space.texts} == {f"schedule.{phase}"}
            assert len(asked.queue) == len(config.sweep.enqueue) > 0
            if phase == "all":  # whose ends are those of tests/test_config.py
                continue
            for point in (*asked.queue, *asked.space.corners()):
                found = trained(loader, config, [*asked.shared, *overrides(point)])
                first = next(iter(found.schedule.values()))
                assert (
                    schedule != "scratch" or first.unfreeze == "all"
                )  # a frozen part of random weights learns nothing


@pytest.mark.parametrize("schedule", ["scratch", "head_only", "two_phase"])
@pytest.mark.parametrize("sweep", ["architectures", "full", "grid", "multi_objective", "random"])
def test_a_named_sweep_searches_what_the_schedule_has_and_says_what_it_leaves_out(sweep: str, schedule: str) -> None:
    assert stems("sweep") == {"architectures", "base", "finetune", "full", "grid", "multi_objective", "random"}
    alone = schedule in ("scratch", "head_only")
    with loading() as loader:
        if sweep == "grid" and alone:
            with pytest.raises(InputError) as caught:
                request(loader, f"schedule={schedule}", f"sweep={sweep}")
            assert str(caught.value) == (
                f"schedule={schedule} has no phase 'all': its phase is '{PHASES[schedule]}', and the sweep searches "
                "nothing else: name keys (key=a,b) instead"
            )
            return
        config, asked = request(loader, f"schedule={schedule}", f"sweep={sweep}")
        for point in list(asked.space.corners())[:: 1 if (sweep, schedule) == ("full", "head_only") else 100]:
            trained(loader, config, [*asked.shared, *overrides(point)])
    lost = {
        ("full", "scratch"): "not searched: schedule.head.epochs, ",
        ("multi_objective", "scratch"): "not searched: schedule.all.learning_rate, schedule.all.epochs, since ",
        ("multi_objective", "head_only"): "not searched: schedule.all.learning_rate, schedule.all.epochs, since ",
    }
    assert [line.startswith(lost.get((sweep, schedule), "none")) for line in asked.left_out] == [True] * (
        (sweep, schedule) in lost
    )


def test_a_schedule_of_ones_own_needs_no_space_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "schedule").mkdir()
    own = (conf_dir() / "schedule" / "scratch.yaml").read_text(encoding="utf-8").replace("scratch", "mine")
    (tmp_path / "schedule" / "mine.yaml").write_text(own, encoding="utf-8")
    with loading() as loader:
        arguments = [f"hydra.searchpath=[file://{tmp_path}]", "schedule=mine"]
        config: Any = loader.load_configuration("train", arguments, RunMode.RUN)
    assert (list(config.schedule), dict(config.sweep.space)) == (["mine"], {})

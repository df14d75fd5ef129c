"""A training job of the command line's keys, made ready, and trained without being tracked; and variants of one."""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from turns import THREADS, Spent, in_turn

CONF = Path(__file__).parents[1] / "conf"


def configured(overrides: Sequence[str]) -> Any:
    """The configuration that `train` makes of these keys."""
    from hydra import compose, initialize_config_dir

    from brain_tumor.config.train import TrainConfig
    from brain_tumor.config.validation import plain, typed

    with initialize_config_dir(str(CONF), version_base="1.3"):
        values = plain(compose("train", list(overrides)))
    values.pop("sweep")
    return typed(TrainConfig, values)


def prepared(overrides: Sequence[str]) -> Any:
    """What `train` trains with these keys."""
    from brain_tumor.data.dataset import load
    from brain_tumor.jobs.training_checks import check_training
    from brain_tumor.models.backbones import input_shape
    from brain_tumor.models.backend import start_tensorflow

    config = configured(overrides)
    dataset = load(config.data, shape=input_shape(config), protocol=config.protocol)
    start_tensorflow(THREADS)
    from brain_tumor.training.preparation import prepare

    return prepare(config, dataset, check_training(config))


def trained(job: Any, on_epoch: Callable[[dict[str, Any]], None]) -> Any:
    """Train it in a folder that is then removed; `on_epoch` is told of every epoch's row."""
    from brain_tumor.training.preparation import train_model

    with tempfile.TemporaryDirectory() as folder:
        return train_model(job, Path(folder), on_epoch=on_epoch)


def measured(
    title: str | None,
    variants: Sequence[str],
    rounds: int,
    keys: Callable[[str], list[str]],
    measure: Callable[[str, str], Spent],
) -> dict[str, list[Spent]]:
    """What `measure(variant, cache)` finds, by variant and round, in turn and a process each; `rounds` is the default.

    The images of `keys(cache)` are generated and decoded before. In a variant's own process it prints and ends there.
    """
    parser = argparse.ArgumentParser(description=(title or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--cache", help=argparse.SUPPRESS)
    parser.add_argument("--variant", choices=variants, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.variant:
        print(json.dumps(measure(chosen.variant, chosen.cache)))
        sys.exit()
    with tempfile.TemporaryDirectory() as cache:
        prepared(keys(cache))
        return in_turn(variants, chosen.rounds, ["--cache", cache])

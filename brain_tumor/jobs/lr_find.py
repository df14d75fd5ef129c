"""Finding a learning rate for one phase of a training: a figure, a suggestion, and the line of `train` that has it."""

from dataclasses import fields, replace
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure

from brain_tumor.command_line import as_typed, command
from brain_tumor.config.commands import LrFindConfig
from brain_tumor.config.train import TrainConfig
from brain_tumor.data.dataset import load
from brain_tumor.evaluation.drawing import ACCENT, BEST, FAINT, new_figure, save, tidy
from brain_tumor.jobs.teacher import load_teacher, require_stranger
from brain_tumor.layout.blocks import Code, Paragraph, pairs
from brain_tumor.layout.terminal import show_blocks
from brain_tumor.models.backbones import input_shape
from brain_tumor.models.backend import start
from brain_tumor.training.lr_range import SAFE, RangeTest, range_test
from brain_tumor.training.preparation import prepare

OWN = tuple(field.name for field in fields(LrFindConfig))


def run(config: TrainConfig, asked: LrFindConfig, weights: Path | None, out: Path) -> None:
    """Train with a rising rate, draw the losses into `out`, and print what they suggest.

    Raises InputError, once the figure is drawn, where they suggest nothing.
    """
    start(config.hardware)
    dataset = load(config.data, shape=input_shape(config), protocol=config.protocol)
    require_stranger(config, dataset)
    teacher = load_teacher(config, dataset)
    config = replace(config, monitor="val/loss")  # another one may look at the val part
    prepared = prepare(config, dataset, weights, teacher)
    keras.utils.set_random_seed(config.seed)
    name = asked.phase or list(config.schedule)[-1]
    rates = np.geomspace(asked.lowest, asked.highest, asked.steps)
    found = range_test(
        prepared.model,
        prepared.training,
        config.schedule,
        name,
        rates,
        seed=config.seed,
        execution=prepared.execution,
    )
    save(figure(found, f"{config.model.name}, phase {name}, {dataset.split.name}"), out)
    print(f"figure: {out}")
    suggestion, now = found.suggestion, config.schedule[name].learning_rate
    rows = [
        ("suggestion", f"{suggestion:.1e} for schedule.{name}.learning_rate, which is {now:g}"),
        ("why", f"the loss is lowest at {found.rates[found.lowest]:.1e}; a tenth of that leaves room"),
        ("steps", f"{len(found.rates)} of {asked.steps}, up to {found.rates[-1]:.1e}"),
    ]
    note = "One short training of one seed, on its training part: a place to begin, not a result."
    show_blocks(pairs(rows), Paragraph(note), Code(train_line(as_typed, f"schedule.{name}.learning_rate", suggestion)))


def train_line(typed: list[str], key: str, rate: float) -> str:
    """The line of `train` with what was typed here and the rate, ready to paste."""
    kept = [each for each in typed if each.partition("=")[0] not in (*OWN, key)]
    return command("train", *kept, f"{key}={rate:.1e}")


def figure(found: RangeTest, title: str) -> Figure:
    """The loss over the learning rate, each step's and the moving average, and the suggestion where there is one."""
    drawn = new_figure(8, 4.5, title)
    axes = drawn.subplots()
    smoothed, least = found.smoothed, found.lowest
    axes.plot(found.rates, found.losses, ".", color=FAINT, markersize=4, label="each step")
    axes.plot(found.rates, smoothed, "-", color=ACCENT, linewidth=1.8, label="moving average")
    axes.axvline(found.rates[least], color=FAINT, linestyle=":", label=f"lowest at {found.rates[least]:.1e}")
    axes.axvline(
        found.rates[least] / SAFE, color=BEST, linestyle="--", label=f"a tenth of it: {found.rates[least] / SAFE:.1e}"
    )
    axes.set_xscale("log")
    axes.set_ylim(0, 1.2 * max(smoothed[0], 2 * smoothed[least]))
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.legend(fontsize=8, framealpha=0.9)
    tidy(axes)
    return drawn

"""The state of a sweep as text."""

import difflib
from pathlib import Path

import optuna

from brain_tumor.command_line import command, shown
from brain_tumor.config.commands import StudyConfig
from brain_tumor.errors import InputError
from brain_tumor.layout.terminal import show_blocks
from brain_tumor.sweep import description
from brain_tumor.sweep.storage import address, open_existing


def run(config: StudyConfig, cwd: Path) -> None:
    """Print one study; the list of all where there are several and none is named."""
    there = [] if config.storage is None else [config.storage]
    sweep = command("train", *(f"sweep.storage={shown(each)}" for each in there), "-m")
    try:
        where = address(config.storage, cwd)
        storage = open_existing(where, sweep)
    except InputError as error:
        raise InputError(str(error).removeprefix("sweep.")) from error
    names = sorted(optuna.get_all_study_names(storage))
    if not names:
        raise InputError(f"storage={shown(where)} holds no study yet; a sweep makes one: {sweep}")
    if config.name is not None and config.name not in names:
        near = difflib.get_close_matches(config.name, names, n=3, cutoff=0.3) or names[:3]
        raise InputError(f"name={config.name}: there is no such study in {shown(where)}; there is {', '.join(near)}")
    chosen = names if config.name is None else [config.name]
    sampler = optuna.samplers.RandomSampler()  # none is needed; the default one takes time to make
    studies = [optuna.load_study(study_name=name, storage=storage, sampler=sampler) for name in chosen]
    if len(studies) == 1:
        for block in description.describe(studies[0], train=command("train")):
            show_blocks(block)
    else:
        show_blocks(*description.listing(studies, show=command("study", *(f"storage={shown(each)}" for each in there))))
    show_blocks(*description.place(shown(where)))

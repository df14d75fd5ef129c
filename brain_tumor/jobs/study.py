"""The state of a sweep as text."""

import difflib
import shutil
from pathlib import Path

import optuna

from brain_tumor.command_line import command
from brain_tumor.config.commands import StudyConfig
from brain_tumor.errors import InputError
from brain_tumor.sweep import terminal
from brain_tumor.sweep.storage import address, open_existing, shown


def run(config: StudyConfig, cwd: Path) -> None:
    """Print one study; the list of all where there are several and none is named."""
    try:
        where = address(config.storage, cwd)
        storage = open_existing(where)
    except InputError as error:
        raise InputError(str(error).removeprefix("sweep.")) from error
    names = sorted(optuna.get_all_study_names(storage))
    if not names:
        raise InputError(f"storage={shown(where)} holds no study yet: python -m brain_tumor.train -m makes one")
    if config.name is not None and config.name not in names:
        near = difflib.get_close_matches(config.name, names, n=3, cutoff=0.3) or names[:3]
        raise InputError(f"name={config.name}: there is no such study in {shown(where)}; there is {', '.join(near)}")
    chosen = names if config.name is None else [config.name]
    sampler = optuna.samplers.RandomSampler()  # none is needed; the default one takes time to make
    studies = [optuna.load_study(study_name=name, storage=storage, sampler=sampler) for name in chosen]
    width = shutil.get_terminal_size().columns
    if len(studies) == 1:
        for paragraph in terminal.describe(studies[0], width=width, train=command("train")):
            print(f"{paragraph}\n", flush=True)
    else:
        print(f"{terminal.listing(studies, show=command('study'))}\n")
    print(terminal.place(shown(where)))

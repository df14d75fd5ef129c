"""The state of a sweep as text."""

import difflib
import os
import sqlite3
from contextlib import suppress
from pathlib import Path

import optuna

from brain_tumor.command_line import STORE, command, shown
from brain_tumor.config.commands import StudyConfig
from brain_tumor.errors import InputError
from brain_tumor.jobs.study_watch import watch
from brain_tumor.layout.blocks import Alert, Block, Summary
from brain_tumor.layout.terminal import show, show_blocks
from brain_tumor.sqlite_file import rows
from brain_tumor.sweep import description
from brain_tumor.sweep.confirmation import ENDING
from brain_tumor.sweep.storage import address, open_existing
from brain_tumor.sweep.summary import chosen_trial


def run(config: StudyConfig, cwd: Path) -> None:
    """Print one study, or follow it; the list of all where there are several and none is named."""
    there = [] if config.storage is None else [config.storage]
    sweep = command("train", *(f"sweep.storage={shown(each)}" for each in there), "-m")
    try:
        where = address(config.storage, cwd)
        if config.watch:
            watch(config.name, where)
            return
        storage = open_existing(where, sweep)
    except InputError as error:
        raise InputError(str(error).removeprefix("sweep.")) from error
    names = sorted(optuna.get_all_study_names(storage))
    if not names:
        raise InputError(f"storage={shown(where)} holds no study yet; a sweep makes one: {sweep}")
    if config.name is not None and config.name not in names:
        near = difflib.get_close_matches(config.name, names, n=3, cutoff=0.3) or names[:3]
        raise InputError(f"name={config.name}: there is no such study in {shown(where)}; there is {', '.join(near)}")
    own = [name for name in names if name.removesuffix(ENDING) not in names or not name.endswith(ENDING)]
    chosen = own if config.name is None else [config.name]
    sampler = optuna.samplers.RandomSampler()  # none is needed; the default one takes time to make
    studies = [optuna.load_study(study_name=name, storage=storage, sampler=sampler) for name in chosen]
    if len(studies) == 1:
        for block in description.describe(studies[0], train=command("train")):
            show_blocks(block)
        if config.storage is None:
            show_blocks(*_without_runs(studies[0], cwd))
    else:
        show_blocks(*description.listing(studies, show=command("study", *(f"storage={shown(each)}" for each in there))))
    show(Summary((), tuple(description.place(shown(where), studies[:1] if len(studies) == 1 else []))))


def _without_runs(study: optuna.Study, cwd: Path) -> list[Block]:
    """That the embedded store has lost the runs of the embedded study; nothing where another store has them."""
    best = chosen_trial(study)
    elsewhere = os.environ.get(STORE) or "tracking.uri=" in str(study.user_attrs.get("command"))
    if best is None or elsewhere or not best.user_attrs.get("run_id"):
        return []
    database = cwd / "mlruns" / "mlflow.db"
    with suppress(sqlite3.Error):  # no tables, no database
        if rows(database, "SELECT 1 FROM runs WHERE run_uuid = ?", best.user_attrs["run_id"]):
            return []
    return [
        Alert(
            f"The run of the best trial is not in {database}: was that deleted? A sweep goes on with "
            "tracking.register=null, and registers no model then, or begins another study with sweep.study=NAME."
        )
    ]

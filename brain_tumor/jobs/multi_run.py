"""Several runs as one command: seeds, folds of a cross-validation, or sites left out, below one parent run."""

import copy
import sys
import time
from dataclasses import fields, replace

from brain_tumor.config.composition import Composition
from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.data.dataset import load_shared
from brain_tumor.jobs import single_run, training_checks
from brain_tumor.jobs.member_runs import Member, members
from brain_tumor.jobs.resume import resume_one
from brain_tumor.jobs.teacher import require_stranger
from brain_tumor.models.backbones import input_shape
from brain_tumor.models.forgetting import forget_models
from brain_tumor.paths import existing_path
from brain_tumor.progress import duration
from brain_tumor.tracking import parent_run, runs, summary
from brain_tumor.tracking.store import Store, open_store
from brain_tumor.training.known_lesions import require_lesions


def run(composed: Composition) -> float:
    """Train all members of a checked composition in turn; returns the mean of their best `monitor` on the val part.

    Each opens its test part once it has finished; the parent run holds the mean and the spread, and of folds the
    pooled predictions.
    """
    store = open_store(composed.config.tracking)
    _look_ahead(composed)
    with parent_run.opened(store, composed) as parent:
        return _train(composed, parent, store, [], composed.config)


def resume(config: TrainConfig, overrides: list[str]) -> float:
    """Go on below the parent `config.resume`: finished members stay, an interrupted one goes on in itself.

    See `resume_one` for what is read of `config`, and what is raised.
    """
    store = open_store(config.tracking)
    parent = str(config.resume)
    given = [text for text in overrides if not text.startswith("resume=")]
    composed = _moved(parent_run.composition_of(parent), given, config)
    with parent_run.opened(store, composed, run_id=parent):
        if training_checks.given(given, "tracking.register"):
            runs.log_name(composed.config.tracking.register)
        return _train(composed, parent, store, given, config)


def _look_ahead(composed: Composition) -> None:
    """Read the images of every fold or site, or those that all seeds share, before there is a run to go on with.

    Raises InputError for what would otherwise end one of them after its siblings have been trained.
    """
    parts = members(replace(composed.config, seeds=None)) or members(composed.config)[:1]
    for member in parts:
        print(f"{member.label}: reading the images", file=sys.stderr)
        config = _composition_of(member, composed).config
        dataset = load_shared(config.data, shape=input_shape(config), protocol=config.protocol)
        require_lesions(config, dataset)
        require_stranger(config, dataset)


def _train(composed: Composition, parent: str, store: Store, given: list[str], places: TrainConfig) -> float:
    """Train what has not finished below `parent`. `given` and `places`: what stood beside `resume`."""
    found = members(composed.config)
    scores: list[float] = []
    spent: list[float] = []  # seconds, of each member that was trained here
    try:
        for number, member in enumerate(found, start=1):
            expected = sum(spent) / len(spent) * (len(found) - number + 1) if spent else 0
            left = f", about {duration(expected)} left for all" if spent else ""
            began = time.perf_counter()
            print(f"{member.label} ({number} of {len(found)}){left}", file=sys.stderr)
            siblings = parent_run.children(parent)
            known = parent_run.child(parent, member.label)
            if known is not None and known.info.status == "FINISHED":
                scores.append(float(known.data.tags["score"]))
                continue
            own = _composition_of(member, composed)
            if known is not None and _has_checkpoint(known.info.run_id, composed.config, places, given):
                its = replace(places.tracking, register=own.config.tracking.register)
                scores.append(resume_one(replace(places, resume=known.info.run_id, tracking=its), given))
            else:
                listed = siblings[-1].data.tags.get("listed_digest", "") if siblings else ""
                scores.append(single_run.run(own, parent=parent, member=member.label, listed=listed))
            spent.append(time.perf_counter() - began)
            forget_models()
    except BaseException:
        again = single_run.resume_command(parent, given or composed.overrides)
        print(f"stopped; to go on with all of them: {again}", file=sys.stderr)
        raise
    summary.publish(parent, parent_run.conclude(store, parent, [member.label for member in found], composed.config))
    return sum(scores) / len(scores)


def _has_checkpoint(run_id: str, logged: TrainConfig, places: TrainConfig, given: list[str]) -> bool:
    there = places if any(text.startswith("tracking.checkpoints=") for text in given) else logged
    return (existing_path(there.tracking.checkpoints) / run_id).is_dir()


def _moved(composed: Composition, given: list[str], places: TrainConfig) -> Composition:
    """The composition with what stood beside `resume`: where things are now, and the machine."""
    values = copy.deepcopy(composed.values)
    for text in given:
        key = text.partition("=")[0].lstrip("+")
        group, _, name = key.partition(".")
        block = getattr(places, group)
        for each in [name] if name else [field.name for field in fields(block)]:
            value = getattr(block, each)
            values[group][each] = list(value) if isinstance(value, tuple) else value
    return replace(composed, config=typed(TrainConfig, values), values=values)


def _composition_of(member: Member, composed: Composition) -> Composition:
    """The composition for one member, whose configuration stands on its own. A fold's model is not registered."""
    values = copy.deepcopy(composed.values)
    values["seeds"] = None
    if member.changes.keys() - {"seed"}:
        values["tracking"]["register"] = None
    for key, value in member.changes.items():
        *path, name = key.split(".")
        place = values
        for each in path:
            place = place[each]
        place[name] = value
    own = [f"{key}={value}" for key, value in member.changes.items()]
    overrides = [text for text in composed.overrides if not text.startswith("seeds=")]
    return Composition(typed(TrainConfig, values), values, [*overrides, *own], composed.choices)

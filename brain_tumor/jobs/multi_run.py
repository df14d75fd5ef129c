"""Several runs as one command: seeds, folds of a cross-validation, or sites left out, below one parent run."""

import copy
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from brain_tumor import entry
from brain_tumor.config.train import Source, TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.data.class_folders import site_folders
from brain_tumor.errors import InputError
from brain_tumor.jobs import train
from brain_tumor.jobs.preflight import image_size, preflight
from brain_tumor.jobs.resume import resume_one
from brain_tumor.paths import existing_path


@dataclass(frozen=True)
class Member:
    """One of the runs: the keys of the configuration that are its own, "seed" and "protocol.fold" say."""

    changes: Mapping[str, Any]

    @property
    def label(self) -> str:
        """How the run is called beside its siblings: "seed 0, fold 2"."""
        return ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in self.changes.items())


def members(config: TrainConfig) -> list[Member]:
    """The runs that a configuration asks for; none if it asks for a single one, as it stands."""
    seeds: list[dict[str, Any]] = [{"seed": seed} for seed in config.seeds or ()]
    parts: list[dict[str, Any]] = []
    if config.protocol.folds is not None and config.protocol.fold is None:
        parts = [{"protocol.fold": fold} for fold in range(config.protocol.folds)]
    elif config.protocol.name == "leave_one_site_out" and config.protocol.site is None:
        if config.data.source is not Source.folder:
            raise InputError(
                f"protocol=leave_one_site_out needs folders, one a site, and not data={config.data.source}: "
                "give data=folder 'data.root=[A,B]'"
            )
        parts = [{"protocol.site": site} for site in site_folders(config.data.root)]
    return [Member({**seed, **part}) for seed in seeds or [{}] for part in parts or [{}] if seed or part]


def run(request: train.Request) -> float:
    """Train all members, one after the other; returns the mean of their best `monitor` on the val part.

    Each opens its test part once it has finished; the parent run holds the mean and the spread, and of folds the
    pooled predictions.
    """
    preflight(request.config)

    from brain_tumor.tracking import multi_run
    from brain_tumor.tracking.store import open_store

    store = open_store(request.config.tracking)
    first = _request_of(members(request.config)[0], request).config
    train.loaded(
        first.data, image_size=image_size(first), protocol=first.protocol
    )  # before there is a run to go on with
    with multi_run.opened(store, request) as parent:
        return _train(request, parent, store, [], request.config)


def resume(config: TrainConfig, overrides: list[str]) -> float:
    """Go on with the run `config.resume`; of a parent the finished members stay, an interrupted one goes on in itself.

    See `resume_one` for what is read of `config`, and what is raised.
    """
    from brain_tumor.tracking import multi_run, runs
    from brain_tumor.tracking.store import open_store

    store = open_store(config.tracking)
    parent = str(config.resume)
    if runs.interrupted(parent).data.tags["job"] != "several":
        return resume_one(config, overrides)
    given = [text for text in overrides if not text.startswith("resume=")]
    request = _moved(multi_run.request_of(parent), given, config)
    with multi_run.opened(store, request, run_id=parent):
        return _train(request, parent, store, given, config)


def _train(request: train.Request, parent: str, store: Any, given: list[str], places: TrainConfig) -> float:
    """Train what has not finished below `parent`. `given` and `places`: what stood beside `resume`."""
    from brain_tumor.tracking import multi_run

    # Model after model in one process: TensorFlow would advise against tracing each one's functions.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    found = members(request.config)
    scores = []
    try:
        for number, member in enumerate(found, start=1):
            print(f"{member.label} ({number} of {len(found)})", file=sys.stderr)
            siblings = multi_run.children(parent)
            known = multi_run.child(parent, member.label)
            if known is not None and known.info.status == "FINISHED":
                scores.append(float(known.data.tags["score"]))
            elif known is not None and _has_checkpoint(known.info.run_id, request.config, places, given):
                scores.append(resume_one(replace(places, resume=known.info.run_id), given))
            else:
                listed = siblings[-1].data.tags.get("listed_digest", "") if siblings else ""
                own = _request_of(member, request)
                scores.append(train.run(own, parent=parent, member=member.label, listed=listed))
            train.forget()
    except BaseException:
        kept = [
            text for text in given or request.overrides if text.startswith(("tracking.uri=", "tracking.checkpoints="))
        ]
        print(
            f"stopped; to go on with all of them: {entry.command('train', f'resume={parent}', *kept)}", file=sys.stderr
        )
        raise
    print(multi_run.conclude(store, parent, [member.label for member in found], request.config))
    return sum(scores) / len(scores)


def refuse(config: TrainConfig) -> None:
    """Raise InputError for a trial, or a job of a multirun, that asks for several runs."""
    if members(config):
        folds = "protocol.folds=… without protocol.fold"
        sites = "protocol=leave_one_site_out without protocol.site"
        key = "seeds=[…]" if config.seeds else folds if config.protocol.folds else sites
        raise InputError(
            f"{key} asks for several runs, and -m for several of these: use seed=0,1,2 and the like with -m"
        )


def _has_checkpoint(run_id: str, logged: TrainConfig, places: TrainConfig, given: list[str]) -> bool:
    there = places if any(text.startswith("tracking.checkpoints=") for text in given) else logged
    return (existing_path(there.tracking.checkpoints) / run_id).is_dir()


def _moved(request: train.Request, given: list[str], places: TrainConfig) -> train.Request:
    """The request with what stood beside `resume`: where things are now, and the machine."""
    composed = copy.deepcopy(request.composed)
    for text in given:
        key = text.partition("=")[0].lstrip("+")
        group, _, name = key.partition(".")
        block = getattr(places, group)
        for each in [name] if name else [field.name for field in fields(block)]:
            value = getattr(block, each)
            composed[group][each] = list(value) if isinstance(value, tuple) else value
    return replace(request, config=typed(TrainConfig, composed), composed=composed)


def _request_of(member: Member, request: train.Request) -> train.Request:
    """The request for one member, whose configuration stands on its own. A fold's model is not registered."""
    composed = copy.deepcopy(request.composed)
    composed["seeds"] = None
    if member.changes.keys() - {"seed"}:
        composed["tracking"]["register"] = None
    for key, value in member.changes.items():
        *path, name = key.split(".")
        place = composed
        for each in path:
            place = place[each]
        place[name] = value
    own = [f"{key}={value}" for key, value in member.changes.items()]
    overrides = [text for text in request.overrides if not text.startswith("seeds=")]
    return train.Request(typed(TrainConfig, composed), composed, [*overrides, *own], request.choices)

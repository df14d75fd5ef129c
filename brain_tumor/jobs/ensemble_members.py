"""The models that an ensemble is made of, and whether they go together: known before any is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass

from brain_tumor.config.commands import EnsembleConfig
from brain_tumor.config.train import AND, TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.data.classes import ClassList
from brain_tumor.data.common_split import combine
from brain_tumor.data.split import Split
from brain_tumor.errors import InputError
from brain_tumor.models.backbones import BACKBONES
from brain_tumor.tracking import comparison_run, parent_run, runs
from brain_tumor.tracking.model_address import find


@dataclass(frozen=True, eq=False)
class Member:
    """A model of the store."""

    said: str  # its address, with the key that names it: "members=models:/NAME/1"
    uri: str  # the same, of a version and not of an alias
    run_id: str
    config: TrainConfig  # how it was made
    classes: ClassList
    split: Split
    listed: str  # digest of all images of its source, with their groups

    @property
    def takes(self) -> str | None:
        """What it is shown, in words; None of an adopted model, whose file alone says it."""
        name, data = self.config.model.name, self.config.data
        if data.volume_shape is not None:
            apart = "" if data.spacing is None else f", {' x '.join(f'{each:g}' for each in data.spacing)} mm apart"
            return f"volumes of {' x '.join(map(str, data.volume_shape))} voxels{apart}"
        side = data.image_size or (BACKBONES[name].native_size if name in BACKBONES else None)
        return None if side is None else f"slices of {side} px"


@dataclass(frozen=True, eq=False)
class Members:
    """Models that can be averaged, since they take the same."""

    each: tuple[Member, ...]
    split: Split  # of all of them, see `common_split.combine`
    reason: str  # why nothing can be fitted to their mean; "" where it can

    @property
    def name(self) -> str:
        """The names of their networks."""
        return AND.join(member.config.model.name for member in self.each)


def gather(config: EnsembleConfig) -> Members:
    """The models that are meant, `together`; InputError where one cannot be had, or as there."""
    key = "members" if config.members else "run"
    return together([_member(uri, key) for uri in config.members or _below(config)])


def together(members: Sequence[Member]) -> Members:
    """Two models or more, and their common split.

    Raises InputError where they cannot be averaged, or would be measured on images that one has met.
    """
    first, *others = members
    for number, member in enumerate(others, start=1):
        if twin := next((each for each in members[:number] if each.run_id == member.run_id), None):
            raise InputError(f"{member.said} and {twin.said} are one model: give each once")
        for what, own, expected in (
            ("knows other classes", member.classes, first.classes),
            ("takes images of another kind or size", member.takes, first.takes),
        ):
            if own != expected and None not in (own, expected):
                raise InputError(f"{member.said} {what} ({own}) than {first.uri} ({expected}): leave one of them out")
        if member.listed != first.listed:
            raise InputError(
                f"{member.said} was trained around other images, or other patients, than {first.uri} (another digest "
                "of all images), so that nobody can tell what both have met: leave one of them out"
            )
    return Members(tuple(members), *combine({member.said: member.split for member in members}))


def _member(uri: str, key: str) -> Member:
    found = find(uri, key)
    said, tags = f"{key}={uri}", runs.own_tags_of(found.run_id)
    if not found.keras:
        raise InputError(f"{said} is a file for ONNX Runtime, whose layers cannot be averaged: leave it out")
    if "members" in tags:
        raise InputError(f"{said} is an ensemble itself: give its members, {tags.get('members')}")
    split = runs.load_split(found.run_id)
    made = typed(TrainConfig, runs.load_config(found.run_id))
    return Member(said, found.uri, found.run_id, made, found.classes, split, tags.get("listed_digest") or split.digest)


def _below(config: EnsembleConfig) -> list[str]:
    """The addresses of the models of a parent run, the first trained first."""
    parent = comparison_run.find(str(config.run), "run").info.run_id
    below = [run for run in reversed(parent_run.children(parent)) if "member" in run.data.tags]
    if config.only is not None:
        named = [run for run in below if config.only in run.data.tags["member"].split(", ")]
        if below and not named:
            there = "; ".join(run.data.tags["member"] for run in below)
            raise InputError(f"only={config.only} names none of the runs below run={config.run}: there is {there}")
        below = named
    done = {run.data.tags["member"]: run.info.run_id for run in below if run.info.status == "FINISHED"}
    left = sorted({run.data.tags["member"] for run in below} - done.keys())
    if left:
        raise InputError(
            f"run={config.run} has not finished {left[0]}: go on with it (train resume={parent}), or give members=[…]"
        )
    if len(done) < 2:
        raise InputError(f"run={config.run} stands above {len(done)} such trainings, and two at least are averaged")
    return [f"runs:/{run_id}/model" for run_id in done.values()]

"""What the command line asks for: which keys to search, where, and with which settings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, Override

from brain_tumor.config.sweep import SweepConfig
from brain_tumor.errors import InputError
from brain_tumor.sweep.sampling import GRID, is_grid
from brain_tumor.sweep.space import Space, Value, canonical, parse

CLASSES = ("data.classes", "data.healthy", "data.rename")  # what they say is the task, and not how well it is done
NO_PRUNER = {"_target_": "optuna.pruners.NopPruner"}


@dataclass(frozen=True)
class Request:
    """A sweep as typed: its settings, its space, and the overrides that all its trials share."""

    settings: SweepConfig
    space: Space
    shared: list[str]
    label: str  # of the study's name, where none is given

    @property
    def queue(self) -> list[dict[str, Value]]:
        """The points to start with: of a grid all of them."""
        if is_grid(self.settings.sampler):
            return self.space.grid()
        return [self.space.point(given) for given in self.settings.enqueue]

    @property
    def n_trials(self) -> int:
        """How many trials are to be finished: of a grid no more than it has points."""
        asked = self.settings.n_trials
        if is_grid(self.settings.sampler):
            return min(asked or len(self.queue), len(self.queue))
        if asked is not None:
            return asked
        raise InputError("sweep.n_trials=null is the whole of a grid, and this search has no end: give a number")


def read(arguments: Sequence[str], settings: SweepConfig, config_loader: Any = None) -> Request:
    """Combine the configured sweep with the command line's.

    A key with several values there replaces the configured space, or, if `sweep=` is named too, extends it. Lists
    alone are a grid, as in Hydra. A key with one value there is not searched.
    """
    given = parse(arguments, config_loader)
    typed = {override.key_or_group for override in given if not override.is_sweep_override()}
    named = "sweep" in typed
    swept = {_key(override): _text(override) for override in given if override.is_sweep_override()}
    shared = [override.input_line or "" for override in given if not override.is_sweep_override()]
    for key in swept:
        if key.startswith(("sweep.", "sweep/")) or key == "sweep":
            raise InputError(f"{key} is the sweep's own and has one value")
    space, when, enqueue = dict(settings.space), dict(settings.when), settings.enqueue
    if swept and not named:
        space = {}
        when = when if _typed(typed, "sweep.when") else {}
        enqueue = enqueue if _typed(typed, "sweep.enqueue") else []
    space |= swept
    single = {_key(each).lstrip("+"): each.get_value_element_as_str() for each in given if not each.is_sweep_override()}
    fixed = {key for key in space if key.lstrip("+") in single and key not in swept}
    # What depends on a key with one value now is there always, or never.
    for key, text in when.items():
        other, _, values = text.partition("=")
        if other in fixed and single[other.lstrip("+")] not in values.split(","):
            fixed.add(key)
    space = {key: text for key, text in space.items() if key not in fixed}
    when = {key: text for key, text in when.items() if key not in fixed and text.partition("=")[0] not in fixed}
    enqueue = [{key: value for key, value in point.items() if key not in fixed} for point in enqueue]
    if not space:
        raise InputError("-m has nothing to search: give a key several values (key=a,b or key=choice(a,b)), or sweep=")
    for key in space:
        if key.lstrip("+").startswith(CLASSES):
            raise InputError(f"{key} has several values: scores of other classes are not comparable, so give it one")
    settings = replace(settings, space=space, when=when, enqueue=enqueue)
    lists = bool(swept) and not named and all(_is_list(override) for override in given if override.is_sweep_override())
    if lists and not _typed(typed, "sweep/sampler", "sweep.sampler"):
        n_trials = settings.n_trials if "sweep.n_trials" in typed else None
        settings = replace(settings, sampler={"_target_": GRID}, pruner=NO_PRUNER, n_trials=n_trials)
    if is_grid(settings.sampler) and "sweep/sampler" in typed and "sweep.n_trials" not in typed:
        settings = replace(settings, n_trials=None)
    return Request(settings, Space(space, when), shared, "grid" if lists else "search" if swept and not named else "")


def study_name(request: Request, fixed: Mapping[str, Any], choices: Mapping[str, str]) -> str:
    """`sweep.study`, or one made of the sweep, the model, the data, and a digest of all that is searched or fixed."""
    if request.settings.study:
        return request.settings.study
    names = [
        request.label or choices.get("sweep", "sweep"),
        *(choices[key] for key in ("model", "data") if key in choices),
    ]
    texts = sorted((key, canonical(text)) for key, text in request.space.texts.items())
    identity = [texts, sorted(request.space.when.items()), sorted(fixed.items())]
    objective = [request.settings.metrics, request.settings.directions]
    digest = sha256(repr([identity, objective]).encode()).hexdigest()[:6]
    return "-".join([*names, digest])


def flat(values: Mapping[str, Any], keep: Callable[[str], bool], prefix: str = "") -> dict[str, Any]:
    """A nested configuration by dotted key, as far as `keep` says; empty mappings stay."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if not keep(name):
            continue
        if isinstance(value, Mapping) and value:
            found |= flat(value, keep, f"{name}.")
        else:
            found[name] = value
    return found


def _key(override: Override) -> str:
    return str(override.get_key_element())


def _text(override: Override) -> str:
    return (override.input_line or "").partition("=")[2]


def _typed(typed: set[str], *prefixes: str) -> bool:
    return any(key == prefix or key.startswith(f"{prefix}.") for key in typed for prefix in prefixes)


def _is_list(override: Override) -> bool:
    value = override.value()
    return isinstance(value, ChoiceSweep) and value.simple_form

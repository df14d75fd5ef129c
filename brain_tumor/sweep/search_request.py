"""What the command line asks for: which keys to search, where, and with which settings."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, Override

from brain_tumor.config.sweep import SweepConfig
from brain_tumor.errors import InputError
from brain_tumor.sweep.sampling import GRID, is_grid
from brain_tumor.sweep.space import Space, Value, canonical, parse

NO_PRUNER = {"_target_": "optuna.pruners.NopPruner"}


@dataclass(frozen=True)
class Request:
    """A sweep as typed: its settings, its space, and the overrides that all its trials share."""

    settings: SweepConfig
    space: Space
    shared: list[str]
    label: str  # of the study's name, where none is given
    left_out: tuple[str, ...] = ()  # lines on what of a sweep's file is not searched

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


def read(
    arguments: Sequence[str],
    settings: SweepConfig,
    config_loader: Any = None,
    lacking: Callable[[str], str] = lambda key: "",
) -> Request:
    """Combine the configured sweep with the command line's.

    A key with several values there replaces the configured space, or, if `sweep=` is named too, extends it. Lists
    alone are a grid, as in Hydra. A key with one value there is not searched. Of the configured space those keys are
    left out of which `lacking` says why they are not there, and of the points to start with those beyond the space.
    """
    given = parse(arguments, config_loader)
    typed = {override.key_or_group for override in given if not override.is_sweep_override()}
    named = "sweep" in typed
    swept = {_key(override): _text(override) for override in given if override.is_sweep_override()}
    shared = [override.input_line or "" for override in given if not override.is_sweep_override()]
    for key in swept:
        if key.startswith(("sweep.", "sweep/")) or key == "sweep":
            raise InputError(f"{key} is the sweep's own and has one value")
    lost = {} if _typed(typed, "sweep.space") or (swept and not named) else _lost(settings, swept, lacking)
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
    gone = fixed | lost.keys()
    space = {key: text for key, text in space.items() if key not in gone}
    when = {key: text for key, text in when.items() if key not in gone and text.partition("=")[0] not in gone}
    enqueue = [{key: value for key, value in point.items() if key not in gone} for point in enqueue]
    if not space and lost:
        raise InputError(
            f"{next(iter(lost.values()))}, and the sweep searches nothing else: name keys (key=a,b) instead"
        )
    if not space:
        raise InputError(
            "-m has nothing to search: give a key several values (key=a,b or key=choice(a,b)), or sweep=; what the "
            "default sweep searches of a schedule is in conf/sweep/space/"
        )
    searched = Space(space, when)
    enqueue, odd = (enqueue, []) if _typed(typed, "sweep.enqueue") else _fitting(searched, enqueue)
    settings = replace(settings, space=space, when=when, enqueue=enqueue)
    lists = bool(swept) and not named and all(_is_list(override) for override in given if override.is_sweep_override())
    if lists and not _typed(typed, "sweep/sampler", "sweep.sampler"):
        n_trials = settings.n_trials if "sweep.n_trials" in typed else None
        settings = replace(settings, sampler={"_target_": GRID}, pruner=NO_PRUNER, n_trials=n_trials)
    if is_grid(settings.sampler) and "sweep/sampler" in typed and "sweep.n_trials" not in typed:
        settings = replace(settings, n_trials=None)
    label = "grid" if lists else "search" if swept and not named else ""
    return Request(settings, searched, shared, label, (*_said(lost), *odd))


def _lost(settings: SweepConfig, swept: Collection[str], lacking: Callable[[str], str]) -> dict[str, str]:
    """Keys of the configured space that are not there, and why: `lacking`, or they depend on such a key."""
    lost = {key: why for key in settings.space if key not in swept and (why := lacking(key.lstrip("+")))}
    for key, text in settings.when.items():
        if (other := text.partition("=")[0]) in lost:
            lost.setdefault(key, lost[other])
    return lost


def _said(lost: Mapping[str, str]) -> Iterator[str]:
    for why in dict.fromkeys(lost.values()):
        yield f"not searched: {', '.join(key for key in lost if lost[key] == why)}, since {why}"


def _fitting(space: Space, points: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Those of a file's points to start with that are of the space, and a line on each other."""
    kept, said = [], []
    _ = space.distributions  # a space that cannot be read is no matter of points
    for point in points:
        try:
            space.point(point)
        except InputError as error:
            said.append(f"{error}: the point is left out")
        else:
            kept.append(dict(point))
    return [point for point in kept if point], said


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

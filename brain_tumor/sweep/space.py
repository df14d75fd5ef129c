"""The search space: Hydra's sweep syntax as Optuna's distributions, and points of it as overrides."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    IntervalSweep,
    Override,
    Quote,
    QuotedString,
    RangeSweep,
    Transformer,
)
from hydra.errors import HydraException, OverrideParseException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from brain_tumor.config.nearest import nearest
from brain_tumor.config.refusals import unreadable
from brain_tumor.errors import InputError

Value = None | bool | int | float | str
GRID_LIMIT = 100_000  # points: more than that was surely not meant


@dataclass(frozen=True)
class Space:
    """What a study searches: key -> its text in Hydra's syntax, and the keys' conditions (see SweepConfig.when)."""

    texts: Mapping[str, str]
    when: Mapping[str, str]

    def __post_init__(self) -> None:
        for key, condition in self.when.items():
            other, _, values = condition.partition("=")
            if not values or other not in self.texts or key not in self.texts:
                raise InputError(
                    f"sweep.when.{key}={condition}: write OTHER=VALUE[,VALUE…], where both are keys of the space"
                )
            allowed = self.distributions[other]
            if isinstance(allowed, CategoricalDistribution):
                for value in values.split(","):
                    if value not in map(text_of, allowed.choices):
                        raise InputError(f"sweep.when.{key}={condition}: {other} is never {value}")
            else:
                for value in values.split(","):
                    _member(other, self.texts[other], _number(value), f"sweep.when.{key}={condition}")
        _ = self.order

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        return {key: distribution(key, text) for key, text in self.texts.items()}

    @cached_property
    def order(self) -> list[str]:
        """The keys, each after the one that its condition reads; InputError for conditions in a circle."""
        order: list[str] = []
        left = list(self.texts)
        while left:
            ready = (key for key in left if key not in self.when or self.when[key].partition("=")[0] in order)
            key = next(ready, None)
            if key is None:
                raise InputError(f"sweep.when: the conditions of {', '.join(left)} form a circle")
            order.append(key)
            left.remove(key)
        return order

    def active(self, key: str, point: Mapping[str, Value]) -> bool:
        """Whether `key` exists at a point on which the key of its condition has been decided."""
        if key not in self.when:
            return True
        other, _, values = self.when[key].partition("=")
        return other in point and text_of(point[other]) in values.split(",")

    def axes(self) -> dict[str, list[Value]]:
        """Every key's values; InputError where one is continuous."""
        return {key: _values(key, self.texts[key]) for key in self.order}

    def grid(self) -> list[dict[str, Value]]:
        """Every point, in the order of nested loops; InputError where a key is continuous or there are too many."""
        axes = self.axes()
        if math.prod(map(len, axes.values())) > GRID_LIMIT:
            raise InputError(f"the grid has more than {GRID_LIMIT} points: search it with sweep/sampler=tpe")
        points: dict[tuple[tuple[str, Value], ...], None] = {}
        for values in itertools.product(*axes.values()):
            point: dict[str, Value] = {}
            for key, value in zip(axes, values, strict=True):
                if self.active(key, point):
                    point[key] = value
            points[tuple(point.items())] = None
        return [dict(point) for point in points]

    def point(self, given: Mapping[str, Any]) -> dict[str, Value]:
        """A point as the user wrote it, checked; InputError for a key or a value that is not of the space."""
        point: dict[str, Value] = {}
        unknown = sorted(set(given) - set(self.texts))
        if unknown:
            raise InputError(f"sweep.enqueue: {', '.join(unknown)} is not searched{nearest(unknown[0], self.texts)}")
        for key in self.order:
            if key not in given or not self.active(key, point):
                continue
            point[key] = _member(key, self.texts[key], given[key], "sweep.enqueue")
        return point

    def corners(self) -> Iterator[dict[str, Value]]:
        """Points that between them hold every choice, and both ends of every range, at least once."""
        seen = set()
        ends = {key: _ends(allowed) for key, allowed in self.distributions.items()}
        for key in [None, *self.order]:
            for value in [None] if key is None else ends[key]:
                point: dict[str, Value] = {}
                if key is not None:
                    self._enable(key, point)
                    point[key] = value
                for other in self.order:
                    if other not in point and self.active(other, point):
                        point[other] = ends[other][0]
                point = {name: point[name] for name in self.order if name in point and self.active(name, point)}
                if tuple(point.items()) not in seen:
                    seen.add(tuple(point.items()))
                    yield point

    def _enable(self, key: str, point: dict[str, Value]) -> None:
        """Give the keys that `key` depends on the values under which it exists."""
        if key in self.when:
            other, _, values = self.when[key].partition("=")
            self._enable(other, point)
            choices = [*_ends(self.distributions[other]), *map(_number, values.split(","))]
            point[other] = next(value for value in choices if text_of(value) in values.split(","))


def canonical(text: str) -> str:
    """A sweep's text without the spaces after its commas, which change nothing."""
    return re.sub(r",\s+", ",", text)


def parse(texts: Sequence[str], config_loader: Any = None) -> list[Override]:
    """Overrides as Hydra reads them; InputError in one line for one that it cannot."""
    try:
        return OverridesParser.create(config_loader=config_loader).parse_overrides(list(texts))
    except OverrideParseException as error:
        raise InputError(unreadable(error)) from error
    except HydraException as error:
        raise InputError(" ".join(str(error).split())) from error


def distribution(key: str, text: str) -> BaseDistribution:
    """What Optuna draws `key` from; InputError where `text` is no sweep."""
    value = _sweep(key, text)
    log = "log" in value.tags
    try:
        if isinstance(value, IntervalSweep):
            assert value.start is not None
            assert value.end is not None
            if isinstance(value.start, int) and isinstance(value.end, int):
                return IntDistribution(value.start, value.end, log=log)
            return FloatDistribution(value.start, value.end, log=log)
        if isinstance(value, RangeSweep) and not log:
            numbers = [each for each in _values(key, text) if isinstance(each, int | float)]
            low, high, step = min(numbers), max(numbers), abs(value.step)
            if isinstance(low, int) and isinstance(high, int) and isinstance(step, int):
                return IntDistribution(low, high, step=step)
            return FloatDistribution(low, high, step=step)
    except ValueError as error:
        raise InputError(f"the search space of {key}, {text}, is not usable: {error}") from error
    if log:
        raise InputError(f"the search space of {key}, {text}: tag(log, …) goes with interval(…)")
    return CategoricalDistribution(_values(key, text))


def overrides(point: Mapping[str, Value]) -> list[str]:
    """A point as Hydra's command line takes it, strings quoted where their type would be lost."""
    return [f"{key}={text_of(value)}" for key, value in point.items()]


def text_of(value: Any) -> str:
    """A plain value in Hydra's grammar, so that it is read back as the same value and type."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)
    if not isinstance(value, str):
        return str(Override._get_value_element_as_str(value))
    try:
        bare = OverridesParser.create().parse_override(f"key={value}")
        # Mappings and lists are kept as their text.
        if not bare.is_sweep_override() and (bare.value() == value or isinstance(bare.value(), dict | list)):
            return value
    except HydraException:
        pass
    return str(QuotedString(text=value, quote=Quote.single).with_quotes())


def _sweep(key: str, text: str) -> Any:
    [override] = parse([f"{key}={text}"])
    value = override.value()
    if not isinstance(value, ChoiceSweep | RangeSweep | IntervalSweep):
        raise InputError(
            f"the search space of {key}, {text}, is none: write choice(…), interval(…), int(interval(…)), range(…) "
            "or tag(log, interval(…))"
        )
    return value


def _values(key: str, text: str) -> list[Value]:
    """The values of a discrete sweep; mappings and lists, which Optuna does not take, as Hydra's text."""
    value = _sweep(key, text)
    if isinstance(value, IntervalSweep):
        if isinstance(value.start, int) and isinstance(value.end, int):
            return list(range(value.start, value.end + 1))
        raise InputError(f"{key}={text} is continuous and has no grid: search it with sweep/sampler=tpe")
    [override] = parse([f"{key}={text}"])
    return [_plain(element) for element in override.sweep_iterator(transformer=Transformer.identity)]


def _plain(element: Any) -> Value:
    if isinstance(element, QuotedString):
        return str(element.text)
    if element is None or isinstance(element, bool | int | float | str):
        return element
    return str(Override._get_value_element_as_str(element))


def _member(key: str, text: str, value: Any, where: str) -> Value:
    """A value as the distribution of `key` holds it; InputError, which opens with `where`, if it does not."""
    allowed = distribution(key, text)
    if isinstance(allowed, CategoricalDistribution):
        for choice in allowed.choices:
            if choice == value or text_of(choice) == text_of(value):
                return choice
    elif isinstance(value, int | float) and not isinstance(value, bool):
        assert isinstance(allowed, IntDistribution | FloatDistribution)
        whole = allowed.step is None or (value - allowed.low) % allowed.step == 0
        if allowed.low <= value <= allowed.high and whole:
            return float(value) if isinstance(allowed, FloatDistribution) else int(value)
    raise InputError(f"{where}: {key}={value} is not of the space {text}")


def _number(text: str) -> Value:
    """A number as Hydra reads it; any other text as it is."""
    try:
        [override] = parse([f"key={text}"])
    except InputError:
        return text
    value = override.value()
    return value if isinstance(value, int | float) else text


def _ends(allowed: BaseDistribution) -> list[Value]:
    if isinstance(allowed, CategoricalDistribution):
        return list(allowed.choices)
    assert isinstance(allowed, IntDistribution | FloatDistribution)
    return [allowed.low, allowed.high]

"""The one place where OmegaConf turns into frozen dataclasses; everything beyond takes plain typed values."""

from collections.abc import Mapping
from typing import Any, TypeVar

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError

from brain_tumor.config.nearest import dotted_keys, nearest
from brain_tumor.errors import InputError

LISTED = 4  # keys that a node lacks
T = TypeVar("T")


def typed(cls: type[T], config: DictConfig | dict[str, Any], prefix: str = "") -> T:
    """Turn a composed configuration into the frozen dataclass `cls`.

    Raises InputError in one line that names every key with an unknown name, a wrong type or a value out of range,
    `prefix` before each.
    """
    values = plain(config) if isinstance(config, DictConfig) else config
    try:
        return TypeAdapter(cls).validate_python(values)
    except ValidationError as error:
        raise InputError("configuration: " + "; ".join(_problems(error, values, prefix))) from error


def plain(config: DictConfig | ListConfig) -> dict[str, Any]:
    """A configuration as plain values, interpolations resolved; InputError where a mandatory one is missing."""
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        said = str(error).splitlines()[0].rpartition("while resolving interpolation: ")[2]  # of which no user knows
        raise InputError(f"configuration: {said}") from error
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _problems(error: ValidationError, values: Mapping[str, Any], prefix: str) -> list[str]:
    """One clause a key, of a union the first complaint; what a node lacks is one clause."""
    clauses: dict[str, str] = {}
    lacking: dict[str, list[str]] = {}
    known = [prefix + each for each in dotted_keys(values)]
    for item in error.errors(include_url=False):
        names = [str(part) for part in item["loc"] if str(part).isidentifier() and not str(part)[0].isupper()]
        key = prefix + ".".join(names) if names else ""
        if item["type"] in ("unexpected_keyword_argument", "unexpected_property"):
            others = [each for each in known if not f"{each}.".startswith(f"{key}.")]
            clauses.setdefault(key, f"{key} is no known key{nearest(key, others)}")
        elif item["type"] == "missing":
            node, _, name = key.rpartition(".")
            if key not in clauses:
                lacking.setdefault(node, []).append(name)
                clauses[key] = ""
        else:
            message = item["msg"].removeprefix("Value error, ")
            if item["type"] == "tuple_type":
                message = f"give a list, [{item['input']}]"
            if item["type"] == "dataclass_type":
                message = f"give a key below it, {key}.KEY=VALUE"
            whole = not names or isinstance(item["input"], dict)  # a rule over several keys: it names them itself
            got = "" if whole else f" (got {item['input']!r})"
            clauses.setdefault(key, f"{key}{': ' if key else ''}{message[:1].lower()}{message[1:]}{got}")
    return [*filter(None, clauses.values()), *(_lacks(node, names, values) for node, names in lacking.items())]


def _lacks(node: str, names: list[str], values: Mapping[str, Any]) -> str:
    if len(names) == 1:
        return f"{node}{'.' if node else ''}{names[0]} is missing"
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    above, _, name = node.rpartition(".")
    others = [f"{above}.{each}" for each in values.get(above, {}) if each != name] if above else []
    beside = f", which {', '.join(others)} beside it have" if others else ""
    return f"{node}{' ' if node else ''}lacks {', '.join(names[:LISTED])}{more}{beside}"

"""The one place where OmegaConf turns into frozen dataclasses; everything beyond takes plain typed values."""

from typing import Any, TypeVar

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError

from brain_tumor.errors import InputError

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
        raise InputError("configuration: " + "; ".join(prefix + each for each in _problems(error))) from error


def plain(config: DictConfig | ListConfig) -> dict[str, Any]:
    """A configuration as plain values, interpolations resolved; InputError where a mandatory one is missing."""
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise InputError(f"configuration: {str(error).splitlines()[0]}") from error
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _problems(error: ValidationError) -> list[str]:
    """One clause a key: where a union was tried, only its first complaint is kept."""
    clauses: dict[str, str] = {}
    for item in error.errors(include_url=False):
        names = [str(part) for part in item["loc"] if str(part).isidentifier() and not str(part)[0].isupper()]
        key = ".".join(names)
        if item["type"] in ("unexpected_keyword_argument", "unexpected_property"):
            clauses.setdefault(key, f"{key} is no known key")
        elif item["type"] == "missing":
            clauses.setdefault(key, f"{key} is missing")
        else:
            message = item["msg"].removeprefix("Value error, ")
            if item["type"] == "tuple_type":
                message = f"give a list, [{item['input']}]"
            whole = not key or isinstance(item["input"], dict)  # a rule over several keys: it names them itself
            got = "" if whole else f" (got {item['input']!r})"
            clauses.setdefault(key, f"{key}{': ' if key else ''}{message[:1].lower()}{message[1:]}{got}")
    return list(clauses.values())

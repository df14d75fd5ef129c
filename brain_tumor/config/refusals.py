"""What is wrong with a command line that Hydra cannot compose, in one line that names what there is instead."""

import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from brain_tumor.errors import InputError

FULL_ERROR = "HYDRA_FULL_ERROR"
OTHER_CONFIGURATION = ("--config-", "-cn", "-cp", "-cd")  # flags of Hydra with which `problem` would look elsewhere
REFUSED = (HydraException, ValueError, OSError)  # what Hydra raises where it cannot compose, or cannot begin
_asked: list[str] = []  # holds FULL_ERROR while Hydra raises because of `refusals`


@contextmanager
def refusals(folder: Path, config_name: str) -> Iterator[None]:
    """Raise InputError where Hydra, run inside, cannot compose `config_name` of `folder` with the command line.

    Hydra prints such an error and ends the process, unless its environment variable asks for the exception: that is
    set until `hand_back_errors`. So nothing is composed but by Hydra, once, unless something is wrong.
    """
    if os.environ.get(FULL_ERROR) == "1":  # the user's, who wants Hydra's own words and its trace
        yield
        return
    os.environ[FULL_ERROR] = "1"
    _asked.append(FULL_ERROR)
    try:
        yield
    except REFUSED as error:
        if not _asked:
            raise
        if not isinstance(error, HydraException) and _launched(error):
            raise
        raise InputError(_of_command_line(folder, config_name, sys.argv[1:], error) or one_line(error)) from error
    finally:
        hand_back_errors()


def hand_back_errors() -> None:
    """Give errors back to Hydra's care: the command line is composed, and what fails from here on is the command's."""
    while _asked:
        os.environ.pop(_asked.pop(), None)


def problem(
    loader: ConfigLoader, config_name: str, overrides: Sequence[str], error: Exception, mode: RunMode = RunMode.RUN
) -> str:
    """Say in one line which of `overrides` does not compose with `config_name`, and what there is instead.

    Empty where each of them does. `error` is what the whole of them raised. Groups are looked at first, since they
    decide which keys there are.
    """
    if isinstance(error, OverrideParseException):
        return _unreadable(error)
    if isinstance(error, MissingConfigException) and error.options and (line := _missing(error, overrides)):
        return line
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
    options = {each.key_or_group: _options(loader, each) for each in parsed}
    kept: list[str] = []
    try:
        config = loader.load_configuration(config_name, kept, mode)
    except REFUSED:
        return ""
    for each in sorted(parsed, key=lambda override: not options[override.key_or_group]):
        line = each.input_line or ""
        try:
            config = loader.load_configuration(config_name, [*kept, line], mode)
        except REFUSED as own:
            if each.is_sweep_override():
                return _unswept(each) if mode == RunMode.RUN else f"{line}: {one_line(own)}"
            group = options[each.key_or_group]
            return _unknown_choice(each, group, config, own) if group else _unknown_key(each, config, own)
        kept.append(line)
    return ""


def one_line(error: BaseException) -> str:
    """What an exception says, or what it was made of, without Hydra's search path and OmegaConf's details."""
    text = str(error.__cause__).partition("\n")[0] if error.__cause__ else str(error).partition("Config search path")[0]
    return " ".join(text.split())[:300]


def _launched(error: BaseException) -> bool:
    """Whether an error came out of a job that a launcher had started, in a process of its own perhaps."""
    places = (str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(place.startswith(("hydra._internal.core_plugins", "hydra_plugins")) for place in places)


def _options(loader: ConfigLoader, override: Override) -> list[str]:
    """What a group may be; nothing for a key."""
    if not override.is_sweep_override() and isinstance(override.value(), dict):  # of keys, wherever it stands
        return []
    return loader.get_group_options(override.key_or_group)


def _of_command_line(folder: Path, config_name: str, arguments: Sequence[str], error: Exception) -> str:
    if any(argument.startswith(OTHER_CONFIGURATION) for argument in arguments):
        return one_line(error)
    overrides = [each for each in arguments if each[:1] != "-" and ("=" in each or each[:1] == "~")]
    mode = RunMode.MULTIRUN if {"-m", "--multirun"} & set(arguments) else RunMode.RUN
    with initialize_config_dir(str(folder), version_base="1.3"):
        return problem(GlobalHydra.instance().config_loader(), config_name, overrides, error, mode)


def _unreadable(error: OverrideParseException) -> str:
    if "=" not in error.override:
        return f"{error.override}: give KEY=VALUE (--help shows the keys)"
    reason = error.message.splitlines()[0]
    return f"{error.override} cannot be read ({reason}): quote a value that holds commas, brackets or quotes"


def _missing(error: MissingConfigException, overrides: Sequence[str]) -> str:
    """Which override chose a file that its group does not have; nothing where none did."""
    group, _, file = (error.missing_cfg_file or "").rpartition("/")
    options = list(error.options or ())
    for line in overrides:
        key, _, value = line.lstrip("+").partition("=")
        if key.partition("@")[0] == group and value == file:
            return f"{key}={value} is none of {', '.join(options)}{_nearest(file, options)}"
    return ""


def _unswept(override: Override) -> str:
    key, _, value = (override.input_line or "").partition("=")
    as_list = f"; a list is {key}=[{value}]" if override.value_type == ValueType.SIMPLE_CHOICE_SWEEP else ""
    return f"{override.input_line}: several values are a sweep, which needs -m{as_list}"


def _unknown_choice(override: Override, options: Sequence[str], config: DictConfig, error: Exception) -> str:
    line, key, value = override.input_line, override.get_key_element().lstrip("+~"), override.value()
    choices = config.hydra.runtime.choices
    if key not in choices and not override.is_add():
        groups = ", ".join(sorted(each for each in choices if not each.startswith("hydra/")))
        return f"{line}: this command has no group {key}; it has {groups or 'none'}"
    odd = [each for each in (value if isinstance(value, list) else [value]) if each not in options]
    if override.is_delete() or not odd:
        return f"{line}: {one_line(error)}"
    text = "null" if odd[0] is None else str(odd[0])
    return f"{key}={text} is none of {', '.join(options)}{_nearest(text, options)}"


def _unknown_key(override: Override, config: DictConfig, error: Exception) -> str:
    line, key = override.input_line or "", override.get_key_element().lstrip("+~")
    known = [
        each for each in _keys(OmegaConf.to_container(config)) if each.startswith("hydra.") == key.startswith("hydra.")
    ]
    if key in known:
        return f"{line}: there is such a key: {line.lstrip('+')}" if override.is_add() else f"{line}: {one_line(error)}"
    group, _, rest = key.partition(".")
    phases = list(config.schedule) if group == "schedule" and rest and "schedule" in config else []
    phase = rest.partition(".")[0]
    if phases and phase not in phases:
        its = "its phase is" if len(phases) == 1 else "its phases are"
        chosen = config.hydra.runtime.choices.get("schedule")
        return f"{key}: schedule={chosen} has no phase {phase!r}: {its} {', '.join(map(repr, phases))}"
    return f"{key}: no known key{_nearest(key, known)}"


def _keys(values: Any, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a configuration, of mappings and of what they hold; not a sweep's, which hold dots."""
    for key, value in values.items() if isinstance(values, dict) else ():
        if "." in str(key):
            continue
        yield f"{prefix}{key}"
        yield from _keys(value, f"{prefix}{key}.")


def _nearest(text: str, known: Iterable[str]) -> str:
    """`; nearest: …`, those that are spelt alike as a whole or in what follows the last dot; nothing where none is."""
    known = list(known)
    ends: dict[str, list[str]] = {}
    for each in known:
        ends.setdefault(each.rpartition(".")[2], []).append(each)
    alike = get_close_matches(text, known, n=3)
    alike += [each for end in get_close_matches(text.rpartition(".")[2], ends, cutoff=0.8) for each in ends[end]]
    return f"; nearest: {', '.join(list(dict.fromkeys(alike))[:3])}" if alike else ""

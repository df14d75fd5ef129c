"""What is wrong with a command line that Hydra cannot compose, in one line that names what there is instead."""

import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NoReturn

from hydra import initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from brain_tumor import disk
from brain_tumor.config.nearest import dotted_keys, nearest
from brain_tumor.errors import InputError

FULL_ERROR = "HYDRA_FULL_ERROR"
OTHER_CONFIGURATION = ("--config-", "-cn", "-cp", "-cd")  # flags of Hydra with which `problem` would look elsewhere
REFUSED = (HydraException, ValueError, OSError)  # what Hydra raises where it cannot compose, or cannot begin
SWEEPER, OUR_SWEEPER = "hydra.sweeper.", ".OptunaStudySweeper"
# Of Hydra's own Optuna sweeper, what the keys of ours are called
OURS = {"n_trials": "n_trials", "params": "space", "search_space": "space", "direction": "direction", "seed": "seed"}
OURS |= {"storage": "storage", "study_name": "study", "sampler": "sampler", "max_failure_rate": "max_failures"}
OPEN = ("sweep.space", "sweep.when")  # mappings whose keys are the user's
VALUES = 50  # of a sweep that are looked at
_FUNCTION = re.compile(r"Unknown function '(\w+)'\s+Available: ([\w,]+)")
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
        if not _asked or disk.refusal(error) or isinstance(error, BrokenPipeError):
            raise
        if not isinstance(error, HydraException) and _launched(error):
            raise
        raise InputError(_of_command_line(folder, config_name, sys.argv[1:], error) or one_line(error)) from error
    finally:
        hand_back_errors()


def check_flags(arguments: Sequence[str]) -> None:
    """Raise InputError for a flag that Hydra does not have, and for overrides on both sides of one."""
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]  # it would print how Hydra is used, and exit
    _, odd = parser.parse_known_args(list(arguments))
    if odd and odd[0].startswith("-"):
        flags = re.findall(r"--[a-z-]+", parser.format_usage())
        raise InputError(f"{odd[0]}: no known flag{nearest(odd[0], flags)} (--help and --hydra-help show them)")
    if odd:
        raise InputError(f"{odd[0]}: write all KEY=VALUE together, before the flags (-m) or behind them")


def _refuse(message: str) -> NoReturn:
    raise InputError(f"{message} (--hydra-help shows the flags)")


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
        return unreadable(error)
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
        if not each.get_key_element().strip("+~"):
            return f"{line}: give KEY=VALUE (--help shows the keys)"
        single = _single(each) if mode == RunMode.MULTIRUN else ()
        for text in (line, *single):
            try:
                config = loader.load_configuration(config_name, [*kept, text], mode)
            except REFUSED as own:
                if each.is_sweep_override() and text == line:
                    return _unswept(each) if mode == RunMode.RUN else _not_swept(each, own)
                [plain] = OverridesParser.create(config_loader=loader).parse_overrides([text])
                group = options[each.key_or_group]
                return _unknown_choice(plain, group, config, own) if group else _unknown_key(plain, config, own)
        kept.append(text)
        key = each.get_key_element().lstrip("+")
        if each.is_add() and key.startswith(SWEEPER) and config.hydra.sweeper["_target_"].endswith(OUR_SWEEPER):
            return _of_sweeper(key)
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


def unreadable(error: OverrideParseException) -> str:
    """What is wrong with an override that Hydra's grammar does not read."""
    if "=" not in error.override:
        return f"{error.override}: give KEY=VALUE (--help shows the keys)"
    if unknown := _FUNCTION.search(error.message):
        functions = unknown[2].split(",")
        near = nearest(unknown[1], functions) or f": write one of {', '.join(functions)}"
        return f"{error.override}: no known function {unknown[1]}{near}"
    reason = error.message.splitlines()[0]
    return f"{error.override} cannot be read ({reason}): quote a value that holds commas, brackets or quotes"


def _missing(error: MissingConfigException, overrides: Sequence[str]) -> str:
    """Which override chose a file that its group does not have; nothing where none did."""
    group, _, file = (error.missing_cfg_file or "").rpartition("/")
    options = list(error.options or ())
    for line in overrides:
        key, _, value = line.lstrip("+").partition("=")
        if key.partition("@")[0] == group and value == file:
            return f"{key}={value} is none of {', '.join(options)}{nearest(file, options)}"
    return ""


def _single(override: Override) -> list[str]:
    """An override of several values as several of one value, as far as they can be told."""
    if not override.is_discrete_sweep():
        return []
    return [f"{override.get_key_element()}={value}" for value in islice(override.sweep_string_iterator(), VALUES)]


def _not_swept(override: Override, error: Exception) -> str:
    key = override.get_key_element().lstrip("+~")
    return _of_sweeper(key) if key.startswith(SWEEPER) else f"{override.input_line}: {one_line(error)}"


def _of_sweeper(key: str) -> str:
    """Keys of Hydra's other sweepers, which are ours by another name."""
    name = key.removeprefix(SWEEPER).partition(".")[0]
    return f"{key}: no known key: what a sweep searches, and how, is set by sweep.{OURS.get(name, 'KEY')} (conf/sweep/)"


def _unswept(override: Override) -> str:
    key, _, value = (override.input_line or "").partition("=")
    as_list = f"; a list is {key}=[{value}]" if override.value_type == ValueType.SIMPLE_CHOICE_SWEEP else ""
    return f"{override.input_line}: several values are a sweep, which needs -m{as_list}"


def _unknown_choice(override: Override, options: Sequence[str], config: DictConfig, error: Exception) -> str:
    line, key, value = override.input_line or "", override.get_key_element().lstrip("+~"), override.value()
    choices = config.hydra.runtime.choices
    if key not in choices and not override.is_add():
        groups = ", ".join(sorted(each for each in choices if not each.startswith(("hydra/", "sweep/space"))))
        return f"{line}: this command has no group {key}; it has {groups or 'none'}"
    odd = [each for each in (value if isinstance(value, list) else [value]) if each not in options]
    if override.is_add() and key in choices and not odd:
        return f"{line}: {key} is chosen already: {line.lstrip('+')}"
    if override.is_delete() and key in choices:
        return f"{line}: the command needs one: {key}= one of {', '.join(options)}"
    if override.is_delete() or not odd:
        return f"{line}: {one_line(error)}"
    text = "null" if odd[0] is None else str(odd[0])
    return f"{key}={text} is none of {', '.join(options)}{nearest(text, options)}"


def _unknown_key(override: Override, config: DictConfig, error: Exception) -> str:
    key = override.get_key_element().lstrip("+~")
    known = [
        each
        for each in dotted_keys(OmegaConf.to_container(config))
        if each.startswith("hydra.") == key.startswith("hydra.")
    ]
    if key in known:
        return _misused(override, known, error)
    if key.startswith(SWEEPER):
        return _of_sweeper(key)
    if "/" in key:
        return f"{key}: no known group{nearest(key, config.hydra.runtime.choices)}"
    return f"{key}: {no_phase(config, key) or f'no known key{nearest(key, known)}'}"


def _misused(override: Override, known: Sequence[str], error: Exception) -> str:
    """What is wrong with an override whose key there is."""
    line, key = override.input_line or "", override.get_key_element().lstrip("+~")
    if override.is_add():
        return f"{line}: there is such a key: {line.lstrip('+')}"
    if override.is_delete():
        return f"{line}: the key is needed: {key}=null leaves it empty"
    value = override.value()
    if isinstance(value, dict):
        if key in OPEN:
            return f"{line}: to add a key to it, write +{line}"
        for each in dotted_keys({str(name): held for name, held in value.items()}, f"{key}."):
            if each not in known:
                return f"{each}: no known key{nearest(each, known)}"
    return f"{line}: {one_line(error)}"


def no_phase(config: DictConfig, key: str) -> str:
    """Why there is no key, where it is one of a phase that the chosen schedule does not have; else nothing."""
    group, _, rest = key.partition(".")
    phases = list(config.schedule) if group == "schedule" and rest and "schedule" in config else []
    phase = rest.partition(".")[0]
    if not phases or phase in phases:
        return ""
    its = "its phase is" if len(phases) == 1 else "its phases are"
    chosen = config.hydra.runtime.choices.get("schedule")
    return f"schedule={chosen} has no phase {phase!r}: {its} {', '.join(map(repr, phases))}"

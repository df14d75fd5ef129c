"""What every command shares: Hydra, the loading of its job, one-line errors, and signals that end a run cleanly."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from brain_tumor import disk, interrupts, pipe
from brain_tumor.command_line import VERBOSE, as_typed, literal
from brain_tumor.config.refusals import check_flags, hand_back_errors, refusals
from brain_tumor.errors import InputError
from brain_tumor.layout import terminal
from brain_tumor.lazy import uncollected
from brain_tumor.memory import shortage


def conf_dir() -> Path:
    """The configuration folder: inside the package when installed from a wheel, beside it in a checkout."""
    packaged = Path(__file__).parent / "conf"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "conf"


def run(task: Callable[[DictConfig], Any], config_name: str) -> None:
    """Compose `config_name` from the command line and hand it to `task`.

    An InputError, what cannot be composed, and a disk or folder that cannot be written become one line on stderr and
    exit code 2; Ctrl-C, SIGTERM and a closed stdout end with 130, 143 and 141 after `task` has had its chance to clean
    up. `-v`, which Hydra does not know, asks for the details.
    """
    terminal.ask_for_details(any(argument in VERBOSE for argument in sys.argv[1:]))
    sys.argv[1:] = [argument for argument in sys.argv[1:] if argument not in VERBOSE]
    as_typed[:] = sys.argv[1:]
    multirun = any(argument in ("-m", "--multirun") for argument in sys.argv[1:])
    sys.argv[1:] = [literal(argument, multirun) for argument in sys.argv[1:]]
    interrupts.listen()
    logging.raiseExceptions = False  # where a log cannot be written, pages of traces would be
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it says with its trace what it raises, too
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

    def guarded_task(config: DictConfig) -> Any:
        hand_back_errors()
        logging.captureWarnings(True)
        with guarded():
            return task(config)

    with pipe.quiet(), guarded(), refusals(conf_dir(), config_name):
        check_flags(sys.argv[1:])
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(guarded_task)()


@contextmanager
def guarded() -> Iterator[None]:
    """Turn what the user has to know into one line on stderr and an exit code."""
    try:
        yield
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(interrupts.exit_code())
    except BrokenPipeError as error:
        pipe.give_up(error)
        sys.exit(pipe.EXIT)
    except Exception as error:
        line = disk.refusal(error)
        if not line and (short := shortage(error)):
            line = f"{short}: close other programs, or hold less at once: in training, set hardware.micro_batch"
        if not line and type(error).__module__.startswith("mlflow."):
            line = f"tracking failed: {' '.join(str(error).split())[:300]}"
        if not line:
            raise
        if not _ending(error):
            print(f"error: {line}", file=sys.stderr)
        sys.exit(2)


def _ending(error: BaseException) -> bool:
    """Whether the process was about to end, with a line: on a full disk its last words cannot be written either."""
    before = error.__context__
    while before is not None and not isinstance(before, SystemExit):
        before = before.__context__
    return before is not None


def preflight(name: str = "preflight") -> Any:
    """The module `brain_tumor.jobs.NAME`, whose checks need neither TensorFlow nor MLflow."""
    return import_module(f"brain_tumor.jobs.{name}")


def job(name: str, *, tensorflow: bool = True) -> Any:
    """The module `brain_tumor.jobs.NAME`, imported here: a mistake in the configuration has been said by then.

    TensorFlow, where the job needs it, comes first, and quietly.
    """
    with uncollected():
        if tensorflow:
            import_module("brain_tumor.models.backend").import_tensorflow()
        return import_module(f"brain_tumor.jobs.{name}")

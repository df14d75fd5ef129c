"""A command called in this process as if it had one of its own.

It finds its own command line, working folder and environment, what it prints is caught where the operating system
writes it, and what it leaves behind in this process (log handlers, seeds, models, open stores) is taken back.
"""

import functools
import logging
import os
import random
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import IO, Any

import numpy as np
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from brain_tumor import entry, interrupts
from brain_tumor.models import backend

# They write to whatever the descriptors are at the moment: a library that logs keeps the stream that it first finds.
_OUT = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
_ERR = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
# Loggers that commands change and that may not be there before.
_CHANGED = (
    "py.warnings",
    "faiss.loader",
    "tensorflow",
    "matplotlib.category",
    "mlflow.models.utils",
    "mlflow.store.db.utils",
)


def called(
    main: Callable[[], object], arguments: list[str], *, cwd: Path, environment: Mapping[str, str]
) -> "CompletedProcess[str]":
    """What a process that ran `main` would have come to: its exit code and what it printed.

    `arguments` is its whole command line, the program first. A failure that nobody caught is a traceback in stderr.
    """
    heard = len(interrupts._heard)
    with ExitStack() as stack:
        out, err = stack.enter_context(_caught(1)), stack.enter_context(_caught(2))
        for around in (
            fresh_logging(),
            _surroundings(arguments, cwd, environment),
            _warnings(),
            _signals(),
            _libraries(),
        ):
            stack.enter_context(around)
        code = _exit_code(main)
        _OUT.flush()
        _ERR.flush()
        printed = [_text(file) for file in (out, err)]
    if len(interrupts._heard) > heard:  # somebody wants the tests to stop
        raise KeyboardInterrupt
    return CompletedProcess(arguments, code, *printed)


def _exit_code(main: Callable[[], object]) -> int:
    try:
        main()
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    return 0


@contextmanager
def _caught(descriptor: int) -> Iterator[IO[str]]:
    """Meanwhile a descriptor is that of a file, which is yielded."""
    kept = os.dup(descriptor)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as file:
        os.dup2(file.fileno(), descriptor)
        try:
            yield file
        finally:
            os.dup2(kept, descriptor)
            os.close(kept)


def _text(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


@contextmanager
def _surroundings(arguments: list[str], cwd: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """The command line, the working folder and the environment."""
    before = sys.argv, list(entry.as_typed)
    folder, variables = os.getcwd(), dict(os.environ)
    sys.argv = list(arguments)
    os.chdir(cwd)
    _set_environment(environment)
    try:
        yield
    finally:
        _set_environment(variables)
        os.chdir(folder)
        sys.argv, entry.as_typed[:] = before


def _set_environment(wanted: Mapping[str, str]) -> None:
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]
    os.environ.update(wanted)


@contextmanager
def fresh_logging() -> Iterator[None]:
    """The streams and loggers of a new process: none of pytest's handlers, and the libraries' write where it writes."""
    root = logging.getLogger()
    for name in _CHANGED:
        logging.getLogger(name)
    loggers = [root, *(each for each in root.manager.loggerDict.values() if isinstance(each, logging.Logger))]
    before = {each: (each.level, list(each.handlers), each.propagate, each.disabled) for each in loggers}
    raising = logging.raiseExceptions
    listed = list(logging._handlerList)  # type: ignore[attr-defined]
    handlers = {*(ref() for ref in listed), *(handler for logger in loggers for handler in logger.handlers)}
    streams, ours = (sys.stdout, sys.stderr), {sys.stdout: _OUT, sys.stderr: _ERR}
    root.handlers = []
    moved = [
        (handler, handler.setStream(ours[handler.stream]))
        for handler in handlers - {logging.lastResort}
        if isinstance(handler, logging.StreamHandler) and handler.stream in ours
    ]
    sys.stdout, sys.stderr = _OUT, _ERR  # or absl's handler, when Hydra closes it, would close them
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        logging.captureWarnings(False)
        logging.raiseExceptions = raising
        for logger, (level, own, propagate, disabled) in before.items():
            for handler in set(logger.handlers) - set(own):
                if isinstance(handler, logging.FileHandler):
                    handler.close()
            logger.handlers, logger.propagate, logger.disabled = own, propagate, disabled
            logger.setLevel(level)
        for handler, stream in moved:
            handler.setStream(stream)
        logging._handlerList[:] = listed  # type: ignore[attr-defined]


@contextmanager
def _warnings() -> Iterator[None]:
    """Python's own filters in place of pytest's."""
    with warnings.catch_warnings():
        warnings.resetwarnings()
        for kind in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", kind)
        yield


@contextmanager
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _libraries() -> Iterator[None]:
    """What libraries and this package keep for a process's life: new at first, and in the end as it was."""
    drawn, numpy_drawn, seen = random.getstate(), np.random.get_state(), HydraConfig.instance().cfg
    stores, determined = _stores(), _determined()
    _forget()
    HydraConfig.instance().cfg = None
    _set_stores(None, None)
    _determine(False, None)
    try:
        yield
    finally:
        _forget()
        GlobalHydra.instance().clear()
        HydraConfig.instance().cfg = seen
        _set_stores(*stores)
        _determine(*determined)
        random.setstate(drawn)
        np.random.set_state(numpy_drawn)


def _forget() -> None:
    """Drop what is cached: data, studies, models, connections to stores."""
    backend._said.clear()
    for name, module in list(sys.modules.items()):
        if name.startswith("brain_tumor."):
            for value in vars(module).values():
                if isinstance(value, functools._lru_cache_wrapper):
                    value.cache_clear()
    if keras := _loaded("keras.utils"):
        keras.clear_session()
    if functions := _loaded("tensorflow.python.eager.polymorphic_function.polymorphic_function"):
        functions._frequent_tracing_detector_manager._detectors.clear()  # it would remark on model after model
    for kind in ("tracking", "model_registry"):
        if store := _loaded(f"mlflow.store.{kind}.sqlalchemy_store"):
            for engine in store.SqlAlchemyStore._engine_map.values():
                engine.dispose()


def _loaded(module: str) -> Any:
    """A library's module if it has been imported: no command pays for what it does not need."""
    return sys.modules.get(module)


def _stores() -> tuple[str | None, str | None]:
    """MLflow's stores for runs and for models, as they were given."""
    tracking = _loaded("mlflow.tracking._tracking_service.utils")
    registry = _loaded("mlflow.tracking._model_registry.utils")
    return getattr(tracking, "_tracking_uri", None), getattr(registry, "_registry_uri", None)


def _set_stores(tracking: str | None, registry: str | None) -> None:
    if _loaded("mlflow.tracking.fluent"):
        import mlflow

        while mlflow.active_run():  # none, unless a command has left one open
            mlflow.end_run()
        variables = dict(os.environ)
        mlflow.set_tracking_uri(tracking)
        mlflow.set_registry_uri(registry)
        _set_environment(variables)  # MLflow has written its stores over those that the user names there


def _determined() -> tuple[bool, int | None]:
    """Whether TensorFlow's operations are deterministic, and its seed."""
    if not _loaded("tensorflow"):
        return False, None
    from tensorflow.python.eager import context
    from tensorflow.python.util import _pywrap_determinism

    return _pywrap_determinism.is_enabled(), context.global_seed()


def _determine(deterministic: bool, seed: int | None) -> None:
    if _loaded("tensorflow"):
        import tensorflow
        from tensorflow.python.util import _pywrap_determinism

        _pywrap_determinism.enable(deterministic)
        tensorflow.random.set_seed(seed)

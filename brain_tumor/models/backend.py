"""Starts TensorFlow as the hardware is to be used, without the notices that its libraries print whatever the log level.

What is turned away is written by C++ before any logging can be configured: notices on oneDNN, and on CUDA where there
is no GPU. Exceptions still pass.
"""

import ctypes
import logging
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from brain_tumor.config.train import HardwareConfig
from brain_tumor.errors import InputError
from brain_tumor.lazy import lazy
from brain_tumor.models.hardware import Execution, Gpu, Machine, choose, describe

tensorflow = lazy("tensorflow")


def import_tensorflow() -> None:
    """Import TensorFlow, its devices and threads still to be settled by `start_tensorflow`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with quiet():
        import_module("tensorflow")
    # It reports every exchange among devices, and advises against tracing a model's functions for each new model.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def start(hardware: HardwareConfig) -> str:
    """Start TensorFlow as `settle` does, and say what it returns on stderr, too."""
    line = settle(hardware)
    if line not in _said:
        _said.add(line)
        print(line, file=sys.stderr)
    return line


def settle(hardware: HardwareConfig) -> str:
    """Start TensorFlow as `hardware` says; returns in one line what that came to.

    Raises InputError for a GPU that is not there, fewer devices than `hardware.strategy` needs, or what this process
    has started otherwise.
    """
    start_tensorflow(hardware.threads, hide_gpus=hardware.device == "cpu")
    execution = execution_of(hardware)
    training_devices(hardware.strategy)
    return describe(execution, hardware, look())


_said: set[str] = set()  # once in a process, of however many trials


def execution_of(hardware: HardwareConfig) -> Execution:
    """What `hardware` means on this machine, see `choose`."""
    return choose(hardware, look())


def look() -> Machine:
    """The facts that `choose` goes by, of this machine."""
    details = tensorflow.config.experimental.get_device_details
    found = [details(device) for device in tensorflow.config.get_visible_devices("GPU")]
    gpus = tuple(Gpu(each.get("device_name", "GPU"), each.get("compute_capability")) for each in found)
    return Machine(default_threads(), gpus)


def default_threads() -> int:
    """The threads that TensorFlow takes unless it is told otherwise, found without it: TF_NUM_INTRAOP_THREADS, or one
    for each core that is ours.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(os.environ.get("TF_NUM_INTRAOP_THREADS") or cores)


def start_tensorflow(threads: int | None = None, *, hide_gpus: bool = False) -> None:
    """Import TensorFlow, find its devices, and make its pool of intra-op threads.

    `threads` is for the whole process and can be given once, None leaves what there is: one for each core, or
    TF_NUM_INTRAOP_THREADS. Raises InputError for another number than TensorFlow has started with in this process, or
    for GPUs that are to be hidden once it has started on them.
    """
    import_tensorflow()
    keep_freed_memory()
    with quiet():
        gpus = tensorflow.config.get_visible_devices("GPU")
    if hide_gpus and gpus:
        try:
            tensorflow.config.set_visible_devices([], "GPU")
        except RuntimeError as error:
            raise InputError(
                "hardware.device=cpu: TensorFlow has already started on the GPU in this process: "
                "give all jobs of a process the same device"
            ) from error
    if threads is not None:
        try:
            tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        except RuntimeError as error:
            started = tensorflow.config.threading.get_intra_op_parallelism_threads() or "its own number of"
            raise InputError(
                f"hardware.threads={threads}: TensorFlow has already started in this process with {started} threads: "
                "give all jobs of a process the same number"
            ) from error
    with quiet():
        tensorflow.config.list_physical_devices()
        tensorflow.constant(0)


def training_devices(strategy: str) -> list[str]:
    """Names of the devices that `strategy` trains one model on: all GPUs, or else CPU devices; of "none" no names.

    Raises InputError if there are fewer than two to mirror a model on.
    """
    if strategy == "none":
        return []
    gpus = tensorflow.config.list_logical_devices("GPU")
    names = [device.name for device in gpus or tensorflow.config.list_logical_devices("CPU")]
    if len(names) < 2:
        short = ", ".join(name.removeprefix("/device:") for name in names)
        raise InputError(
            f"hardware.strategy={strategy} needs two GPUs or more, and TensorFlow sees only {short}: "
            "use hardware=auto, or see that TensorFlow finds the others (nvidia-smi, CUDA_VISIBLE_DEVICES)"
        )
    return names


def keep_freed_memory() -> bool:
    """Let glibc keep what is freed for the next request; False, and nothing done, where there is no glibc.

    Large blocks, a step's activations, would otherwise go back to the kernel and be faulted in anew, page by page, in
    every step: see `benchmarks/training_step.py`. Whoever sets one of glibc's own MALLOC_ variables is left alone.
    """
    if platform.libc_ver()[0] != "glibc" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return [mallopt(parameter, value) for parameter, value in _KEEP] == [1] * len(_KEEP)


# glibc's malloc.h, mallopt(3): no block has a mapping of its own (M_MMAP_MAX), the heap never shrinks
# (M_TRIM_THRESHOLD), and grows by 64 MiB (M_TOP_PAD), as much as a thread's own heap may hold. TensorFlow sets the
# second to 128 KiB when it first reads from a generator; what the third leaves on the heap stays even then.
_KEEP = ((-4, 0), (-1, -1), (-2, 64 * 2**20))


@contextmanager
def quiet() -> Iterator[None]:
    """The process's stderr turned away, at the level where C++ writes it."""
    sys.stderr.flush()
    stderr = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)

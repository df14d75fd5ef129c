"""What the keys of `hardware` come to on a machine: facts in, a choice out, without TensorFlow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from brain_tumor.command_line import pip_install
from brain_tumor.config.schedule import PhaseConfig
from brain_tumor.config.train import HardwareConfig
from brain_tumor.errors import InputError

Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Gpu:
    name: str
    capability: tuple[int, int] | None  # NVIDIA's compute capability; None of other makers


@dataclass(frozen=True)
class Machine:
    threads: int  # that TensorFlow computes with unless it is told otherwise
    gpus: tuple[Gpu, ...]  # that TensorFlow sees


@dataclass(frozen=True)
class Execution:
    """How training computes its steps."""

    device: Literal["cpu", "gpu"] = "cpu"
    precision: Precision = "float32"
    jit_compile: bool | None = False  # by XLA; None: where it is measured to train faster
    micro_batch: int | None = None  # images that are held at once; None: the whole batch


def choose(hardware: HardwareConfig, machine: Machine) -> Execution:
    """What `hardware` means on this machine; InputError if it wants a GPU where there is none."""
    if hardware.device == "gpu" and not machine.gpus:
        raise InputError(
            "hardware.device=gpu: TensorFlow sees no GPU: use hardware=auto, or see that TensorFlow finds it "
            f"(nvidia-smi, CUDA_VISIBLE_DEVICES, {pip_install('tensorflow[and-cuda]')})"
        )
    on_gpu = hardware.device != "cpu" and bool(machine.gpus)
    precision = hardware.precision
    if precision == "auto":
        # Mixed bfloat16 measured slower on a CPU.
        precision = fast_precision(_used(hardware, machine)) if on_gpu else "float32"
    # On a CPU XLA measured 7 times slower, and no model is mirrored through it.
    automatic = None if on_gpu and hardware.strategy == "none" else False
    jit_compile = automatic if hardware.jit_compile == "auto" else hardware.jit_compile
    return Execution("gpu" if on_gpu else "cpu", precision, jit_compile, hardware.micro_batch)


def fast_precision(gpus: tuple[Gpu, ...]) -> Precision:
    """What has tensor cores on all of these GPUs: bfloat16 from NVIDIA's compute capability 8.0, float16 from 7.0."""
    weakest = min(gpu.capability or (0, 0) for gpu in gpus)
    return "bfloat16" if weakest >= (8, 0) else "float16" if weakest >= (7, 0) else "float32"


def piece_size(name: str, phase: PhaseConfig, micro_batch: int | None) -> int | None:
    """Images in a piece of the phase's batches; None where they are taken whole, as features always are.

    Raises InputError for a batch that cannot be divided so.
    """
    if micro_batch is None or phase.batch_size <= micro_batch or phase.feature_views is not None:
        return None
    if phase.batch_size % micro_batch:
        raise InputError(
            f"schedule.{name}.batch_size={phase.batch_size} is no multiple of hardware.micro_batch={micro_batch}: "
            "change either"
        )
    return micro_batch


def smaller_pieces(schedule: Mapping[str, PhaseConfig], hardware: HardwareConfig) -> int | None:
    """The largest `micro_batch` that divides the batches of all phases, of at most half the images that are held now.

    None where these are none or a single one, or the model is mirrored, which takes its batches whole.
    """
    batches = [phase.batch_size for phase in schedule.values() if phase.feature_views is None]
    most = max((min(size, hardware.micro_batch or size) for size in batches), default=1)
    if most == 1 or hardware.strategy == "mirrored":
        return None
    return next(size for size in range(most // 2, 0, -1) if all(not batch % size for batch in batches if batch > size))


def describe(execution: Execution, hardware: HardwareConfig, machine: Machine) -> str:
    """The choice in one line."""
    if execution.device == "gpu":
        where = ", ".join(_title(gpu) for gpu in _used(hardware, machine))
    else:
        threads = hardware.threads or machine.threads
        where = f"CPU with {threads} thread{'s' if threads > 1 else ''}"
    xla = {None: "XLA where it trains faster", True: "XLA", False: "no XLA"}[execution.jit_compile]
    pieces = f", in pieces of {execution.micro_batch}" if execution.micro_batch else ""
    return f"hardware: {where}, {execution.precision}, {xla}{pieces}"


def _used(hardware: HardwareConfig, machine: Machine) -> tuple[Gpu, ...]:
    return machine.gpus if hardware.strategy == "mirrored" else machine.gpus[:1]


def _title(gpu: Gpu) -> str:
    if gpu.capability is None:
        return gpu.name
    return f"{gpu.name} (compute capability {'.'.join(map(str, gpu.capability))})"

"""What the benchmarks share: the machine in a line, and the program started as a user would."""

import importlib.metadata
import os
import platform
from pathlib import Path

import psutil


def machine(*packages: str) -> str:
    """The machine's size, and the versions of TensorFlow, Keras and the other `packages`."""
    cores = len(os.sched_getaffinity(0))
    memory = round(psutil.virtual_memory().total / 2**30)
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("tensorflow", "keras", *packages)]
    facts = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    processor = next((line.split(":", 1)[1].strip() for line in facts if line.startswith("model name")), "unknown")
    return f"{cores} cores ({processor}), {memory} GiB, Python {platform.python_version()}, {', '.join(versions)}"

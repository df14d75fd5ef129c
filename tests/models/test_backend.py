"""TensorFlow's threads, in processes of their own: they are settled once for a process."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from toy import environment

from brain_tumor.errors import InputError
from brain_tumor.models.hardware import Gpu, Machine

# A process for each number, which needs not import TensorFlow again.
THREADS = """
import os, psutil
from brain_tumor.models.backend import import_tensorflow, start_tensorflow
import_tensorflow()
for threads, variable in ((1, ""), (9, ""), (None, "9"), (1, "9")):
    if os.fork() == 0:
        os.environ["TF_NUM_INTRAOP_THREADS"] = variable
        if not variable:
            del os.environ["TF_NUM_INTRAOP_THREADS"]
        start_tensorflow(threads)
        print(psutil.Process().num_threads(), flush=True)
        os._exit(0)
    os.wait()
"""

ORDER = """
import contextlib, sys
from brain_tumor.config.train import HardwareConfig
from brain_tumor.errors import InputError
from brain_tumor.models.backend import start, start_tensorflow
from brain_tumor.models.backbones import get_backbone
from brain_tumor.models.weights import hosted_file
hosted_file(get_backbone("effnet_b0"))  # as the checks before the first trial may do
for threads in (3, 3, None, 2):
    try:
        start_tensorflow(threads)
        print("started")
    except InputError as error:
        print(error)
with contextlib.redirect_stderr(sys.stdout):
    for micro_batch in (None, None, 8):
        start(HardwareConfig(threads=3, device="cpu", micro_batch=micro_batch))
"""


def printed(code: str, tmp_path: Path, **variables: str) -> list[str]:
    where = {**environment(tmp_path), "CUDA_VISIBLE_DEVICES": "-1", **variables}
    done = subprocess.run([sys.executable, "-c", code], env=where, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_the_pool_has_as_many_threads_as_the_key_or_the_variable_says(tmp_path: Path) -> None:
    one, nine, nine_by_variable, one_by_key = map(int, printed(THREADS, tmp_path))
    assert nine - one == 8
    assert nine_by_variable == nine
    assert one_by_key == one


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return printed(ORDER, tmp_path_factory.mktemp("started"))


def test_another_number_in_the_same_process_is_one_line(started: list[str]) -> None:
    assert started[:4] == [
        "started",
        "started",
        "started",
        "hardware.threads=2: TensorFlow has already started in this process with 3 threads: "
        "give all jobs of a process the same number",
    ]


def test_the_choice_is_said_once_in_a_process(started: list[str]) -> None:
    line = "hardware: CPU with 3 threads, float32, no XLA"
    assert started[4:] == [line, f"{line}, in pieces of 8"]


STEPS = """
import resource
from brain_tumor.models import backend
print(backend.keep_freed_memory() if {keep} else None)
def faults():
    for _ in range(20):
        bytearray(b"x") * 2**26  # 64 MiB, freed at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
faults()
print(-faults() + faults())
"""


def test_what_a_step_frees_is_not_faulted_in_again(tmp_path: Path) -> None:
    kept, faults = printed(STEPS.format(keep=True), tmp_path)
    _, others = printed(STEPS.format(keep=False), tmp_path)
    assert kept == "True"
    assert int(faults) < int(others) / 10


def test_a_users_own_malloc_settings_stay(tmp_path: Path) -> None:
    assert printed(STEPS.format(keep=True), tmp_path, MALLOC_MMAP_THRESHOLD_="1000000")[0] == "False"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """TensorFlow's configuration, as it looks where there is one GPU and it has been started on."""
    from brain_tumor.models.backend import start_tensorflow

    start_tensorflow()
    import tensorflow

    def refuse(devices: Any, kind: str) -> None:
        raise RuntimeError("Visible devices cannot be modified after being initialized")

    details = {"device_name": "Tesla T4", "compute_capability": (7, 5)}
    monkeypatch.setattr(tensorflow.config, "get_visible_devices", lambda kind: ["GPU:0"])
    monkeypatch.setattr(tensorflow.config, "set_visible_devices", refuse)
    monkeypatch.setattr(tensorflow.config.experimental, "get_device_details", lambda device: details)
    return monkeypatch


def test_the_machine_is_what_tensorflow_sees(gpu: pytest.MonkeyPatch) -> None:
    from brain_tumor.models.backend import look

    gpu.setenv("TF_NUM_INTRAOP_THREADS", "3")
    assert look() == Machine(3, (Gpu("Tesla T4", (7, 5)),))


def test_gpus_that_are_in_use_cannot_be_hidden(gpu: pytest.MonkeyPatch) -> None:
    from brain_tumor.models.backend import start_tensorflow

    with pytest.raises(InputError, match=r"^hardware.device=cpu: TensorFlow has already started on the GPU.*$"):
        start_tensorflow(hide_gpus=True)

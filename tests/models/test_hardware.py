"""What `hardware` comes to on machines that are described, not there."""

from collections.abc import Callable
from typing import Any

import pytest
from trials import phase

from brain_tumor.config.train import HardwareConfig
from brain_tumor.errors import InputError
from brain_tumor.models.hardware import Execution, Gpu, Machine, choose, describe, piece_size, smaller_pieces

AUTO = HardwareConfig(precision="auto", jit_compile="auto")
# Compute capabilities as https://developer.nvidia.com/cuda-gpus lists them.
P100, V100, T4 = Gpu("Tesla P100", (6, 0)), Gpu("Tesla V100", (7, 0)), Gpu("Tesla T4", (7, 5))
A100, OTHER = Gpu("A100", (8, 0)), Gpu("METAL", None)


def hardware(**changes: Any) -> HardwareConfig:
    return HardwareConfig(**{**AUTO.__dict__, **changes})


def machine(*gpus: Gpu) -> Machine:
    return Machine(4, gpus)


@pytest.mark.parametrize(
    ("gpus", "precision"),
    [([P100], "float32"), ([V100], "float16"), ([T4], "float16"), ([A100], "bfloat16"), ([OTHER], "float32")],
)
def test_auto_computes_in_what_the_gpu_has_units_for_and_measures_xla(gpus: list[Gpu], precision: Any) -> None:
    assert choose(AUTO, machine(*gpus)) == Execution("gpu", precision, None, None)


def test_auto_on_a_cpu_is_float32_without_xla() -> None:
    assert choose(AUTO, machine()) == Execution("cpu", "float32", False, None)


def test_one_model_takes_the_first_gpu_and_a_mirrored_one_all() -> None:
    assert choose(AUTO, machine(A100, V100)).precision == "bfloat16"
    assert choose(hardware(strategy="mirrored"), machine(A100, V100)) == Execution("gpu", "float16", False, None)


def test_what_is_said_is_done() -> None:
    said = hardware(precision="bfloat16", jit_compile=True, micro_batch=8)
    for found in (machine(), machine(P100)):
        assert choose(said, found) == Execution("gpu" if found.gpus else "cpu", "bfloat16", True, 8)
    assert choose(hardware(jit_compile=False), machine(A100)).jit_compile is False
    assert choose(hardware(device="cpu"), machine(A100)) == Execution("cpu", "float32", False, None)
    assert choose(hardware(device="gpu"), machine(A100)) == choose(AUTO, machine(A100))


def test_a_gpu_that_is_not_there_is_one_line() -> None:
    with pytest.raises(InputError, match=r"^hardware.device=gpu: TensorFlow sees no GPU: use hardware=auto.*$"):
        choose(hardware(device="gpu"), machine())


@pytest.mark.parametrize(
    ("said", "gpus", "line"),
    [
        (AUTO, [], "hardware: CPU with 4 threads, float32, no XLA"),
        (hardware(threads=1), [], "hardware: CPU with 1 thread, float32, no XLA"),
        (
            AUTO,
            [A100, T4],
            "hardware: A100 (compute capability 8.0), bfloat16, XLA where it trains faster",
        ),
        (
            hardware(strategy="mirrored"),
            [T4, OTHER],
            "hardware: Tesla T4 (compute capability 7.5), METAL, float32, no XLA",
        ),
        (hardware(micro_batch=8, jit_compile=True), [], "hardware: CPU with 4 threads, float32, XLA, in pieces of 8"),
    ],
)
def test_the_choice_is_said_in_one_line(said: HardwareConfig, gpus: list[Gpu], line: str) -> None:
    assert describe(choose(said, machine(*gpus)), said, machine(*gpus)) == line


def test_batches_are_divided_only_where_they_do_not_fit() -> None:
    assert piece_size("all", phase(batch_size=32), 8) == 8
    assert piece_size("all", phase(batch_size=32), None) is None
    assert piece_size("all", phase(batch_size=32), 32) is None
    assert piece_size("all", phase(batch_size=32), 50) is None
    assert piece_size("head", phase(batch_size=32, unfreeze="head", feature_views=1), 8) is None


@pytest.mark.parametrize(
    ("batches", "held", "size"),
    [([32], None, 16), ([32], 8, 4), ([32, 48], None, 16), ([32, 16], None, 16), ([30], None, 15), ([31], None, 1)],
)
def test_half_of_what_is_held_at_once_divides_every_batch(batches: list[int], held: int | None, size: int) -> None:
    schedule = {str(number): phase(batch_size=batch) for number, batch in enumerate(batches)}
    assert smaller_pieces(schedule, hardware(micro_batch=held)) == size


def test_nothing_is_halved_where_one_image_or_none_is_held() -> None:
    assert smaller_pieces({"all": phase(batch_size=32)}, hardware(micro_batch=1)) is None
    assert smaller_pieces({"head": phase(batch_size=32, unfreeze="head", feature_views=1)}, AUTO) is None
    assert smaller_pieces({"all": phase(batch_size=32)}, hardware(strategy="mirrored")) is None


def test_batches_that_cannot_be_divided_are_one_line(run: Callable[..., Any]) -> None:
    done = run("train", "hardware.micro_batch=5")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: schedule.head.batch_size=32 is no multiple of hardware.micro_batch=5: change either"
    ]


def test_the_gpu_that_is_not_there_is_known_before_the_images_are_read(
    run: Callable[..., Any], bars: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brain_tumor.models.backend.look", machine)
    data = bars()
    for path in data.rglob("[1-9]*.png"):
        path.write_bytes(b"no image")
    done = run("train", "data=folder", f"data.root={data}", "hardware=gpu")
    assert done.returncode == 2
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["error"]
    assert "TensorFlow sees no GPU" in done.stderr

"""Requests from threads, answered by a stand-in that knows what it was asked."""

import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_info, threadpool_limits

from brain_tumor.evaluation.prediction import Answers
from brain_tumor.serving import batching
from brain_tumor.serving.batching import batched


def numbered(*numbers: int) -> NDArray[np.uint8]:
    """An image a number, filled with it."""
    return np.array(numbers, np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)


class Echo:
    """Answers each image with its own number; while `gate` is closed it waits, having said that it has begun."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.gate, self.begun = threading.Event(), threading.Event()
        self.gate.set()

    def __call__(self, images: NDArray[np.uint8]) -> Answers:
        self.batches.append(len(images))
        self.begun.set()
        self.gate.wait()
        if (images == 255).any():
            raise ValueError("no answer to white")
        column = images[:, 0, 0, :1].astype(np.float32)
        return Answers(column, column + 1, column + 2, column[..., None, None] + 3)


def test_each_request_gets_its_own_answers() -> None:
    echo = Echo()
    with batched(echo, 8) as run, ThreadPoolExecutor(20) as pool:
        asked = [numbered(*range(start, start + 1 + start % 3)) for start in range(60)]
        found = list(pool.map(run, asked))
    for images, answers in zip(asked, found, strict=True):
        assert answers.probabilities[:, 0].tolist() == images[:, 0, 0, 0].tolist()
        assert answers.features[:, 0].tolist() == (images[:, 0, 0, 0] + 2.0).tolist()
        assert answers.lesion_map is not None
        assert answers.lesion_map[:, 0, 0, 0].tolist() == (images[:, 0, 0, 0] + 3.0).tolist()
    assert sum(echo.batches) == sum(map(len, asked))


class Counted(queue.SimpleQueue):  # type: ignore[type-arg]
    """A queue that is left open for the test to see how many have come."""

    def __init__(self) -> None:
        self.come = threading.Semaphore(0)

    def put(self, *given: Any, **more: Any) -> None:
        super().put(*given, **more)
        self.come.release()


def test_what_waits_is_answered_together_and_no_batch_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    echo, waiting = Echo(), Counted()
    monkeypatch.setattr(batching, "queue", SimpleNamespace(SimpleQueue=lambda: waiting))
    with batched(echo, 8) as run, ThreadPoolExecutor(8) as pool:
        echo.gate.clear()
        first = pool.submit(run, numbered(0))
        echo.begun.wait()
        rest = [pool.submit(run, numbered(each, each, each)) for each in range(1, 6)]
        for _ in range(6):
            waiting.come.acquire()
        echo.gate.set()
        assert first.result().logits.tolist() == [[1.0]]
        assert [each.result().logits[0, 0] for each in rest] == [2, 3, 4, 5, 6]
    assert echo.batches == [1, 6, 6, 3]


def test_a_failure_reaches_those_it_concerns_and_the_next_are_answered() -> None:
    with batched(Echo()) as run:
        with pytest.raises(ValueError, match="no answer to white"):
            run(numbered(255))
        assert run(numbered(7)).probabilities.tolist() == [[7.0]]


def test_a_request_larger_than_a_batch_is_answered_whole() -> None:
    with batched(Echo(), 2) as run:
        assert len(run(numbered(1, 2, 3, 4, 5)).logits) == 5


def test_nothing_waits_for_an_answer_that_cannot_come() -> None:
    with batched(Echo()) as run:
        pass
    with pytest.raises(RuntimeError):
        run(numbered(1))


def test_blas_has_one_thread_meanwhile() -> None:
    def threads() -> set[int]:
        return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

    with threadpool_limits(2, "blas"):
        with batched(Echo()):
            assert threads() == {1}
        assert threads() == {2}

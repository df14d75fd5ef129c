"""Requests that come at the same time share a batch."""

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from brain_tumor.evaluation.prediction import EVALUATION_BATCH, Answers, Runtime

_Request = tuple[NDArray[np.uint8], "Future[Answers]"]


@contextmanager
def batched(run: Runtime, batch_size: int = EVALUATION_BATCH) -> Iterator[Runtime]:
    """A Runtime for any number of threads, which one thread answers: what waits is answered as one batch.

    No request waits for others to come: the first of them goes at once, and whatever has come while it was answered
    makes up the next batch, up to `batch_size` images (more where one request alone has more). Meanwhile BLAS has one
    thread in this process: the distance's products are too small for more, which wait by spinning; where requests came
    together, that took ten times the processor time of the products, and more than the network.
    """
    waiting: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
    thread = threading.Thread(target=_serve, args=(run, waiting, batch_size), name="batched", daemon=True)
    thread.start()

    def ask(images: NDArray[np.uint8]) -> Answers:
        if not thread.is_alive():
            raise RuntimeError("nothing answers here any more")
        future: Future[Answers] = Future()
        waiting.put((images, future))
        return future.result()

    with threadpool_limits(1, "blas"):
        try:
            yield ask
        finally:
            waiting.put(None)
            thread.join()


def _serve(run: Runtime, waiting: "queue.SimpleQueue[_Request | None]", batch_size: int) -> None:
    ahead: _Request | None = None  # taken, but too large for the batch before
    while True:
        first = ahead or waiting.get()
        ahead = None
        if first is None:
            return
        requests, images, last = [first], len(first[0]), False
        while not waiting.empty() and images < batch_size:
            following = waiting.get()
            if following is None:
                last = True
                break
            if images + len(following[0]) > batch_size:
                ahead = following
                break
            requests.append(following)
            images += len(following[0])
        _answer(run, requests)
        if last:
            return


def _answer(run: Runtime, requests: list[_Request]) -> None:
    try:
        answers = run(np.concatenate([images for images, _ in requests]))
    except BaseException as error:
        for _, future in requests:
            future.set_exception(error)
        return
    start = 0
    for images, future in requests:
        part = slice(start, start + len(images))
        future.set_result(answers.part(part))
        start += len(images)

"""Work that threads do ahead of whoever takes the results."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def worked_ahead(work: Callable[[T], R], tasks: Iterable[T], workers: int) -> Generator[R, None, None]:
    """`work` done on each of the tasks, in their order, two tasks a thread ahead; the tasks may be without end.

    An exception of `work` is raised where its result would be taken. Closing the generator ends its threads.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="ahead")
    ahead: deque[Future[R]] = deque()
    try:
        for task in tasks:
            ahead.append(pool.submit(work, task))
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)

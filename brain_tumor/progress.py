"""Progress bars: lively on a terminal, a line every half minute in a log file."""

import sys
from typing import Any

from tqdm import tqdm


def progress(total: int, title: str, unit: str = "img", *, disable: bool = False) -> "tqdm[Any]":
    """A bar over `total` units with rate and time left, gone when it is done; use it as a context manager."""
    interval = 0.2 if sys.stderr.isatty() else 30.0
    return tqdm(
        total=total,
        desc=title,
        unit=unit,
        disable=disable,
        leave=False,
        mininterval=interval,
        maxinterval=max(interval, 10.0),
    )

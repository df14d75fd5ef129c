"""Ctrl-C and SIGTERM: both end a run cleanly, and neither in the middle of a database's statement."""

import signal
import threading
from _thread import interrupt_main
from types import FrameType

AGAIN = 0.02  # seconds
CTRL_C = 128 + signal.SIGINT  # the exit code of what it ends


def listen() -> None:
    """Raise KeyboardInterrupt in the main thread at SIGTERM too, and let both wait while SQLAlchemy is at work.

    A statement that an exception leaves half read keeps an SQLite file locked, against this very process: the run's
    end could no longer be written. A process that was started deaf to SIGINT, as a shell's background job is, stays so.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def exit_code() -> int:
    """Of a process that ends at the signal heard last: 128 and its number."""
    return 128 + (_heard[-1] if _heard else signal.SIGINT)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    if _within(frame, "sqlalchemy"):
        threading.Timer(AGAIN, interrupt_main, [signum]).start()
        return
    _heard.append(signum)
    raise KeyboardInterrupt


def _within(frame: FrameType | None, package: str) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] == package:
            return True
        frame = frame.f_back
    return False


_heard: list[int] = []

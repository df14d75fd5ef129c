"""Opens files as a user's would be opened, in a process of its own that may die of them."""

import os
import resource
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.opening import open_scan

SIDE = 64  # pixels that slices are fitted to


def serve(connection: Connection, output: str) -> None:
    """For every content that comes: what became of it, in words, its processor seconds, MiB and pixels of all slices.

    What C libraries and loggers say goes to the file `output`.
    """
    log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        content = connection.recv_bytes()
        before, start, values = _resident(reset=True), time.process_time(), 0
        try:
            scan = open_scan(content)
            pixels = scan.pixels(SIDE)
            became = ("opened", f"{scan.kind} {pixels.shape}")
            # Slices of a file differ little in size
            values = scan.count * scan.picture(0).width * scan.picture(0).height
        except CorruptImageError as error:
            became = ("refused", str(error))
        except BaseException as error:
            became = ("exception", f"{type(error).__name__}: {error}")
        sys.stdout.flush()
        sys.stderr.flush()
        took = time.process_time() - start
        connection.send((*became, took, (_resident() - before) / 1024, values))


def _resident(reset: bool = False) -> int:
    """The most KiB of memory since the last reset; at a reset, what is taken now (Linux)."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    line = next(each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1])

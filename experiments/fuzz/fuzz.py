"""Damages files of every format, and looks whether reading one crashes, hangs, or takes too much memory.

python experiments/fuzz/fuzz.py --cases 20000 --seed 0
"""

import argparse
import hashlib
import multiprocessing
import platform
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
from bombs import bombs
from hostile import hostile
from mutate import mutate
from seeds import PATIENT, seeds
from worker import serve

SECONDS, MIB = 5.0, 1024.0  # more than that, of processor time and of memory, is a finding
PIXELS = 2**25  # of all slices: a file that opens may take those seconds for each
WAIT = 60.0  # seconds after which a worker hangs, on a machine that does other things too
PACKAGES = ("pillow", "pydicom", "imagecodecs", "nibabel", "pynrrd", "numpy")
Answer = tuple[str, str, float, float, int]
BAD = ("exception", "crashed", "hung", "memory", "slow", "leak", "untidy")


@dataclass
class Worker:
    """A process that opens files, and its successors."""

    log: Path
    process: multiprocessing.Process | None = None
    seen: int = 0  # bytes of the log
    pipe: object = None

    def ask(self, content: bytes) -> Answer:
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.pipe, child = context.Pipe()
            self.process = context.Process(target=serve, args=(child, str(self.log)), daemon=True)
            self.process.start()
            child.close()
            self.pipe.send_bytes(b"warm up")
            self.pipe.recv()
        start = time.perf_counter()
        try:
            self.pipe.send_bytes(content)
            if not self.pipe.poll(WAIT):
                self.stop()
                return "hung", f"after {WAIT:g} s", time.perf_counter() - start, 0.0, 0
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(5)
            code = self.process.exitcode
            self.stop()
            return "crashed", f"exit code {code}", time.perf_counter() - start, 0.0, 0

    def said(self) -> bytes:
        """What it, or a library in it, printed since the last time."""
        with open(self.log, "rb") as file:
            file.seek(self.seen)
            text = file.read()
        self.seen += len(text)
        return text

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


@dataclass
class Tally:
    became: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    largest: float = 0.0


def judge(answer: Answer, printed: bytes) -> tuple[str, str]:
    """What became of a file, with what is wrong about it."""
    became, words, seconds, mib, pixels = answer
    if PATIENT in words or PATIENT.encode() in printed:
        return "leak", words
    if became == "refused" and (not words or not words.isprintable() or len(words) > 200):
        return "untidy", repr(words[:300])
    if became in ("opened", "refused"):
        if mib > MIB:
            return "memory", f"{mib:.0f} MiB: {words}"
        if seconds > SECONDS * max(1, -(-pixels // PIXELS)):
            return "slow", f"{seconds:.1f} s: {words}"
    return became, words


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="formats whose name begins so")
    parser.add_argument("--findings", type=Path, default=Path(tempfile.gettempdir()) / "fuzz-findings")
    args = parser.parse_args()
    args.findings.mkdir(parents=True, exist_ok=True)
    files = {name: each for name, each in seeds().items() if name.startswith(args.only)}
    tallies: dict[str, Tally] = defaultdict(Tally)
    reasons: Counter[str] = Counter()
    found = 0
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(Path(folder) / "said")

        def case(name: str, label: str, content: bytes) -> str:
            nonlocal found
            answer = worker.ask(content)
            became, words = judge(answer, worker.said())
            tally = tallies[name]
            tally.became[became] += 1
            tally.slowest, tally.largest = max(tally.slowest, answer[2]), max(tally.largest, answer[3])
            if became == "refused":
                reasons["".join("#" if each.isdigit() else each for each in words)] += 1
            if became in BAD:
                found += 1
                path = args.findings / f"{became}-{hashlib.sha256(content).hexdigest()[:12]}"
                path.write_bytes(content)
                print(f"{became}: {label}: {words[:200]} -> {path}", flush=True)
            return became

        for name, contents in files.items():
            for index, content in enumerate(contents):
                became = case(name, f"{name} seed {index}", content)
                if became == "refused":
                    print(f"note: seed {index} of {name} is refused", flush=True)
        for name, content in {**hostile(), **bombs()}.items():
            if name.startswith(args.only):
                case("hostile", name, content)
        names = sorted(files)
        for index in range(args.cases if names else 0):
            rng = np.random.default_rng([args.seed, index])
            name = names[index % len(names)]
            content = files[name][int(rng.integers(len(files[name])))]
            case(name, f"{name} case {index}", mutate(rng, content, files[name]))
        worker.stop()
    report(tallies, reasons)
    return 1 if found else 0


def report(tallies: dict[str, Tally], reasons: Counter[str]) -> None:
    print("\n| format | cases | opened | refused | findings | slowest, s | most memory, MiB |\n" + "|---" * 7 + "|")
    for name, tally in [*sorted(tallies.items()), ("all", _sum(tallies))]:
        bad = sum(tally.became[each] for each in BAD)
        counts = f"{tally.became.total():,} | {tally.became['opened']:,} | {tally.became['refused']:,} | {bad}"
        print(f"| {name} | {counts} | {tally.slowest:.2f} | {tally.largest:.0f} |")
    print(f"\nPython {platform.python_version()}, " + ", ".join(f"{each} {version(each)}" for each in PACKAGES))
    print("\nreasons:")
    for reason, count in reasons.most_common(80):
        print(f"{count:7} {reason}")


def _sum(tallies: dict[str, Tally]) -> Tally:
    each = list(tallies.values())
    became = sum((tally.became for tally in each), Counter())
    return Tally(became, max(tally.slowest for tally in each), max(tally.largest for tally in each))


if __name__ == "__main__":
    sys.exit(main())

"""Decoded pixels, kept in a memory-mapped file by content, so that every distinct image is decoded once.

One folder per set of contents, size and decoder under `<cache>/pixels/`:
  planes.npy    uint8 (P, H, W): of each distinct content, in the order of the SHA-256, one plane where it is a gray
                picture, three where it is coloured, and of a volume one for each slice and sequence
  contents.csv  a row per content: sha256, digest, width, height, mode, planes, error, volume
What cannot be decoded is black there and has its reason in `error`.
"""

import contextlib
import errno
import hashlib
import logging
import os
import shutil
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from brain_tumor.data.decode import DECODE_VERSION, CorruptImageError, decode
from brain_tumor.data.pixels import Pixels, Planes, Volumes, to_planes
from brain_tumor.data.scans.first_bytes import HEADERS, values_of
from brain_tumor.errors import InputError
from brain_tumor.lazy import lazy
from brain_tumor.paths import existing_path, sha256_of

platformdirs = lazy("platformdirs")

logger = logging.getLogger(__name__)

_CHUNK = 64  # files in flight: bounds the memory at a few times their size
_COLUMNS = {
    "sha256": str,
    "digest": str,
    "width": int,
    "height": int,
    "mode": str,
    "planes": int,
    "error": str,
    "volume": str,
}
_STALE_S = 86_400.0  # what a killed process left behind is removed after a day


class Facts(NamedTuple):
    """What is known of a content besides its pixels."""

    digest: str  # SHA-256 (hex) of the values as they were decoded
    width: int = 0  # of the picture as its file has it, or of a volume's slices
    height: int = 0
    mode: str = ""  # Pillow's name
    error: str = ""  # why it could not be decoded
    volume: str = ""  # what is said of a volume, see `volumes.decoding`


@dataclass(frozen=True)
class Decoder:
    """How files become planes of one size."""

    shape: tuple[int, ...]  # of each: (S, S, 3) of pictures, (D, H, W, C) of volumes
    recipe: str  # all that determines what it makes of a file
    unit: str  # what a file holds, in the progress bar
    read: Callable[[Path], tuple[str, NDArray[np.uint8], Facts]]  # of a file its SHA-256, planes (P, H, W) and facts

    @property
    def plane(self) -> tuple[int, int]:
        """Height and width of a plane."""
        return self.shape[-3], self.shape[-2]

    @property
    def most(self) -> int:
        """Planes of a content, at most."""
        return int(np.prod(self.shape)) // (self.shape[-3] * self.shape[-2])

    def pixels(self, planes: NDArray[np.uint8], counts: NDArray[np.int64]) -> Pixels:
        """The planes (P, H, W) as what they are of; counts (U,) of each."""
        return Planes(planes, counts) if len(self.shape) == 3 else Volumes(planes, self.shape)


@dataclass(frozen=True, eq=False)
class Contents:
    """What was decoded: `pixels` uint8 (U, …, C), mapped from disk; `table`: contents.csv, row by row."""

    pixels: Pixels
    table: pd.DataFrame


def cache_folder(cache: str | None) -> Path:
    """`data.cache`, or the user's cache folder. Not created yet."""
    if cache:
        return existing_path(cache).absolute()

    return Path(platformdirs.user_cache_dir("brain-tumor", appauthor=False))


def hash_files(paths: Sequence[Path], workers: int) -> tuple[list[str], list[str]]:
    """SHA-256 (hex) of each file, "" where it cannot be read; and why not, "" where it can."""
    with ThreadPoolExecutor(workers) as pool:
        results = pool.map(_hash_file, paths)
        pairs = list(tqdm(results, total=len(paths), desc="reading", unit="file", disable=None, leave=False))
    return [sha for sha, _ in pairs], [error for _, error in pairs]


def pictures(size: int) -> Decoder:
    """Of picture files, each fitted into a square of `size` pixels a side, see `decode`."""

    def read(path: Path) -> tuple[str, NDArray[np.uint8], Facts]:
        content = path.read_bytes() if path.is_file() else b""
        sha = hashlib.sha256(content).hexdigest()
        try:
            picture = decode(content, size)
        except CorruptImageError as error:
            return sha, np.zeros((1, size, size), np.uint8), Facts("", error=str(error))
        facts = Facts(picture.digest, picture.width, picture.height, picture.mode)
        return sha, to_planes(picture.pixels), facts

    return Decoder((size, size, 3), f"{DECODE_VERSION}\n{size}", "image", read)


def decoded(files: Mapping[str, Path], decoder: Decoder, cache: Path, workers: int) -> Contents:
    """The contents of `files` (SHA-256 -> one file of that content), from the cache or decoded into it.

    Safe to interrupt and to run twice at once: a folder gets its name only when it is complete.

    Raises:
        InputError: the cache cannot be written, for want of space say.
    """
    shas = sorted(files)
    key = hashlib.sha256("\n".join([decoder.recipe, *shas]).encode()).hexdigest()[:24]
    home = cache / "pixels" / key
    found = _open(home, shas, decoder)
    if found:
        return found
    new = home.parent / f".new-{key}-{uuid.uuid4().hex[:8]}"
    try:
        new.mkdir(parents=True)
        remove_stale(home.parent)
        _check_space(home.parent, len(shas) * int(np.prod(decoder.shape)))
        _write(new, files, decoder, workers)
        _publish(new, home, shas, decoder)
    except OSError as error:
        raise InputError(
            f"cannot write decoded images to {home.parent} ({error.strerror or error}): "
            "free some space there or point data.cache=DIR elsewhere"
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    found = _open(home, shas, decoder)
    if not found:
        raise InputError(f"the cache in {home} cannot be read back: remove it or point data.cache=DIR elsewhere")
    return found


def _publish(new: Path, home: Path, shas: list[str], decoder: Decoder) -> None:
    if home.exists() and not _open(home, shas, decoder):
        logger.warning("the cache of decoded images in %s was damaged, or an older version's, and is made anew", home)
        shutil.rmtree(home)
    try:
        os.rename(new, home)
    except OSError:
        if not _open(home, shas, decoder):  # else another process was first, with the same pixels
            raise


def _open(home: Path, shas: list[str], decoder: Decoder) -> Contents | None:
    try:
        planes = np.load(home / "planes.npy", mmap_mode="r")
        table = pd.read_csv(home / "contents.csv", keep_default_na=False, dtype=_COLUMNS)
    except (OSError, ValueError, EOFError):
        return None
    if list(table.columns) != list(_COLUMNS) or table["sha256"].tolist() != shas:
        return None
    counts = table["planes"].to_numpy(np.int64)
    fits = planes.shape == (counts.sum(), *decoder.plane) and planes.dtype == np.uint8
    return Contents(decoder.pixels(planes, counts), table) if fits else None


def _write(folder: Path, files: Mapping[str, Path], decoder: Decoder, workers: int) -> None:
    rows = []
    with open(folder / "planes.npy", "wb") as file:
        # Written in sequence, since a memory map kills the process (SIGBUS) where the disk is full.
        _write_header(file, decoder.most * len(files), decoder)
        found = _decode_all(sorted(files.items()), decoder, workers)
        title = f"decoding to {' x '.join(map(str, decoder.shape[:-1]))}"
        for sha, planes, facts in tqdm(found, total=len(files), desc=title, unit=decoder.unit, disable=None):
            file.write(planes.tobytes())
            rows.append({"sha256": sha, "planes": len(planes), **facts._asdict()})
        file.seek(0)
        _write_header(file, sum(row["planes"] for row in rows), decoder)
        _sync(file)
    with open(folder / "contents.csv", "wb") as file:
        file.write(pd.DataFrame(rows, columns=list(_COLUMNS)).to_csv(index=False).encode())
        _sync(file)


def _write_header(file: BinaryIO, planes: int, decoder: Decoder) -> None:
    """As long for any number of planes: NumPy leaves room for it to grow."""
    shape = (planes, *decoder.plane)
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _decode_all(
    files: Sequence[tuple[str, Path]], decoder: Decoder, workers: int
) -> Iterator[tuple[str, NDArray[np.uint8], Facts]]:
    def read(item: tuple[str, Path]) -> tuple[str, NDArray[np.uint8], Facts]:
        sha, planes, facts = decoder.read(item[1])
        if sha != item[0]:
            raise InputError(f"{item[1]} changed while it was being read: leave the images alone and start again")
        return sha, planes, facts

    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.simplefilter("ignore")  # Pillow's remarks on metadata; what matters is in `error`
        for first in range(0, len(files), _CHUNK):
            yield from list(pool.map(read, files[first : first + _CHUNK]))


def content_digest(path: Path) -> str:
    """SHA-256 (hex) of a file; of a header with its values beside it, and of a folder's files, of all of them."""
    beside = values_of(path) if path.suffix.lower() in HEADERS else None
    parts = _shown(path) if path.is_dir() else [path, beside]
    if parts == [path, None]:
        return sha256_of(path)
    lines = [f"{each.name} {sha256_of(each)}" for each in parts if each is not None]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _shown(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.is_file() and not each.name.startswith("."))


def _hash_file(path: Path) -> tuple[str, str]:
    try:
        if not path.is_file() and not path.is_dir():
            return "", "a broken link" if path.is_symlink() else "not a file"
        return content_digest(path), ""
    except OSError as error:
        return "", error.strerror or str(error)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(errno.ENOSPC, f"{needed / 2**20:,.0f} MiB are needed and {free / 2**20:,.0f} are free")


def remove_stale(folder: Path) -> None:
    """Remove what killed processes left half-written in `folder`, once it is old enough to be nobody's."""
    for left in folder.glob(".new-*"):
        with contextlib.suppress(OSError):  # another process may be removing it too
            if time.time() - left.stat().st_mtime > _STALE_S:
                shutil.rmtree(left)

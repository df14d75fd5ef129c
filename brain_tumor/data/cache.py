"""Decoded pixels, kept in a memory-mapped file by content, so that every distinct image is decoded once.

One folder per set of contents, size and decoder under `<cache>/pixels/`:
  planes.npy    uint8 (P, S, S): of each distinct content, in the order of the SHA-256, one plane where it is gray,
                else three
  contents.csv  a row per picture: sha256, digest, width, height, mode, planes, error
A picture that cannot be decoded is black there and has its reason in `error`.
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
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from brain_tumor.data.decode import DECODE_VERSION, CorruptImageError, decode
from brain_tumor.data.pixels import Pixels, Planes, to_planes
from brain_tumor.errors import InputError
from brain_tumor.lazy import lazy
from brain_tumor.paths import existing_path, sha256_of

platformdirs = lazy("platformdirs")

logger = logging.getLogger(__name__)

_CHUNK = 256  # pictures in flight: bounds the memory at a few times their size
_COLUMNS = {"sha256": str, "digest": str, "width": int, "height": int, "mode": str, "planes": int, "error": str}
_Row = tuple[str, str, int, int, str, int, str]
_STALE_S = 86_400.0  # what a killed process left behind is removed after a day


@dataclass(frozen=True, eq=False)
class Contents:
    """What was decoded: `pixels` uint8 (U, S, S, 3), mapped from disk; `table`: contents.csv, row by row."""

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


def decoded(files: Mapping[str, Path], image_size: int, cache: Path, workers: int) -> Contents:
    """The pictures of `files` (SHA-256 -> one file of that content), from the cache or decoded into it.

    Safe to interrupt and to run twice at once: a folder gets its name only when it is complete.

    Raises:
        InputError: the cache cannot be written, for want of space say.
    """
    shas = sorted(files)
    key = hashlib.sha256("\n".join([str(DECODE_VERSION), str(image_size), *shas]).encode()).hexdigest()[:24]
    home = cache / "pixels" / key
    found = _open(home, shas, image_size)
    if found:
        return found
    new = home.parent / f".new-{key}-{uuid.uuid4().hex[:8]}"
    try:
        new.mkdir(parents=True)
        remove_stale(home.parent)
        _check_space(home.parent, len(shas) * image_size**2 * 3)
        _write(new, files, image_size, workers)
        _publish(new, home, shas, image_size)
    except OSError as error:
        raise InputError(
            f"cannot write decoded images to {home.parent} ({error.strerror or error}): "
            "free some space there or point data.cache=DIR elsewhere"
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    found = _open(home, shas, image_size)
    if not found:
        raise InputError(f"the cache in {home} cannot be read back: remove it or point data.cache=DIR elsewhere")
    return found


def _publish(new: Path, home: Path, shas: list[str], image_size: int) -> None:
    if home.exists() and not _open(home, shas, image_size):
        logger.warning("the cache of decoded images in %s was damaged, or an older version's, and is made anew", home)
        shutil.rmtree(home)
    try:
        os.rename(new, home)
    except OSError:
        if not _open(home, shas, image_size):  # else another process was first, with the same pixels
            raise


def _open(home: Path, shas: list[str], image_size: int) -> Contents | None:
    try:
        planes = np.load(home / "planes.npy", mmap_mode="r")
        table = pd.read_csv(home / "contents.csv", keep_default_na=False, dtype=_COLUMNS)
    except (OSError, ValueError, EOFError):
        return None
    if list(table.columns) != list(_COLUMNS) or table["sha256"].tolist() != shas:
        return None
    counts = table["planes"].to_numpy(np.int64)
    fits = planes.shape == (counts.sum(), image_size, image_size) and planes.dtype == np.uint8
    return Contents(Planes(planes, counts), table) if fits else None


def _write(folder: Path, files: Mapping[str, Path], image_size: int, workers: int) -> None:
    rows = []
    with open(folder / "planes.npy", "wb") as file:
        # Written in sequence, since a memory map kills the process (SIGBUS) where the disk is full.
        _write_header(file, 3 * len(files), image_size)
        pictures = _decode_all(sorted(files.items()), image_size, workers)
        title = f"decoding to {image_size} px"
        for planes, row in tqdm(pictures, total=len(files), desc=title, unit="image", disable=None):
            file.write(planes.tobytes())
            rows.append(row)
        file.seek(0)
        _write_header(file, sum(row[-2] for row in rows), image_size)
        _sync(file)
    with open(folder / "contents.csv", "wb") as file:
        file.write(pd.DataFrame(rows, columns=list(_COLUMNS)).to_csv(index=False).encode())
        _sync(file)


def _write_header(file: BinaryIO, planes: int, image_size: int) -> None:
    """As long for any number of planes: NumPy leaves room for it to grow."""
    shape = (planes, image_size, image_size)
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _decode_all(
    files: Sequence[tuple[str, Path]], image_size: int, workers: int
) -> Iterator[tuple[NDArray[np.uint8], _Row]]:
    def decode_file(item: tuple[str, Path]) -> tuple[NDArray[np.uint8], _Row]:
        sha, path = item
        content = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(content).hexdigest() != sha:
            raise InputError(f"{path} changed while it was being read: leave the images alone and start again")
        try:
            picture = decode(content, image_size)
        except CorruptImageError as error:
            return np.zeros((1, image_size, image_size), np.uint8), (sha, "", 0, 0, "", 1, str(error))
        planes = to_planes(picture.pixels)
        return planes, (sha, picture.digest, picture.width, picture.height, picture.mode, len(planes), "")

    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.simplefilter("ignore")  # Pillow's remarks on metadata; what matters is in `error`
        for first in range(0, len(files), _CHUNK):
            yield from list(pool.map(decode_file, files[first : first + _CHUNK]))


def _hash_file(path: Path) -> tuple[str, str]:
    try:
        if not path.is_file():
            return "", "a broken link" if path.is_symlink() else "not a file"
        return sha256_of(path), ""
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

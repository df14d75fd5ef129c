"""Generates the set: folders of slices, or of whole volumes, and masks, and the table that says what each is."""

import gzip
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.config.train import PhantomConfig
from brain_tumor.data.cache import remove_stale
from brain_tumor.data.classes import STANDARD
from brain_tumor.data.phantom import acquisition, anatomy, lesions, stack
from brain_tumor.data.phantom.rendering import render
from brain_tumor.errors import InputError
from brain_tumor.lazy import lazy
from brain_tumor.progress import progress

nibabel = lazy("nibabel")

VERSION = 4  # raise it whenever the pixels of any configuration change
TUMOURS = tuple(lesions.DRAW)
MIN_AREA = 100.0  # mm² of a lesion that a slice of it must show
APART = 4.0  # mm between two slices of a person in one plane, where these are cut again
MIN_HEAD = 0.25  # share of the picture that the head must fill: a cut near its pole shows little of it
Slice = tuple[str, NDArray[np.uint8], NDArray[np.bool_] | None]  # plane, picture (S, S), mask (S, S)


def ensure_phantom(config: PhantomConfig, cache: Path, workers: int) -> Path:
    """The folder of the set that `config` describes, generated on first use, the same bytes for any `workers`.

    Holds `images/<class>/*.png` (8-bit gray), `masks/<class>/*.png` (0 or 255; tumours only) and `table.csv` with
    the columns path, label, part (train | test), group (the subject), site, mask ("" without a lesion). Of whole
    volumes there are NIfTI files (`.nii.gz`, int16, masks uint8) in their places, one a subject.

    Raises InputError if the folder cannot be written.
    """
    facts = json.dumps({**asdict(config), "version": VERSION}, sort_keys=True)
    folder = cache / f"phantom-{hashlib.sha256(facts.encode()).hexdigest()[:16]}"
    if (folder / "table.csv").is_file():
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        temporary = cache / f".new-{uuid.uuid4().hex}"
        temporary.mkdir()
        remove_stale(cache)
        try:
            _generate(config, temporary, workers)
            _publish(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise InputError(
            f"the phantom set cannot be written to {cache} ({error.strerror}): free space, or give data.cache=DIR"
        ) from error
    return folder


def _publish(temporary: Path, folder: Path) -> None:
    if folder.exists() and not (folder / "table.csv").is_file():
        shutil.rmtree(folder)  # somebody has taken files out of it
    try:
        os.rename(temporary, folder)
    except OSError:
        if not (folder / "table.csv").is_file():  # else another process was faster, with the same bytes
            raise


def _generate(config: PhantomConfig, folder: Path, workers: int) -> None:
    for name in STANDARD.names:
        (folder / "images" / name).mkdir(parents=True)
        (folder / "masks" / name).mkdir(parents=True)
    rows: list[dict[str, str]] = []
    total = config.subjects * (config.slices_per_subject or 1)
    subjects = [(config, subject, folder) for subject in range(config.subjects)]
    # Spawned, for a process that already runs TensorFlow's threads must not be forked.
    with (
        progress(total, "generating SYNTHETIC phantom") as bar,
        ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool,
    ):
        for made in pool.map(_write_subject, subjects, chunksize=4):
            rows += made
            bar.update(len(made))
    table = pd.DataFrame(rows, columns=["path", "label", "part", "group", "site", "mask"])
    table.to_csv(folder / "table.csv", index=False, lineterminator="\n")


def _write_subject(task: tuple[PhantomConfig, int, Path]) -> list[dict[str, str]]:
    config, subject, folder = task
    label = label_of(subject)
    about = {"label": label, "part": part_of(config, subject), "group": f"s{subject:04d}", "site": "phantom"}
    write = _write_volume if config.whole else _write_slices
    found = write(config, subject, folder, f"{label}/s{subject:04d}")
    return [{"path": f"images/{name}", "mask": f"masks/{name}" if masked else "", **about} for name, masked in found]


def _write_slices(config: PhantomConfig, subject: int, folder: Path, stem: str) -> Iterator[tuple[str, bool]]:
    """Yields the name of each slice, and whether it has a mask."""
    for index, (plane, picture, mask) in enumerate(draw_subject(config, subject)):
        name = f"{stem}_{plane}_{index:02d}.png"
        Image.fromarray(picture).save(folder / "images" / name, compress_level=1)  # quick to write
        if mask is not None:
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "masks" / name)
        yield name, mask is not None


def _write_volume(config: PhantomConfig, subject: int, folder: Path, stem: str) -> Iterator[tuple[str, bool]]:
    rng, head, lesion, drawn = _person(config, subject)
    volume = stack.draw_stack(rng, head, lesion, config.size, drawn=drawn)
    name = f"{stem}.nii.gz"
    _save(volume.values, volume.affine, folder / "images" / name)
    if volume.mask is not None:
        _save(volume.mask.astype(np.uint8), volume.affine, folder / "masks" / name)
    yield name, volume.mask is not None


def _save(values: NDArray[Any], affine: NDArray[np.float64], path: Path) -> None:
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    content = gzip.compress(image.to_bytes(), 1, mtime=0)  # the same bytes whenever they are written
    path.write_bytes(content)


def label_of(subject: int) -> str:
    """Classes take turns, so that they are balanced."""
    return STANDARD.names[subject % len(STANDARD)]


def part_of(config: PhantomConfig, subject: int) -> str:
    """Whole rounds of the four classes go to test, spread evenly, so that parts are balanced too."""
    place = subject // len(STANDARD)
    fraction = config.test_fraction
    return "test" if int((place + 1) * fraction) > int(place * fraction) else "train"


def draw_subject(config: PhantomConfig, subject: int) -> Iterator[Slice]:
    """A subject's slices: one head, one lesion, cut in planes in turn at places and poses of their own.

    A subject without a tumour is cut where one might have been, so that plane and level give nothing away.
    """
    assert config.slices_per_subject is not None
    rng, head, lesion, drawn = _person(config, subject)
    planes = list(acquisition.PLANES)
    first = int(rng.integers(len(planes)))
    taken: dict[str, list[float]] = {plane: [] for plane in planes}
    for index in range(config.slices_per_subject):
        turn = planes[(first + index) % len(planes) :] + planes[: (first + index) % len(planes)]
        again = index >= len(planes)
        yield _draw_slice(rng, config.size, head, lesion, turn, taken, drawn=drawn, again=again)


def _person(config: PhantomConfig, subject: int) -> tuple[np.random.Generator, anatomy.Head, lesions.Lesion, bool]:
    """A subject's head, a lesion in it, and whether that is drawn: otherwise it is where one might have been."""
    rng = np.random.default_rng([config.seed, subject])
    label = label_of(subject)
    head = anatomy.draw_head(rng)
    kind = label if label in TUMOURS else str(rng.choice(TUMOURS))
    return rng, head, lesions.DRAW[kind](rng), label in TUMOURS


def _draw_slice(
    rng: np.random.Generator,
    size: int,
    head: anatomy.Head,
    lesion: lesions.Lesion,
    planes: Sequence[str],
    taken: dict[str, list[float]],
    *,
    drawn: bool,
    again: bool,
) -> Slice:
    """A slice in the first of `planes`, or where it shows too little in the next, and so on.

    `taken` holds how far (mm) from the lesion's centre each plane was cut, and is told of this one. If it is cut
    `again`, then not where it nearly was: that would be the same picture twice.
    """
    # The head's displacement is smooth, so one step back leads from the template to this person.
    person = 2 * lesion.centre - anatomy.to_template(head, lesion.centre[None])[0]
    for plane in cycle(planes):
        normal, before = np.array(acquisition.PLANES[plane][2], np.float32), taken[plane]
        offset = float(rng.uniform(-0.4, 0.4) * lesion.radius)
        # Of many cuts each takes less room, so that one more always has some.
        if again and any(abs(offset - other) < min(APART, 0.3 * lesion.radius / len(before)) for other in before):
            continue
        pose = acquisition.draw_pose(rng, plane, person + normal * np.float32(offset))
        healthy, diseased, mask = render(head, lesion, pose, size)
        pixel = (acquisition.FIELD / pose.scale / size) ** 2
        if mask.sum() * pixel >= MIN_AREA and (healthy > 0).mean() >= MIN_HEAD:
            before.append(offset)
            picture = acquisition.acquire(rng, diseased if drawn else healthy)
            return plane, picture, mask if drawn else None
    raise AssertionError  # `cycle` does not end

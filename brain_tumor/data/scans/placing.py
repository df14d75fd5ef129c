"""Which slices are one volume, and in what order: by what is said of a series' files, or of a file's frames."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import median

import numpy as np

from brain_tumor.data.scans.geometry import plane_of

SAME_MM = 0.02  # two slices nearer than this lie at the same place
FAR_MM = 1e6  # no slice lies there
GAP = 1.5  # times the usual distance: a slice is missing
TURNED = 0.01  # by which the direction cosines of one volume's slices may differ
BESIDE_MM, BESIDE = 1.0, 0.01  # how far a slice may lie beside the others' normal, and that much more a mm along it
# What tells slices at the same place apart, and what an answer calls it
MARKS = ("echo", "echo time", "time", "trigger time", "b-value", "direction", "image type", "acquisition")
UNPLACED = "its files do not say where they lie: they come in the order of their numbers"

Mark = tuple[float | str, ...]  # () where it is not said


@dataclass(frozen=True)
class Placing:
    """What is said of one slice."""

    position: tuple[float, ...]  # mm, of its first pixel in the patient's axes (DICOM PS3.3, C.7.6.2.1.1); () unknown
    orientation: tuple[float, ...]  # direction cosines of its rows, then of its columns; () unknown
    grid: tuple[float, ...]  # rows, columns, height and width of a pixel
    number: float = math.inf  # by which slices without a position are ordered; inf: none
    marks: tuple[Mark, ...] = ((),) * len(MARKS)

    @cached_property
    def placed(self) -> bool:
        """Whether it is said where it lies, in numbers that can be true."""
        believed = len(self.position) == 3 and all(abs(each) < FAR_MM for each in self.position)
        return believed and plane_of(self.orientation) is not None


@dataclass(frozen=True)
class Ordered:
    """The slices of one volume."""

    places: tuple[int, ...]  # among all slices, from the patient's left to the right, back to front or feet to head
    positions: tuple[float | None, ...]  # of each, mm along the slices' normal, in that sense; None: unknown
    called: str  # ", part 2, echo 1": among the volumes that were found together; "" of a single one
    remarks: tuple[str, ...]


def volumes_of(slices: Sequence[Placing]) -> list[Ordered]:
    """The volumes that the slices of a series are, in the order of their first slices.

    Slices of one volume have the same matrix, pixels and orientation (see TURNED) and lie behind each other. Where most
    places have several, such as the echoes of a series, these are volumes, told apart by whichever of MARKS differ at
    one place; else two slices at one place are said to be.
    """
    parts: list[list[int]] = []
    for index, each in enumerate(slices):
        for part in parts:
            if _together(slices[part[0]], each):
                part.append(index)
                break
        else:
            parts.append([index])
    found = []
    for number, part in enumerate(parts, start=1):
        called = f", part {number}" if len(parts) > 1 else ""
        found += [_ordered(slices, each, called + more) for each, more in _told_apart(slices, part)]
    return found


def _together(first: Placing, other: Placing) -> bool:
    alike = all(math.isclose(here, there, rel_tol=1e-4) for here, there in zip(first.grid, other.grid, strict=True))
    if first.placed != other.placed or not alike:
        return False
    if not first.placed:
        return first.orientation == other.orientation
    if any(abs(a - b) > TURNED for a, b in zip(first.orientation, other.orientation, strict=True)):
        return False
    way = [there - here for here, there in zip(first.position, other.position, strict=True)]
    far = math.dist(first.position, other.position)
    beside = (
        sum(map(math.prod, zip(axis, way, strict=True))) for axis in (first.orientation[:3], first.orientation[3:])
    )
    return all(abs(each) <= BESIDE_MM + BESIDE * far for each in beside)


def _told_apart(slices: Sequence[Placing], part: list[int]) -> list[tuple[list[int], str]]:
    """The volumes of slices that lie behind each other, and what each is called beside the others."""
    places = _by_place([(_along(slices, part[0], index), index) for index in part]) if slices[part[0]].placed else []
    several = [place for place in places if len(place) > 1]
    if 2 * len(several) <= len(places):
        return [(part, "")]
    differing = [
        mark
        for mark in range(len(MARKS))
        if any(len({slices[index].marks[mark] for index in place}) > 1 for place in several)
    ]
    telling: list[int] = []  # marks that tell more apart than those before
    for mark in differing:
        if len(_values(slices, part, [*telling, mark])) > len(_values(slices, part, telling)):
            telling.append(mark)
    volumes: dict[tuple[Mark, ...], list[int]] = defaultdict(list)
    for index in part:
        volumes[tuple(slices[index].marks[mark] for mark in telling)].append(index)
    ranks = [sorted({value[place] for value in volumes}, key=_sortable) for place in range(len(telling))]
    return [
        (
            volumes[values],
            "".join(
                f", {MARKS[mark]} {1 + rank.index(value)}"
                for mark, rank, value in zip(telling, ranks, values, strict=True)
            ),
        )
        for values in sorted(volumes, key=lambda values: [_sortable(each) for each in values])
    ]


def _values(slices: Sequence[Placing], part: Sequence[int], marks: Sequence[int]) -> set[tuple[Mark, ...]]:
    return {tuple(slices[index].marks[mark] for mark in marks) for index in part}


def _sortable(mark: Mark) -> tuple[tuple[float, str], ...]:
    return tuple((0.0, each) if isinstance(each, str) else (each, "") for each in mark)


def _along(slices: Sequence[Placing], first: int, index: int) -> float:
    """How far (mm) a slice lies along the normal of a volume's first one, towards the right, the front or the head."""
    row, column = slices[first].orientation[:3], slices[first].orientation[3:]
    normal = np.cross(row, column) * (-1, -1, 1)  # the patient's axes 0 and 1 run to the left and to the back
    towards = np.sign(normal[np.abs(normal).argmax()]) * normal * (-1, -1, 1)
    return float(towards @ slices[index].position / (np.linalg.norm(towards) or 1.0))


def _by_place(found: Sequence[tuple[float, int]]) -> list[list[int]]:
    """The slices at each place, of positions and slices."""
    places: list[list[int]] = []
    last = -math.inf
    for position, index in sorted(found):
        if position - last > SAME_MM:
            places.append([])
        places[-1].append(index)
        last = position
    return places


def _ordered(slices: Sequence[Placing], part: list[int], called: str) -> Ordered:
    if not slices[part[0]].placed:
        order = sorted(part, key=lambda index: (slices[index].number, index))
        return Ordered(tuple(order), (None,) * len(part), called, (UNPLACED,) if len(part) > 1 else ())
    found = sorted((_along(slices, part[0], index), slices[index].number, index) for index in part)
    positions = tuple(position for position, _, _ in found)
    return Ordered(tuple(index for *_, index in found), positions, called, _remarks(positions))


def _remarks(positions: Sequence[float]) -> tuple[str, ...]:
    steps = [after - before for before, after in pairwise(positions)]
    apart = [step for step in steps if step > SAME_MM]
    found = []
    if doubled := len(steps) - len(apart):
        found.append(f"{doubled} of its slices {'lies' if doubled == 1 else 'lie'} where another one does")
    usual = median(apart) if apart else 0.0
    if gaps := [step for step in apart if step > GAP * usual]:
        where = f"{len(gaps)} place{'' if len(gaps) == 1 else 's'}"
        found.append(
            f"slices are missing at {where}: up to {max(gaps):.1f} mm lie between two, elsewhere {usual:.1f} mm"
        )
    return tuple(found)

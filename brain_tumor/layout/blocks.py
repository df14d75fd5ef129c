"""What a text is made of. All of it is plain text: whoever renders it escapes it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Alert:
    """What nobody may overlook."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """A table of texts; the first `leading` columns are words, the others numbers. Without columns it has no head."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    leading: int = 1


@dataclass(frozen=True)
class Code:
    """Lines to be typed as they stand."""

    text: str


Block = Paragraph | Alert | Points | Grid | Code


@dataclass(frozen=True)
class Section:
    """`note` says what its numbers mean."""

    title: str
    blocks: tuple[Block, ...]
    note: str = ""


@dataclass(frozen=True)
class Card:
    title: str
    opening: tuple[Block, ...]
    sections: tuple[Section, ...]


def pairs(rows: Sequence[tuple[str, str]]) -> Grid:
    """Facts, each beside its name."""
    return Grid(("", ""), tuple(rows), leading=2)

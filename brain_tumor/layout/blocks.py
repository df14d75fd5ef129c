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


@dataclass(frozen=True)
class Picture:
    """An image, by its `data:` address, above what it shows; where none can be shown, that alone."""

    address: str
    caption: str


Block = Paragraph | Alert | Points | Grid | Code | Picture


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


@dataclass(frozen=True)
class Finding:
    """What was found out: a plain sentence for everybody ("" where few want to know), and all its figures."""

    verdict: str
    detail: str
    command: str = ""  # what may be typed about it


@dataclass(frozen=True)
class Summary:
    """What a command says when it has finished: `blocks` to everybody, `details` to who asks for more (-v)."""

    blocks: tuple[Block, ...]
    details: tuple[Block, ...] = ()


def plainly(said: str) -> Finding:
    """A finding that has no further figures."""
    return Finding(said, said)


def verdicts(findings: Sequence[Finding]) -> Points:
    """The sentences for everybody."""
    return Points(tuple(found.verdict for found in findings if found.verdict))


def figures(findings: Sequence[Finding]) -> Points:
    """The same with all that is known."""
    return Points(tuple(found.detail for found in findings))


def pairs(rows: Sequence[tuple[str, str]]) -> Grid:
    """Facts, each beside its name."""
    return Grid(("", ""), tuple(rows), leading=2)

"""Blocks on a terminal: at most 100 columns, coloured only where a person looks; the same words in a file."""

import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from brain_tumor import pipe
from brain_tumor.layout.blocks import Alert, Block, Code, Grid, Paragraph, Picture, Points, Summary
from brain_tumor.lazy import lazy

if TYPE_CHECKING:
    from rich.console import Console
    from rich.padding import Padding

rich = lazy("rich")

WIDTH = 100  # columns at most: wider lines are hard to read
INDENT = 2
_asked: list[bool] = [False]


def ask_for_details(asked: bool) -> None:
    """Whether `show` shall print the details, too, from now on in this process."""
    _asked[0] = asked


def show(summary: Summary) -> None:
    """Print a summary to stdout, with its details where they were asked for.

    Where nobody reads it any more, what it sums up is done all the same: the command ends so when it is over.
    """
    try:
        show_blocks(*summary.blocks, *(summary.details if _asked[0] else ()))
    except OSError as error:
        pipe.give_up(error)


def show_blocks(*blocks: Block) -> None:
    """Print blocks to stdout, an empty line before each."""
    print(_text(blocks), end="", flush=True)


@contextmanager
def in_place() -> Iterator[Callable[..., None]]:
    """What shows blocks on a terminal, in place of those that it has shown before."""
    console = _console()
    with rich.live.Live(console=console, auto_refresh=False) as live:
        yield lambda *blocks: live.update(rich.text.Text.from_ansi(_text(blocks).rstrip("\n")), refresh=True)


def is_looked_at() -> bool:
    """Whether stdout is a terminal, and no file or pipe."""
    return bool(_console().is_terminal)


def _text(blocks: Sequence[Block]) -> str:
    console = _console()
    with console.capture() as captured:
        for block in blocks:
            if block == Points(()):
                continue
            console.print()
            _print(console, block)
    lines = captured.get().split("\n")
    # Rich fills lines up with blanks, which no file should have; on a terminal they may have a colour.
    return "\n".join(lines if console.is_terminal else [line.rstrip() for line in lines])


def width() -> int:
    """Columns that a line of a table may have."""
    return int(_console().width)


def _console() -> "Console":
    console: Console = rich.console.Console(file=sys.stdout, markup=False, emoji=False, highlight=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    return console


def _print(console: "Console", block: Block) -> None:
    match block:
        case Paragraph(text) | Picture(_, text):
            _print_broken(console, text)
        case Alert(text):
            _print_broken(console, text, style="bold red")
        case Points(items):
            _print_named(console, [("-", item) for item in items])
        case Grid(columns, rows, leading) if any(columns):
            console.print(_table(columns, rows, leading))
        case Grid(_, rows, _):
            widest = max(len(name) for name, _ in rows)
            _print_named(console, [(f"{name:<{widest}} ", text) for name, text in rows])
        case Code(text):  # as it is: what is to be pasted has no break in it
            for line in text.splitlines():
                console.print(" " * INDENT + line, soft_wrap=True)


def _print_named(console: "Console", rows: Sequence[tuple[str, str]]) -> None:
    """Texts, each behind its name; one that opens with a path or an address is there to be copied, and stays whole."""
    for name, text in rows:
        start = f"{' ' * INDENT}{name} "
        if text.startswith("/") or "://" in text.partition(" ")[0]:
            console.print(rich.text.Text(start + text), soft_wrap=True)
        else:
            _print_broken(console, text, start)


def _print_broken(console: "Console", text: str, start: str = "", *, style: str = "") -> None:
    """A text behind its `start`, broken at spaces alone."""
    indent = " " * len(start)
    for line in textwrap.wrap(
        text,
        console.width,
        initial_indent=start,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [start]:
        console.print(rich.text.Text(line, style=style), soft_wrap=True)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], leading: int) -> "Padding":
    """Words in `leading` columns from the left, and broken where there is no room; numbers from the right."""
    table = rich.table.Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, name in enumerate(columns):
        words = index < leading
        table.add_column(rich.text.Text(name), justify="left" if words else "right", no_wrap=not words, overflow="fold")
    for row in rows:
        table.add_row(*map(rich.text.Text, row))
    padded: Padding = rich.padding.Padding(table, (0, 0, 0, INDENT))
    return padded

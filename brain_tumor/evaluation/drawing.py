"""What all figures share: colours, figures without global state, text taken literally, saving.

Figures are made with matplotlib's object-oriented API alone. pyplot keeps every figure in a global list,
which leaks memory in a long process and is not safe in threads.
"""

import os
import uuid
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe & Ito's colours, told apart by the colour-blind; a class keeps its colour in every figure.
CLASS_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
ACCENT, BEST = "#0072B2", "#D55E00"
INK, FAINT, ALARM = "#222222", "#8A8A8A", "#B3003C"
DPI = 120
FEW = 4  # classes, whose names have room side by side


def class_colour(index: int) -> str:
    """The colour of the class with this index."""
    return CLASS_COLOURS[index % len(CLASS_COLOURS)]


def new_figure(width: float, height: float, title: str, *, arranged: bool = True) -> Figure:
    """An empty figure, in inches, on its own canvas; if `arranged`, axes and texts make room for each other.

    A title that would be wider than the figure is set smaller.
    """
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    longest = max(map(len, title.splitlines()), default=1)
    points = min(12.0, 72 * width / (0.6 * longest))  # a character is about 0.6 of its size wide
    style: dict[str, Any] = {"fontsize": points, "color": INK, "parse_math": False}
    if arranged:
        figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.08)  # inches
        figure.suptitle(title, **style)
    else:
        figure.suptitle(title, y=1 - 0.15 / height, **style)
    return figure


def tidy(axes: Any) -> None:
    """Only the spines that carry a scale, and a faint grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)


def shorten(text: str, limit: int) -> str:
    """The end of a text (of a path: the file's name), at most `limit` characters, the ellipsis included."""
    return text if len(text) <= limit else "…" + text[1 - limit :]


def short_name(name: str, limit: int) -> str:
    """A class's name, at most `limit` characters: both ends, since names differ now at the one, now at the other."""
    kept = limit - 1
    return name if len(name) <= limit else f"{name[: kept - kept // 2]}…{name[len(name) - kept // 2 :]}"


def class_ticks(axes: Any, classes: Sequence[str]) -> None:
    """Names of classes below an image or bars: slanting, and then longer, where there are many."""
    if len(classes) <= FEW:
        axes.set_xticks(range(len(classes)), [short_name(name, 14) for name in classes])
    else:
        names = [short_name(name, 20) for name in classes]
        axes.set_xticks(range(len(classes)), names, rotation=40, ha="right", rotation_mode="anchor")


def save(figure: Figure, path: Path) -> None:
    """Write a figure, in the format of the suffix, so that `path` is either as before or complete."""
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        with warnings.catch_warnings():
            # A path may be written in a script that the font lacks; boxes then stand for it.
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            figure.savefig(temporary, dpi=DPI)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)

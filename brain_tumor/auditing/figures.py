"""The figures of an audit."""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.auditing.findings import INDIRECT, KINDS
from brain_tumor.data.cache import Contents
from brain_tumor.data.twins.signature import ORIENTATIONS
from brain_tumor.evaluation.drawing import (
    ACCENT,
    ALARM,
    BEST,
    FAINT,
    FEW,
    INK,
    class_colour,
    class_ticks,
    new_figure,
    short_name,
    shorten,
    tidy,
)

THUMBNAIL = 96  # pixels a side
SHOWN = 12  # pairs of each side of the threshold
COLUMNS, LINE = 4, 1.9  # pairs in a line, and its height in inches
KIND_COLOURS = dict(zip((*KINDS, INDIRECT), (ALARM, "#D55E00", "#E69F00", "#56B4E9", FAINT), strict=True))


def counts(table: pd.DataFrame, title: str) -> Figure:
    """Images by class, a group of bars for each site and part; `table` as `findings.count_images`."""
    several = table["site"].nunique() > 1
    width = 0.8 / len(table)
    names = [column for column in table.columns if column not in ("site", "part", "all")]
    figure = new_figure(max(8, 0.9 * len(names)), 4 if len(names) <= FEW else 5, f"Images by class: {title}")
    axes = figure.add_subplot()
    for place, row in enumerate(table.to_dict("records")):
        name = " ".join(filter(None, [row["site"] if several else "", row["part"]])) or "all"
        values = [row[label] for label in names]
        x = np.arange(len(names)) + (place - (len(table) - 1) / 2) * width
        bars = axes.bar(x, values, width * 0.92, label=shorten(name, 40), color=class_colour(1 + place))
        axes.bar_label(bars, fontsize=8 if len(table) < 5 else 6, color=INK)
    class_ticks(axes, names)
    axes.set_ylabel("images")
    tidy(axes)
    axes.grid(axis="x", visible=False)
    if len(table) > 1:
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def across(table: pd.DataFrame, title: str) -> Figure:
    """Share of images with a twin elsewhere, by class and closest kind; rows of `findings.across_parts` or `_sites`."""
    figure = new_figure(8, 0.6 + 0.5 * (len(table) + 2), title)
    axes = figure.add_subplot()
    names = table["label"].tolist()
    images = table["images"].to_numpy()
    left = np.zeros(len(table))
    for kind in (*KINDS, INDIRECT):
        shares = np.divide(table[kind].to_numpy(), images, out=np.zeros(len(table)), where=images > 0)
        axes.barh(np.arange(len(table)), shares, 0.7, left=left, color=KIND_COLOURS[kind], label=kind)
        left += shares
    for place, row in enumerate(table.to_dict("records")):
        axes.text(left[place] + 0.01, place, f"{row['any']:,} of {row['images']:,}", va="center", fontsize=9, color=INK)
    axes.set_yticks(np.arange(len(table)), [short_name(name, 40) for name in names])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.2)
    axes.set_xticks(np.linspace(0, 1, 6), [f"{share:.0%}" for share in np.linspace(0, 1, 6)])
    tidy(axes)
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure


def floor_bars(table: pd.DataFrame, title: str) -> Figure:
    """Accuracy of every shortcut with its interval, a bar for each protocol; `table` as `floor.shortcut_floor`."""
    figure = new_figure(9, 4.8, f"Shortcut floor: {title}")
    axes = figure.add_subplot()
    protocols = list(dict.fromkeys(table["protocol"]))
    shortcuts = list(dict.fromkeys(table["title"]))
    height = 0.8 / len(protocols)
    for place, protocol in enumerate(protocols):
        rows = table[table["protocol"] == protocol].set_index("title").loc[shortcuts]
        y = np.arange(len(shortcuts)) + (place - (len(protocols) - 1) / 2) * height
        values = rows["accuracy"].to_numpy()
        spread = np.nan_to_num(np.stack([values - rows["low"], rows["high"] - values]))
        colour = (BEST, ACCENT)[place % 2]
        axes.barh(y, values, height * 0.9, xerr=spread, color=colour, label=protocol, error_kw={"ecolor": INK})
        for at, value, high in zip(y, values, values + spread[1], strict=True):
            axes.text(high + 0.012, at, f"{value:.3f}", va="center", fontsize=8, color=INK)
    axes.set_yticks(np.arange(len(shortcuts)), shortcuts)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.09)
    axes.set_xlabel("accuracy")
    tidy(axes)
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def scores(candidates: pd.DataFrame, slices: "pd.Series[str]", threshold: float, title: str) -> Figure:
    """How similar the candidate pairs are, and where twins begin.

    Args:
        candidates: columns a, b (SHA-256), score.
        slices: SHA-256 -> the slice that the file shows.
        threshold: the least score of twins.
        title: of the data.
    """
    figure = new_figure(8, 4.2, f"Scores of candidate pairs: {title}")
    axes = figure.add_subplot()
    values = candidates["score"].to_numpy(dtype=float)
    low = min(float(values.min()) if len(values) else 0.0, threshold - 0.05)
    step = (1 - threshold) / 20
    bins = (threshold + step * np.arange(-np.ceil((threshold - low) / step), 21)).tolist()
    above, joined = values >= threshold, (candidates["a"].map(slices) == candidates["b"].map(slices)).to_numpy()
    kinds = {
        "twins": above,
        "the same slice, through other images": joined & ~above,
        "different slices": ~joined & ~above,
    }
    axes.hist(
        [values[kind] for kind in kinds.values()],
        bins=bins,
        stacked=True,
        color=[ACCENT, KIND_COLOURS["turned"], FAINT],
        label=[f"{name}: {int(kind.sum()):,} pairs" for name, kind in kinds.items()],
    )
    axes.axvline(threshold, color=ALARM, linewidth=1.5, label=f"threshold {threshold:g}")
    axes.set_xlabel("score")
    axes.set_ylabel("pairs")
    axes.set_yscale("symlog", linthresh=10)
    tidy(axes)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def pairs(candidates: pd.DataFrame, known: pd.DataFrame, threshold: float, contents: Contents, title: str) -> Figure:
    """The pairs nearest to the threshold on either side, no slice twice: whether it stands where it should.

    Below stand only pairs that are not joined through other images either. The first picture of a pair is mirrored or
    turned by its transform, which takes it to the second.

    Args:
        candidates: columns a, b (SHA-256), transform, score.
        known: of every SHA-256 (the index) a path and the slice (twin) that it shows.
        threshold: the least score of twins.
        contents: the pictures.
        title: of the data.
    """
    shown = list(_around(candidates, known["twin"], threshold))
    lines = [-(-len(side) // COLUMNS) for side in shown]
    height = 0.8 + sum(0.45 + LINE * count for count in lines)
    figure = new_figure(11, height, f"Pairs around the threshold {threshold:g}: {title}", arranged=False)
    top = height - 0.6
    heads = ("just above: taken for the same slice", "just below: taken for different slices")
    for side, count, head in zip(shown, lines, heads, strict=True):
        text = head if len(side) else f"{head}: none"
        figure.text(0.02, top / height, text, fontsize=11, weight="bold", color=INK, va="top")
        top -= 0.2
        if count:
            grid = figure.add_gridspec(
                count, COLUMNS,
                left=0.02, right=0.98, top=top / height, bottom=(top - LINE * count) / height, wspace=0.05, hspace=0.02,
            )  # fmt: skip
            for place, row in enumerate(side):
                axes = figure.add_subplot(grid[place // COLUMNS, place % COLUMNS])
                _draw_pair(axes, row, contents, known["path"])
        top -= LINE * count + 0.25
    return figure


def _around(
    candidates: pd.DataFrame, slices: "pd.Series[str]", threshold: float
) -> Iterator[list[dict[Hashable, Any]]]:
    ordered = candidates.assign(first=candidates["a"].map(slices), second=candidates["b"].map(slices))
    ordered = ordered.sort_values(["score", "a", "b"], kind="stable")
    below = ordered[(ordered["score"] < threshold) & (ordered["first"] != ordered["second"])]
    for side in (ordered[ordered["score"] >= threshold], below.iloc[::-1]):
        seen: set[str] = set()
        taken: list[dict[Hashable, Any]] = []
        for row in side.to_dict("records"):
            if len(taken) == SHOWN:
                break
            if not {row["first"], row["second"]} & seen:
                seen |= {row["first"], row["second"]}
                taken.append(row)
        yield taken


def _draw_pair(axes: Axes, row: Mapping[Hashable, Any], contents: Contents, paths: "pd.Series[str]") -> None:
    a, b = row["a"], row["b"]
    gap = np.full((THUMBNAIL, 4, 3), 255, np.uint8)
    turn = ORIENTATIONS.get(row["transform"], ORIENTATIONS["same"])  # of a, so that it looks like b
    turned = np.dstack([turn(channel) for channel in np.moveaxis(_thumbnail(contents, a), -1, 0)])
    axes.imshow(np.concatenate([turned, gap, _thumbnail(contents, b)], axis=1))
    axes.set_axis_off()
    axes.set_title(f"{row['transform']}  {row['score']:.4f}", fontsize=9, color=INK, pad=3)
    text = "\n".join(shorten(str(paths[sha]), 44) for sha in (a, b))
    axes.text(
        0.5, -0.03, text, transform=axes.transAxes, ha="center", va="top", fontsize=7, color=FAINT, parse_math=False
    )


def _thumbnail(contents: Contents, sha: str) -> NDArray[np.uint8]:
    row = int(np.searchsorted(contents.table["sha256"].to_numpy(dtype=str), sha))
    picture = Image.fromarray(contents.pixels[row])
    return np.asarray(picture.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR))

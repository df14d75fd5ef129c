"""What an audit comes to, in sentences: the first is the one that matters most."""

from collections.abc import Hashable
from typing import Any

import pandas as pd

from brain_tumor.auditing.findings import Findings
from brain_tumor.auditing.floor import GROUPED, OFFICIAL

PART_NAMES = {"train": "training", "val": "validation", "test": "test"}


def verdict(found: Findings, floor: pd.DataFrame | None) -> list[str]:
    """A sentence each: twins across parts, patients, sites, labels, broken files, and the floor where measured."""
    lines = _parts(found) + _patients(found.patients) + _sites(found.across_sites)
    every = f"of {len(found.images):,} images"
    if len(found.conflicts):
        slices = found.conflicts["twin"].nunique()
        lines.append(f"Slices that stand under more than one class: {slices:,} ({len(found.conflicts):,} {every}).")
    if len(found.corrupt):
        lines.append(f"{len(found.corrupt):,} {every} cannot be decoded.")
    if len(found.blank):
        lines.append(f"{len(found.blank):,} {every} show next to nothing.")
    return lines + _floor(floor)


def _parts(found: Findings) -> list[str]:
    table = found.across_parts[found.across_parts["label"] == "all"]
    if table.empty:
        pairs = int(found.count_twins["pairs"].sum())
        if not pairs:
            return ["No image has a twin, and the folders say of no part that it is the test part."]
        return [f"There are {pairs:,} pairs of twins and no test part: draw one with protocol=grouped."]
    lines = []
    for row in table[table["any"] > 0].to_dict("records"):
        part, other = PART_NAMES[row["part"]], PART_NAMES[row["other"]]
        lines.append(
            f"{_share(row, f'{part} images')} have a twin in the {other} part: scores on this split flatter every "
            "model; use protocol=grouped."
        )
    return lines or ["No twin crosses the parts."]


def _share(row: dict[Hashable, Any], what: str) -> str:
    return f"{row['any']:,} of {row['images']:,} {what} ({row['any'] / row['images']:.0%})"


def _patients(table: pd.DataFrame) -> list[str]:
    lines = []
    for row in table.to_dict("records"):
        part, other = PART_NAMES[row["part"]], PART_NAMES[row["other"]]
        if not row["shared"]:
            lines.append(f"No patient who is known stands in both the {part} and the {other} part.")
            continue
        share = "All" if row["shared"] == row["known"] else f"{row['shared']:,} of the"
        lines.append(
            f"{share} {row['known']:,} {part} images whose patient is known have that patient in the {other} part."
        )
    return lines


def _sites(table: pd.DataFrame) -> list[str]:
    table = table[table["label"] == "all"]
    lines = []
    for row in table[table["any"] > 0].to_dict("records"):
        meaning = "no external site" if row["any"] > row["images"] / 2 else "leave these out of an external test"
        lines.append(f"{_share(row, 'images of ' + row['site'])} stand in {row['other']}: {meaning}.")
    return lines or (["No twin crosses the sites."] if len(table) else [])


def _floor(floor: pd.DataFrame | None) -> list[str]:
    lines = []
    for name, where in ((OFFICIAL, "on the official test part"), (GROUPED, "on folds that keep groups whole")):
        table = pd.DataFrame() if floor is None else floor[floor["protocol"] == name]
        if len(table):
            best = table.sort_values("accuracy").to_dict("records")[-1]
            [majority] = table[table["shortcut"] == "majority"].to_dict("records")
            lines.append(
                f"Shortcut floor {where}: {best['accuracy']:.3f} ({best['title']}); the most frequent class alone: "
                f"{majority['accuracy']:.3f}."
            )
    return lines

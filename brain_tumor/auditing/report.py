"""An audit as a folder (one page that opens offline, the tables as CSV, the figures as PNG) and in the terminal."""

import os
import shutil
import uuid
from pathlib import Path

import pandas as pd

from brain_tumor.auditing.examine import Audit
from brain_tumor.auditing.html import page
from brain_tumor.errors import InputError
from brain_tumor.evaluation.drawing import save
from brain_tumor.layout.blocks import Block, Grid, Paragraph, Points

PAGE = "audit.html"
PRINTED = 20  # label conflicts in the terminal


def tables(audit: Audit) -> dict[str, pd.DataFrame]:
    """Every table of the audit, by the name of its CSV file."""
    found = audit.found
    every = {
        "images": found.images.drop(columns=["mask", "group"], errors="ignore"),
        "counts": found.count_images,
        "twins": found.count_twins,
        "pairs": found.pairs,
        "slices": found.count_slices,
        "slice_sizes": found.slice_sizes,
        "twins_across_parts": found.across_parts,
        "twins_across_sites": found.across_sites,
        "patients_across_parts": found.patients,
        "label_conflicts": found.conflicts,
        "corrupt": found.corrupt,
        "blank": found.blank,
        "formats": found.formats,
    }
    return every if audit.floor is None else every | {"floor": audit.floor}


def write_report(audit: Audit, place: Path) -> None:
    """Make the folder `place` with the page, `tables/` and `figures/`; it has its name only once it is complete.

    Raises:
        InputError: it cannot be written.
    """
    temporary = place.with_name(f".{place.name}-{uuid.uuid4().hex[:8]}")
    try:
        (temporary / "tables").mkdir(parents=True)
        (temporary / "figures").mkdir()
        for name, table in tables(audit).items():
            table.to_csv(temporary / "tables" / f"{name}.csv", index=False, lineterminator="\n")
        for name, figure in audit.figures.items():
            save(figure, temporary / "figures" / f"{name}.png")
        (temporary / PAGE).write_text(page(audit, temporary / "figures"), encoding="utf-8")
        os.rename(temporary, place)
    except OSError as error:
        raise InputError(f"the report cannot be written to {place}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def summarize_audit(audit: Audit) -> tuple[list[Block], list[Block]]:
    """The verdict; and the counts, the twins and the floor as tables, for those who ask."""
    found = audit.found
    conflicts = found.conflicts.drop(columns=["twin"])
    more = f" ({PRINTED} of {len(conflicts):,})" if len(conflicts) > PRINTED else ""
    shown = {
        "Images": found.count_images,
        "Twins": found.count_twins,
        "Slices": found.count_slices,
        "Twins across the parts, by the closest kind": found.across_parts,
        "Twins across the sites, by the closest kind": found.across_sites,
        f"Label conflicts, the minority first{more}": conflicts.head(PRINTED),
    }
    if audit.floor is not None and len(audit.floor):
        floor = audit.floor.pivot(index="title", columns="protocol", values="accuracy")
        order = list(dict.fromkeys(audit.floor["title"]))
        shown["Shortcut floor, accuracy"] = floor.loc[order].rename_axis(columns=None).reset_index(names="")
    details: list[Block] = []
    for title, table in shown.items():
        if len(table):
            details += [Paragraph(title), _grid(table)]
    return [Paragraph(f"Audit of {audit.title}"), Points(tuple(audit.verdict))], details


def _grid(table: pd.DataFrame) -> Grid:
    """A table as texts, its words first."""
    words = [not pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]
    leading = next((index for index, word in enumerate(words) if not word), len(words))
    columns = [
        table[name].map("{:.3f}".format if pd.api.types.is_float_dtype(table[name].dtype) else str)
        for name in table.columns
    ]
    return Grid(tuple(map(str, table.columns)), tuple(zip(*columns, strict=True)), leading)

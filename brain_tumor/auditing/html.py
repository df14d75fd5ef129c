"""An audit as one HTML page that opens offline."""

from html import escape
from pathlib import Path

import pandas as pd

from brain_tumor import NOTICE
from brain_tumor.auditing.examine import Audit
from brain_tumor.auditing.findings import Findings
from brain_tumor.auditing.floor import FOLDS
from brain_tumor.data.blank import BLANK_CONTRAST
from brain_tumor.layout.data_address import png_address
from brain_tumor.layout.html_page import document, grid, section

LISTED = 40  # rows of a table that the page shows

_PARTS = (
    "Images of a part by their closest twin in another: identical (pixel for pixel), same (another window, size, crop "
    "or compression), mirrored, turned, or indirect (joined through other images alone)."
)
_CONFLICTS = "One slice, several labels; votes is how many of the slice's images have that label, the fewest first."
_BLANK = f"The 1st and the 99th percentile of gray lie less than {BLANK_CONTRAST} of 255 levels apart."
_THRESHOLD = (
    "Candidate pairs by how alike they are, and those nearest to the threshold on either side, the first of a pair "
    "mirrored or turned as its title says."
)
_FLOOR = (
    "What features score that know nothing of tumours, with 95 % intervals. official: on the folders' test part; "
    f"grouped: pooled over {FOLDS} folds that keep twins, and patients where known, on one side."
)


def page(audit: Audit, folder: Path) -> str:
    """The whole report, the figures in `folder` (name.png) embedded; names are shown to the letter."""
    found = audit.found
    drawn = {name: _image(folder / f"{name}.png", name) for name in audit.figures}
    crossing = "".join(drawn[name] for name in drawn if name.startswith("twins_part_"))
    sites = "".join(drawn[name] for name in drawn if name.startswith("twins_site_"))
    sizes = _table(found.slice_sizes, "slice_sizes", rows=8)
    sections = [
        section("Images", drawn["counts"], _table(found.count_images, "counts")),
        section("Twins across the parts", crossing, _table(found.across_parts, "twins_across_parts"), note=_PARTS),
        section("Twins by kind", _table(found.count_twins, "twins"), note=_pairs(found)),
        section("Distinct slices", _table(found.count_slices, "slices"), sizes),
        section("Label conflicts", _table(found.conflicts, "label_conflicts"), note=_CONFLICTS),
        _floor(audit, drawn.get("floor", "")),
        section("Modes and sizes", _table(found.formats, "formats"), note="One that goes with a class is a shortcut."),
        section("Images that cannot be decoded", _table(found.corrupt, "corrupt")),
        section("Blank images", _table(found.blank, "blank"), note=_BLANK),
    ]
    if "scores" in drawn:
        sections.append(section("Where twins begin", drawn["scores"], drawn["pairs"], note=_THRESHOLD))
    if sites:
        table = _table(found.across_sites, "twins_across_sites")
        sections.insert(2, section("Twins across the sites", sites, table))
    if len(found.patients):
        table = _table(found.patients, "patients_across_parts")
        sections.insert(2, section("Patients across the parts", table))
    verdict = "".join(f"<p>{escape(line)}</p>" for line in audit.verdict)
    notice = f'<p class="notice">{escape(NOTICE)}</p><div class="verdict">{verdict}</div>\n'
    return document(f"Audit of {audit.title}", notice, *sections)


def _pairs(found: Findings) -> str:
    return (
        "Every two images that are twins count as a pair, so of k identical ones k (k - 1) / 2. tables/pairs.csv links "
        f"the same images in {len(found.pairs):,} rows: of identical ones each with the first alone."
    )


def _floor(audit: Audit, bars: str) -> str:
    if audit.floor is None:
        return section("Shortcut floor", "<p>Not measured (floor=false).</p>")
    if audit.floor.empty:
        return section("Shortcut floor", "<p>Not measured: there are too few images to divide.</p>")
    return section("Shortcut floor", bars, _table(audit.floor, "floor"), note=_FLOOR)


def _table(table: pd.DataFrame, name: str, rows: int = LISTED) -> str:
    """The first rows of a table, and where all are."""
    if table.empty:
        return "<p>None.</p>"
    columns = [str(column).replace("_", " ") for column in table.columns]
    shown = [[_shown(value) for value in row] for row in table.head(rows).itertuples(index=False)]
    body = grid(columns, shown, [not pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes])
    left = len(table) - rows
    more = f"<p>… and {left:,} more in <code>tables/{name}.csv</code>.</p>" if left > 0 else ""
    return f"{body}{more}"


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _image(path: Path, name: str) -> str:
    return f'<p><img alt="{escape(name)}" src="{png_address(path.read_bytes())}"></p>'

"""The split: one immutable table that says which image is in which part, made once and reread ever after."""

import hashlib
import json
import warnings
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data.classes import STANDARD, ClassList, read_classes
from brain_tumor.errors import InputError
from brain_tumor.lazy import lazy
from brain_tumor.paths import replacing

sklearn = lazy("sklearn")

COLUMNS = ("path", "label", "part", "group", "twin", "site", "sha256", "patient")
PARTS = ("train", "val", "calibration", "test")


def rows_digest(table: pd.DataFrame) -> str:
    """SHA-256 (hex) of the sorted rows of a table of text."""
    lines = sorted("\t".join(row) for row in table.itertuples(index=False, name=None))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True, eq=False, init=False)
class Split:
    """One row per image, and where the images are.

    Columns of `table`, all text: `path` (posix, relative to `root`), `label` (one of `classes`), `part` (one of
    PARTS; "val" chooses the epoch, "calibration" nothing but what is said with a prediction), `group` (images that
    must not be separated: of one patient or one slice), `twin` (images of one slice), `site`, `sha256` (hex, of the
    file's bytes), `patient` (a number for each that `data.patients` names; "": unknown).
    """

    root: Path
    source: str  # "phantom" | "folder" | "kaggle"
    synthetic: bool
    listed: str  # `rows_digest` of all images of the source, those too that the protocol leaves out; "": unknown
    classes: ClassList  # all that there are, those too that no image here is of
    _table: pd.DataFrame

    def __init__(
        self,
        table: pd.DataFrame,
        *,
        root: Path,
        source: str,
        synthetic: bool,
        listed: str = "",
        classes: ClassList = STANDARD,
    ) -> None:
        if "twin" not in table.columns and "group" in table.columns:  # logged before twins were told from groups
            table = table.assign(twin=table["group"])
        if "patient" not in table.columns:  # logged before patients were
            table = table.assign(patient="")
        absent = [column for column in COLUMNS if column not in table.columns]
        if absent:
            raise InputError(f"the split table lacks the column(s) {', '.join(absent)}")
        for column, allowed in (("label", classes.names), ("part", PARTS)):
            odd = sorted(set(table[column]) - set(allowed))
            if odd:
                raise InputError(f"the split table's {column} {odd[0]!r} is none of {', '.join(allowed)}")
        own = table.loc[:, list(COLUMNS)].astype(str).reset_index(drop=True)
        values = {"root": root, "source": source, "synthetic": synthetic, "listed": listed, "classes": classes}
        for name, value in (*values.items(), ("_table", own)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self._table)

    @property
    def table(self) -> pd.DataFrame:
        """A copy, so that what is done to it never reaches the split."""
        return self._table.copy()

    @property
    def name(self) -> str:
        """How the data is called in names, tags and titles: synthetic images never go without that word."""
        return f"SYNTHETIC {self.source}" if self.synthetic else self.source

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the sorted (sha256, label, part, group) rows: it outlives a move of the files."""
        return rows_digest(self._table[["sha256", "label", "part", "group"]])

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Images per part and class, parts without an image left out."""
        sizes = self._table.groupby(["part", "label"]).size()
        return {
            part: {label: int(sizes.get((part, label), 0)) for label in self.classes.names}
            for part in PARTS
            if part in set(self._table["part"])
        }

    def absent(self, part: str) -> list[str]:
        """The classes of which a part has no image."""
        there = set(self.part(part)["label"])
        return [name for name in self.classes.names if name not in there]

    def moved(self, table: pd.DataFrame, root: Path) -> "Split":
        """The same with other rows or paths, below another root."""
        return Split(table, root=root, source=self.source, synthetic=self.synthetic, classes=self.classes)

    def part(self, name: str) -> pd.DataFrame:
        """The rows of one part, with the index they have in `table`."""
        if name not in PARTS:
            raise ValueError(f"part {name!r} is none of {PARTS}")
        return self._table[self._table["part"] == name].copy()

    def to_csv(self, path: Path) -> None:
        """Write the table to `path` and root, source, synthetic, digests and classes to the `.json` beside it."""
        facts = {
            "root": str(self.root),
            "source": self.source,
            "synthetic": self.synthetic,
            "digest": self.digest,
            "listed": self.listed,
            **self.classes.plain(),
        }
        write_text(path, self._table.to_csv(index=False, lineterminator="\n"))
        write_text(path.with_suffix(".json"), json.dumps(facts, indent=2, ensure_ascii=False) + "\n")


def read_csv(path: Path) -> Split:
    """The split that `Split.to_csv` wrote; InputError if a file is missing or does not fit its digest."""
    try:
        facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
        about = {"root": Path(facts["root"]), "source": facts["source"], "synthetic": bool(facts["synthetic"])}
        split = Split(table, **about, listed=facts.get("listed", ""), classes=read_classes(facts))
        known = facts["digest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"cannot read the split table {path}: {error}") from error
    if split.digest != known:
        raise InputError(f"the split table {path} was changed after it was written (its digest differs)")
    return split


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) so that `path` is either as before or complete."""
    with replacing(path) as file:
        file.write(text)


def carve(
    table: pd.DataFrame, fraction: float, *, key: str, seed: int, advice: str = "add images of that class"
) -> NDArray[np.bool_]:
    """Choose about `fraction` of the rows, stratified by label, whole groups only.

    scikit-learn's StratifiedGroupKFold cuts the rows into q folds, of which p neighbours are taken, where
    p/q is the nearest fraction to the wanted one with q <= 20.

    Args:
        table: columns `label` and `group`, one row per image.
        fraction: share of the rows to take, in (0, 1).
        key: the configuration key that holds the fraction, for the error message.
        seed: shuffles the groups; the same table and seed give the same choice.
        advice: what to do where a class does not suffice, for the error message.

    Returns:
        bool (len(table),): True where a row is taken. Every class stands on both sides.

    Raises:
        InputError: the fraction is out of range, or a class has too few groups to stand on both sides.
    """
    if not 0 < fraction < 1:
        raise InputError(f"{key}={fraction} must lie between 0 and 1 (0.1 takes a tenth)")
    groups = table.groupby("label")["group"].nunique()
    label = str(groups.idxmin())
    fewest = int(groups.min())
    if fewest < 2:
        images = int((table["label"] == label).sum())
        what = "1 image" if images == 1 else f"{images} images that all belong to one group"
        raise InputError(f"{key}={fraction}: of {label!r} only {what} can be drawn, which cannot be divided: {advice}")
    wanted = Fraction(fraction).limit_denominator(20)
    wanted = min(max(wanted, Fraction(1, 20)), Fraction(19, 20))
    for count in dict.fromkeys((min(wanted.denominator, int(groups.max())), fewest)):
        taken = min(max(1, round(fraction * count)), count - 1)
        fold_of_row = folds(table, count, seed)
        for first in range(count):
            chosen = np.isin(fold_of_row, [(first + step) % count for step in range(taken)])
            if all(table.loc[side, "label"].nunique() == len(groups) for side in (chosen, ~chosen)):
                return chosen
    raise InputError(
        f"{key}={fraction} leaves a part without {label!r}, of which there are only {fewest} groups: "
        f"take another fraction, or {advice}"
    )


def folds(table: pd.DataFrame, count: int, seed: int) -> NDArray[np.intp]:
    """The fold (len(table),), 0..count - 1, of each row: whole groups, stratified by label, shuffled by `seed`.

    scikit-learn's StratifiedGroupKFold over the columns `label` and `group`.
    """
    fold_of_row = np.zeros(len(table), dtype=np.intp)
    cutter = sklearn.model_selection.StratifiedGroupKFold(n_splits=count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        cuts = cutter.split(np.zeros(len(table)), table["label"].to_numpy(), table["group"].to_numpy())
        for fold, (_, rows) in enumerate(cuts):
            fold_of_row[rows] = fold
    return fold_of_row

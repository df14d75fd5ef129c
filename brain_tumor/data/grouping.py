"""Which images must not be separated: twins of one slice, and images of one patient."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from brain_tumor.data.cache import cache_folder
from brain_tumor.data.components import components
from brain_tumor.data.csv_table import read_columns
from brain_tumor.data.image_table import listed_paths
from brain_tumor.data.twins import find_twins
from brain_tumor.errors import InputError

logger = logging.getLogger(__name__)

# What stands in a column of patients, in any case, where none is known.
PLACEHOLDERS = frozenset(
    ("", "-", "--", "?", "??", "n/a", "na", "nan", "nil", "none", "null", "unk", "unknown", "missing", "anonymous")
)
MOST = 0.1  # share of the images beyond which one patient is suspect


def with_groups(
    images: pd.DataFrame, *, patients: str | None, cache: str | None, workers: int, whole: bool = False
) -> None:
    """Fill the columns `twin`, `group` (images of one slice, and of one slice or patient) and `patient` of `images`.

    Read are `path` (below its root, with several roots `site/path`), `file`, `sha256`, `digest` and `group`.

    A source that knows its groups (`group` is filled) keeps them, and its twins are the pixel-identical images
    (`digest`). Otherwise twins are searched for, and joined with the patients that the file `patients` names.

    Of `whole` volumes twins are those of the very same values, and `group` is the patient by the folders, who counts
    where the file names none.
    """
    images["patient"] = ""  # a synthetic subject is none
    if whole:
        images["twin"] = images["digest"].str[:16]
        known = images["group"]
        if patients is not None:
            named = read_patients(patients, images["path"])
            known = named.where(named != "", known)
        images["patient"] = numbered(known)
        images["group"] = joined(images["twin"], known)
        return
    if (images["group"] != "").all() and patients is None:
        images["twin"] = images["digest"].str[:16]
        return
    files = {sha: Path(file) for sha, file in zip(images["sha256"], images["file"], strict=True)}
    images["twin"] = find_twins(files, cache=cache_folder(cache), workers=workers).groups(images["sha256"].tolist())
    images["group"] = images["twin"]
    if patients is not None:
        known = read_patients(patients, images["path"])
        images["patient"] = numbered(known)
        images["group"] = joined(images["twin"], known)


def patients_table(file: str) -> "pd.Series[str]":
    """The patient by path of a CSV with the columns `path` and `patient` (see `read_columns`); "" for PLACEHOLDERS.

    Raises:
        InputError: the file cannot be read, lacks a column, or gives a path two patients.
    """
    table = read_columns("data.patients", file, ("path", "patient"))
    table["path"] = table["path"].str.replace("\\", "/").str.removeprefix("./")
    table["patient"] = table["patient"].mask(lambda each: each.str.lower().isin(PLACEHOLDERS), "")
    several = table.groupby("path")["patient"].nunique()
    if (several > 1).any():
        raise InputError(f"data.patients={file} gives {several.index[several > 1][0]} more than one patient")
    return table.drop_duplicates("path").set_index("path")["patient"]


def read_patients(file: str, paths: "pd.Series[str]") -> "pd.Series[str]":
    """The patient of each path, "" where none is known, from the file that `patients_table` reads.

    Rows that name none of `paths`, and a patient of more than a tenth of them, are warned of.

    Raises:
        InputError: it cannot be read, or names none of `paths`.
    """
    known = patients_table(file)
    patient = paths.map(lambda path: known.get(path, "")).astype(str)
    found = int((patient != "").sum())
    if not found:
        example = known.index[0] if len(known) else "none"
        raise InputError(
            f"data.patients={file} names none of the images: its paths ({example} …) must be those below data.root "
            f"({paths.iloc[0]} …)"
        )
    elsewhere = known.index[~known.index.isin(paths)]
    if len(elsewhere):
        logger.warning(
            "data.patients=%s: %d of its %d rows name no image (%s …): are their paths those below data.root?",
            *(file, len(elsewhere), len(known), elsewhere[0]),
        )
    sizes = patient[patient != ""].value_counts()
    if sizes.iloc[0] > MOST * len(paths):
        logger.warning(
            "data.patients=%s: %d of %d images are of one patient, %s: if that stands for unknown, leave it empty",
            *(file, sizes.iloc[0], len(paths), sizes.index[0]),
        )
    logger.info("%d patients known, of %d of %d images", patient[patient != ""].nunique(), found, len(paths))
    return patient


def numbered(names: "pd.Series[str]") -> "pd.Series[str]":
    """A number for each name, in order of appearance, and "" for none: what is logged names nobody."""
    codes = pd.factorize(names.where(names != ""))[0]
    return pd.Series([f"p{code:04d}" if code >= 0 else "" for code in codes], index=names.index, dtype=str)


def count_patients(table: pd.DataFrame, file: str) -> pd.DataFrame:
    """How many patients the file `file` names in a split, by part and class ("all": of any).

    Columns `part`, `class`, `patients`, and `known`: images whose patient is named. Raises InputError if the file
    cannot be read.
    """
    names = patients_table(file)
    rows = table.assign(patient=[str(names.get(path, "")) for path in listed_paths(table)])
    rows = rows[rows["patient"] != ""]
    every = pd.concat([rows.assign(label="all"), rows])
    found = every.groupby(["part", "label"])["patient"].agg(["nunique", "size"]).reset_index()
    return found.set_axis(["part", "class", "patients", "known"], axis=1)


def joined(first: "pd.Series[str]", second: "pd.Series[str]") -> "pd.Series[str]":
    """Join two groupings: rows alike in either are in one group, which is named by its least name in `first`.

    An empty name in `second` belongs to no other row.
    """
    left, right = (np.asarray(pd.factorize(names)[0]) for names in (first, second.where(second != "")))
    known = right >= 0
    size = int(left.max()) + 1
    component = components(left[known], size + right[known], size + int(right.max()) + 1)
    return first.groupby(component[left]).transform("min")

"""Labels that a person has corrected, by the content of the images."""

import logging

import pandas as pd

from brain_tumor.data.classes import ClassList
from brain_tumor.data.csv_table import read_columns
from brain_tumor.errors import InputError

logger = logging.getLogger(__name__)


def read_labels(file: str, classes: ClassList | None = None) -> "pd.Series[str]":
    """The new label by `sha256` of a CSV with the columns `sha256` and `new_label`, rows without one left out.

    Raises:
        InputError: it cannot be read, lacks a column, has no new label or two for one image, or one is none of
            `classes`.
    """
    table = read_columns("data.relabel", file, ("sha256", "new_label"))
    table["sha256"] = table["sha256"].str.lower()
    table = table[table["new_label"] != ""].drop_duplicates()
    if table.empty:
        raise InputError(f"data.relabel={file} has no new label: write the right class into its column new_label")
    twice = table["sha256"].duplicated()
    if twice.any():
        raise InputError(f"data.relabel={file} gives the image {table.loc[twice, 'sha256'].iloc[0]} two new labels")
    odd = sorted(set(table["new_label"]) - set(classes.names)) if classes is not None else []
    if odd and classes is not None:
        raise InputError(f"data.relabel={file}: new_label {odd[0]!r} is none of {', '.join(classes.names)}")
    return table.set_index("sha256")["new_label"]


def corrected(images: pd.DataFrame, file: str | None, classes: ClassList) -> "pd.Series[str]":
    """The label of each row of `images` (`sha256`, `label`), as `data.relabel=file` corrects it.

    Raises:
        InputError: see `read_labels`, or the file names none of the images.
    """
    if file is None:
        return images["label"]
    new = read_labels(file, classes)
    absent = new.index[~new.index.isin(images["sha256"])]
    if len(absent) == len(new):
        raise InputError(
            f"data.relabel={file} names none of the images: its sha256 must be those of the files, as the table "
            "PART_relabel.csv of a run on the same images has them"
        )
    if len(absent):
        logger.warning("data.relabel=%s: %d of its %d labels are of no image here", file, len(absent), len(new))
    labels = images["sha256"].map(new).fillna(images["label"])
    changed = int((labels != images["label"]).sum())
    logger.warning("data.relabel=%s: images with another label than their folder: %d", file, changed)
    return labels

"""The one split of several models that were trained apart on the same images, for what is made of all of them."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from brain_tumor.data.split import Split, carve
from brain_tumor.errors import InputError

CHOSE = ("train", "val")  # parts by which a model has come to be as it is; on calibration it has chosen nothing
APART = "trained with data.calibration_fraction=0.1, each sets some apart"


def combine(splits: Mapping[str, Split]) -> tuple[Split, str]:
    """One split for all models, and in a line why nothing can be fitted on it; "" where it can.

    - train: what any of the models has met in training or by choosing its epoch, by the image, a twin or the patient.
    - test: what is in the test part of all; none where each has another.
    - val and calibration: half each of the images that no model has met, one a twin; they fit what is said with a
      prediction. None where these do not suffice; what is left over then stands in no part.

    Args:
        splits: the models' own ones, of one listing of images, by what each model is called.

    Raises:
        InputError: naming a model that has met images of the test part, where their splits differ. Where all have one
            split, it is that split's own leak, see `protocol.leak`.
    """
    tables = {name: split.table for name, split in splits.items()}
    first = next(iter(splits.values()))
    met = {name: set(table.loc[table["part"].isin(CHOSE), "group"]) for name, table in tables.items()}
    table = _listed(list(tables.values()))
    test = (table["part"] == "test").to_numpy()
    for other in tables.values():
        test = test & table["sha256"].isin(set(other.loc[other["part"] == "test", "sha256"])).to_numpy()
    if len({split.digest for split in splits.values()}) > 1:
        _require_unmet(table[test], met)
    free = ~test & ~table["group"].isin(set().union(*met.values())).to_numpy()
    table["part"] = np.where(test, "test", "train")
    halves, reason = _halved(table[free], first.classes.names)
    table = pd.concat([table[~free], halves]).sort_index()
    return first.moved(table, first.root), reason


def _listed(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of the first table, and of the others those whose content is not there yet."""
    found = tables[0]
    for table in tables[1:]:
        found = pd.concat([found, table[~table["sha256"].isin(set(found["sha256"]))]], ignore_index=True)
    return found


def _require_unmet(test: pd.DataFrame, met: Mapping[str, set[str]]) -> None:
    for name, groups in met.items():
        known = int(test["group"].isin(groups).sum())
        if known:
            raise InputError(
                f"{name} has met {known} of the {len(test)} images that are held out from the others (as they are, a "
                "twin, or their patient): leave it out, or give models of one split"
            )


def _halved(free: pd.DataFrame, classes: Sequence[str]) -> tuple[pd.DataFrame, str]:
    """The rows as val and calibration, one a twin; none of them, and why, where they do not suffice."""
    free = free.sort_values("sha256").drop_duplicates("twin").sort_index()
    if free.empty:
        return free, f"no image is left that none of its members has met ({APART})"
    groups = free.groupby("label")["group"].nunique().reindex(list(classes), fill_value=0)
    least = str(groups.idxmin())
    none = free.iloc[:0]
    if groups[least] < 2:
        there = f"there is {groups[least]} group" if groups[least] else "there are no groups"
        few = f"of {least} {there} of images left that none of its members has met, and two are needed"
        return none, f"{few} (trained with a larger data.calibration_fraction, each sets more apart)"
    try:
        val = carve(free, 0.5, key="data.calibration_fraction", seed=0)
    except InputError as error:
        return none, str(error)
    return free.assign(part=np.where(val, "val", "calibration")), ""

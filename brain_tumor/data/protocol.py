"""Protocols: which images train, which select, which calibrate, and which are the test."""

import logging

import numpy as np
import pandas as pd

from brain_tumor.config.train import DataConfig, ProtocolConfig
from brain_tumor.data.classes import ClassList
from brain_tumor.data.split import Split, carve, folds
from brain_tumor.errors import InputError

logger = logging.getLogger(__name__)

KNOWN = {"val": ("train",), "test": ("train", "val", "calibration")}  # parts that a model has seen when one is scored

_HELD_OUT = "add images that were held out, or use protocol=official, which draws none and fits nothing"


def divide(images: pd.DataFrame, protocol: ProtocolConfig, data: DataConfig, classes: ClassList) -> pd.DataFrame:
    """The images that take part, with their `part`; the index is made anew.

    - official: the parts of the data's own folders; a part that they lack is drawn.
    - clean: as official, without the training images that share a group with a test or validation image.
    - grouped: all parts are drawn, over whole groups, stratified by class; with `folds` the test part is one fold.
    - leave_one_site_out: `site` is the test part, and what shares a group with it does not train.

    Of a part that is drawn here one image a twin is kept, the one with the least SHA-256, since copies of a slice
    are no further evidence. All copies train, or one under each label if `data.copies` is false, and so do groups that
    stand under two labels: only the data's own test and validation folders keep them.

    Args:
        images: columns path, label, part ("" where the folders do not say), group, twin, site, sha256.
        protocol: its `name`, and with it `fold` of `folds`, or `site`.
        data: the fractions to draw, `split_seed`, and whether `copies` train.
        classes: all that there are.

    Raises:
        InputError: the data does not have what the protocol needs, or a class does not suffice for all parts: it
            has too few groups, or they all stand under another label, too.
    """
    own = protocol.name in ("official", "clean")
    images = images.reset_index(drop=True)
    images["part"] = images["part"].replace("", "train") if own else "train"
    require_trained(images, protocol, classes)
    given = set(images["part"])
    if protocol.name == "clean":
        images = _cleaned(images, classes)
    drawn = []
    if protocol.name == "leave_one_site_out":
        images = _one_site_out(images, protocol.site, classes)
        drawn.append("test")
    _require_free(images)
    if protocol.folds is not None:
        _draw_fold(images, protocol, data.split_seed, classes)
        drawn.append("test")
    fractions = {"test": data.test_fraction, "val": data.val_fraction, "calibration": data.calibration_fraction}
    carved: list[str] = []
    for part, fraction in fractions.items():
        if part in given or part in drawn or fraction is None:
            continue
        rows = images[_free(images)]
        advice = _advice(protocol.name, carved)
        chosen = carve(rows, fraction, key=f"data.{part}_fraction", seed=data.split_seed, advice=advice)
        images.loc[rows.index[chosen], "part"] = part
        carved.append(part)
    drawn += carved
    return _one_a_twin(images, drawn if data.copies else [*drawn, "train"])


def divide_known(images: pd.DataFrame, protocol: ProtocolConfig, data: DataConfig) -> pd.DataFrame:
    """The images around a model that was trained elsewhere, with their `part`; the index is made anew.

    All of the training folder has trained, and so has everything where the folders name no parts. Of what was held out
    clean leaves out each image that shares a group with one of these, and draws val (unless the folders have one) and
    calibration from the rest, one image a twin; official keeps the test folder as it is and draws nothing.

    Args:
        images: as `divide`.
        protocol: clean or official.
        data: the fractions of the test folder to draw, and `split_seed`.

    Raises:
        InputError: nothing trained, or a class does not suffice for the parts.
    """
    images = images.reset_index(drop=True)
    images["part"] = images["part"].replace("", "train")
    if "train" not in set(images["part"]):
        raise InputError("the images have no training part: the folder must hold what the model was trained on")
    if protocol.name == "official":
        return images
    for part, others in KNOWN.items():
        seen = set(images.loc[images["part"].isin(others), "group"])
        met = (images["part"] == part) & images["group"].isin(seen)
        if met.any():
            logger.info("%d images of %s that share a group with one trained on are left out", int(met.sum()), part)
        images = images[~met].reset_index(drop=True)
    drawn = ["test"]
    for part, fraction in (("val", data.val_fraction), ("calibration", data.calibration_fraction)):
        rows = images[(images["part"] == "test") & (_labels_of_group(images) == 1)]
        if part in set(images["part"]) or fraction is None or rows.empty:
            continue
        chosen = carve(rows, fraction, key=f"data.{part}_fraction", seed=data.split_seed, advice=_HELD_OUT)
        images.loc[rows.index[chosen], "part"] = part
        drawn.append(part)
    return _one_a_twin(images, drawn)


def require_trained(images: pd.DataFrame, protocol: ProtocolConfig, classes: ClassList) -> None:
    """Refuse images of which none trains, or none of a class, before it is looked who shares a group.

    Args:
        images: columns label, part ("" where the folders do not say) and site.
        protocol: which of them may train.
        classes: all that there are.

    Raises:
        InputError: naming the class.
    """
    if protocol.name in ("official", "clean"):
        given = set(images["part"])
        if not given & {"", "train"}:
            raise InputError(
                f"the images have no training part, only {', '.join(sorted(given))}: add a folder Training/"
            )
        absent = _untrained(images.assign(part=images["part"].replace("", "train")), classes)
        if absent:
            raise InputError(
                f"the training part has no image of {absent}, only another part has: use protocol=grouped, which draws "
                "the parts itself, add images, or leave that class out with data.classes"
            )
    if protocol.name == "leave_one_site_out":
        sites = set(images["site"])
        for site in [protocol.site] if protocol.site in sites else sorted(sites) if protocol.site is None else []:
            absent = _untrained(images.assign(part="train")[images["site"] != site], classes)
            if absent and len(sites) > 1:
                raise InputError(
                    f"protocol.site={site}: the other sites have no image of {absent} to train on: leave that class "
                    "out with data.classes"
                )


def require_whole_groups(split: Split, protocol: str) -> None:
    """Refuse a split in which a group stands in several parts, unless `protocol` is official, which says so.

    Raises:
        InputError: naming how many groups, and of which image the first is.
    """
    parts = split.table.groupby("group")["part"].nunique()
    cut = parts.index[parts > 1]
    if protocol == "official" or not len(cut):
        return
    example = split.table.loc[split.table["group"] == cut[0], "path"].iloc[0]
    raise InputError(
        f"protocol={protocol}: {len(cut)} groups of twins or of a patient stand in several parts ({example} …): "
        "use protocol=grouped, or protocol=official to accept the leak"
    )


def leak(split: Split, part: str = "test") -> str | None:
    """How many images of a part (val, test) have a twin, or their patient, in one of KNOWN; None where none has."""
    table = split.table
    own, seen = table[table["part"] == part], table[table["part"].isin(KNOWN[part])]
    twins, groups = (int(own[column].isin(set(seen[column])).sum()) for column in ("twin", "group"))
    if not groups:
        return None
    what = "a twin" if groups == twins else f"their patient or a twin ({twins} a twin)"
    return f"LEAKS: {groups} of {len(own)} {part} images have {what} in training"


def _advice(protocol: str, drawn: list[str]) -> str:
    """What to do where a class does not suffice for one more part, by the protocol and the parts drawn before."""
    ways = ["protocol=clean lets no twin of a test image train: use protocol=grouped"] if protocol == "clean" else []
    ways += [f"lower data.{part}_fraction, which was drawn before" for part in drawn]
    return ", or ".join([*ways, "add images of that class"])


def _cleaned(images: pd.DataFrame, classes: ClassList) -> pd.DataFrame:
    if "test" not in set(images["part"]):
        raise InputError("protocol=clean needs a test part of the data's own, and there is none: use protocol=grouped")
    for part, others in (("test", ["train", "val"]), ("val", ["train"])):
        held_out = set(images.loc[images["part"] == part, "group"])
        removed = images["group"].isin(held_out) & images["part"].isin(others)
        if removed.any():
            logger.info("%d images that share a group with a %s image do not train", int(removed.sum()), part)
        images = images[~removed].reset_index(drop=True)
    absent = _untrained(images, classes)
    if absent:
        raise InputError(
            f"protocol=clean leaves no training image of {absent}, since all have a twin in the test part: "
            "use protocol=grouped"
        )
    return images


def _one_site_out(images: pd.DataFrame, site: str | None, classes: ClassList) -> pd.DataFrame:
    sites = sorted(set(images["site"]))
    if len(sites) < 2:
        raise InputError(
            f"protocol=leave_one_site_out needs several sites, and there is only {sites[0]!r}: "
            "give data=folder 'data.root=[A,B]'"
        )
    if site not in sites:
        raise InputError(f"protocol.site={site} is none of the sites {', '.join(sites)}")
    out = images["site"] == site
    shared = images["group"].isin(set(images.loc[out, "group"])) & ~out
    if shared.any():
        count = int(shared.sum())
        logger.warning("%d images of other sites share a group with images of %s and do not train", count, site)
    images.loc[out, "part"] = "test"
    torn = out & (_labels_of_group(images) > 1)
    if torn.any():
        logger.warning("%d images of %s whose group stands under two classes are not tested", int(torn.sum()), site)
    left = images[~shared & ~torn].reset_index(drop=True)
    absent = _untrained(left, classes)
    if absent:
        raise InputError(
            f"protocol.site={site}: without what shares a group with its images the other sites have none of {absent}: "
            "it is no other site"
        )
    return left


def _untrained(images: pd.DataFrame, classes: ClassList) -> str:
    """The classes without a training image, between commas."""
    trained = set(images.loc[images["part"] == "train", "label"])
    return ", ".join(label for label in classes.names if label not in trained)


def _draw_fold(images: pd.DataFrame, protocol: ProtocolConfig, seed: int, classes: ClassList) -> None:
    rows = images[_free(images)]
    count = int(protocol.folds or 0)
    fewest = rows.groupby("label")["group"].nunique().reindex(list(classes.names), fill_value=0)
    if fewest.min() < count:
        raise InputError(
            f"protocol.folds={count} needs as many groups of every class, and {fewest.idxmin()} has {fewest.min()}: "
            "use fewer folds"
        )
    fold_of_row = folds(rows, count, seed)
    images.loc[rows.index[fold_of_row == protocol.fold], "part"] = "test"


def _require_free(images: pd.DataFrame) -> None:
    """Say how many training images no other part may be drawn from, and refuse if they are all that a class has."""
    train = images["part"] == "train"
    free = _free(images)
    if (train & ~free).any():
        logger.info("images whose group stands under two classes, and which only train: %d", int((train & ~free).sum()))
    torn = sorted(set(images.loc[train, "label"]) - set(images.loc[free, "label"]))
    if torn:
        raise InputError(
            f"every group of {', '.join(torn)} (a slice, or a patient by data.patients) stands under another class, "
            "too, and such groups only train: nothing of it is left to select and test on; brain_tumor.audit with the "
            "same data lists the slices, and patients who stand under several classes must be left out of data.patients"
        )


def _free(images: pd.DataFrame) -> "pd.Series[bool]":
    """The training rows that may be drawn for another part: their group has one label, and trains as a whole."""
    return (images["part"] == "train") & (_labels_of_group(images) == 1)


def _labels_of_group(images: pd.DataFrame) -> "pd.Series[int]":
    return images.groupby("group")["label"].transform("nunique")


def _one_a_twin(images: pd.DataFrame, parts: list[str]) -> pd.DataFrame:
    order = np.argsort(images["sha256"].to_numpy(), kind="stable")
    copy = images.iloc[order].duplicated(["part", "twin", "label"]).reindex(images.index)
    surplus = copy & images["part"].isin(parts)
    if surplus.any():
        counts = ", ".join(f"{int((surplus & (images['part'] == part)).sum())} of {part}" for part in parts)
        logger.info("counted once a slice: %d copies are left out (%s)", int(surplus.sum()), counts)
    return images[~surplus].reset_index(drop=True)

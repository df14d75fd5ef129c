"""What an audit finds, as tables: pure functions over the list of images and the graph of their twins.

Columns of `images`, one row per image: `path`, `label`, `part` ("" where the folders do not say), `site`, `digest` (of
the pixels; "" of a corrupt file), `width`, `height`, `mode`, `error` ("" or why it is corrupt), `contrast` (see
`measures`), `twin` (the slice it shows: a name that all twins share), `patient` ("" where unknown).
Columns of `near`: `a`, `b` (digests), `kind`; see `between_pictures`. Corrupt images stand in `count_images` and
`corrupt` alone.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.data.blank import BLANK_CONTRAST
from brain_tumor.data.split import PARTS

KINDS = ("identical", "same", "mirrored", "turned")  # of twins, the closest first
INDIRECT = "indirect"  # joined through other images alone
SEEN = (("test", "train"), ("test", "val"), ("val", "train"))  # a part, and one that is known when it is scored


@dataclass(frozen=True, eq=False)
class Findings:
    """All tables of an audit; the functions of the same names say what they hold."""

    images: pd.DataFrame
    count_images: pd.DataFrame
    pairs: pd.DataFrame
    count_twins: pd.DataFrame
    count_slices: pd.DataFrame
    slice_sizes: pd.DataFrame
    across_parts: pd.DataFrame
    across_sites: pd.DataFrame
    patients: pd.DataFrame
    conflicts: pd.DataFrame
    corrupt: pd.DataFrame
    blank: pd.DataFrame
    formats: pd.DataFrame


def find(images: pd.DataFrame, edges: pd.DataFrame) -> Findings:
    """All findings about `images` (with a column `sha256` too); `edges` as in `twins.TwinGraph`."""
    sound = images[images["error"] == ""]
    near = between_pictures(sound, edges)
    return Findings(
        images=images,
        count_images=count_images(images),
        pairs=list_pairs(sound, edges),
        count_twins=count_twins(sound, near),
        count_slices=count_slices(sound),
        slice_sizes=slice_sizes(sound),
        across_parts=across_parts(sound, near),
        across_sites=across_sites(sound, near),
        patients=patients_across_parts(sound),
        conflicts=conflicts(sound[~(sound["contrast"] < BLANK_CONTRAST)]),
        corrupt=images.loc[images["error"] != "", ["path", "label", "part", "site", "error"]],
        blank=sound.loc[sound["contrast"] < BLANK_CONTRAST, ["path", "label", "part", "site", "contrast"]],
        formats=formats(sound),
    )


def between_pictures(images: pd.DataFrame, edges: pd.DataFrame) -> pd.DataFrame:
    """The edges between pictures that differ: columns a < b (digests), kind; of several edges the closest."""
    digest = images.drop_duplicates("sha256").set_index("sha256")["digest"]
    ends = pd.DataFrame({"a": edges["a"].map(digest), "b": edges["b"].map(digest), "kind": edges["kind"]}).dropna()
    ends = ends[(ends["a"] != ends["b"]) & (ends["kind"] != "identical")]
    swapped = ends["a"] > ends["b"]
    ends.loc[swapped, ["a", "b"]] = ends.loc[swapped, ["b", "a"]].to_numpy()
    ranked = ends.iloc[np.argsort(ends["kind"].map(KINDS.index).to_numpy(dtype=int), kind="stable")]
    return ranked.drop_duplicates(["a", "b"]).sort_values(["a", "b"], ignore_index=True)


def closest(
    images: pd.DataFrame, near: pd.DataFrame, rows: NDArray[np.bool_], others: NDArray[np.bool_]
) -> NDArray[Any]:
    """How each image of `rows` (bool) is joined to one of `others` (bool): object, one of KINDS, INDIRECT, or "".

    A blank one is to none.
    """
    digests, twins = images["digest"].to_numpy(), images["twin"].to_numpy()
    blank = (images["contrast"] < BLANK_CONTRAST).to_numpy()
    there = set(digests[others])
    both_ways = pd.concat([near, near.rename(columns={"a": "b", "b": "a"})])
    known = both_ways[both_ways["b"].isin(there)]
    kind = np.where(np.isin(twins[rows], np.unique(twins[others])), INDIRECT, "").astype(object)
    for name in reversed(KINDS):
        joined = there if name == "identical" else set(known.loc[known["kind"] == name, "a"])
        kind[pd.Index(digests[rows]).isin(joined)] = name
    kind[blank[rows]] = ""  # that two pictures show nothing makes them no copies of one slice
    return kind


def list_pairs(images: pd.DataFrame, edges: pd.DataFrame) -> pd.DataFrame:
    """Links that join twins, as pairs of paths: path, other, kind, score; the best scores first.

    They are fewer than the pairs of `count_twins`: an edge stands between the first files of its contents, identical
    pictures are each linked with the first of them, and so are copies of a file, byte for byte.
    """
    first = images.drop_duplicates("sha256").set_index("sha256")["path"]
    found = pd.DataFrame(
        {"path": edges["a"].map(first), "other": edges["b"].map(first), "kind": edges["kind"], "score": edges["score"]}
    )
    copies = images[images.duplicated("sha256")]
    again = pd.DataFrame(
        {"path": copies["sha256"].map(first), "other": copies["path"], "kind": "identical", "score": 1.0}
    )
    table = pd.concat([each for each in (again, found) if len(each)] or [found])
    return table.sort_values(["score", "path", "other"], ascending=[False, True, True], ignore_index=True)


def count_images(images: pd.DataFrame) -> pd.DataFrame:
    """Images of each site and part: site, part, a column per class, all; corrupt ones count."""
    table = images.groupby(["site", "part", "label"]).size().unstack(fill_value=0)
    table["all"] = table.sum(axis=1)
    table = table.rename_axis(columns=None).reset_index()
    order = table["part"].map(("", *PARTS).index)
    return table.iloc[np.lexsort((order, table["site"]))].reset_index(drop=True)


def count_twins(images: pd.DataFrame, near: pd.DataFrame) -> pd.DataFrame:
    """Pairs of images of each kind, and how many images have such a twin: kind, pairs, images."""
    copies = images["digest"].value_counts()
    rows = [("identical", int((copies * (copies - 1) // 2).sum()), int(copies[copies > 1].sum()))]
    for kind in KINDS[1:]:
        edges = near[near["kind"] == kind]
        pairs = edges["a"].map(copies).to_numpy(dtype=int) * edges["b"].map(copies).to_numpy(dtype=int)
        joined = images["digest"].isin(set(edges["a"]) | set(edges["b"]))
        rows.append((kind, int(pairs.sum()), int(joined.sum())))
    return pd.DataFrame(rows, columns=["kind", "pairs", "images"])


def count_slices(images: pd.DataFrame) -> pd.DataFrame:
    """Distinct slices of each class, twins counted once: label, images, slices.

    A slice under several labels is of the one that most of its images have, of the first in the alphabet if that is a
    draw.
    """
    votes = images.groupby(["twin", "label"]).size().rename("votes").reset_index()
    labels = votes.sort_values(["votes", "label"], ascending=[False, True]).drop_duplicates("twin")["label"]
    rows = [(label, int((images["label"] == label).sum()), int((labels == label).sum())) for label in _names(images)]
    return pd.DataFrame([*rows, ("all", len(images), len(labels))], columns=["label", "images", "slices"])


def slice_sizes(images: pd.DataFrame) -> pd.DataFrame:
    """How often a slice stands in the data: images_per_slice, slices."""
    sizes = images["twin"].value_counts().value_counts().sort_index()
    return sizes.rename_axis("images_per_slice").rename("slices").reset_index()


def across_parts(images: pd.DataFrame, near: pd.DataFrame) -> pd.DataFrame:
    """Images of a part with a twin in another that is known when it is scored, by class and closest kind.

    Columns part, other, label (a class or "all"), images, a column per kind, indirect, any.
    """
    part = images["part"].to_numpy()
    rows = []
    for name, other in SEEN:
        if {name, other} <= set(part):
            rows += _joined(images, near, part == name, part == other, {"part": name, "other": other})
    return pd.DataFrame(rows, columns=["part", "other", "label", "images", *KINDS, INDIRECT, "any"])


def across_sites(images: pd.DataFrame, near: pd.DataFrame) -> pd.DataFrame:
    """Images of a site with a twin in another: as `across_parts`, with site in place of part."""
    site = images["site"].to_numpy()
    names = list(dict.fromkeys(site))
    rows = []
    for name, other in ((name, other) for name in names for other in names if name != other):
        rows += _joined(images, near, site == name, site == other, {"site": name, "other": other})
    return pd.DataFrame(rows, columns=["site", "other", "label", "images", *KINDS, INDIRECT, "any"])


def _joined(
    images: pd.DataFrame, near: pd.DataFrame, rows: NDArray[np.bool_], others: NDArray[np.bool_], names: dict[str, str]
) -> list[dict[str, object]]:
    kinds = closest(images, near, rows, others)
    labels = images["label"].to_numpy()[rows]
    table: list[dict[str, object]] = []
    for label in (*_names(images), "all"):
        own = kinds if label == "all" else kinds[labels == label]
        counts = {kind: int((own == kind).sum()) for kind in (*KINDS, INDIRECT)}
        table.append({**names, "label": label, "images": len(own), **counts, "any": int((own != "").sum())})
    return table


def _names(images: pd.DataFrame) -> list[str]:
    return sorted(images["label"].unique())


def patients_across_parts(images: pd.DataFrame) -> pd.DataFrame:
    """Images of a part whose patient stands in another too: part, other, images, known, shared; empty if none is known.

    `known` counts the images whose patient is known.
    """
    known = images[images["patient"] != ""]
    rows = []
    for name, other in SEEN:
        own, theirs = known[known["part"] == name], known[known["part"] == other]
        if len(own) and len(theirs):
            shared = int(own["patient"].isin(set(theirs["patient"])).sum())
            rows.append((name, other, int((images["part"] == name).sum()), len(own), shared))
    return pd.DataFrame(rows, columns=["part", "other", "images", "known", "shared"])


def conflicts(images: pd.DataFrame) -> pd.DataFrame:
    """Images of the slices that stand under several labels: twin, path, label, part, site, votes.

    `votes` is how many images of the slice have that label; small slices come first, and the minority first in a slice.
    """
    labels = images.groupby("twin")["label"].nunique()
    table = images[images["twin"].isin(labels.index[labels > 1])].copy()
    table["votes"] = table.groupby(["twin", "label"])["path"].transform("size").astype(int)
    table["size"] = table.groupby("twin")["path"].transform("size").astype(int)
    ordered = table.sort_values(["size", "twin", "votes", "label", "path"], ignore_index=True)
    return ordered[["twin", "path", "label", "part", "site", "votes"]]


def formats(images: pd.DataFrame) -> pd.DataFrame:
    """Images of each mode, size and part: mode, width, height, part, a column per class, all; the most frequent first.

    A mode or a size that goes with a class is a shortcut.
    """
    keys = ["mode", "width", "height", "part"]
    table = images.groupby([*keys, "label"]).size().unstack(fill_value=0)
    table["all"] = table.sum(axis=1)
    table = table.rename_axis(columns=None).reset_index()
    return table.sort_values("all", ascending=False, kind="stable", ignore_index=True)

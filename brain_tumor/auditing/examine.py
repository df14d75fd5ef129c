"""From a data source to an audit."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from brain_tumor.auditing import figures
from brain_tumor.auditing.findings import Findings, find
from brain_tumor.auditing.floor import SHORTCUTS, shortcut_floor
from brain_tumor.auditing.image_features import image_features
from brain_tumor.auditing.verdict import verdict
from brain_tumor.auditing.volume_features import VOLUME_SHORTCUTS, volume_features
from brain_tumor.config.train import DataConfig, Source
from brain_tumor.data.cache import cache_folder
from brain_tumor.data.grouping import joined, read_patients
from brain_tumor.data.image_table import Listing, read_images, source_folders
from brain_tumor.data.relabel import corrected
from brain_tumor.data.twins import THRESHOLD, TwinGraph, find_twins
from brain_tumor.data.twins.graph import SIZE
from brain_tumor.errors import InputError


@dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found."""

    title: str  # of the data
    synthetic: bool
    verdict: list[str]  # sentences, the most important first
    found: Findings
    floor: pd.DataFrame | None  # see `floor.shortcut_floor`; None: not measured
    figures: dict[str, Figure]


def examine(data: DataConfig, *, floor: bool) -> Audit:
    """Read all images of the source, and find what there is to find, with progress.

    Raises:
        InputError: the images cannot be found, none can be decoded, or `data.patients` does not fit. Single files that
            cannot be decoded are findings.
    """
    roots = source_folders(data)
    whole, side = data.volume_shape, data.image_size or SIZE
    # Slices in the twins' own size, so that they are decoded once.
    listing = read_images(data, roots, (*whole, 1) if whole else (side, side, 3))
    graph = _group(listing, data)
    images = listing.table
    images["label"] = corrected(images, data.relabel, listing.classes)
    contents = listing.contents
    if whole:  # of which those that show nothing are not decoded
        measures: Any = volume_features(contents)
        contrast, shortcuts = np.full(len(contents.table), 255.0), list(VOLUME_SHORTCUTS)
    else:
        measures = image_features(contents, data.workers)
        contrast, shortcuts = measures.contrast, list(SHORTCUTS)
    rows = pd.Index(listing.contents.table["sha256"]).get_indexer(images["sha256"].tolist())
    sound = (images["error"] == "").to_numpy()
    images["contrast"] = np.where(sound, contrast[rows], np.nan)
    found = find(images, graph.edges)
    bars = None
    if floor:
        table = images[sound].reset_index(drop=True)
        bars = shortcut_floor(
            table, measures, rows[sound], seed=data.split_seed, workers=data.workers, shortcuts=shortcuts
        )
    synthetic = data.source is Source.phantom
    title = "SYNTHETIC phantom" if synthetic else ", ".join(roots)
    drawn = _draw(found, bars, graph, listing, title)
    return Audit(title, synthetic, verdict(found, bars), found, bars, drawn)


def _group(listing: Listing, data: DataConfig) -> TwinGraph:
    """Fill the columns twin, patient and group of the listing's table; "" for corrupt images."""
    images = listing.table
    sound = images["error"] == ""
    if not sound.any():
        raise InputError(f"none of the {len(images)} images can be decoded ({images['path'][0]}: {images['error'][0]})")
    patient = images["group"] if data.patients is None else read_patients(data.patients, images["path"])
    if data.volume_shape is None:
        files = {sha: file for sha, file in zip(images["sha256"], listing.files, strict=True) if sha}
        graph = find_twins(files, cache=cache_folder(data.cache), workers=data.workers)
        twin = pd.Series(graph.groups(images.loc[sound, "sha256"].tolist()), index=images.index[sound], dtype=object)
    else:  # only those of the very same values are found
        graph = TwinGraph(pd.DataFrame(columns=["a", "b", "transform", "score"]))
        twin = images.loc[sound, "digest"].str[:16]
    images["twin"] = twin.reindex(images.index, fill_value="")
    images["patient"] = patient
    images["group"] = joined(twin, patient[sound]).reindex(images.index, fill_value="")
    return graph


def _draw(
    found: Findings, floor: pd.DataFrame | None, graph: TwinGraph, listing: Listing, title: str
) -> dict[str, Figure]:
    drawn = {"counts": figures.counts(found.count_images, title)}
    for table, key, what in ((found.across_parts, "part", "part"), (found.across_sites, "site", "site")):
        for (name, other), rows in table.groupby([key, "other"], sort=False):
            head = f"{name} images with a twin in {other}" + (f": {title}" if what == "part" else "")
            drawn[f"twins_{what}_{name}_{other}".replace("/", "_")] = figures.across(rows, head)
    if floor is not None and len(floor):
        drawn["floor"] = figures.floor_bars(floor, title)
    known = found.images[found.images["twin"] != ""].drop_duplicates("sha256").set_index("sha256")
    if len(listing.contents.pixels.shape) == 5:  # of whole volumes no likeness is scored
        return drawn
    drawn["scores"] = figures.scores(graph.candidates, known["twin"], THRESHOLD, title)
    drawn["pairs"] = figures.pairs(graph.candidates, known, THRESHOLD, listing.contents, title)
    return drawn

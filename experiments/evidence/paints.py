"""Does an answer stay without the lesion whatever it is painted over with? python experiments/evidence/paints.py URI.

The removal test paints by Navier-Stokes; training, where it paints, in four ways of its own. Here the known lesions of
the test part are painted over in each of these five, and in two that neither uses: what a soap film would show that is
spanned in the region (Laplace's equation, solved over it), and the tissue of a healthy image of the test part in the
same place, the one of all that is most alike around it, made as bright and with a hard edge.

Then by Navier-Stokes, further and further beyond the lesion's border, which was drawn around what takes up contrast:
oedema reaches out of it. Beside it the same of the mirrored place, where the two do not touch.
"""

import sys
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import scipy.sparse
import scipy.sparse.linalg
from numpy.typing import NDArray

from brain_tumor.config.train import TrackingConfig, TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.data import painting
from brain_tumor.data.augment import Sample
from brain_tumor.data.logged_split import load_logged
from brain_tumor.evaluation.bootstrap import mean_intervals
from brain_tumor.evaluation.explanation import removal
from brain_tumor.evaluation.explanation.map_scores import Lesions, known_lesions
from brain_tumor.evaluation.measuring import measure
from brain_tumor.models.backend import start_tensorflow
from brain_tumor.tracking import registry
from brain_tumor.tracking.store import open_store

Image = NDArray[np.uint8]
Region = NDArray[np.bool_]

REACHES = (0.0, 0.02, 0.04, 0.06)  # of the side, beyond the removal test's own margin


def main(model_uri: str) -> None:
    open_store(TrackingConfig(None, "brain-tumor", None, "mlruns/checkpoints", False))
    start_tensorflow()
    registered = registry.load_model(model_uri)
    config = typed(TrainConfig, registered.config)
    model = registered.model
    dataset = load_logged(registered.split, config.data, root=None, shape=model.input_shape[1:])
    lesions = known_lesions(dataset, "test", measure(model, dataset, "test", config.protocol.name))
    assert lesions is not None
    healthy = dataset.split.classes.index(dataset.split.classes.healthy or "")
    rows = dataset.rows("test")
    donors = dataset.images(rows[dataset.labels(rows) == healthy])
    answers = {name: _answers(model, lesions, paint) for name, paint in _paints(donors, healthy).items()}
    print(f"answers kept of {len(lesions)} lesions of test, 95 % intervals by group")
    print(_kept(lesions, answers, healthy).to_string(index=False))
    print("\nby Navier-Stokes, as far beyond the mask as this share of the side")
    for reach in REACHES:
        pixels = round(reach * dataset.image_size)
        answers = {f"{removal.MARGIN + reach:.0%}": _answers(model, lesions, _beyond(pixels))}
        controls = _answers(model, lesions, _beyond(pixels, mirrored=True))
        apart = np.concatenate([_apart(lesions.masks(part), pixels) for part in lesions.batches()])
        control = f"{(controls == lesions.classes)[apart].mean():.3f} of {apart.sum()}"
        print(_kept(lesions, answers, healthy).assign(mirrored=control).to_string(index=False, header=not reach))


def _kept(lesions: Lesions, answers: Mapping[str, NDArray[np.int64]], healthy: int) -> pd.DataFrame:
    classes = ["all", *sorted(set(lesions.names))]
    table = []
    for name, answer in answers.items():
        kept = {}
        for each in classes:
            of = (lesions.names == each) | (each == "all")
            stays = (answer == lesions.classes)[of, None].astype(float)
            value, low, high = (bound[0] for bound in mean_intervals(stays, lesions.groups[of], resamples=1000))
            kept[each] = f"{value:.3f} [{low:.3f}, {high:.3f}]"
        table.append({"paint": name, **kept, "become healthy": f"{(answer == healthy).mean():.3f}"})
    return pd.DataFrame(table)


def _beyond(pixels: int, *, mirrored: bool = False) -> Callable[[Image, Region], Image]:
    def paint(image: Image, mask: Region) -> Image:
        region = painting.enlarged(mask, pixels) if pixels else mask
        return removal.paint_over(image[None], (region[:, ::-1] if mirrored else region)[None])[0]

    return paint


def _apart(masks: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    regions = removal.widened(np.stack([painting.enlarged(mask, pixels) if pixels else mask for mask in masks]))
    return ~(regions & regions[:, :, ::-1]).any(axis=(1, 2))


def _answers(model: object, lesions: Lesions, paint: Callable[[Image, Region], Image]) -> NDArray[np.int64]:
    found = []
    for part in lesions.batches():
        images, masks = lesions.dataset.images(lesions.rows[part]), lesions.masks(part)
        painted = np.stack([paint(image, mask) for image, mask in zip(images, masks, strict=True)])
        found.append(model.predict_on_batch(painted).argmax(axis=1))  # type: ignore[attr-defined]
    return np.concatenate(found)


def _paints(donors: NDArray[np.uint8], healthy: int) -> dict[str, Callable[[Image, Region], Image]]:
    def of_training(way: painting.Way) -> Callable[[Image, Region], Image]:
        generator = np.random.default_rng(0)

        def donor() -> Sample:
            image = donors[generator.integers(len(donors))]
            return Sample(image, healthy, np.zeros(image.shape[:2], np.bool_))

        def paint(image: Image, mask: Region) -> Image:
            sample, region = Sample(image, healthy, mask), painting.widened(mask, generator)
            painted = way(sample, region, donor, generator)
            return painting.paint(sample, region, donor, generator) if painted is None else painted

        return paint

    return {
        "the removal test's (Navier-Stokes)": lambda image, mask: removal.paint_over(image[None], mask[None])[0],
        **{f"training's: {name}": of_training(way) for name, way in painting.WAYS.items()},
        "neither's: soap film": lambda image, mask: soap_film(image, removal.widened(mask[None])[0]),
        "neither's: healthy tissue": lambda image, mask: _transplanted(image, removal.widened(mask[None])[0], donors),
    }


def soap_film(image: Image, region: Region) -> Image:
    """The image (S, S, 3) with a harmonic region: every pixel of it is the mean of its four neighbours."""
    padded = np.pad(region, 1)
    values = np.pad(image.astype(np.float64), ((1, 1), (1, 1), (0, 0)), mode="edge")
    place = np.full(padded.shape, -1)
    place[padded] = np.arange(padded.sum())
    at = np.argwhere(padded)
    known = np.zeros((len(at), 3))
    rows, columns = [], []
    for step in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        y, x = (at + step).T
        inside = place[y, x] >= 0
        rows.append(np.flatnonzero(inside))
        columns.append(place[y, x][inside])
        known[~inside] += values[y[~inside], x[~inside]]
    row, column = np.concatenate(rows), np.concatenate(columns)
    entries = np.concatenate([np.full(len(at), 4.0), np.full(len(row), -1.0)])
    index = np.arange(len(at))
    places = (np.concatenate([index, row]), np.concatenate([index, column]))
    matrix = scipy.sparse.csc_matrix((entries, places), shape=(len(at), len(at)))
    values[padded] = scipy.sparse.linalg.spsolve(matrix, known).reshape(-1, 3)
    return np.asarray(np.clip(values[1:-1, 1:-1] + 0.5, 0, 255), np.uint8)


def _transplanted(image: Image, region: Region, donors: NDArray[np.uint8]) -> Image:
    around = painting.enlarged(region, 6) & ~region
    here = image[around].astype(np.float32)
    # A donor must have tissue there: a pixel of air counts like the largest difference.
    air = (donors[:, region].max(axis=-1) <= painting.TISSUE).mean(axis=1)
    apart = np.abs(donors[:, around] - here).mean(axis=(1, 2)) + 255 * air
    nearest = donors[int(np.argmin(apart))]
    scale = np.clip(here.mean() / max(float(nearest[around].mean()), 1.0), 0.5, 2.0)
    painted = image.copy()
    painted[region] = np.clip(nearest[region] * scale, 0, 255)
    return painted


if __name__ == "__main__":
    main(sys.argv[1])

"""Which score tells other images from brain MRI: energy of the logits, or Mahalanobis distance of the features.

    pip install 'brain-tumor[benchmarks]'
    python benchmarks/outliers.py models:/brain-tumor@champion [DIR, where the images of its split are now]

Area under the ROC curve of strange images against the model's test part, and with the threshold at the 99th percentile
of its calibration part the share that is found, and of the test part that is called strange. The strange images are
those that scikit-learn, scikit-image and pydicom ship, and generated ones; also in gray, since colour gives them away.
"""

import sys
from collections.abc import Callable

import numpy as np
import pydicom
import skimage.data
from numpy.typing import NDArray
from PIL import Image
from pydicom.data import get_testdata_file
from scipy.ndimage import gaussian_filter
from scipy.special import logsumexp
from sklearn.datasets import load_sample_images
from sklearn.metrics import roc_auc_score

from brain_tumor.config.train import TrackingConfig, TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.data.dataset import Dataset
from brain_tumor.data.decode import letterbox
from brain_tumor.data.logged_split import load_logged
from brain_tumor.evaluation.prediction import Outputs, observe, observing
from brain_tumor.evaluation.uncertainty.fitting import IN_DISTRIBUTION
from brain_tumor.models.backend import start_tensorflow
from brain_tumor.tracking import registry
from brain_tumor.tracking.store import open_store

NATURAL = """astronaut brick camera cat clock coffee coins colorwheel grass gravel horse hubble_deep_field logo
moon page rocket text"""
MICROSCOPE_AND_EYE = "cell immunohistochemistry microaneurysms retina"
# CT of a vertebra and of two heads, bone scan, MRI of a joint and of the abdomen, three ultrasounds, a mask
RADIOLOGY = """CT_small 693_J2KI J2K_pixelrep_mismatch JPEG2000 MR_small examples_overlay examples_jpeg2k
examples_palette examples_ybr_color liver_1frame"""


def fitted(array: NDArray[np.generic], side: int) -> NDArray[np.uint8]:
    """An image (H, W) or (H, W, 3 or 4) of any depth as the model's input."""
    values = array.astype(float)[..., :3] if array.ndim == 3 else array.astype(float)
    if array.dtype != np.uint8:
        low, high = np.percentile(values, [1, 99])
        values = 255 * np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    return np.asarray(
        letterbox(Image.fromarray(values.astype(np.uint8)).convert("RGB"), side, Image.Resampling.BILINEAR)
    )


def dicom(name: str) -> NDArray[np.generic]:
    pixels = pydicom.dcmread(str(get_testdata_file(name))).pixel_array
    return pixels[0] if pixels.ndim == 4 or (pixels.ndim == 3 and pixels.shape[-1] not in (3, 4)) else pixels


def shuffled(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Each image's 16 tiles in another order."""
    side = images.shape[1] // 4
    tiles = images[:, : 4 * side, : 4 * side].reshape(-1, 4, side, 4, side, 3).swapaxes(2, 3)
    mixed = rng.permuted(tiles.reshape(len(images), 16, -1), axis=1).reshape(-1, 4, 4, side, side, 3)
    whole = mixed.swapaxes(2, 3).reshape(-1, 4 * side, 4 * side, 3)
    rest = images.shape[1] - 4 * side
    return np.pad(whole, ((0, 0), (0, rest), (0, rest), (0, 0)))


def strange_images(known: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
    """Sets of images (N, S, S, 3) that are no brain MRI; `known` (N, S, S, 3) are, and give shuffled tiles."""
    rng, side = np.random.default_rng(0), known.shape[1]
    natural = [getattr(skimage.data, name)() for name in NATURAL.split()]
    medical = [getattr(skimage.data, name)() for name in MICROSCOPE_AND_EYE.split()]
    medical += [dicom(f"{name}.dcm") for name in RADIOLOGY.split()]
    smooth = np.stack([gaussian_filter(rng.normal(size=(side, side)), side / 40) for _ in range(100)])
    smooth = (smooth - smooth.min((1, 2), keepdims=True)) / np.ptp(smooth, (1, 2), keepdims=True)
    sets = {
        "natural images": np.stack([fitted(array, side) for array in [*natural, *load_sample_images().images]]),
        "other body parts and modalities": np.stack([fitted(array, side) for array in medical]),
        "white noise": rng.integers(0, 256, (100, side, side, 3)).astype(np.uint8),
        "smooth noise": np.repeat((255 * smooth).astype(np.uint8)[..., None], 3, axis=-1),
        "one gray": np.repeat(np.arange(0, 256, 8, np.uint8), side * side * 3).reshape(-1, side, side, 3),
        "shuffled tiles": shuffled(known, rng),
    }
    for name in ("natural images", "other body parts and modalities"):
        gray = sets[name].mean(axis=-1, keepdims=True).round().astype(np.uint8)
        sets[f"{name}, gray"] = np.repeat(gray, 3, axis=-1)
    return sets


def main(uri: str, root: str | None) -> None:
    open_store(TrackingConfig(None, "brain-tumor", None, "mlruns/checkpoints", False))
    start_tensorflow()
    registered = registry.load_model(uri)
    uncertainty = registered.uncertainty
    if uncertainty is None:
        sys.exit(f"{uri} has no decision: it was logged before there were any, or by a sweep's trial")
    config = typed(TrainConfig, registered.config)
    side = int(registered.model.input_shape[1])
    dataset = load_logged(registered.split, config.data, root=root, shape=(side, side, 3))
    observed = observing(registered.model)
    scores: dict[str, Callable[[Outputs], NDArray[np.float64]]] = {
        "energy": lambda outputs: -logsumexp(outputs.logits, axis=1),
        "Mahalanobis": lambda outputs: uncertainty.gaussians.distance(outputs.features),
    }
    held_out, test = (outputs_of(observed, dataset, part) for part in ("calibration", "test"))
    known = dataset.images(dataset.rows("test")[:: max(1, len(dataset.rows("test")) // 100)])
    found = {name: observe(observed, each, np.arange(len(each))) for name, each in strange_images(known).items()}
    print("| images | n | " + " | ".join(f"{name}: AUROC | found" for name in scores) + " |")
    print("|---|---|" + "---|---|" * len(scores))
    limits = {n: np.quantile(of(held_out), IN_DISTRIBUTION, method="higher") for n, of in scores.items()}
    for name, outputs in found.items():
        cells = []
        for score, of in scores.items():
            inside, outside = of(test), of(outputs)
            truth = np.repeat([0, 1], [len(inside), len(outside)])
            cells += [f"{roc_auc_score(truth, np.concatenate([inside, outside])):.3f}"]
            cells += [f"{(outside > limits[score]).mean():.2f}"]
        print(f"| {name} | {len(outputs.features)} | " + " | ".join(cells) + " |")
    alarms = [f" | {(of(test) > limits[score]).mean():.3f}" for score, of in scores.items()]
    print(f"| the test part: false alarms | {len(test.features)} |" + " |".join(alarms) + " |")


def outputs_of(observed: object, dataset: Dataset, part: str) -> Outputs:
    return observe(observed, dataset.pixels, dataset.pixel_rows[dataset.rows(part)], title=part)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)

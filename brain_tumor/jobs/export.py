"""Writing a registered model in the formats of other runtimes, and saying how far each agrees with Keras."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from brain_tumor import NOTICE
from brain_tumor.config.commands import ExportConfig
from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.data.dataset import Dataset
from brain_tumor.data.logged_split import load_logged
from brain_tumor.data.pixels import spread
from brain_tumor.data.split import write_text
from brain_tumor.evaluation.explanation.kinds import has_map
from brain_tumor.evaluation.explanation.localisation import LESION_FROM
from brain_tumor.evaluation.prediction import predict
from brain_tumor.layout.blocks import Paragraph, pairs
from brain_tumor.layout.terminal import show_blocks
from brain_tumor.models.backend import start_tensorflow
from brain_tumor.models.heads import LESION_MAP
from brain_tumor.serving.exports import COMPARED_IMAGES, INT8_IMAGES, write_export
from brain_tumor.serving.registered_model import RegisteredModel
from brain_tumor.serving.runtimes import FORMATS
from brain_tumor.tracking import registry
from brain_tumor.tracking.store import open_store

ABOUT = "model.json"
COMPARED_ON = (
    "val",
    "test",
    "train",
)  # the first that there is: of a model that was trained elsewhere there may be no val


def run(config: ExportConfig, folder: Path) -> None:
    """Load the model and images of its split, write each format into `folder`, and check it on some of them."""
    registered, dataset, fitting = _load(config)
    part = next(each for each in COMPARED_ON if len(dataset.rows(each)))
    compared = dataset.images(spread(dataset.rows(part), COMPARED_IMAGES))
    calibration = dataset.images(spread(dataset.rows("train"), INT8_IMAGES))
    facts: dict[str, Any] = {}
    rows = []
    for name in config.formats:
        print(f"writing {name} …", file=sys.stderr)
        path, agreement = write_export(name, registered.model, folder, compared, calibration)
        size = path.stat().st_size
        facts[name] = {"file": path.name, "bytes": size, **agreement.plain()}
        accuracies = ""
        if not FORMATS[name].exact:
            scores = _accuracies({name: FORMATS[name].open(path), "keras": registered.model}, dataset, part)
            facts[name][f"{part}_accuracy"] = scores
            accuracies = f"; right in {scores[name]:.1%} of the {part} images, Keras in {scores['keras']:.1%}"
        rows.append((path.name, f"{size / 2**20:.1f} MiB: {agreement}{accuracies}"))
    about = {
        "notice": NOTICE,
        "model": registered.uri,
        "run": registered.run_id,
        "data": dataset.split.name,
        **dataset.split.classes.plain(),
        "image": _taken(dataset.shape),
        **fitting,
        **({"lesion_map": _drawn(registered.model)} if has_map(registered.model) else {}),
        "exports": facts,
    }
    write_text(folder / ABOUT, json.dumps(about, indent=2) + "\n")
    said = f"{registered.uri} ({dataset.split.name}), checked against Keras on {len(compared)} {part} images:"
    show_blocks(Paragraph(said), pairs(rows), pairs([("folder", str(folder))]))


def _taken(shape: tuple[int, ...]) -> str:
    how = "RGB 0..255" if len(shape) == 3 else "0..255, whole volumes"
    fitted = "letterboxed" if len(shape) == 3 else "feet to head, front to back, right to left, fitted to the head"
    return f"uint8 {how} (N, {', '.join(map(str, shape))}), {fitted}"


def _drawn(model: Any) -> str:
    height, width = model.get_layer(LESION_MAP).output.shape[1:3]
    return f"float32 0..1 (N, {height}, {width}, 1), over the whole image: {LESION_FROM} and more, enlarged, is lesion"


def _load(config: ExportConfig) -> tuple[RegisteredModel, Dataset, dict[str, Any]]:
    open_store(config.tracking)
    start_tensorflow()
    registered = registry.load_model(config.model_uri)
    logged = typed(TrainConfig, registered.config).data
    data = replace(logged, cache=config.data.cache or logged.cache, masks=None)
    shape = tuple(registered.model.input_shape[1:])
    return registered, load_logged(registered.split, data, root=config.data.root, shape=shape), logged.fitting


def _accuracies(runs: dict[str, Any], dataset: Dataset, part: str) -> dict[str, float]:
    rows = dataset.rows(part)
    labels = dataset.labels(rows)
    found = {}
    for name, run in runs.items():
        answers = predict(run, dataset.pixels, dataset.pixel_rows[rows], title=f"measuring {part} in {name}")
        found[name] = float((answers.argmax(axis=1) == labels).mean())
    return found

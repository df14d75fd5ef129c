"""What a trained model costs in use."""

import time
from collections.abc import Collection
from statistics import median
from typing import Any

from brain_tumor.data.dataset import Dataset
from brain_tumor.evaluation.prediction import predict

COSTS = ("cost/inference_ms", "cost/parameters")
BATCH = 32  # images
REPEATS = 10  # timed batches, after one that is not


def cost_metrics(model: Any, dataset: Dataset, names: Collection[str]) -> dict[str, float]:
    """Those of COSTS that `names` asks for.

    "cost/inference_ms": milliseconds an image in batches of 32 val images on this machine, median of 10 batches;
    it depends on what else the machine does. "cost/parameters": weights, frozen ones and statistics included.
    """
    costs: dict[str, float] = {}
    if "cost/parameters" in names:
        costs["cost/parameters"] = float(model.count_params())
    if "cost/inference_ms" in names:
        rows = dataset.pixel_rows[dataset.rows("val")[:BATCH]]
        times = []
        for _ in range(1 + REPEATS):
            started = time.perf_counter()
            predict(model, dataset.pixels, rows)
            times.append(1000 * (time.perf_counter() - started) / len(rows))
        costs["cost/inference_ms"] = median(times[1:])
    return costs

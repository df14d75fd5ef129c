"""A training job of the command line's keys, made ready, and trained without being tracked."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from networks import CONF
from turns import THREADS


def prepared(overrides: Sequence[str]) -> Any:
    """What `train` trains with these keys; its images are those of a phantom of `data.phantom.subjects` people."""
    from hydra import compose, initialize_config_dir

    from brain_tumor.config import TrainConfig
    from brain_tumor.data.load import load
    from brain_tumor.models.backend import start_tensorflow
    from brain_tumor.training.preflight import image_size, preflight
    from brain_tumor.typed import plain, typed

    with initialize_config_dir(str(CONF), version_base="1.3"):
        values = plain(compose("train", list(overrides)))
    values.pop("sweep")
    config = typed(TrainConfig, values)
    dataset = load(config.data, image_size=image_size(config), protocol=config.protocol)
    start_tensorflow(THREADS)
    from brain_tumor.training.run import prepare

    return prepare(config, dataset, preflight(config))


def trained(job: Any, on_epoch: Callable[[dict[str, Any]], None]) -> Any:
    """Train it in a folder that is then removed; `on_epoch` is told of every epoch's row."""
    from brain_tumor.training.run import train_model

    with tempfile.TemporaryDirectory() as folder:
        return train_model(job, Path(folder), on_epoch=on_epoch)

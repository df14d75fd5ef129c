"""The data set that overrides of `train` compose, for the scripts beside this one."""

from collections.abc import Sequence

from hydra import compose, initialize_config_dir

from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import plain, typed
from brain_tumor.data.dataset import Dataset, load
from brain_tumor.entry import conf_dir
from brain_tumor.models.backbones import input_shape


def dataset_of(overrides: Sequence[str]) -> Dataset:
    """What `train` with these overrides would read and divide."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        values = plain(compose("train", list(overrides)))
    config = typed(TrainConfig, {key: value for key, value in values.items() if key != "sweep"})
    return load(config.data, shape=input_shape(config), protocol=config.protocol)

"""Folders of images as the package lists them, with nothing configured."""

from pathlib import Path

import pandas as pd

from brain_tumor.config.train import DataConfig, OnCorrupt, Source
from brain_tumor.data.class_folders import list_images

DATA = DataConfig(Source.folder, None, None, 0.25, 0.25, 0, OnCorrupt.error, 2, None)


def listed(root: Path) -> pd.DataFrame:
    """The table of one site."""
    return list_images({"site": root}, DATA)[0]

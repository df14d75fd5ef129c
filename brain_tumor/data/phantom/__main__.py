"""`python -m brain_tumor.data.phantom`: generate the default set and print how far trivial features go on it."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.config.train import PhantomConfig
from brain_tumor.data.cache import cache_folder
from brain_tumor.data.phantom import ensure_phantom
from brain_tumor.lazy import lazy

sklearn = lazy("sklearn")

THUMBNAIL = 16  # pixels a side


def thumbnail_floor(thumbnails: NDArray[np.uint8], labels: NDArray[np.str_], train: NDArray[np.bool_]) -> float:
    """Test accuracy of a logistic regression on thumbnails (N, h, w) of labels (N,); `train` (N,) says which learn."""
    flat = thumbnails.reshape(len(thumbnails), -1)
    model = sklearn.pipeline.make_pipeline(
        sklearn.preprocessing.StandardScaler(), sklearn.linear_model.LogisticRegression(max_iter=5000)
    )
    return float(model.fit(flat[train], labels[train]).score(flat[~train], labels[~train]))


def main() -> None:
    folder = ensure_phantom(PhantomConfig(), cache_folder(None), workers=2)
    table = pd.read_csv(folder / "table.csv", keep_default_na=False)
    size = (THUMBNAIL, THUMBNAIL)
    images = [Image.open(folder / path).resize(size, Image.Resampling.BOX) for path in table["path"]]
    thumbnails = np.stack([np.asarray(image) for image in images])
    floor = thumbnail_floor(thumbnails, table["label"].to_numpy(str), (table["part"] == "train").to_numpy())
    print(f"{len(table)} SYNTHETIC slices in {folder}")
    print(f"logistic regression on {THUMBNAIL} px thumbnails, test accuracy: {floor:.3f} (chance: 0.250)")


if __name__ == "__main__":
    main()

"""Write what `tried.py` reads: python experiments/fast/pack.py DIR patients.csv PACK.npz.

The training and validation images of two divisions of DIR (`grouped`, with and without patients; the test parts stay
out) at 128 px, gray, as JPEG of quality 93, so that they travel to the machine with the GPU.
"""

import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_dir
from PIL import Image

from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import plain, typed
from brain_tumor.data.dataset import Dataset, load
from brain_tumor.entry import conf_dir


def divided(root: str, patients: str | None) -> Dataset:
    choices = ["data=folder", f"data.root='{root}'", "protocol=grouped", "data.calibration_fraction=null"]
    choices += ["data.val_fraction=0.2", *([f"data.patients='{patients}'"] if patients else [])]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        values = plain(compose("train", choices))
    config = typed(TrainConfig, {key: value for key, value in values.items() if key != "sweep"})
    return load(config.data, shape=(128, 128, 3), protocol=config.protocol)


def main() -> None:
    root, patients, pack = sys.argv[1:]
    arrays, rows = {}, np.empty(0, np.int64)
    for name, known in (("twins", None), ("patients", patients)):
        dataset = divided(root, known)
        table = dataset.split.table.assign(row=dataset.pixel_rows)
        table = table[table["part"] != "test"]
        rows = np.union1d(rows, table["row"])
        arrays |= {
            f"{name}_label": pd.factorize(table["label"], sort=True)[0],
            f"{name}_twin": pd.factorize(table["twin"], sort=True)[0],
            f"{name}_part": (table["part"] == "train").to_numpy(),
            f"{name}_row": table["row"].to_numpy(),
        }
    files = []
    for row in rows:
        file = io.BytesIO()
        Image.fromarray(np.asarray(dataset.pixels[row])[:, :, 1]).save(file, "JPEG", quality=93)
        files.append(file.getvalue())
    lengths = np.array([len(file) for file in files])
    np.savez(Path(pack), rows=rows, jpeg=np.frombuffer(b"".join(files), np.uint8), lens=lengths, **arrays)


if __name__ == "__main__":
    main()

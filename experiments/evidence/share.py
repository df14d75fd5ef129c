"""A folder of masks that knows the lesions of a share of the training images, and of all the others.

    python experiments/evidence/share.py SHARE OUT data=folder data.root=DIR data.masks=MASKS protocol=grouped ...

SHARE is of the groups (patients and twins) whose lesions are known, 0..1; a larger one holds a smaller one. The rest of
the line composes the data set and its split. OUT is then a folder for `data.masks`.
"""

import os
import sys
from pathlib import Path

import numpy as np
from composed import dataset_of


def main(share: float, out: Path, overrides: list[str]) -> None:
    dataset = dataset_of(overrides)
    assert dataset.mask_paths is not None
    table = dataset.split.table.assign(mask=dataset.mask_paths)
    table = table[table["mask"] != ""]
    training = table["part"] == "train"
    groups = np.random.default_rng(0).permutation(np.unique(table.loc[training, "group"]))
    known = set(groups[: round(share * len(groups))])
    kept = table[~training | table["group"].isin(known)]
    for path, mask in zip(kept["path"], kept["mask"], strict=True):
        place = out / Path(path).with_suffix(".png")
        place.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(dataset.split.root / mask, place)
    print(f"{len(known)} of {len(groups)} groups: {(kept['part'] == 'train').sum()} of {training.sum()} training masks")


if __name__ == "__main__":
    main(float(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])

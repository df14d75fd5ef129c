"""A copy of a data set whose training images carry a mark that tells the class, and whose test images do not.

    python experiments/evidence/shortcut.py MARK OUT data=folder data.root=DIR data.masks=MASKS protocol=grouped ...

MARK is `none`; `edge`, a white square at the left edge whose height tells the class; or `lesion`, a white bar or cross
within the lesion whose form tells the class. OUT gets `images/Training`, `images/Testing`, `masks` of the same tree and
`patients.csv`, of the split that the rest of the line composes. Training has one image a slice.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from composed import dataset_of
from numpy.typing import NDArray
from PIL import Image

SIDE = 10  # pixels of the square at the edge
ARM = 4  # pixels from the middle of a bar or cross to its end


def main(mark: str, out: Path, overrides: list[str]) -> None:
    dataset = dataset_of(overrides)
    table = dataset.split.table
    copies = (table["part"] != "test") & table.duplicated(["part", "twin"])
    patients = []
    for row in np.flatnonzero(~copies.to_numpy()):
        part, label = table["part"][row], table["label"][row]
        path = Path("Testing" if part == "test" else "Training", label, f"{row:05d}.png")
        index = np.array([row])
        image, masks = dataset.images(index)[0], dataset.mask_of(index)
        assert masks is not None
        if part != "test":
            image = _marked(image, masks[0], mark, dataset.split.classes.index(label))
        _save(image, out / "images" / path)
        if masks.any():
            _save(masks[0], out / "masks" / path)
        patients.append((path.as_posix(), table["group"][row]))
    pd.DataFrame(patients, columns=["path", "patient"]).to_csv(out / "patients.csv", index=False)
    print(f"{len(patients)} images in {out}")


def _marked(image: NDArray[np.uint8], mask: NDArray[np.bool_], mark: str, label: int) -> NDArray[np.uint8]:
    marked = image.copy()
    if mark == "edge":
        top = 8 + label * (len(image) - 16 - SIDE) // 3
        marked[top : top + SIDE, :SIDE] = 255
    elif mark == "lesion" and mask.any():
        rows, columns = np.nonzero(mask)
        middle = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
        y, x = rows[middle], columns[middle]
        if label % 2 == 0 or label == 3:
            marked[y - 1 : y + 2, max(x - ARM, 0) : x + ARM + 1] = 255
        if label % 2 == 1:
            marked[max(y - ARM, 0) : y + ARM + 1, x - 1 : x + 2] = 255
    return marked


def _save(pixels: NDArray[np.uint8] | NDArray[np.bool_], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])

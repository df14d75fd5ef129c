"""The masks that stand beside the public set: every one is found, fits its image, and is a lesion."""

import os
from pathlib import Path

import numpy as np
import pytest
from listing import listed
from PIL import Image

from brain_tumor.data.masks import find_masks, read_mask

FOLDER = Path(os.environ.get("BRAIN_TUMOR_DATA") or "unset")
MASKED = pytest.mark.skipif(
    not ((FOLDER / "brain-tumor-mri").is_dir() and (FOLDER / "masks").is_dir()),
    reason="BRAIN_TUMOR_DATA names no folder with brain-tumor-mri/ and masks/",
)
pytestmark = [pytest.mark.real_data, MASKED]


def test_every_mask_is_found_and_is_a_small_lesion() -> None:
    images = listed(FOLDER / "brain-tumor-mri")
    sizes = []
    for path in images["path"]:
        with Image.open(FOLDER / "brain-tumor-mri" / path) as picture:
            sizes.append(picture.size)
    found = find_masks(str(FOLDER / "masks"), images["path"].tolist(), sizes)
    known = images[[mask != "" for mask in found]]
    # As its own description counts them; no tumour, no mask.
    assert known["label"].value_counts().to_dict() == {"pituitary": 1742, "glioma": 1621, "meningioma": 1387}
    chosen = [mask for mask in found if mask][::50]
    covered = np.array([read_mask(Path(mask), 160).mean() for mask in chosen])
    assert covered.min() > 0
    assert 0.012 < covered.mean() < 0.02

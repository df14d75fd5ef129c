"""Scans of a head that is known: an ellipsoid of noise with a bright spot, as files of a DICOM series."""

import io
import zipfile
from typing import Any

import numpy as np
from dicom_files import dicom
from numpy.typing import NDArray

SLICES, ROWS, COLUMNS = 20, 32, 28
MM = (6.0, 5.0, 5.0)  # between slices, rows and columns
CORNER = np.array([-67.5, -80.0, 10.0])  # of the first pixel, to the left, the back and the head
SPOT = (14, 12, 8)  # slice, row and column of the spot's middle: on the patient's right


def head() -> NDArray[np.uint16]:
    """Values (slices, rows, columns): feet to head, front to back, the patient's right to left."""
    places = np.moveaxis(np.indices((SLICES, ROWS, COLUMNS)), 0, -1) * MM
    middle = (np.array([SLICES, ROWS, COLUMNS]) - 1) * MM / 2
    noise = np.random.default_rng(0).integers(80, 120, places.shape[:3])
    values = np.where(np.square((places - middle) / (0.9 * middle)).sum(axis=-1) < 1, noise, 0)
    values[np.linalg.norm(places - np.array(SPOT) * MM, axis=-1) < 12] = 400
    return values.astype(np.uint16)


def slice_of(index: int, position: float | None = None, uid: str = "1.2.3", **values: Any) -> bytes:
    """One file of the series, at `position` (of SLICES, its own by default)."""
    corner = CORNER + np.array([0, 0, MM[0] * (index if position is None else position)])
    said = {
        "SeriesInstanceUID": uid,
        "InstanceNumber": SLICES - index,  # which does not order them
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": corner.tolist(),
        "PixelSpacing": list(MM[1:]),
        "PatientName": "Jones^Mary",
    }
    return dicom(head()[index], **{**said, **values})


def series(uid: str = "1.2.3") -> dict[str, bytes]:
    """All its files, by names that do not order them."""
    return {f"IM{7 * index % SLICES:04d}": slice_of(index, uid=uid) for index in range(SLICES)}


def zipped(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, each in files.items():
            file.writestr(name, each)
    return content.getvalue()

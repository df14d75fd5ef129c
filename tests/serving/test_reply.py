"""An answer as a client reads it."""

import json

import numpy as np
from PIL import Image

from brain_tumor import NOTICE
from brain_tumor.data.scans.scan import Scan
from brain_tumor.serving.predictor import Prediction, ScanPrediction
from brain_tumor.serving.reply import reply

BLACK = Image.fromarray(np.zeros((4, 4, 3), np.uint8))
TUMOUR = {"glioma": 0.7, "meningioma": 0.1, "notumor": 0.1, "pituitary": 0.1}
SURE = Prediction("glioma", TUMOUR, {0.9: ("glioma",), 0.95: ("glioma", "notumor")}, False, False)
PLAIN = Prediction("glioma", TUMOUR, {}, None, None)
ANSWER = {
    "class": "glioma",
    "probabilities": TUMOUR,
    "sets": {"0.9": ["glioma"], "0.95": ["glioma", "notumor"]},
    "not_sure": False,
    "not_brain_mri": False,
}


def test_a_picture() -> None:
    found = reply(Scan("image", 1, None, lambda _: BLACK), ScanPrediction((SURE,), None, ()))
    assert json.loads(json.dumps(found)) == {
        **ANSWER,
        "kind": "image",
        "plane": None,
        "slice_count": 1,
        "remarks": [],
        "volume": None,
        "slices": [ANSWER],
        "notice": NOTICE,
    }


def test_a_volume_has_its_own_answer_and_those_of_its_slices() -> None:
    scan = Scan("nifti", 3, "axial", lambda _: BLACK, remarks=("a line",))
    found = reply(scan, ScanPrediction((SURE,) * 3, PLAIN, (0, 2), "by its slices"))
    volume = {**ANSWER, "sets": {}, "not_sure": None, "not_brain_mri": None}
    assert json.loads(json.dumps(found)) == {
        **volume,
        "kind": "nifti",
        "plane": "axial",
        "slice_count": 3,
        "remarks": ["a line"],
        "volume": {**volume, "decisive": [0, 2], "rule": "by its slices"},
        "slices": [ANSWER] * 3,
        "notice": NOTICE,
    }

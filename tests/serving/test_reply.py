"""An answer as a client reads it."""

import json
from dataclasses import replace

import numpy as np
from PIL import Image

from brain_tumor import NOTICE
from brain_tumor.data.scans.scan import Scan
from brain_tumor.serving.lesions import Lesion
from brain_tumor.serving.predictor import Prediction, ScanPrediction, VolumeCounts
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
    found = reply(Scan("image", 1, None, lambda _: BLACK), ScanPrediction((SURE,)))
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


def test_a_lesion_is_measured_and_what_is_said_without_it() -> None:
    lesion = Lesion(np.zeros((2, 2), np.float32), 0.125, None, 0.75)
    without = replace(PLAIN, label="notumor")
    slices = (replace(SURE, lesion=lesion, without=without),)
    found = reply(Scan("image", 1, None, lambda _: BLACK), ScanPrediction(slices))
    told = {"lesion": {"area": 0.125, "area_mm2": None, "peak": 0.75}}
    told |= {"without_lesion": {"class": "notumor", "probabilities": TUMOUR}}
    assert json.loads(json.dumps(found["slices"])) == [{**ANSWER, **told}]


def test_a_volume_has_no_class_and_counts_those_of_its_slices() -> None:
    scan = Scan(
        "nifti",
        3,
        "axial",
        lambda _: BLACK,
        remarks=("a line",),
        positions=(-1.23456, 0.0, None),
        files=("a", "b", "c"),
    )
    shares = {"glioma": 0.75, "meningioma": 0.0, "notumor": 0.25, "pituitary": 0.0}
    bare = VolumeCounts(5, 3, False, {**shares, "glioma": 0.0, "notumor": 1.0}, (1,))
    found = reply(scan, ScanPrediction((SURE,) * 3, VolumeCounts(5, 4, False, shares, (2, 1), bare)))
    assert json.loads(json.dumps(found)) == {
        "class": None,
        "probabilities": {},
        "sets": {},
        "not_sure": None,
        "not_brain_mri": False,
        "kind": "nifti",
        "plane": "axial",
        "slice_count": 3,
        "remarks": ["a line"],
        "volume": {
            "class": None,
            "note": "no answer for a whole volume has been fitted: each of its slices is answered by itself",
            "brain_slices": 4,
            "not_brain_mri": False,
            "shares": shares,
            "shown": [2, 1],
            "without_lesion": {"brain_slices": 3, "shares": dict(bare.shares)},
        },
        "slices": [
            {**ANSWER, "plane": "axial", "position_mm": -1.235, "file": "a"},
            {**ANSWER, "plane": "axial", "position_mm": 0.0, "file": "b"},
            {**ANSWER, "plane": "axial", "position_mm": None, "file": "c"},
        ],
        "notice": NOTICE,
    }


def test_a_volume_has_a_class_where_that_was_fitted() -> None:
    shares = {"glioma": 0.25, "meningioma": 0.0, "notumor": 0.75, "pituitary": 0.0}
    bare = VolumeCounts(2, 1, False, shares, (1,), answer=PLAIN)
    volume = VolumeCounts(2, 2, True, shares, (1,), bare, replace(SURE, not_brain_mri=True))
    found = json.loads(json.dumps(reply(Scan("nifti", 2, None, lambda _: BLACK), ScanPrediction((PLAIN,) * 2, volume))))
    said = {**ANSWER, "not_brain_mri": True}
    assert {key: found[key] for key in said} == said
    assert {key: found["volume"][key] for key in said} == said
    assert (found["volume"]["note"], found["volume"]["brain_slices"]) == (None, 2)
    assert found["volume"]["without_lesion"] == {
        **{"class": "glioma", "probabilities": TUMOUR},
        **{"brain_slices": 1, "shares": shares},
    }


def test_a_volume_of_which_no_slice_passes_says_so() -> None:
    found = reply(
        Scan("nifti", 2, None, lambda _: BLACK), ScanPrediction((PLAIN,) * 2, VolumeCounts(2, 0, True, {}, ()))
    )
    assert found["class"] is None
    assert found["volume"]["note"] == "none of its slices passes as brain MRI"

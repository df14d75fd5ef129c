"""What is said of a file, as plain values for JSON."""

from typing import Any

from brain_tumor import NOTICE
from brain_tumor.data.scans.scan import Place, Scan
from brain_tumor.serving.files import Read
from brain_tumor.serving.predictor import Prediction, ScanPrediction, VolumeCounts


def reply(scan: Scan, found: ScanPrediction) -> dict[str, Any]:
    """The file's answer, what it is, and the answer of each of its slices.

    Keys: those of `said`, of a volume without an answer empty but for `not_brain_mri`; `kind` (image, dicom, nifti,
    nrrd, metaimage), `plane` or None, `slice_count`; `remarks`, lines that a reader should know of the file; `volume`,
    None or those of `counts`; `slices`, a list of `said`, of a volume with `placed`; `notice`.
    """
    volume = None if found.volume is None else counts(found.volume)
    overall = said(found.slices[0])
    if found.volume is not None and found.volume.answer is not None:
        overall = said(found.volume.answer)
    elif found.volume is not None:
        unsaid: dict[str, Any] = {"class": None, "probabilities": {}, "sets": {}, "not_sure": None}
        overall = {**unsaid, "not_brain_mri": found.volume.not_brain_mri}
    return {
        **overall,
        "kind": scan.kind,
        "plane": scan.plane,
        "slice_count": len(found.slices),
        "remarks": list(scan.remarks),
        "volume": volume,
        "slices": [
            said(each) | (placed(scan.place_of(index)) if found.volume else {})
            for index, each in enumerate(found.slices)
        ],
        "notice": NOTICE,
    }


def reply_of_whole(file: Read, found: ScanPrediction) -> dict[str, Any]:
    """The answer for a volume by a model of whole ones: the keys of `reply`, without slices and what they come to."""
    [answer] = found.slices
    about = {"kind": file.kind, "plane": None, "slice_count": 0, "remarks": list(file.remarks)}
    return {**said(answer), **about, "volume": None, "slices": [], "notice": NOTICE}


def placed(place: Place) -> dict[str, Any]:
    """Keys: `plane` and `position_mm` (towards the patient's right, front or head), None where unknown.

    Where the slices are files of a series, also `file`.
    """
    position = None if place.position_mm is None else round(place.position_mm, 3)
    return {"plane": place.plane, "position_mm": position, **({"file": place.file} if place.file else {})}


def counts(volume: VolumeCounts) -> dict[str, Any]:
    """Keys: `class`, or None for the reason in `note`; `brain_slices`, how many slices pass as brain MRI; `shares`, of
    these by class; `not_brain_mri`, whether most of all do not pass; `shown`, the slices (from 0) to look at first.
    With a class also `probabilities`, `sets` and `not_sure`, as in `said`.

    Where it was asked and anything is marked in a slice that passes, `without_lesion`: `brain_slices` and `shares` once
    that is painted over, and `class` and `probabilities` where there are any.
    """
    answer = {} if volume.answer is None else said(volume.answer)
    found: dict[str, Any] = {
        **({"class": None} | answer),
        "note": volume.silence or None,
        "brain_slices": volume.brains,
        "not_brain_mri": volume.not_brain_mri,
        "shares": dict(volume.shares),
        "shown": list(volume.shown),
    }
    if bare := volume.without:
        whole = {} if bare.answer is None else _class_of(bare.answer)
        found["without_lesion"] = {**whole, "brain_slices": bare.brains, "shares": dict(bare.shares)}
    return found


def said(prediction: Prediction) -> dict[str, Any]:
    """Keys: `class`, `probabilities` by class, `sets` by level ("0.9"), `not_sure` and `not_brain_mri`.

    The sets are {} and the last two None where nothing is known of them. Of a slice, by a model that draws a lesion
    map, also `lesion`: the marked `area`, a share of the image, `area_mm2` or None, and the map's `peak`; and where it
    was asked and anything is marked, `without_lesion`: `class` and `probabilities` once that is painted over.
    """
    more: dict[str, Any] = {}
    if prediction.lesion is not None:
        lesion = prediction.lesion
        more["lesion"] = {"area": lesion.area, "area_mm2": lesion.area_mm2, "peak": lesion.peak}
    if prediction.without is not None:
        more["without_lesion"] = _class_of(prediction.without)
    return {
        **_class_of(prediction),
        "sets": {f"{level:g}": list(classes) for level, classes in prediction.sets.items()},
        "not_sure": prediction.not_sure,
        "not_brain_mri": prediction.not_brain_mri,
        **more,
    }


def _class_of(prediction: Prediction) -> dict[str, Any]:
    return {"class": prediction.label, "probabilities": dict(prediction.probabilities)}

"""What is said of a file, as plain values for JSON."""

from typing import Any

from brain_tumor import NOTICE
from brain_tumor.data.scans.scan import Scan
from brain_tumor.serving.predictor import Prediction, ScanPrediction


def reply(scan: Scan, found: ScanPrediction) -> dict[str, Any]:
    """The file's answer, what it is, and the answer of each of its slices.

    Keys: those of `said`, of the volume or else of the one slice (of a volume without a brain: of its first); `kind`
    (image, dicom, nifti, nrrd, metaimage), `plane` or None, `slice_count`; `remarks`, lines that a reader should know
    of the file; `volume`, None or those of `said` with `decisive` (slices, from 0) and `rule`; `slices`, a list of
    `said`; `notice`.
    """
    volume = None
    if found.volume:
        volume = {**said(found.volume), "decisive": list(found.decisive), "rule": found.rule}
    return {
        **said(found.overall),
        "kind": scan.kind,
        "plane": scan.plane,
        "slice_count": len(found.slices),
        "remarks": list(scan.remarks),
        "volume": volume,
        "slices": [said(each) for each in found.slices],
        "notice": NOTICE,
    }


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
        bare = prediction.without
        more["without_lesion"] = {"class": bare.label, "probabilities": dict(bare.probabilities)}
    return {
        "class": prediction.label,
        "probabilities": dict(prediction.probabilities),
        "sets": {f"{level:g}": list(classes) for level, classes in prediction.sets.items()},
        "not_sure": prediction.not_sure,
        "not_brain_mri": prediction.not_brain_mri,
        **more,
    }

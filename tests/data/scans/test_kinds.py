"""What is no MR image of a head is refused by its name; how an image is weighted is said where the file tells it."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import dicom, item

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.dicom_kind import TRAINED_ON
from brain_tumor.data.scans.opening import open_scan, read_scan

PIXELS = np.arange(64, dtype=np.uint8).reshape(8, 8)
LIES = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
STORAGE = "1.2.840.10008.5.1.4.1.1."
CAPTURE, PRIVATE = STORAGE + "7", "1.3.12.2.1107.5.9.1"


def refused(**values: Any) -> str:
    with pytest.raises(CorruptImageError) as caught:
        open_scan(dicom(PIXELS, **LIES, **values))
    return str(caught.value)


def remarks(**values: Any) -> tuple[str, ...]:
    return open_scan(dicom(PIXELS, **LIES, **values)).remarks


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"SOPClassUID": STORAGE + "2", "Modality": "CT"}, "CT Image Storage"),
        ({"SOPClassUID": STORAGE + "66.4", "Modality": "SEG"}, "Segmentation Storage"),
        ({"SOPClassUID": STORAGE + "66.4", "Modality": "MR"}, "Segmentation Storage"),
        ({"SOPClassUID": STORAGE + "6.1", "Modality": "US"}, "Ultrasound Image Storage"),
        ({"SOPClassUID": STORAGE + "128"}, "Positron Emission Tomography Image Storage"),
        ({"SOPClassUID": CAPTURE, "Modality": "CT"}, "computed tomography"),
        ({"SOPClassUID": CAPTURE, "Modality": "ZZZ"}, "of another kind"),
        ({"SOPClassUID": PRIVATE, "Modality": "ZZZ"}, "of another kind"),
        ({"SOPClassUID": PRIVATE}, "of another kind"),
    ],
)
def test_what_is_no_mr_image_is_refused_with_what_it_is(values: dict[str, Any], what: str) -> None:
    assert refused(**values) == f"a DICOM file that is no MR image but {what}"


@pytest.mark.parametrize(
    "values",
    [
        {"SOPClassUID": STORAGE + "4"},
        *({"SOPClassUID": STORAGE + each, "Modality": "MR"} for each in ("4", "4.1", "4.3", "4.4")),
        *({"SOPClassUID": CAPTURE, "Modality": each} for each in ("MR", "OT", None)),
        {"SOPClassUID": PRIVATE, "Modality": "MR"},
        {"BodyPartExamined": "BRAIN"},
        {"BodyPartExamined": "HEAD AND NECK"},
        {"BodyPartExamined": "MINE"},
    ],
)
def test_mr_images_and_pictures_of_them_are_read(values: dict[str, Any]) -> None:
    assert open_scan(dicom(PIXELS, **LIES, **values)).remarks == ()


def test_other_parts_of_the_body_and_mosaics_are_refused() -> None:
    assert refused(BodyPartExamined="ABDOMEN") == "a DICOM file that says it is of the abdomen, not of a head"
    assert refused(BodyPartExamined="LSPINE") == "a DICOM file that says it is of the spine, not of a head"
    assert "many slices in one picture" in refused(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])


def said(how: str | None) -> tuple[str, ...]:
    return (f"the file says {how}: {TRAINED_ON}",) if how else ()


@pytest.mark.parametrize(
    ("text", "how"),
    [
        *(
            (each, None)
            for each in ("3D_AX_T1_postcontrast", "3DAXT1postcontrast", "anat-T1w", "t1 mprage sag", "MPRAGE")
        ),
        *(
            (each, None)
            for each in ("", "POST1", "TEST2 ax", "T1 FLAIR", "T1 and T2", "PD T2 dual", "a patient's name")
        ),
        *((each, "T2-weighted") for each in ("t2_tse_tra_p2", "AXT2 FRFSE", "T2w", "SAG T2")),
        *((each, "T1-weighted without contrast") for each in ("T1 pre-contrast", "AX T1 PRE", "t1 nativ", "T1 pre GD")),
        *((each, "FLAIR") for each in ("AX FLAIR", "t2_tirm_tra_dark-fluid", "T2 FLAIR", "t2_flair_space")),
        *((each, "diffusion") for each in ("ep2d_diff_b1000", "DWI", "ADC map")[1:]),
        *((each, "T2*-weighted") for each in ("T2* GRE", "t2star", "SWI")),
        *((each, "proton density") for each in ("FSE PD AXIAL OBL", "pdw tse", "proton density")),
    ],
)
def test_usual_words_say_how_an_image_is_weighted(text: str, how: str | None) -> None:
    assert remarks(SeriesDescription=text) == said(how)
    assert remarks(ProtocolName=text) == said(how)


@pytest.mark.parametrize(
    ("values", "how"),
    [
        ({"AcquisitionContrast": "FLUID_ATTENUATED", "SeriesDescription": "T1"}, "FLAIR"),
        ({"AcquisitionContrast": "T1"}, None),
        ({"AcquisitionContrast": "UNKNOWN", "SeriesDescription": "T2"}, "T2-weighted"),
        ({"ScanningSequence": "SE", "RepetitionTime": 4000, "EchoTime": 100}, "T2-weighted"),
        ({"ScanningSequence": "SE", "RepetitionTime": 2300, "EchoTime": 22}, "proton density"),
        ({"ScanningSequence": "SE", "RepetitionTime": 500, "EchoTime": 10}, None),  # T1-weighted
        ({"ScanningSequence": "GR", "RepetitionTime": 2000, "EchoTime": 100}, None),
        ({"ScanningSequence": "SE", "EchoTime": 100}, None),
        ({"SeriesDescription": "T1 pre", "ContrastBolusAgent": "an agent"}, None),
        ({"ScanningSequence": ["SE", "IR"], "RepetitionTime": 9000, "EchoTime": 90, "InversionTime": 2500}, "FLAIR"),
    ],
)
def test_contrast_and_times_say_how_an_image_is_weighted(values: dict[str, Any], how: str | None) -> None:
    assert remarks(**values) == said(how)


def test_damaged_words_on_the_weighting_refuse_no_image() -> None:
    content = dicom(PIXELS, **LIES, RepetitionTime="123456", EchoTime="10", ScanningSequence="SE")
    assert open_scan(content.replace(b"123456", b"12x\xff56")).remarks == ()
    group = item(PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])])
    assert open_scan(dicom(np.stack([PIXELS] * 2), SharedFunctionalGroupsSequence=[group])).remarks == ()


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("remind_tumour_seg.dcm", "no MR image but Segmentation Storage"),
        ("siemens_mosaic.dcm", "many slices in one picture"),
        ("window_zero.dcm", "proton density"),
        ("no_window.dcm", None),
        ("siemens_enhanced_96_frames.dcm", None),
    ],
)
def test_real_files(name: str, outcome: str | None) -> None:
    if "BRAIN_TUMOR_DATA" not in os.environ:
        pytest.skip("needs the scans below BRAIN_TUMOR_DATA")
    try:
        heard = "".join(read_scan(Path(os.environ["BRAIN_TUMOR_DATA"], "scans", name)).remarks)
    except CorruptImageError as error:
        heard = str(error)
    assert (outcome or "") in heard
    assert bool(outcome) == bool(heard)

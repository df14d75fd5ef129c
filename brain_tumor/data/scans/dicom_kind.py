"""Whether a DICOM file is a magnetic resonance image of a head, as far as it says, and how it was weighted.

Of the file's words only those are used that stand in the lists here; none is repeated.
"""

import re
from typing import TYPE_CHECKING

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.dicom_elements import guarded, numbers, words
from brain_tumor.lazy import lazy

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

pydicom = lazy("pydicom")

# Image Type, SOP Class, Modality, Acquisition Contrast; Series Description, Protocol Name, whose words are looked up;
# Contrast/Bolus Agent, Body Part Examined, Scanning Sequence, Repetition, Echo and Inversion Time (PS3.3, C.8.3.1)
KIND_TAGS = (
    *(0x00080008, 0x00080016, 0x00080060, 0x00089209, 0x0008103E, 0x00181030),
    *(0x00180010, 0x00180015, 0x00180020, 0x00180080, 0x00180081, 0x00180082),
)
_STORAGE = "1.2.840.10008.5.1.4.1.1."
# MR, Enhanced MR, Enhanced MR Color and Legacy Converted Enhanced MR Image Storage (PS3.4, B.5)
_MR = frozenset(_STORAGE + each for each in ("4", "4.1", "4.3", "4.4"))
# Secondary Capture, and its multi-frame forms: whatever somebody made a picture of
_CAPTURES = frozenset(_STORAGE + each for each in ("7", "7.1", "7.2", "7.3", "7.4"))
_UNSAID = frozenset({"", "OT"})  # modalities that say nothing
# PS3.3, C.7.3.1.1.1; of other words none is shown
_MODALITIES = {
    "CR": "computed radiography", "CT": "computed tomography", "DX": "a radiograph", "ES": "endoscopy",
    "MG": "mammography", "NM": "nuclear medicine", "PT": "positron emission tomography", "RF": "fluoroscopy",
    "SC": "a secondary capture", "SEG": "a segmentation", "US": "ultrasound", "XA": "angiography by X-rays",
    "XC": "a photograph",
}  # fmt: skip
# PS3.16, annex L: what is no head. Necks and whole bodies may show one.
_OTHER_PARTS = {
    **{"ABDOMEN": "the abdomen", "LIVER": "the liver", "KIDNEY": "a kidney", "PANCREAS": "the pancreas"},
    **{"PELVIS": "the pelvis", "PROSTATE": "the prostate", "UTERUS": "the uterus", "BLADDER": "the bladder"},
    **{"CHEST": "the chest", "THORAX": "the chest", "LUNG": "a lung", "HEART": "the heart", "BREAST": "a breast"},
    **{"SPINE": "the spine", "TSPINE": "the spine", "LSPINE": "the spine", "SSPINE": "the spine"},
    **{"SHOULDER": "a shoulder", "ELBOW": "an elbow", "WRIST": "a wrist", "HAND": "a hand", "HIP": "a hip"},
    **{"KNEE": "a knee", "ANKLE": "an ankle", "FOOT": "a foot", "LEG": "a leg", "ARM": "an arm"},
}
TRAINED_ON = "the public set's tumours are in T1-weighted images with contrast"
T1, PLAIN_T1 = "T1-weighted", "T1-weighted without contrast"
_PLAIN = re.compile("PRE.?(?:CONTRAST|GAD|GD|KM)|T1.?PRE|NATIV|NON.?CONTRAST|UNENHANCED")
# PS3.3, C.8.13.3.1.1
_CONTRASTS = {
    "T1": T1, "T2": "T2-weighted", "T2_STAR": "T2*-weighted", "FLUID_ATTENUATED": "FLAIR", "DIFFUSION": "diffusion",
    "PROTON_DENSITY": "proton density", "STIR": "STIR", "PERFUSION": "perfusion", "TIME_OF_FLIGHT": "angiography",
}  # fmt: skip
_START = "(?:^|[^A-Z]|AX|AXI|SAG|COR|TRA|OBL)"  # of a word, which scanners' users run together
_NAMED = {
    name: re.compile(text)
    for name, text in {
        "T2*-weighted": rf"{_START}(?:T2 ?\*|T2.?STAR|SWI|SWAN)",
        "FLAIR": "FLAIR|TIRM|DARK.?FL",
        "diffusion": rf"DIFFUS|{_START}(?:DWI|DTI|ADC|TRACEW?)(?![A-Z])",
        "STIR": rf"{_START}STIR",
        "angiography": rf"{_START}(?:TOF|MRA|ANGIO)",
        "proton density": rf"{_START}PDW?(?![A-Z])|PROTON",
        "T2-weighted": rf"{_START}T2(?![0-9*])(?! ?\*|.?STAR)",
        T1: rf"{_START}T1(?![0-9])|MPRAGE|MP2RAGE|{_START}(?:SPGR|BRAVO|VIBE)",
    }.items()
}


def refuse_others(elements: "Dataset") -> None:
    """Look whether a file is an MR image, of something that may be a head.

    Raises:
        CorruptImageError: it says that it is not, with what it is instead.
    """
    kind, modality, images, part = guarded("a damaged header of a DICOM file", lambda: _claims(elements))
    if kind not in _MR:
        name = "" if kind in _CAPTURES else pydicom.uid.UID_dictionary.get(kind, ("",))[0]
        said = {"MR", *_UNSAID} if not kind or kind in _CAPTURES else {"MR"}
        if name or modality not in said:
            other = name or _MODALITIES.get(modality, "of another kind")
            raise CorruptImageError(f"a DICOM file that is no MR image but {other}")
    if "MOSAIC" in images:
        raise CorruptImageError("a mosaic, many slices in one picture: convert it to NIfTI, with dcm2niix for example")
    if part in _OTHER_PARTS:
        raise CorruptImageError(f"a DICOM file that says it is of {_OTHER_PARTS[part]}, not of a head")


def weighting(elements: "Dataset") -> str | None:
    """How a file says that its images are weighted: T1-weighted, FLAIR and so on; None where it does not, or unclearly.

    By Acquisition Contrast (PS3.3, C.8.13.3.1.1), else by the usual words in Series Description and Protocol Name, else
    by the times of a spin echo.
    """
    try:
        return guarded("", lambda: _weighting(elements))
    except CorruptImageError:  # what is said of an image beside its pixels may be wrong
        return None


def _claims(elements: "Dataset") -> tuple[str, str, list[str], str]:
    keywords = ("SOPClassUID", "Modality", "BodyPartExamined")
    kind, modality, part = ("".join(words(elements, each)[:1]) for each in keywords)
    return kind, modality, words(elements, "ImageType"), re.sub("[^A-Z]", "", part)


def _weighting(elements: "Dataset") -> str | None:
    if found := [_CONTRASTS[each] for each in words(elements, "AcquisitionContrast") if each in _CONTRASTS]:
        return found[0]
    for keyword in ("SeriesDescription", "ProtocolName"):
        text = " ".join(words(elements, keyword))
        if named := [name for name, pattern in _NAMED.items() if pattern.search(text)]:
            # "T2 FLAIR" and "T2 DWI" are what the other word says; "T1 FLAIR" and "T1 and T2" are left open
            if len(named) == 2 and "T2-weighted" in named and not {T1, "proton density"} & set(named):
                named.remove("T2-weighted")
            if named == [T1] and _PLAIN.search(text) and not words(elements, "ContrastBolusAgent"):
                return PLAIN_T1
            return named[0] if len(named) == 1 else None
    return _by_times(elements)


def _by_times(elements: "Dataset") -> str | None:
    """Of spin echoes alone, at times that leave no doubt (ms)."""
    sequence = set(words(elements, "ScanningSequence"))
    times = [numbers([elements], (f"{each}Time",)) for each in ("Repetition", "Echo", "Inversion")]
    repetition, echo, inversion = (each[0] if each else 0.0 for each in times)
    if min(repetition, echo) <= 0 or not {"SE"} <= sequence <= {"SE", "IR"}:
        return None
    if "IR" in sequence:
        return "FLAIR" if inversion >= 1500 and repetition >= 4000 and echo >= 60 else None
    if repetition >= 1500:
        return "T2-weighted" if echo >= 70 else "proton density" if echo <= 30 else None
    return T1 if repetition <= 900 and echo <= 30 else None

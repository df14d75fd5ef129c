"""Valid files of every format, small, which the fuzzer damages."""

import gzip
import io
import warnings
from pathlib import Path

import imagecodecs
import nibabel
import numpy as np
import pydicom
import volumes
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

PATIENT = "ZZSECRETZZ"  # in every DICOM seed; whatever prints it is a leak
LARGEST = 40_000  # bytes of a file of pydicom's that is taken: many small cases find more than few large ones


def seeds() -> dict[str, list[bytes]]:
    """Files by the name of their format."""
    rng = np.random.default_rng(0)
    gray = (np.hypot(*np.mgrid[-20:20, -24:24]) * 8 + rng.normal(0, 3, (40, 48))).clip(0, 255).astype(np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {**_pictures(gray), **_dicom(gray), **_nifti(rng), **volumes.seeds()}


def _pictures(gray: NDArray[np.uint8]) -> dict[str, list[bytes]]:
    rgb = np.stack([gray, gray[::-1], 255 - gray], axis=-1)
    plain, coloured = Image.fromarray(gray), Image.fromarray(rgb)
    alpha = Image.fromarray(np.dstack([rgb, gray]))
    deep = Image.fromarray(gray.astype(np.uint16) * 200)
    real = Image.fromarray(gray.astype(np.float32))
    jpeg = [_saved(plain, "JPEG"), _saved(coloured, "JPEG", progressive=True), _saved(alpha.convert("CMYK"), "JPEG")]
    packed = [
        _saved(coloured, "TIFF", compression=each) for each in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
    ]
    pages = _saved(plain, "TIFF", save_all=True, append_images=[deep])
    return {
        "png": [_saved(each, "PNG") for each in (plain, coloured, alpha, deep, plain.convert("1"), plain.convert("P"))],
        "jpeg": [*jpeg, _saved(coloured, "JPEG", exif=_turned())],
        "tiff": [_saved(deep, "TIFF"), _saved(real, "TIFF"), pages, *packed],
        "bmp": [_saved(each, "BMP") for each in (plain, coloured, alpha, plain.convert("1"))],
        "webp": [_saved(coloured, "WEBP"), _saved(alpha, "WEBP", lossless=True)],
    }


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x112] = 6
    return exif


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)  # type: ignore[arg-type]
    return file.getvalue()


def _nifti(rng: np.random.Generator) -> dict[str, list[bytes]]:
    affine = np.array([[0, -1, 0, 9], [1, 0.1, 0, 3], [0, 0, 4, -7], [0, 0, 0, 1.0]])
    volumes = [rng.integers(0, 900, (12, 11, 9)).astype(kind) for kind in (np.uint8, np.int16, np.float32, np.float64)]
    plain = [nibabel.Nifti1Image(each, affine).to_bytes() for each in volumes]
    second = nibabel.Nifti2Image(volumes[1], affine).to_bytes()
    swapped = nibabel.Nifti1Image(volumes[1], affine, nibabel.Nifti1Header(endianness=">")).to_bytes()
    return {"nifti": [*plain, second, swapped], "nifti.gz": [gzip.compress(each) for each in (*plain[:2], second)]}


def _dicom(gray: NDArray[np.uint8]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    for path in sorted(folder.glob("*.dcm")):
        if path.stat().st_size <= LARGEST:
            try:
                elements = pydicom.dcmread(path, force=True)
                if "PixelData" not in elements:
                    continue
                elements.PatientName = PATIENT
                # Else most are refused for what they show, before their pixels are decoded
                elements.SOPClassUID = elements.file_meta.MediaStorageSOPClassUID = MRImageStorage
                elements.Modality = "MR"
                elements.pop("BodyPartExamined", None)
                content = _written(elements)
            except Exception:
                continue  # damaged on purpose
            found.setdefault(_name(elements.file_meta.TransferSyntaxUID), []).append(content)
    deep = gray.astype(np.uint16) * 16
    codestreams = {
        "1.2.840.10008.1.2.4.50": (gray, _saved(Image.fromarray(gray), "JPEG")),
        "1.2.840.10008.1.2.4.57": (deep, imagecodecs.jpeg8_encode(deep, lossless=True, bitspersample=16, predictor=4)),
        "1.2.840.10008.1.2.4.70": (deep, imagecodecs.jpeg8_encode(deep, lossless=True, bitspersample=16)),
        "1.2.840.10008.1.2.4.80": (deep, imagecodecs.jpegls_encode(deep)),
        "1.2.840.10008.1.2.4.90": (deep, imagecodecs.jpeg2k_encode(deep, codecformat="j2k", reversible=True, level=0)),
    }
    for syntax, (values, stream) in codestreams.items():
        elements = _elements(values, 3)
        elements.file_meta.TransferSyntaxUID = UID(syntax)
        elements.PixelData = encapsulate([stream] * 3)
        elements["PixelData"].VR = "OB"
        elements["PixelData"].is_undefined_length = True
        found.setdefault(_name(UID(syntax)), []).append(_written(elements))
    native = _elements(deep, 3)
    native.PixelData = np.stack([deep, deep // 2, deep // 3]).tobytes()
    native.PerFrameFunctionalGroupsSequence = [_group(frame) for frame in range(3)]
    found.setdefault(_name(ExplicitVRLittleEndian), []).append(_written(native))
    return found


def _elements(values: NDArray[np.integer], frames: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = MRImageStorage
    elements = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    elements.PatientName = elements.PatientID = PATIENT
    elements.SOPClassUID, elements.SOPInstanceUID = MRImageStorage, "1.2.3"
    elements.Rows, elements.Columns = values.shape
    elements.NumberOfFrames, elements.SamplesPerPixel = frames, 1
    elements.PhotometricInterpretation, elements.PixelRepresentation = "MONOCHROME2", 0
    elements.BitsAllocated = elements.BitsStored = 8 * values.dtype.itemsize
    elements.HighBit = elements.BitsStored - 1
    elements.PixelSpacing, elements.ImageOrientationPatient = [1.5, 1], [1, 0, 0, 0, 1, 0]
    elements.PixelPaddingValue = 0
    return elements


def _group(frame: int) -> Dataset:
    voi, values, measures, group = Dataset(), Dataset(), Dataset(), Dataset()
    voi.WindowCenter, voi.WindowWidth = 900 + frame, 1500
    values.RescaleSlope, values.RescaleIntercept = 2, -100
    measures.PixelSpacing = [2, 1]
    group.FrameVOILUTSequence, group.PixelValueTransformationSequence = [voi], [values]
    group.PixelMeasuresSequence = [measures]
    return group


def _written(elements: Dataset) -> bytes:
    file = io.BytesIO()
    elements.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _name(syntax: UID) -> str:
    return f"dicom {syntax.keyword}"

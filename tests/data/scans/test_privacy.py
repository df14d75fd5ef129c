"""What a DICOM file says of the patient stays in the file."""

import io
import logging
import subprocess
import sys
import threading
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest
from dicom_files import EXPLICIT, IMPLICIT, dicom, item

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.opening import open_scan, read_scan

SECRET = "ZZSECRETZZ"
PIXELS = np.arange(64, dtype=np.uint16).reshape(8, 8)
PLACE = "0123456789"  # as long as the secret, and a number where a number must stand when the file is written
BASELINE = "1.2.840.10008.1.2.4.50"


def content(syntax: str = EXPLICIT, frames: list[bytes] | None = None, **values: object) -> bytes:
    about = {
        "PatientName": f"{SECRET}^A",
        "PatientID": SECRET,
        "PatientBirthDate": SECRET[:8],
        "InstitutionName": SECRET,
        "StudyDescription": SECRET,
        "PatientAge": SECRET,
        "ReferencedStudySequence": [item(ReferencedSOPInstanceUID="1.2", RetrieveURI=SECRET)],
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dicom(PIXELS, syntax, frames, **about, **values).replace(PLACE.encode(), SECRET.encode())


FILES = {
    "sound": lambda: content(),
    "implicit": lambda: content(IMPLICIT),
    "slope": lambda: content(RescaleSlope=PLACE, RescaleIntercept="0"),
    "window": lambda: content(WindowCenter=PLACE, WindowWidth="7"),
    "descriptions": lambda: content(
        SeriesDescription=f"T2 {SECRET}", ProtocolName=SECRET, BodyPartExamined=SECRET, ImageType=[SECRET, "M"]
    ),
    "another's picture": lambda: content(SOPClassUID="1.2.840.10008.5.1.4.1.1.7", Modality=SECRET),
    "class": lambda: content(Modality="CT").replace(b"1.2.840.10008.5.1.4.1.1.4\0", b"1.2.840.10008.ZZSECRETZZ.4"),
    "times": lambda: content(RepetitionTime=PLACE, EchoTime=PLACE, ScanningSequence="SE", PatientOrientation=SECRET),
    "frames": lambda: content(NumberOfFrames=PLACE),
    "orientation": lambda: content(ImageOrientationPatient=[PLACE] * 6),
    "spacing": lambda: content(PixelSpacing=[PLACE, PLACE]),
    "colours": lambda: content(PhotometricInterpretation=SECRET),
    "characters": lambda: content(SpecificCharacterSet=SECRET),
    "transfer syntax": lambda: content().replace(EXPLICIT.encode() + b"\0", b"ZZSECRETZZ\0\0\0\0\0\0\0\0\0\0"[:20]),
    "identifier": lambda: content().replace(b"1.2.3.4", b"ZZSECRE"),
    "damaged JPEG": lambda: content(BASELINE, [b"\xff\xd8\xff\xe0\0\x10" + SECRET.encode() * 3]),
    "JPEG without pixels": lambda: content(
        BASELINE, [b"\xff\xd8" + b"\xff\xc0\0\x0b\x08\0\x08\0\x08\1\1\x11\0" + SECRET.encode()]
    ),
    "JPEG-LS": lambda: content(
        "1.2.840.10008.1.2.4.80", [b"\xff\xd8" + b"\xff\xf7\0\x0b\x08\0\x08\0\x08\1\1\x11\0" + SECRET.encode()]
    ),
    "cut": lambda: content()[:-60],
    "cut in an element": lambda: content()[: content().index(SECRET.encode()) + 12],
    "no pixels": lambda: content()[: content().index(b"\xe0\x7f\x10\x00")],
    "functional group": lambda: content(
        PerFrameFunctionalGroupsSequence=[item(FrameVOILUTSequence=[item(WindowCenter=PLACE, WindowWidth=PLACE)])]
    ),
    "table": lambda: content(
        VOILUTSequence=[item(LUTDescriptor=[9, 0, 16], LUTData=SECRET.encode(), LUTExplanation=SECRET)]
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_nothing_of_it_is_printed_logged_or_raised(
    name: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
) -> None:
    caplog.set_level(logging.DEBUG)
    file = tmp_path / f"{SECRET}.dcm"
    file.write_bytes(FILES[name]())
    assert SECRET.encode() in file.read_bytes()
    said = ""
    recwarn.clear()
    caplog.clear()
    capfd.readouterr()
    try:
        scan = read_scan(file)
        scan.pixels(16)
        said = repr(scan.remarks)
    except CorruptImageError as error:
        said = str(error) + "".join(traceback.format_exception(error)) + repr(error.__context__) + repr(error.__cause__)
        said = said.replace(str(file), "")
    out, err = capfd.readouterr()
    assert SECRET not in said
    assert SECRET not in out + err
    assert SECRET not in caplog.text
    assert not [each for each in recwarn if SECRET in str(each.message)]


def test_the_first_file_of_a_process_is_as_silent(tmp_path: Path) -> None:
    for name in ("characters", "damaged JPEG", "JPEG without pixels"):
        (tmp_path / "scan").write_bytes(FILES[name]())
        program = (
            "import logging, pathlib; logging.basicConfig(level=0)\n"
            "from brain_tumor.data.scans.opening import open_scan\n"
            "try: open_scan(pathlib.Path('scan').read_bytes())\n"
            "except Exception as error: logging.exception('no')"
        )
        ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert SECRET not in ran.stdout + ran.stderr


def test_a_file_that_is_not_there_is_not_named(tmp_path: Path) -> None:
    for path in (tmp_path / SECRET, tmp_path):
        with pytest.raises(CorruptImageError) as caught:
            read_scan(path)
        assert SECRET not in str(caught.value)
        assert str(tmp_path) not in str(caught.value)


def test_other_users_of_pydicom_keep_their_log_and_their_warnings(caplog: pytest.LogCaptureFixture) -> None:
    pydicom = pytest.importorskip("pydicom")
    filters, sound = list(warnings.filters), content()
    threads = [threading.Thread(target=lambda: open_scan(sound).pixels(8)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == filters
    caplog.clear()
    with pytest.warns(UserWarning, match="Invalid value for VR UI"):
        pydicom.dcmread(io.BytesIO(sound)).SOPClassUID = pydicom.uid.UID("not one")
    assert "Invalid value for VR UI" in caplog.text

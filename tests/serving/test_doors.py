"""The command line, the page and the served model say the same of the same files, for all that they do on the way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dicom_files import EXPLICIT, dicom
from toy import call, draw_folders, environment
from volume_files import metaimage, nrrd

from brain_tumor.config.train import PhantomConfig
from brain_tumor.data.classes import STANDARD
from brain_tumor.data.phantom.generate import draw_subject

pytestmark = pytest.mark.real_data
pydicom = pytest.importorskip("pydicom")
SAME = 1e-5  # of probabilities
MR = "1.2.840.10008.5.1.4.1.1.4"
# Multi-frame, compressed, colour, palette, inverted: those of pydicom's own files that hold pixels.
PACKAGED = [
    "CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm",
    "image_dfl.dcm", "ExplVR_BigEnd.dcm", "examples_palette.dcm", "examples_ybr_color.dcm", "SC_rgb_rle_2frame.dcm",
]  # fmt: skip
SERVED = """
import base64, json, sys, mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/brain-tumor@champion")
found = {}
for path in json.load(sys.stdin):
    content = base64.b64encode(open(path, "rb").read()).decode()
    [answer] = model.predict(pd.DataFrame({"content": [content]}))
    found[path] = [each["probabilities"] for each in answer["slices"]]
    found[path] += [answer["volume"]["shares"]] if answer["volume"] else []
json.dump(found, sys.stdout)
"""
PAGE = """
import json, sys
from contextlib import ExitStack
import mlflow
mlflow.set_tracking_uri(sys.argv[1])
from brain_tumor.models.backend import start_tensorflow
start_tensorflow()
from brain_tumor.models.backbones import get_backbone
from brain_tumor.serving.review_page.models import shown
from brain_tumor.serving.review_page.opened import limits, opened
from brain_tumor.tracking import registry
registered = registry.load_model("models:/brain-tumor@champion")
layer = get_backbone(registered.config["model"]["name"]).cam_layer
found = {}
with shown(registered, layer, 1, "") as model:
    allowed = limits([model], 2**27)
    for path in json.load(sys.stdin):
        [file] = opened([(path, open(path, "rb").read())], [model], allowed)
        [answer] = file.answers
        found[path] = [dict(each.probabilities) for each in answer.slices]
        found[path] += [dict(answer.volume.shares)] if answer.volume else []
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a trained EfficientNet-Lite0 in `work`; in `files` 100 real slices, 18 DICOM files and 2 volumes."""
    real = os.environ.get("BRAIN_TUMOR_DATA")
    if not real:
        pytest.skip("BRAIN_TUMOR_DATA names no folder of the real datasets")
    place = tmp_path_factory.mktemp("doors")
    (place / "files").mkdir()
    for label in STANDARD.names:
        for path in sorted((Path(real) / "brain-tumor-mri" / "Testing" / label).iterdir())[:25]:
            (place / "files" / f"{label} {path.name}").write_bytes(path.read_bytes())
    for name in PACKAGED:
        elements = pydicom.dcmread(Path(pydicom.__file__).parent / "data" / "test_files" / name)
        elements.SOPClassUID = elements.file_meta.MediaStorageSOPClassUID = MR  # some are CT, or ultrasound
        elements.pop("BodyPartExamined", None)
        elements.SeriesInstanceUID = pydicom.uid.generate_uid(entropy_srcs=[name])  # some are copies of one slice
        elements.save_as(place / "files" / name)
    drawn = [slice_ for subject in range(8) for slice_ in list(draw_subject(PhantomConfig(size=96), subject))[:1]]
    for index, (_, picture, _) in enumerate(drawn):
        window = {"WindowCenter": 100 + index, "WindowWidth": 200} if index % 2 else {}
        (place / "files" / f"phantom {index}").write_bytes(dicom(picture.astype(np.uint16), EXPLICIT, **window))
    volume = np.stack([picture.T for _, picture, _ in drawn], axis=-1)
    for name, write in (("a.nrrd", nrrd), ("b.mha", metaimage)):
        (place / "files" / name).write_bytes(write(volume, np.diag([-1.0, -1, 4, 1])))
    bars = draw_folders(place / "bars", train=12)
    settings = ["model=effnet_lite0", "schedule=head_only", "schedule.head.epochs=1", "data.image_size=64"]
    settings += ["bootstrap=100", "augment=none", "tracking.system_metrics=false"]
    done = call(place, "train", "data=folder", f"data.root={bars}", *settings)
    assert done.returncode == 0, done.stderr
    return place


def asked(place: Path, program: str, paths: list[str]) -> dict[str, list[dict[str, float]]]:
    """What a program in a process of its own says of the files: of each slice, and of the volume where it is one."""
    store = f"sqlite:///{place / 'work/mlruns/mlflow.db'}"
    command = [sys.executable, "-c", program, store]
    done = subprocess.run(
        command, input=json.dumps(paths), capture_output=True, text=True, env=environment(place), cwd=place, timeout=600
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[dict[str, float]]] = json.loads(done.stdout[done.stdout.index("{") :])
    return found


def test_the_three_doors_agree_on_120_files(place: Path) -> None:
    done = call(
        place,
        "predict",
        "model_uri=models:/brain-tumor@champion",
        f"input={place / 'files'}",
        f"out={place}/typed.jsonl",
    )
    assert done.returncode == 0, done.stderr
    typed = {}
    for line in (place / "typed.jsonl").read_text(encoding="utf-8").splitlines():
        answer = json.loads(line)
        assert "error" not in answer, answer
        said = [each["probabilities"] for each in answer["slices"]]
        said += [answer["volume"]["shares"]] if "volume" in answer else []
        typed[str(place / "files" / answer["path"])] = said
    assert len(typed) == 120
    served, shown = (asked(place, program, sorted(typed)) for program in (SERVED, PAGE))
    for path, answers in typed.items():
        for other in (served[path], shown[path]):
            assert len(other) == len(answers)
            for ours, theirs in zip(answers, other, strict=True):
                assert list(ours) == list(theirs)
                assert list(ours) in ([], list(STANDARD.names))  # no shares of a volume none of whose slices passes
                assert np.abs(np.subtract(list(ours.values()), list(theirs.values()))).max(initial=0) <= SAME
    spread = np.array([list(answers[0].values()) for answers in typed.values()]).std(axis=0).max()
    assert spread > 0.01  # a model that says the same of every file would agree with itself

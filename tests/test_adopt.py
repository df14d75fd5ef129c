"""`adopt` as a user types it: somebody else's model, registered and measured as our own are."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from toy import client, metrics_of, run_id, tags_of

from brain_tumor.data.classes import STANDARD

Run = Callable[..., "subprocess.CompletedProcess[str]"]
CLASSES = f"classes=[{','.join(STANDARD.names)}]"


def save(file: Path, side: int = 40) -> str:
    """A network of 40 px that looks for the bar of `toy.draw` on 0..1, and needs no training to find it."""
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((side, side, 3)), layers.AveragePooling2D((side // 4, side)), layers.Flatten(), layers.Dense(4)]
    )
    model.layers[-1].set_weights([10 * np.repeat(np.eye(4), 3, axis=0), np.zeros(4)])
    model.add(layers.Softmax())
    model.save(file)
    return f"file={file}"


@pytest.mark.slow
def test_a_model_is_adopted_and_evaluated(run: Run, bars: Callable[..., Path], tmp_path: Path) -> None:
    folder, file = bars("bars", train=6, test=24), save(tmp_path / "their model.keras")
    for path in list((folder / "Training" / "glioma").glob("*.png"))[:3]:  # of these it has seen twins
        with Image.open(path) as image:
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "Testing" / "glioma" / f"twin {path.name}")
    here = (file, f"trained_on={folder}", "scaling=rescale", "register=theirs")

    turned = f"classes=[{','.join(reversed(STANDARD.names))}]"
    done = run("adopt", *here, turned)
    assert (done.returncode, done.stderr.strip().splitlines()[-1][:6]) == (2, "error:")
    assert "answers 0.0% of 24 of its own training images rightly with scaling=rescale" in done.stderr
    assert f"and 100.0% with '{CLASSES}': give that" in done.stderr

    done = run("adopt", *here, CLASSES)
    assert done.returncode == 0, done.stderr
    work = tmp_path / "work"
    version = client(work).get_model_version("theirs", "1")
    assert version.tags["leaking"] == "false"
    assert version.tags["adopted_scaling"] == "rescale"
    assert "96 images" not in done.stdout  # the twins are left out, and a half of the 96 fits what is said
    done = run("evaluate", "model_uri=models:/theirs/1", "bootstrap=100", "explain.views=1")
    assert done.returncode == 0, done.stderr
    found = metrics_of(work, run_id(done.stdout))
    assert found["test/accuracy"] == 1
    assert tags_of(work, run_id(done.stdout))["trained_by"] == version.run_id
    assert "LEAK" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("scaling=sqrt",), "scaling"),
        (("scaling=rescale", "protocol=grouped"), "choose official or clean"),
        (("scaling=rescale", "file=none.keras"), "file=none.keras does not exist"),
    ],
)
def test_a_mistake_is_one_line(run: Run, bars: Callable[..., Path], arguments: tuple[str, ...], said: str) -> None:
    folder = bars("bars", train=2, test=2)
    first = () if any(each.startswith("file=") for each in arguments) else ("file=theirs.keras",)
    done = run("adopt", *first, f"trained_on={folder}", "register=theirs", CLASSES, *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr

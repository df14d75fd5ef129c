"""`adopt` as a user types it: somebody else's model, registered and measured as our own are."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from composition import composed
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from toy import client, metrics_of, run_id, tags_of

from brain_tumor.config.commands import AdoptConfig, Scaling
from brain_tumor.config.validation import typed
from brain_tumor.data.classes import STANDARD
from brain_tumor.data.dataset import load_known
from brain_tumor.errors import InputError
from brain_tumor.evaluation.prediction import Answers, Runtime
from brain_tumor.jobs.adopt import check_reading

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

    done = run("adopt", *here, CLASSES, "protocol=official")
    assert done.returncode == 0, done.stderr
    done = run("export", "model_uri=models:/theirs/2", "out=exports", "formats=[tflite]")  # which has no val part
    assert done.returncode == 0, done.stderr
    assert "the same class on 100.0%" in " ".join(done.stdout.split())
    assert "test images" in done.stdout


def save_onnx(file: Path) -> str:
    """The same network as PyTorch writes it: rows of channels, one image at a time, logits."""
    kernel = 10 * np.repeat(np.eye(4, dtype=np.float32), 3, axis=0)
    nodes = [
        helper.make_node("Transpose", ["input"], ["pixels"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["pixels", "shape"], ["bars"]),
        helper.make_node("ReduceMean", ["bars"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("MatMul", ["flat", "kernel"], ["output"]),
    ]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 40, 40])
    put = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 4])
    weights = [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(np.array([1, 4, 10, 40, 3]), "shape")]
    graph = helper.make_graph(nodes, "main_graph", [given], [put], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), file)
    return f"file={file}"


@pytest.mark.slow
def test_an_onnx_model_is_adopted_and_asked(run: Run, bars: Callable[..., Path], tmp_path: Path) -> None:
    folder, file = bars("bars", train=6, test=12), save_onnx(tmp_path / "theirs.onnx")
    done = run("adopt", file, f"trained_on={folder}", "scaling=rescale", "register=theirs", CLASSES)
    assert done.returncode == 0, done.stderr
    (tmp_path / "theirs.onnx").unlink()  # the registry has its own
    work, uri = tmp_path / "work", "model_uri=models:/theirs/1"
    masks = folder.parent / "masks"
    for path in (folder / "Testing").rglob("*.png"):
        place = (masks / path.relative_to(folder)).with_suffix(".png")
        place.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            Image.fromarray(np.asarray(image).min(axis=2) > 100).save(place)
    done = run("evaluate", uri, "bootstrap=100", f"data.masks={masks}")
    assert done.returncode == 0, done.stderr
    found = metrics_of(work, run_id(done.stdout))
    assert found["test/accuracy"] == 1
    assert found["test/kept_without_lesion"] < 0.5  # the bar is all that it knows
    asked = (uri, f"input={folder / 'Testing' / 'pituitary'}", "out=answers.csv")
    done = run("predict", *asked, "report=true")
    assert done.returncode == 0, done.stderr
    lines = (work / "answers.csv").read_text().splitlines()
    assert len(lines) == 13
    assert all("pituitary" in line for line in lines[1:])
    assert len(list((work / "answers_reports").glob("*.html"))) == 12
    for command, *more, said in (
        ("predict", *asked, "overwrite=true", "explain=true", "explain=true draws maps"),
        ("evaluate", uri, "runtime=tflite", "runtime=tflite is made of Keras' layers"),
        ("evaluate", uri, "explain.sanity=true", "explain.sanity=true builds the network anew"),
        ("export", uri, "out=exports", "no other format can be made of it"),
        ("app", uri, "port=0", "the page shows maps, and it has none"),
    ):
        done = run(command, *more)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert said in done.stderr


def test_another_scaling_that_does_far_better_is_said(bars: Callable[..., Path]) -> None:
    """A network that was trained on 0..1 with its classes the other way round, and sees nothing in other pixels."""
    folder = bars("bars", train=6, test=1)
    overrides = (
        f"trained_on={folder}",
        "register=theirs",
        "file=theirs.keras",
        CLASSES,
        "scaling=tf",
        "protocol=official",
    )
    config = typed(AdoptConfig, composed("adopt", *overrides))
    dataset = load_known(config.data, shape=(40, 40, 3), protocol=config.protocol)

    def make(scaling: Scaling) -> Runtime:
        def run(images: np.ndarray) -> Answers:
            place = images[:, 5::10].mean(axis=(2, 3)) if scaling == "rescale" else np.ones((len(images), 4))
            given = np.eye(4, dtype=np.float32)[place.argmax(axis=1)][:, ::-1]
            return Answers(given, given, given)

        return run

    turned = ",".join(reversed(STANDARD.names))
    with pytest.raises(
        InputError, match=rf"25\.0% of 24 .*scaling=tf .*100\.0% with scaling=rescale 'classes=\[{turned}\]'"
    ):
        check_reading(config, make("tf"), make, dataset)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("scaling=sqrt",), "scaling"),
        (("scaling=rescale", "protocol=grouped"), "choose official or clean"),
        (("scaling=rescale", "file=none.keras"), "file=none.keras does not exist"),
        (("scaling=rescale", "file=model.pth"), "torch.onnx.export"),
    ],
)
def test_a_mistake_is_one_line(
    run: Run, bars: Callable[..., Path], tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    folder = bars("bars", train=2, test=2)
    (tmp_path / "work").mkdir(exist_ok=True)
    (tmp_path / "work" / "model.pth").touch()
    first = () if any(each.startswith("file=") for each in arguments) else ("file=theirs.keras",)
    done = run("adopt", *first, f"trained_on={folder}", "register=theirs", CLASSES, *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr

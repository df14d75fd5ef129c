"""The Lite conversion, against references that are not ours."""

import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import sklearn
from PIL import Image

from brain_tumor.errors import InputError
from brain_tumor.models.classifier import build_classifier
from brain_tumor.models.lite import imagenet_classifier
from brain_tumor.models.weights import resolve_weights

LITES = ["effnet_lite0", "effnet_lite1", "effnet_lite2"]
UNIFORM, PALACE, DAISY = 652, 698, 985  # ILSVRC-2012: military uniform, palace, daisy
PHOTOGRAPHS = [
    Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg"),
    Path(sklearn.__file__).parent / "datasets" / "images" / "china.jpg",
    Path(sklearn.__file__).parent / "datasets" / "images" / "flower.jpg",
]


@pytest.fixture(scope="module", params=LITES)
def published(request):
    return request.param, imagenet_classifier(request.param, resolve_weights(request.param, "imagenet"))


def _photograph(path, size):
    """The middle square of a picture, resized: (size, size, 3) uint8."""
    picture = Image.open(path).convert("RGB")
    side = min(picture.size)
    left, top = ((length - side) // 2 for length in picture.size)
    box = (left, top, left + side, top + side)
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC, box))


def test_the_hybrid_begins_with_the_same_weights():
    file = resolve_weights("hybrid_lite0", "imagenet")
    settings = {"shape": (64, 64, 3), "weights": file, "dropout": 0.2, "seed": 0}
    hybrid, lite = (build_classifier(name, **settings) for name in ("hybrid_lite0", "effnet_lite0"))
    shared = [layer.name for layer in hybrid.layers if layer.weights and re.match(r"stem|block[1-5][a-c]", layer.name)]
    assert (
        len(shared) == 2 + 4 + 10 * 6
    )  # convolutions and their norms: stem, the one block without expansion, ten more
    for name in shared:
        for ours, theirs in zip(hybrid.get_layer(name).get_weights(), lite.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(InputError, match="does not hold the weights of hybrid_lite0"):
        build_classifier("hybrid_lite0", **settings | {"weights": resolve_weights("effnet_lite1", "imagenet")})


def test_published_classifier_knows_what_it_sees(published):
    name, model = published
    size = model.input_shape[1]
    answers = model(np.stack([_photograph(path, size) for path in PHOTOGRAPHS])).numpy()
    best = np.argsort(answers)[:, ::-1]
    assert UNIFORM in best[0, :2]
    assert best[1, 0] == PALACE
    if name != "effnet_lite2":  # which takes the dahlia for a honeycomb
        assert best[2, 0] == DAISY


# Top class and its probability for the two images of noise below, by PyTorch 2.13 with
# efficientnet_lite_pytorch 0.1.0 and these very files.
PYTORCH = {
    "effnet_lite0": ([21, 21], [0.10090598, 0.20442943]),
    "effnet_lite1": ([23, 21], [0.05075539, 0.07468382]),
    "effnet_lite2": ([539, 539], [0.2725027, 0.18659616]),
}


def test_published_classifier_answers_as_pytorch_does(published):
    name, model = published
    size = model.input_shape[1]
    noise = np.random.default_rng(0).integers(0, 256, (2, size, size, 3)).astype(np.float32)
    answers = model(noise).numpy()
    classes, probabilities = PYTORCH[name]
    assert answers.argmax(axis=1).tolist() == classes
    np.testing.assert_allclose(answers.max(axis=1), probabilities, rtol=1e-4)


def test_parameters_are_as_many_as_published(published):
    name, model = published
    # Millions, trainable, from the table in the Lite README of github.com/tensorflow/tpu.
    millions = {"effnet_lite0": 4.7, "effnet_lite1": 5.4, "effnet_lite2": 6.1}[name]
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trainable / 1e6 == pytest.approx(millions, abs=0.06)


def test_file_of_another_model_is_refused():
    for model, file in (("effnet_lite0", "effnet_lite1"), ("effnet_lite2", "effnet_lite1")):
        with pytest.raises(InputError) as caught:
            build_classifier(model, shape=(64, 64, 3), weights=resolve_weights(file, "imagenet"), dropout=0.2, seed=0)
        assert f"does not hold the weights of {model}" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_weights_by_path_equal_the_packaged(tmp_path):
    packaged = resolve_weights("effnet_lite0", "imagenet")
    copy = tmp_path / "my lite0"
    copy.write_bytes(packaged.read_bytes())
    settings = {"shape": (96, 96, 3), "dropout": 0.2, "seed": 0}
    first = build_classifier("effnet_lite0", weights=packaged, **settings)
    second = build_classifier("effnet_lite0", weights=resolve_weights("effnet_lite0", str(copy)), **settings)
    assert all(np.array_equal(a, b) for a, b in zip(first.get_weights(), second.get_weights(), strict=True))

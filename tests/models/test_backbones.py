"""The table of backbones, and the classifier built on one."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml

from brain_tumor.errors import InputError
from brain_tumor.evaluation.explanation.maps import stages
from brain_tumor.models.backbones import BACKBONES, check_shape, get_backbone
from brain_tumor.models.classifier import blocks, build_classifier

CONF = Path(__file__).parents[2] / "conf" / "model"
# Resolutions: EfficientNet and V2 as in keras.io/api/applications/efficientnet, Lite as in its README.
NATIVE = {
    "cnn_baseline": 128,
    **{f"effnet_b{i}": size for i, size in enumerate((224, 240, 260, 300, 380, 456, 528, 600))},
    **{f"effnet_v2_b{i}": size for i, size in enumerate((224, 240, 260, 300))},
    "effnet_v2_s": 384,
    **{f"effnet_lite{i}": size for i, size in enumerate((224, 240, 260))},
    "cct_5": 96,
    "hybrid_lite0": 224,
    "vit_ti16": 224,
    "vit_s16": 224,
    "vit_b16": 224,
    "slices_lite0": 128,
    "cnn3d_baseline": 64,
    "resnet10_3d": 128,
    "resnet18_3d": 128,
}
UNTRAINED = ("cnn_baseline", "cct_5", "cnn3d_baseline", "resnet10_3d", "resnet18_3d")
TRANSFORMERS = {"vit_ti16": 16, "cct_5": 8}  # and at what share of the side their tokens are


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)


def _build(name, seed=0, **changes):
    settings = {"shape": (64, 64, 3), "weights": None, "dropout": 0.2, "seed": seed} | changes
    return build_classifier(name, **settings)


@cache
def _built(name):
    """One for all tests, which leave it as it is."""
    return _build(name)


def test_registry_is_complete():
    assert {name: row.native_size for name, row in BACKBONES.items()} == NATIVE
    assert all(row.name == name for name, row in BACKBONES.items())


def test_registry_needs_no_tensorflow():
    code = "import sys, brain_tumor.models.backbones; print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"


def test_every_model_has_its_configuration_and_no_other():
    files = {file.stem: file for file in CONF.glob("*.yaml")}
    assert files.keys() == BACKBONES.keys()
    for name, file in files.items():
        text = file.read_text()
        values = yaml.safe_load(text)
        assert values.keys() - {"head"} == {"defaults", "name", "weights", "dropout"}
        assert values["name"] == name
        assert values["weights"] == ("none" if name in UNTRAINED else "imagenet")
        assert text.startswith("#")
        assert f"python -m brain_tumor.train model={name}" in text
        assert f"native {NATIVE[name]} px" in text


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(InputError, match=r"did you mean .*effnet_b4"):
        get_backbone("efnet_b4")
    with pytest.raises(InputError, match=r"cnn_baseline, .*effnet_lite2"):
        get_backbone("zzz")


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"shape": (31, 31, 3)}, "image_size=31"), ({"dropout": 1.0}, "dropout"), ({"dropout": -0.1}, "dropout")],
)
def test_value_out_of_range_is_refused(changes, named):
    with pytest.raises(InputError, match=named):
        _build("cnn_baseline", **changes)


def test_side_that_patches_do_not_fill_is_refused_with_the_nearest_that_they_do():
    with pytest.raises(InputError, match=r"data\.image_size=100 .*16 pixels, as vit_ti16 does: give 96 or 112"):
        check_shape("vit_ti16", (100, 100, 3))
    check_shape("vit_b16", (160, 160, 3))
    check_shape("effnet_b0", (100, 100, 3))


# Of width D, 12 blocks of 12 D² + 13 D, and patches of 769 D; table 1 of arXiv:2012.12877 gives 5 and 86 millions.
@pytest.mark.parametrize(("variant", "millions"), [("ti16", 5.5), pytest.param("b16", 85.65, marks=pytest.mark.slow)])
def test_vision_transformers_are_of_their_published_size(variant, millions):
    width = {"ti16": 192, "b16": 768}[variant]
    assert _built(f"vit_{variant}").count_params() / 1e6 == pytest.approx(millions, abs=0.06)
    assert _built(f"vit_{variant}").get_layer("avg_pool").output.shape[1] == width


@pytest.mark.parametrize("name", ["cnn_baseline", "effnet_lite0", "effnet_b0", "vit_ti16"])
def test_same_seed_builds_equal_weights(name):
    first, second, other = (model.get_weights() for model in (_built(name), _build(name, 0), _build(name, 1)))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_classifier_ends_in_the_named_head(images):
    model = _build("effnet_lite0", classes=3)
    assert [layer.name for layer in model.layers[-4:]] == ["avg_pool", "dropout", "logits", "probabilities"]
    assert model.get_layer("dropout").rate == 0.2
    probabilities = model(images).numpy()
    assert probabilities.shape == (2, 3)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(model(images.astype(np.float32)).numpy(), probabilities)


# Blocks: 16 inverted residuals in B0 (arXiv:1905.11946, table 1), 16 in Lite0 (its stages scale by 1), 21 in
# V2-B0, 12 in a ViT (arXiv:2012.12877, table 1); each with a stem before and a top after.
@pytest.mark.parametrize(
    ("name", "count"),
    [
        *(("cnn_baseline", 5), ("effnet_lite0", 18), ("effnet_b0", 18), ("effnet_v2_b0", 23), ("vit_ti16", 14)),
        ("cct_5", 7),
        ("hybrid_lite0", 17),  # the 11 blocks of Lite0's first five stages, and four
    ],
)
def test_blocks_hold_the_backbone_in_order(name, count):
    model = _built(name)
    groups = blocks(model)
    assert len(groups) == count
    inside = [layer for group in groups for layer in group]
    outside = [layer.name for layer in model.layers if layer not in inside]
    assert sorted(outside) == sorted(["image", "avg_pool", "dropout", "logits", "probabilities"])
    assert len(inside) == len(set(map(id, inside)))
    cam_layers = [model.get_layer(layer) for layer in get_backbone(name).cam_layer.split("*")]
    assert all(layer in inside for layer in cam_layers)
    steps = [TRANSFORMERS[name]] if name in TRANSFORMERS else [8, 16]
    assert [layer.output.shape[1] for layer in cam_layers] == [model.input_shape[1] // step for step in steps]
    assert [layer.name for layer in cam_layers] == stages(model)[-1 if name in TRANSFORMERS else 1 :][:2]
    depth = {layer: index for index, layer in enumerate(model.layers)}
    starts = [min(depth[layer] for layer in group) for group in groups]
    assert starts == sorted(starts)


PIXEL = np.array([0.0, 127.0, 255.0])


@pytest.mark.parametrize(
    ("name", "first_layer", "expected"),
    [
        ("cnn_baseline", "block1_conv", PIXEL / 127.5 - 1),
        ("effnet_b0", "stem_conv_pad", (PIXEL / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
        ("effnet_v2_b0", "stem_conv", (PIXEL / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
        ("effnet_v2_s", "stem_conv", PIXEL / 128 - 1),
        ("effnet_lite0", "stem_conv", (PIXEL - 127) / 128),
        ("vit_ti16", "patches", PIXEL / 127.5 - 1),
        ("cct_5", "stem_conv1", PIXEL / 127.5 - 1),
        ("hybrid_lite0", "stem_conv", (PIXEL - 127) / 128),
    ],
)
def test_pixels_are_scaled_inside_also_after_reload(tmp_path, name, first_layer, expected):
    import keras

    model = _built(name)
    scaling = keras.Model(model.input, model.get_layer(first_layer).input)
    scaling.save(tmp_path / "scaling.keras")
    image = np.broadcast_to(PIXEL, (1, 64, 64, 3)).astype(np.uint8)
    for each in (scaling, keras.models.load_model(tmp_path / "scaling.keras")):
        scaled = each(image).numpy()
        np.testing.assert_allclose(scaled[0, 5, 5], expected, rtol=1e-5, atol=1e-6)

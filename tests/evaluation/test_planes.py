"""Whole volumes as pictures, and their maps."""

import keras
import numpy as np

from brain_tumor.evaluation.explanation.localisation import centred_gaussian, energy, pointing
from brain_tumor.evaluation.explanation.maps import mapper
from brain_tumor.evaluation.explanation.removal import paint_over, widened
from brain_tumor.evaluation.planes import cuts, drawn
from brain_tumor.evaluation.views import View


def test_the_three_planes_go_through_the_peak() -> None:
    maps = np.zeros((1, 4, 6, 5), np.float32)
    maps[0, 3, 1, 4] = 1.0  # at the top of the head, in the front, on the patient's left
    maps[0, 3, 2, 4] = maps[0, 2, 1, 4] = maps[0, 3, 1, 3] = 0.5
    at = cuts(np.zeros((1, 4, 6, 5, 1), np.uint8), maps)
    assert at is not None
    assert at.tolist() == [[3, 1, 4]]
    picture = drawn(maps, at)[0]
    axial, coronal, sagittal = picture[:, :5], picture[:, 5:10], picture[:, 10:]
    np.testing.assert_array_equal(axial, maps[0, 3])
    assert sagittal.shape == (6, 6)
    assert np.unravel_index(coronal.argmax(), coronal.shape) == (0, 4)  # the head's top is above, its left on the right
    assert np.unravel_index(sagittal.argmax(), sagittal.shape) == (0, 1)  # and the front on the left
    colours = drawn(np.full((1, 4, 6, 5, 1), 7, np.uint8), at)
    assert colours.shape == (1, 6, 16, 3)
    assert (colours == 7).all()
    empty = cuts(np.zeros((1, 4, 6, 5, 1), np.uint8), 0 * maps)
    assert empty is not None
    assert empty.tolist() == [[2, 3, 2]]  # the middle
    assert drawn(maps[:0], at[:0]).shape == (0, 6, 16)


def test_the_map_of_a_volume_is_the_formula() -> None:
    """Gradient-weighted activations, in NumPy: the head is linear, so its weights are the gradients."""
    inputs = keras.Input((4, 6, 8, 1), name="image")
    x = keras.layers.Conv3D(3, 1, activation="relu", name="conv")(inputs)
    logits = keras.layers.Dense(4, name="logits")(keras.layers.GlobalAveragePooling3D(name="avg_pool")(x))
    model = keras.Model(inputs, keras.layers.Activation("softmax", name="probabilities")(logits))
    kernel, bias = np.array([0.01, -0.01, 0.02]), np.array([0.1, 2.0, -1.0])
    model.get_layer("conv").set_weights([kernel.reshape(1, 1, 1, 1, 3), bias])
    volumes = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 8, 1)).astype(np.uint8)
    weights = np.asarray(model.get_layer("logits").kernel)
    activations = np.maximum(volumes * kernel + bias, 0)
    for classes in (np.array([0, 1]), np.array([2, 3])):
        by = weights[:, classes].T[:, None, None, None, :]
        for method, gradients in (("gradcam", by), ("layercam", np.maximum(by, 0))):
            expected = np.maximum((activations * gradients).sum(axis=-1), 0)
            peak = expected.max(axis=(1, 2, 3), keepdims=True)
            expected = np.divide(expected, peak, out=np.zeros_like(expected), where=peak > 0)
            [found] = mapper(model, [(method, "conv")], 1)(volumes, classes)
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_view_moves_every_slice_alike() -> None:
    volumes = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 4, 1)).astype(np.uint8)
    view = View(1, -1, True)
    for index in range(3):
        np.testing.assert_array_equal(view.of(volumes)[:, index], view.of(volumes[:, index]))
    maps = volumes[..., 0].astype(np.float32)
    np.testing.assert_array_equal(view.back(maps)[:, 1], view.back(maps[:, 1]))


def test_lesions_of_volumes_are_pointed_at_and_painted_over() -> None:
    masks = np.zeros((1, 5, 50, 50), bool)
    masks[0, 2, 20:24, 30:34] = True
    maps = np.where(masks, 1.0, 0.25).astype(np.float32)
    assert pointing(maps, masks).tolist() == [1.0]
    np.testing.assert_allclose(energy(maps, masks), 16 / (16 + 0.25 * (5 * 50 * 50 - 16)))
    # 2 % of the side beyond it, and the slices below and above
    assert np.argwhere(widened(masks)[0]).min(axis=0).tolist() == [1, 19, 29]
    assert np.argwhere(widened(masks)[0]).max(axis=0).tolist() == [3, 24, 34]
    volumes = np.where(masks[..., None], 250, 60).astype(np.uint8)
    assert (paint_over(volumes, masks) == 60).all()
    centre = centred_gaussian((5, 50, 51))
    assert np.unravel_index(centre.argmax(), centre.shape) == (2, 24, 25)

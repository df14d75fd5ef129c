"""A slice is drawn with shortcuts, and looks as if it were not."""

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from brain_tumor.data.phantom import acquisition, anatomy, lesions
from brain_tumor.data.phantom.rendering import NODES, enlarged, render


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_volume_between_its_voxels_is_as_scipy_has_it(order: str) -> None:
    rng = np.random.default_rng(0)
    values = np.array(rng.random((4, 6, 5)), np.float32, order=order)
    origin = np.array([-3, 1, 10], np.float32)
    axes = [start + 2 * np.arange(count) for start, count in zip(origin, values.shape, strict=True)]
    inside = rng.uniform(origin, [axis[-1] for axis in axes], (7, 8, 3)).astype(np.float32)
    volume = anatomy.Volume(values, origin, 2.0)
    assert volume.at(inside) == pytest.approx(RegularGridInterpolator(axes, values)(inside), abs=1e-5)
    corners = np.array([[-3, 1, 10], [3, 11, 18]], np.float32)
    assert volume.at(corners) == pytest.approx([values[0, 0, 0], values[-1, -1, -1]])
    beyond = corners + np.array([[-50], [50]], np.float32)
    assert volume.at(beyond) == pytest.approx(volume.at(corners))  # the nearest edge


def test_enlarged_keeps_what_is_linear() -> None:
    def plane(count: int) -> np.ndarray:
        down, right = np.meshgrid(*[np.linspace(0, 1, count, dtype=np.float32)] * 2, indexing="ij")
        return np.stack([2 * down - right, 5 + right], axis=-1)

    assert enlarged(plane(5), 33) == pytest.approx(plane(33), abs=1e-5)


def test_pixels_lie_evenly_around_the_origin() -> None:
    still = acquisition.Pose(*(np.array(each, np.float32) for each in ([1, 2, 3], [1, 0, 0], [0, 0, -1])), scale=1.125)
    points = acquisition.points_of(still, 4)
    assert points[1, 2] == pytest.approx([1 + 25, 2, 3 + 25])  # 200 mm in four pixels of 50: the middles are 25 mm off
    assert points[3, 0] == pytest.approx([1 - 75, 2, 3 - 75])
    assert acquisition.points_of(still, 4, 2) == pytest.approx(points[::3, ::3])


def test_depth_is_in_millimetres_from_the_brains_edge_outwards() -> None:
    """To the right, to the front and upwards nothing is bridged; smoothing cuts the outermost tips."""
    from nilearn.datasets import load_mni152_brain_mask

    image = load_mni152_brain_mask(resolution=1)
    brain = np.argwhere(np.asarray(image.dataobj) > 0) + image.affine[:3, 3]
    depth = anatomy.template().depth
    for axis in range(3):
        furthest = brain[brain[:, axis].argmax()].astype(np.float32)
        step = np.eye(3, dtype=np.float32)[axis]
        for away in (0, 6, 12):
            assert depth.at(furthest + away * step) == pytest.approx(-away, abs=2.5)


@pytest.mark.parametrize("kind", list(lesions.DRAW))
def test_few_nodes_draw_what_every_pixel_by_itself_does(kind: str) -> None:
    rng = np.random.default_rng(1)
    head, lesion = anatomy.draw_head(rng), lesions.DRAW[kind](rng)
    for plane in acquisition.PLANES:
        pose = acquisition.draw_pose(rng, plane, lesion.centre)
        points = anatomy.to_template(head, acquisition.points_of(pose, 128))
        nodes = anatomy.to_template(head, acquisition.points_of(pose, 128, NODES))
        assert np.linalg.norm(enlarged(nodes, 128) - points, axis=-1).max() < 0.8  # mm, of 1.6 to 2 a pixel
        depth = anatomy.template().depth.at(points)
        healthy = anatomy.tissue(head, points, depth)
        diseased, mask = lesions.apply(lesion, points, healthy, depth)
        found = render(head, lesion, pose, 128)
        assert (found.mask != mask).sum() <= 0.06 * mask.sum()
        for quick, slow in ((found.healthy, healthy), (found.diseased, diseased)):
            # Edges move by a small part of a pixel: a few pixels change from one tissue to the next, the others hardly.
            assert (np.abs(quick - slow) > 0.1).mean() < 0.01
            assert np.median(np.abs(quick - slow)[slow > 0]) < 0.01

"""A volume on the grid of its head, whatever the order of its axes, its spacing and its field of view."""

import itertools

import numpy as np
import pytest

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.volumes.fitting import Placed, grid_around, head_of, resampled, standardised

RADII = np.array([70.0, 90.0, 65.0])  # mm of an ellipsoid along right, front and head
MARK = np.array([40.0, 50.0, 30.0])  # mm from its centre to the middle of something bright: right, front, above
SHAPE = (26, 36, 28)


def scanned(spacing: tuple[float, float, float] = (5.0, 5.0, 5.0), margin: float = 30.0, noise: float = 0.0) -> Placed:
    """An ellipsoid of 100 on 0 with a bright ball in it, its axes running right, front and to the head."""
    counts = [int(2 * (radius + margin) / step) for radius, step in zip(RADII, spacing, strict=True)]
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-(count - 1) / 2 * step for count, step in zip(counts, spacing, strict=True)]
    grid = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1) * np.array(spacing) + affine[:3, 3]
    values = np.where(np.square(grid / RADII).sum(axis=-1) < 1, 100.0, 0.0)
    values += 10 * (grid[..., 0] / RADII[0]) * (values > 0)  # no two sides alike
    values[np.square(grid - MARK).sum(axis=-1) < 15**2] = 200.0
    values += noise * np.random.default_rng(0).standard_normal(values.shape)
    return Placed(values.astype(np.float32), affine)


def fitted(volume: Placed) -> np.ndarray:
    head = head_of(volume)
    grid = grid_around(head, SHAPE)
    return standardised(resampled(volume, grid), resampled(head, grid) > 0.5)


def turned(volume: Placed, order: tuple[int, ...], flips: tuple[int, ...]) -> Placed:
    """The same volume, its axes in another order and some of them run through the other way."""
    values, affine = volume.values.transpose(order), np.eye(4)
    affine[:3, :3] = np.eye(3)[:, order]
    for axis in flips:
        values, way = np.flip(values, axis), np.eye(4)
        way[axis, axis], way[axis, 3] = -1, values.shape[axis] - 1
        affine = affine @ way
    return Placed(values, volume.affine @ affine)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_order_and_the_way_of_the_axes_do_not_matter(order: tuple[int, ...]) -> None:
    volume = scanned()
    straight = fitted(volume)
    for flips in ((), (0,), (1, 2), (0, 1, 2)):
        np.testing.assert_allclose(fitted(turned(volume, order, flips)), straight, atol=1)


def test_the_head_is_above_the_front_above_and_the_right_on_the_left() -> None:
    found = np.argwhere(fitted(scanned()) > 200).mean(axis=0)
    # The box spans the ellipsoid: its middle is that of the grid, whose steps within a slice are 180 mm in 36 voxels.
    steps = np.array([130 / 26, 180 / 36, 180 / 36])
    expected = (np.array(SHAPE) - 1) / 2 + np.array([MARK[2], -MARK[1], -MARK[0]]) / steps
    np.testing.assert_allclose(found, expected, atol=1.1)


def test_an_axis_of_many_voxels_may_run_either_way() -> None:
    volume = scanned((2.5, 2.0, 5.0), margin=20.0)
    assert max(volume.values.shape) > 96
    straight = fitted(volume)
    for flips in ((1,), (0, 1), (0, 1, 2)):
        differing = np.abs(fitted(turned(volume, (0, 1, 2), flips)).astype(int) - straight) > 10
        assert differing.mean() < 0.01


@pytest.mark.parametrize("degrees", [10, 20, 45])
def test_the_box_of_a_head_does_not_grow_where_slices_are_tilted(degrees: float) -> None:
    """The ellipsoid's own extents along the patient's axes, in mm."""
    angle, step = np.radians(degrees), 4.0
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = np.eye(4)
    affine[:3, :3] = step * turn
    affine[:3, 3] = -affine[:3, :3] @ [31.5, 31.5, 31.5]
    mm = np.stack(np.meshgrid(*[np.arange(64)] * 3, indexing="ij"), axis=-1) @ affine[:3, :3].T + affine[:3, 3]
    values = np.where(np.square(mm / RADII).sum(axis=-1) < 1, 100.0, 0.0) * np.random.default_rng(0).uniform(
        0.8, 1, [64] * 3
    )
    grid = grid_around(head_of(Placed(values, affine)), (26, 36, 28))
    deep, high, _ = np.linalg.norm(grid.affine[:3, :3], axis=0)
    assert 26 * deep == pytest.approx(2 * RADII[2], abs=2.5 * step)
    assert 36 * high == pytest.approx(2 * RADII[1], abs=2.5 * step)


def test_of_a_head_cut_out_and_normalised_what_is_0_is_air() -> None:
    volume = scanned()
    inside = volume.values > 0
    normal = np.where(inside, volume.values - volume.values[inside].mean(), 0.0)
    for nothing in (0.0, np.nan):
        head = head_of(Placed(np.where(inside, normal, nothing), volume.affine)).values
        assert (head != inside).mean() < 0.001


def test_few_thick_slices_fill_the_grid_to_their_edges() -> None:
    values = np.random.default_rng(0).uniform(80, 120, (30, 30, 3))
    values[:3] = values[-3:] = values[:, :3] = values[:, -3:] = 0
    grays = fitted(Placed(values, np.diag([5.0, 5, 40, 1])))
    assert (grays.max(axis=(1, 2)) > 0).all()


def test_what_is_smaller_than_a_voxel_is_said() -> None:
    volume = scanned()
    head = head_of(volume)
    grid = grid_around(head, SHAPE, (900.0, 900.0, 900.0))
    with pytest.raises(CorruptImageError, match="smaller than a voxel"):
        standardised(resampled(volume, grid), resampled(head, grid) > 0.5)


def test_spacing_and_field_of_view_do_not_matter() -> None:
    fine = fitted(scanned()).astype(float)
    for other in (scanned((2.5, 2.5, 2.5)), scanned((3.0, 3.0, 6.0)), scanned(margin=60.0), scanned(noise=3.0)):
        found = fitted(other).astype(float)
        assert ((found > 0) != (fine > 0)).mean() < 0.06  # edges fall between voxels differently
        assert np.corrcoef(found.ravel(), fine.ravel())[0, 1] > 0.92


def test_a_given_spacing_is_kept() -> None:
    grid = grid_around(head_of(scanned()), SHAPE, (7.0, 4.0, 6.0))
    assert np.linalg.norm(grid.affine[:3, :3], axis=0).tolist() == [7.0, 4.0, 6.0]
    np.testing.assert_allclose(grid.affine[:3] @ [*((np.array(SHAPE) - 1) / 2), 1], 0, atol=3)  # the ellipsoid's centre


def test_the_head_has_its_mean_and_its_deviation_and_the_air_nothing() -> None:
    rng = np.random.default_rng(0)
    values, head = rng.normal(700, 90, (20, 20, 20)).astype(np.float32), np.zeros((20, 20, 20), bool)
    head[4:16, 4:16, 4:16] = True
    grays = standardised(values, head)
    assert not grays[~head].any()
    assert grays[head].mean() == pytest.approx(128, abs=1)
    assert grays[head].std() == pytest.approx(42.5, rel=0.02)
    np.testing.assert_array_equal(standardised(3 * values + 50, head), grays)  # whatever the scanner's scale


def test_holes_belong_to_the_head_and_what_lies_apart_does_not() -> None:
    volume = scanned()
    values = volume.values.copy()
    middle = tuple(length // 2 for length in values.shape)
    values[tuple(slice(place - 2, place + 3) for place in middle)] = 0
    values[:2, :2, :2] = 150
    head = head_of(Placed(values, volume.affine)).values
    assert head[middle]
    assert not head[0, 0, 0]


@pytest.mark.parametrize("values", [np.zeros((9, 9, 9)), np.full((9, 9, 9), np.nan), np.full((9, 9, 9), 7)])
def test_where_there_is_nothing_to_see_it_is_said(values: np.ndarray) -> None:
    with pytest.raises(CorruptImageError, match="nothing to see"):
        head_of(Placed(values, np.eye(4)))


def test_values_that_are_no_numbers_are_air() -> None:
    volume = scanned()
    values = volume.values.copy()
    values[values == 0] = np.nan
    np.testing.assert_array_equal(fitted(Placed(values, volume.affine)), fitted(volume))

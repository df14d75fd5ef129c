"""What is measured on pictures, against numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from brain_tumor.auditing.image_features import ImageFeatures, image_features
from brain_tumor.data.cache import Contents


def measured(*pictures: np.ndarray, sizes: list[tuple[int, int]] | None = None) -> ImageFeatures:
    """Of square gray pictures."""
    pixels = np.repeat(np.stack(pictures).astype(np.uint8)[..., None], 3, axis=3)
    table = pd.DataFrame(sizes or [picture.shape for picture in pictures], columns=["width", "height"])
    return image_features(Contents(pixels, table), workers=2)


def test_a_frame_has_the_borders_it_was_given() -> None:
    picture = np.zeros((20, 20))
    picture[2:17, 4:19] = 200  # 2 above, 3 below, 4 to the left, 1 to the right
    found = measured(picture)
    assert found.border[0].tolist() == pytest.approx([0.1, 0.15, 0.2, 0.05, 0, 0, 0, 1])


def test_a_bright_rim() -> None:
    found = measured(np.full((20, 20), 50), np.zeros((20, 20)))
    assert found.border[0].tolist() == pytest.approx([0, 0, 0, 0, 50, 0, 50, 0])
    assert found.border[1].tolist() == pytest.approx([1, 1, 1, 1, 0, 0, 0, 1])


def test_statistics_of_a_picture_of_two_grays() -> None:
    picture = np.zeros((10, 10))
    picture[:5, :4] = 250  # a fifth: mean 50, variance 250 * 250 * 0.2 * 0.8 = 100 * 100
    assert measured(picture).statistics[0].tolist() == pytest.approx([50, 100, 250, 250, 0.8])


def test_contrast_leaves_the_padding_out() -> None:
    wide = np.zeros((20, 20))
    wide[5:15] = 120  # a picture of 40 x 20, all of one gray, fitted into the square
    flat, padded = measured(wide, sizes=[(20, 20)]), measured(wide, sizes=[(40, 20)])
    assert flat.contrast[0] == 120
    assert padded.contrast[0] == 0


def test_thumbnails_are_area_averages() -> None:
    picture = np.zeros((32, 32))
    picture[:2, :2] = [[0, 100], [100, 200]]
    thumbnail = measured(picture).thumbnails[0]
    assert thumbnail.shape == (16, 16)
    assert thumbnail[0, 0] == 100
    assert thumbnail.sum() == 100


def test_undecoded_pictures_do_no_harm() -> None:
    assert measured(np.zeros((20, 20)), sizes=[(0, 0)]).contrast[0] == 0

"""What there is to try the page with."""

import numpy as np

from brain_tumor.data.classes import STANDARD
from brain_tumor.data.scans.opening import open_scan
from brain_tumor.serving.review_page.examples import VOLUME_SLICES, examples


def test_a_slice_of_each_class_and_a_volume_all_labelled_synthetic() -> None:
    found = examples()
    assert [each.label for each in found] == [f"SYNTHETIC {name}" for name in (*STANDARD.names, "volume")]
    assert all(each.name.startswith("SYNTHETIC") for each in found)
    scans = [open_scan(each.content) for each in found]
    assert [scan.count for scan in scans] == [1, 1, 1, 1, VOLUME_SLICES]
    assert (scans[-1].kind, scans[-1].plane) == ("nifti", "axial")
    middle = np.asarray(scans[-1].picture(VOLUME_SLICES // 2))
    assert 20 < middle.mean() < 120
    assert middle[middle.shape[0] // 2].max() > 100

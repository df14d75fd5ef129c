"""A data set of nine images, small enough to count by hand."""

import numpy as np
import pandas as pd

# path, label, part, site, sha256, digest, twin, patient, width, height, mode, contrast, error
ROWS = [
    ("a", "glioma", "train", "A", "s1", "d1", "t1", "P", 8, 8, "L", 200.0, ""),
    ("b", "glioma", "train", "A", "s1", "d1", "t1", "P", 8, 8, "L", 200.0, ""),  # byte-identical to a
    ("c", "glioma", "test", "A", "s2", "d1", "t1", "P", 8, 8, "RGB", 200.0, ""),  # pixel-identical to a and b
    ("d", "glioma", "test", "A", "s3", "d3", "t1", "", 8, 8, "L", 200.0, ""),  # re-windowed a
    ("e", "meningioma", "test", "A", "s4", "d4", "t1", "Q", 8, 8, "L", 200.0, ""),  # mirrored d, nothing else
    ("f", "notumor", "train", "B", "s5", "d5", "t5", "Q", 9, 8, "L", 90.0, ""),
    ("g", "notumor", "val", "B", "s6", "d6", "t5", "", 9, 8, "L", 16.0, ""),  # turned f, mirrored f: two edges
    ("h", "pituitary", "test", "B", "s7", "d7", "t7", "R", 9, 8, "L", 15.0, ""),
    ("i", "pituitary", "test", "B", "s8", "", "", "", 0, 0, "", np.nan, "the file is empty"),
]
COLUMNS = "path label part site sha256 digest twin patient width height mode contrast error".split()  # noqa: SIM905
EDGES = pd.DataFrame(
    [
        ("s1", "s2", "identical", 1.0),
        ("s1", "s3", "same", 0.95),
        ("s2", "s3", "same", 0.95),
        ("s3", "s4", "mirrored", 0.9),
        ("s5", "s6", "turned", 0.88),
        ("s5", "s6", "mirrored", 0.88),
    ],
    columns=["a", "b", "kind", "score"],
)

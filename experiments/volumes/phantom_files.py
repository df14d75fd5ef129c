"""SYNTHETIC heads as files, OUT/{val,test}/CLASS/SUBJECT/SUBJECT.nii.gz, of other subjects than any phantom's default.

python experiments/volumes/phantom_files.py OUT
"""

import shutil
import sys
import tempfile
from pathlib import Path

from brain_tumor.config.train import PhantomConfig
from brain_tumor.data.image_table import read_phantom
from brain_tumor.data.phantom import ensure_phantom

HEADS = PhantomConfig(subjects=240, slices_per_subject=None, test_fraction=0.5, size=96, seed=1)


def write(out: Path) -> None:
    with tempfile.TemporaryDirectory() as cache:
        folder = ensure_phantom(HEADS, Path(cache), workers=2)
        for row in read_phantom(folder).itertuples():
            place = out / {"train": "val"}.get(str(row.part), str(row.part)) / str(row.label) / str(row.group)
            place.mkdir(parents=True)
            shutil.copyfile(folder / str(row.path), place / f"{row.group}.nii.gz")


if __name__ == "__main__":
    write(Path(sys.argv[1]))

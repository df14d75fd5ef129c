"""What two runs say of slices of `notumor`, six of which it draws.

    python experiments/evidence/healthy.py OUT.png 'ORDINARY EVIDENCE' DIR

The two ids are of parents of five folds. The slices were picked by eye from all 309 that these test: in those of MASS
something takes up room or contrast as a tumour might.
"""

import sys
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from brain_tumor.config.train import TrackingConfig
from brain_tumor.tracking.predictions import read_predictions
from brain_tumor.tracking.store import open_store

MASS = [
    "Tr-no_0087", "Te-no_0020", "Te-no_0033", "Tr-no_1074", "Tr-no_0991", "Tr-no_0076", "Te-no_0262",
    "Tr-no_0585", "Tr-no_0086", "Te-no_0092", "Tr-no_0382", "Tr-noTr_0001", "Te-no_0098", "Tr-no_0756",
    "Tr-no_0230", "Tr-no_0133", "Te-no_0035", "Te-no_0059", "Tr-no_0032", "Tr-no_0207", "Tr-no_0990",
    "Tr-no_1362", "Tr-no_0377",
]  # fmt: skip
CT = [
    "Te-no_0092", "Te-no_0086", "Te-no_0011", "Te-noTr_0000", "Te-noTr_0005", "Te-noTr_0009", "Te-no_0012",
    "Te-no_0036", "Te-no_0040", "Te-no_0043", "Te-no_0051", "Te-no_0056", "Te-no_0058", "Te-no_0059",
    "Te-no_0063", "Te-no_0094", "Te-no_0096", "Tr-no_0010", "Tr-no_0233",
]  # fmt: skip
SHOWN = 6
SIDE = 96  # pixels


def main(out: Path, run_ids: list[str], root: Path) -> None:
    open_store(TrackingConfig(None, "brain-tumor", None, "mlruns/checkpoints", False))
    heads = ("ordinary", "evidence")
    answers = pd.DataFrame({name: _answers(run_id) for name, run_id in zip(heads, run_ids, strict=True)})
    for title, slices in (("something like a mass", MASS), ("computed tomography", CT), ("all", answers.index)):
        healthy = (answers.loc[list(slices)] == "notumor").sum()
        print(
            f"{title}: {len(slices)} slices, called notumor: ordinary {healthy.ordinary}, evidence {healthy.evidence}"
        )
    figure = Figure(figsize=(SHOWN * 1.6, 2.4), layout="constrained")
    for axes, name in zip(figure.subplots(1, SHOWN), MASS, strict=False):
        part = "Testing" if name.startswith("Te") else "Training"
        image = Image.open(root / part / "notumor" / f"{name}.jpg").convert("L").resize((SIDE, SIDE))
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        axes.set_title(f"{name}\nordinary: {answers.ordinary[name]}\nevidence: {answers.evidence[name]}", fontsize=7)
        axes.axis("off")
    figure.savefig(out, dpi=110, bbox_inches="tight")


def _answers(run_id: str) -> pd.Series:
    """The class that each slice of `notumor` was called, by the name of its file."""
    found = read_predictions(run_id, "test")
    called = pd.Series(found.predictions, [Path(path).stem for path in found.rows["path"]])
    return called.map(dict(enumerate(found.classes)))[(found.rows["label"] == "notumor").to_numpy()]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2].split(), Path(sys.argv[3]))

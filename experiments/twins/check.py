"""How right an audit's twins are: python experiments/twins/check.py REPORT ROOT PATIENTS OUT.

REPORT is the folder `report` that `python -m brain_tumor.audit` logs, ROOT the images, PATIENTS a CSV with the columns
path and figshare_id (the slice that an image was made from, where known). Over all pairs of images whose slice is known
it prints precision and recall; of the other pairs it draws 200 at random into OUT, for a person to look at.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from PIL import Image

SAMPLE, ACROSS, DOWN, SIDE = 200, 5, 10, 96


def against_ids(images: pd.DataFrame, known: pd.Series) -> None:
    rows = images.assign(source=images["path"].map(known)).dropna(subset=["source"])
    joined, there_are, right = (of_pairs(rows.groupby(by).size()) for by in ("twin", "source", ["twin", "source"]))
    print(f"{len(rows)} images of {rows['source'].nunique()} known slices: {there_are} pairs of one slice")
    print(f"joined: {joined} pairs, {right} of them of one slice", end=": ")
    print(f"recall {right / there_are:.4f}, precision {right / joined:.4f}")


def of_pairs(sizes: pd.Series) -> int:
    return int((sizes * (sizes - 1) // 2).sum())


def draw(pairs: pd.DataFrame, root: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    per_sheet = ACROSS * DOWN
    for sheet, start in enumerate(range(0, len(pairs), per_sheet)):
        figure, axes = plt.subplots(DOWN, 2 * ACROSS, figsize=(2 * ACROSS, 1.25 * DOWN), dpi=SIDE)
        for axis in axes.flat:
            axis.axis("off")
        for place, row in enumerate(pairs.iloc[start : start + per_sheet].itertuples()):
            for side, path in enumerate((row.path, row.other)):
                axis = axes.flat[2 * place + side]
                with Image.open(root / path) as image:
                    axis.imshow(image.convert("L").resize((SIDE, SIDE)), cmap="gray", vmin=0, vmax=255)
            axes.flat[2 * place].set_title(f"{start + place}: {row.kind} {row.score:.3f}", fontsize=6, loc="left")
        figure.tight_layout(pad=0.2)
        figure.savefig(out / f"sample-{sheet}.png")
        plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("report", "root", "patients", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    pairs = pd.read_csv(given.report / "tables" / "pairs.csv")
    known = pd.read_csv(given.patients, dtype=str).dropna(subset=["figshare_id"]).set_index("path")["figshare_id"]
    against_ids(pd.read_csv(given.report / "tables" / "images.csv"), known)
    other = pairs[
        ~(pairs["path"].isin(known.index) & pairs["other"].isin(known.index)) & (pairs["kind"] != "identical")
    ]
    print(f"of the {len(other)} other pairs that are not pixel-identical, {SAMPLE} are drawn into {given.out}")
    draw(other.sample(SAMPLE, random_state=0).sort_values("score"), given.root, given.out)


if __name__ == "__main__":
    main()

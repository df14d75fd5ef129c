"""How far may a copy differ and still be found? Prints shares of planted copies: python experiments/twins/limits.py."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from brain_tumor.config.train import PhantomConfig
from brain_tumor.data.cache import hash_files
from brain_tumor.data.phantom import ensure_phantom
from brain_tumor.data.twins import find_twins

PHANTOM = PhantomConfig(subjects=20, slices_per_subject=4, size=224, seed=5)


def cropped(image: Image.Image, share: float) -> Image.Image:
    """Without that share of the image's side on each of its four sides."""
    cut = round(share * image.width)
    return image.crop((cut, cut, image.width - cut, image.height - cut))


def cropped_left(image: Image.Image, share: float) -> Image.Image:
    return image.crop((round(share * image.width), 0, image.width, image.height))


def shifted(image: Image.Image, share: float) -> Image.Image:
    pixels = share * image.width
    return image.transform(image.size, Image.Transform.AFFINE, (1, 0, pixels, 0, 1, pixels))


def rotated(image: Image.Image, degrees: float) -> Image.Image:
    return image.rotate(degrees, Image.Resampling.BICUBIC)


CHANGES: tuple[tuple[str, Callable[[Image.Image, float], Image.Image], tuple[float, ...]], ...] = (
    ("cropped on four sides by (share of the side)", cropped, (0.02, 0.04, 0.06, 0.08)),
    ("cropped on one side by", cropped_left, (0.03, 0.06, 0.12)),
    ("shifted both ways by", shifted, (0.01, 0.02, 0.04)),
    ("rotated by (degrees)", rotated, (2, 5, 10)),
)


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        root = ensure_phantom(PHANTOM, folder, 2)
        table = pd.read_csv(root / "table.csv", dtype=str, keep_default_na=False)
        originals = [root / path for path in table["path"]]
        for title, change, strengths in CHANGES:
            found = []
            for strength in strengths:
                copies = folder / f"{change.__name__} {strength}"
                copies.mkdir()
                places = [copies / f"{number}.png" for number in range(len(originals))]
                for original, place in zip(originals, places, strict=True):
                    with Image.open(original) as image:
                        change(image, strength).save(place)
                shas, _ = hash_files([*originals, *places], 2)
                graph = find_twins(dict(zip(shas, [*originals, *places], strict=True)), cache=folder, workers=2)
                groups = np.array(graph.groups(shas)).reshape(2, -1)
                found.append(f"{strength:g}: {np.mean(groups[0] == groups[1]):.2f}")
            print(f"{title}  {',  '.join(found)}")


if __name__ == "__main__":
    main()

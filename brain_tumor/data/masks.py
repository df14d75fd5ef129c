"""Lesion masks of real images: a folder with the images' own tree and names, `.png`, or of volumes their formats."""

import hashlib
import io
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from brain_tumor.data.decode import letterbox, to_rgb
from brain_tumor.data.image_files import VOLUMES
from brain_tumor.data.volumes.decoding import mask_complaint
from brain_tumor.errors import InputError
from brain_tumor.lazy import lazy
from brain_tumor.paths import existing_path

cv2 = lazy("cv2")
logger = logging.getLogger(__name__)

MOST = 0.5  # share of its image beyond which a mask is suspect: the largest lesion of the public set covers 0.10


def find_masks(
    folder: str,
    paths: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    *,
    also: Sequence[str] | None = None,
    shas: Sequence[str] | None = None,
    workers: int = 2,
    volumes: Sequence[str] | None = None,
) -> tuple[str, ...]:
    """The mask of each image of `paths`, an absolute path, "" where the folder has none of that name.

    Every mask found is decoded once, so that a broken one shows before there is a run. A mask has two levels at most:
    whatever is not black is the lesion, so the fringe of a smoothed or JPEG-compressed one would be, too. One that
    covers more than half of its image is taken, with a warning.

    Args:
        folder: as typed for `data.masks`.
        paths: (N,) of images, posix, relative to their root; the mask of `a/b.jpg` is `folder/a/b.png`.
        sizes: (N,) width and height of each image, in pixels; a mask may have another size of the same shape.
        also: (N,) the images' other paths, by which a mask is looked for that does not stand under the first.
        shas: (N,) SHA-256 (hex) of the images' files, none of which is its own mask.
        workers: threads that decode.
        volumes: (N,) what is said of the images, which are volumes (`volumes.decoding`): their masks are volumes, too,
            of `a/b.nii.gz` `folder/a/b.nii.gz`, or b in another of their formats.

    Raises:
        InputError: no such folder, a mask of none of the images or of two of them, one that cannot be decoded, whose
            sides are not in the image's proportion, that has more than two levels, or that is its image's own file.
    """
    root = existing_path(folder).absolute()
    if not root.is_dir():
        raise InputError(f"data.masks={folder} is no folder: give the one whose tree and names are those of the images")
    names, there = _looked_for(root, paths, also or (), _name if volumes is None else _volume_name)
    _require_own(folder, paths, names, there)

    def check(row: int) -> tuple[str, float]:
        if not there[row]:
            return "", 0.0
        image = shas[row] if shas else ""
        if volumes is not None:
            return mask_complaint(root / names[row], volumes[row], image)
        return _examined(root / names[row], sizes[row], image)

    with ThreadPoolExecutor(workers) as pool:
        results = pool.map(check, range(len(names)))
        examined = list(tqdm(results, total=len(names), desc="reading masks", disable=None, leave=False))
    for name, (complaint, _) in zip(names, examined, strict=True):
        if complaint:
            raise InputError(f"data.masks={folder}: {name} {complaint}")
    large = [name for name, (_, share) in zip(names, examined, strict=True) if share > MOST]
    if large:
        logger.warning(
            "data.masks=%s: %d of %d masks cover more than half of their image (%s …): is the lesion black in them?",
            *(folder, len(large), sum(there), large[0]),
        )
    logger.info("masks known of %d of %d images (%s)", sum(there), len(paths), root)
    return tuple(str(root / name) if found else "" for name, found in zip(names, there, strict=True))


def _looked_for(
    root: Path, paths: Sequence[str], also: Sequence[str], naming: Callable[[Path, str], str]
) -> tuple[list[str], list[bool]]:
    """The name of each image's mask below `root`, the other one where that alone is there, and whether it is there."""
    names = [naming(root, path) for path in paths]
    there = [(root / name).is_file() for name in names]
    for row, path in enumerate(also):
        if not there[row] and (root / naming(root, path)).is_file():
            names[row], there[row] = naming(root, path), True
    return names, there


def _require_own(folder: str, paths: Sequence[str], names: list[str], there: list[bool]) -> None:
    """Raise InputError where no image has a mask, or two share one."""
    if not any(there):
        example = f"{names[0]} for {paths[0]}" if names else "no image"
        raise InputError(f"data.masks={folder} has a mask of none of the {len(paths)} images (looked for {example})")
    distinct = {path: name for path, name, found in zip(paths, names, there, strict=True) if found}
    counts = Counter(distinct.values())
    name, count = counts.most_common(1)[0]
    if count > 1:
        both = " and ".join(path for path, own in distinct.items() if own == name)
        raise InputError(f"data.masks={folder}: {name} could be the mask of {both}: give the images names of their own")


def read_mask(path: Path, size: int) -> NDArray[np.bool_]:
    """bool (size, size): where a mask is not black, fitted as `decode` fits its image."""
    with Image.open(path) as image:
        fitted = letterbox(to_rgb(image), size, Image.Resampling.NEAREST)
    return np.asarray(np.asarray(fitted).any(axis=-1), dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class PackedMasks:
    """The lesions of n images, a bit a pixel, so that those of a whole training part stay in memory."""

    bits: NDArray[np.uint8]  # (n, ceil(S * S / 8))
    known: NDArray[np.bool_]  # (n,): whether it is known where the lesion is, or that there is none
    side: int  # S

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of all that is known."""
        return hashlib.sha256(self.bits.tobytes() + self.known.tobytes()).hexdigest()

    def __getitem__(self, index: int) -> NDArray[np.bool_] | None:
        """bool (S, S): the lesion of an image; None where it is not known."""
        if not self.known[index]:
            return None
        flat = np.unpackbits(self.bits[index], count=self.side**2)
        return flat.reshape(self.side, self.side).astype(np.bool_)


def on_grid(mask: NDArray[np.bool_] | None, grid: tuple[int, int]) -> NDArray[np.float32]:
    """float32 (h, w, 1): the share of each cell of a grid (h, w) that is lesion; -1 where the mask is not known."""
    if mask is None:
        return np.full((*grid, 1), -1, np.float32)
    shares: NDArray[np.float32] = cv2.resize(mask.astype(np.float32), grid[::-1], interpolation=cv2.INTER_AREA)
    return shares[..., None]


def _name(root: Path, path: str) -> str:
    return PurePosixPath(path).with_suffix(".png").as_posix()


def _volume_name(root: Path, path: str) -> str:
    ending = next((each for each in sorted(VOLUMES, key=len, reverse=True) if path.lower().endswith(each)), "")
    stem = path[: len(path) - len(ending)]
    return next((name for name in (path, *(stem + each for each in VOLUMES)) if (root / name).is_file()), path)


def _examined(path: Path, size: tuple[int, int], image: str) -> tuple[str, float]:
    """What is wrong with a mask and what to do, "" if nothing is; and the share of its pixels that are not black.

    `size` and `image` are its image's width and height, and the SHA-256 of its file.
    """
    remedy = "repair it, or remove it to go without"
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as opened:
            mask = to_rgb(opened)
    except Exception as error:  # as in `decode`: Pillow lets errors of every kind through
        return f"cannot be decoded ({' '.join(str(error).split()) or type(error).__name__}): {remedy}", 0.0
    if hashlib.sha256(content).hexdigest() == image:
        return "is its own image and no mask: give the folder of masks, which is not that of the images", 0.0
    # Half a pixel of the smaller one is what rounding a side may cost.
    if abs(mask.width * size[1] - mask.height * size[0]) > max(*mask.size, *size) / 2:
        shape = f"{mask.width} x {mask.height} pixels, which is not the shape of its image ({size[0]} x {size[1]})"
        return f"is {shape}: {remedy}", 0.0
    levels = mask.getcolors(2)
    if levels is None:
        return "has more than two gray levels, so it is no mask: save masks as black and one level for the lesion", 0.0
    lit = sum(count for count, colour in levels if colour != (0, 0, 0))
    return "", lit / (mask.width * mask.height)

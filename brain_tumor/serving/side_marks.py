"""Letters at the edges of a slice that say which side of the patient is where."""

from PIL import Image, ImageDraw, ImageFont

from brain_tumor.data.scans.geometry import SIDES

SHARE, LEAST = 1 / 18, 8  # height of a letter: of the picture's side, and pixels at least


def marked(picture: Image.Image, plane: str | None) -> Image.Image:
    """A copy of a slice in mode RGB with R, L, A, P, S and I at its edges; the picture itself where no side is known.

    Args:
        picture: as `data.scans` shows it, in the radiological convention.
        plane: axial, coronal or sagittal, where the file says so.
    """
    if plane not in SIDES:
        return picture
    out = picture.copy()
    pen, (width, height) = ImageDraw.Draw(out), out.size
    size = max(LEAST, round(min(out.size) * SHARE))
    edge = max(1, size // 8)
    middle = (width / 2, height / 2)
    places: list[tuple[float, float, str]] = [(edge, middle[1], "lm"), (width - edge, middle[1], "rm")]
    places += [(middle[0], edge, "ma"), (middle[0], height - edge, "md")]
    font = ImageFont.load_default(size)
    for letter, (x, y, anchor) in zip(SIDES[plane], places, strict=True):
        # The dark rim: a letter over a bright scalp is read, too
        pen.text((x, y), letter, "white", font, anchor, stroke_width=edge, stroke_fill="black")
    return out

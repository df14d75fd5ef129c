"""From the bytes of an image file to RGB pixels of one size."""

import hashlib
import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from brain_tumor.data.decompression_limits import MAX_EXIF, OVER_EXIF, SCAN, costly, scanned
from brain_tumor.data.deep_colour import MAX_DEEP, deep_colours, depth_lost, in_planes

DECODE_VERSION = 3  # part of the cache's key: raise it whenever other pixels come out of the same bytes
MAX_PIXELS = 89_478_485  # Pillow's own limit against decompression bombs (a quarter GiB of RGB)
BAND = 2**22  # pixels that are converted at once, so that large pictures do not take many times their own memory
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # it is said in an error
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")  # Pillow's names; its parsers of other formats are never reached


class CorruptImageError(Exception):
    """Why a file gives no pixels."""


@dataclass(frozen=True, eq=False)
class Decoded:
    pixels: NDArray[np.uint8]  # (size, size, 3) RGB 0..255
    digest: str  # SHA-256 (hex) of the RGB pixels in the file's own size: equal for equal pictures
    width: int  # of the file's picture, in pixels
    height: int
    mode: str  # Pillow's name of the file's own mode: L, RGB, P, CMYK, I;16 ...


def decode(content: bytes, size: int) -> Decoded:
    """Decode an image and fit it, undistorted, into a black square of `size` pixels a side.

    The first frame, turned as its EXIF orientation says; transparency is laid on black; images of more than
    8 bits a sample (modes I;16, I and F; gray with alpha, RGB and RGBA of 16 bits) are scaled linearly from their own
    minimum..maximum, of all colours together, to 0..255.

    Raises:
        CorruptImageError: empty, truncated, no image, more than MAX_PIXELS pixels, or far more costly than its pixels.
    """
    picture, mode = open_picture(content)
    native = np.asarray(picture)
    digest = hashlib.sha256(repr(native.shape).encode() + native.tobytes()).hexdigest()
    pixels = np.asarray(letterbox(picture, size, Image.Resampling.BILINEAR))
    return Decoded(pixels, digest, picture.width, picture.height, mode)


def open_picture(content: bytes) -> tuple[Image.Image, str]:
    """The picture in a file, in its own size and in mode RGB by the rules of `decode`, and Pillow's name of its mode.

    Raises:
        CorruptImageError: as `decode`.
    """
    if not content:
        raise CorruptImageError("the file is empty")
    if reason := costly(content):
        raise CorruptImageError(reason)
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise CorruptImageError(_too_large(f"{image.width} x {image.height}"))
            # Pillow calls a JPEG with an index of pictures (CIPA DC-007) MPO
            jpeg = image.format in ("JPEG", "MPO")
            if jpeg and (reason := scanned(content.count(SCAN), image.width * image.height)):
                raise CorruptImageError(reason)
            mode = image.mode
            if in_planes(image):
                raise CorruptImageError("a TIFF file with colours of 16 bits in planes: save it pixel by pixel")
            if depth_lost(image):
                return _deep(content, image), mode
            image.load()
            if len(image.info.get("exif", b"")) > MAX_EXIF:
                raise CorruptImageError(OVER_EXIF)
            ImageOps.exif_transpose(image, in_place=True)
            return to_rgb(image), mode
    except CorruptImageError:
        raise
    except Image.DecompressionBombError:
        raise CorruptImageError(_too_large("its size")) from None
    except UnidentifiedImageError:
        raise CorruptImageError("not an image that can be read") from None
    # On damaged files Pillow lets errors of every kind through: OSError, SyntaxError, struct.error ...
    except Exception as error:
        raise CorruptImageError(" ".join(str(error).split()) or type(error).__name__) from error


def to_rgb(image: Image.Image) -> Image.Image:
    """The same picture in mode RGB, by the rules that `decode` states."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_to_8_bit(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        return _on_black(image)
    return image.convert("RGB")


def letterbox(image: Image.Image, size: int, resample: Image.Resampling) -> Image.Image:
    """Fit `image`, undistorted and centred, into a black square of `size` pixels a side."""
    fitted = fitted_size(image.width, image.height, size)
    inner = image if fitted == image.size else image.resize(fitted, resample)
    if fitted == (size, size):
        return inner
    square = Image.new(image.mode, (size, size), 0)
    square.paste(inner, ((size - fitted[0]) // 2, (size - fitted[1]) // 2))
    return square


def fitted_size(width: int, height: int, size: int) -> tuple[int, int]:
    """Width and height, in pixels, that `letterbox` gives a picture inside its square."""
    scale = size / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _deep(content: bytes, opened: Image.Image) -> Image.Image:
    if opened.width * opened.height > MAX_DEEP:
        size = f"{opened.width} x {opened.height}"
        raise CorruptImageError(f"too large: {size} is over the limit of {MAX_DEEP:,} pixels for colours of 16 bits")
    colours, image = deep_colours(content, FORMATS)
    if len(image.info.get("exif", b"")) > MAX_EXIF:
        raise CorruptImageError(OVER_EXIF)
    rgb = Image.fromarray(_to_8_bit(colours)).convert("RGB")
    rgb.getexif().update(image.getexif())  # how it is to be turned
    ImageOps.exif_transpose(rgb, in_place=True)
    return rgb


def _on_black(image: Image.Image) -> Image.Image:
    laid = Image.new("RGB", image.size)
    rows = max(1, BAND // image.width)
    for top in range(0, image.height, rows):
        layer = image.crop((0, top, image.width, min(top + rows, image.height))).convert("RGBA")
        laid.paste(Image.alpha_composite(Image.new("RGBA", layer.size, (0, 0, 0, 255)), layer).convert("RGB"), (0, top))
    return laid


def _to_8_bit(values: NDArray[Any]) -> NDArray[np.uint8]:
    flat, gray = values.reshape(-1), np.zeros(values.size, np.uint8)
    bands = [slice(start, start + BAND) for start in range(0, values.size, BAND)]
    low, high = np.inf, -np.inf
    for band in bands:
        finite = flat[band][np.isfinite(flat[band])]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if high <= low:
        return gray.reshape(values.shape)
    for band in bands:
        scaled = (flat[band].astype(np.float64) - low) / (high - low)
        gray[band] = np.rint(np.nan_to_num(scaled, nan=0.0, posinf=1.0, neginf=0.0) * 255)
    return gray.reshape(values.shape)


def _too_large(what: str) -> str:
    return f"too large: {what} is over the limit of {MAX_PIXELS:,} pixels"

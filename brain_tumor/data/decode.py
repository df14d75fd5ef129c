"""From the bytes of an image file to RGB pixels of one size."""

import hashlib
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

DECODE_VERSION = 2  # part of the cache's key: raise it whenever other pixels come out of the same bytes
MAX_PIXELS = 89_478_485  # Pillow's own limit against decompression bombs (a quarter GiB of RGB)
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
    8 bits a sample (modes I;16, I and F) are scaled linearly from their own minimum..maximum to 0..255.

    Raises:
        CorruptImageError: empty, truncated, no image, or more than MAX_PIXELS pixels.
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
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise CorruptImageError(_too_large(f"{image.width} x {image.height}"))
            mode = image.mode
            return to_rgb(ImageOps.exif_transpose(image)), mode
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
        return Image.fromarray(_to_8_bit(np.asarray(image, dtype=np.float64))).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, (0, 0, 0, 255)), layer).convert("RGB")
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


def _to_8_bit(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    if high == low:
        return np.zeros(values.shape, np.uint8)
    scaled = np.nan_to_num((values - low) / (high - low), nan=0.0, posinf=1.0, neginf=0.0)
    return np.asarray(np.rint(scaled * 255), np.uint8)


def _too_large(what: str) -> str:
    return f"too large: {what} is over the limit of {MAX_PIXELS:,} pixels"

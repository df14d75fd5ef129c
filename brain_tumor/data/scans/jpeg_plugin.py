"""A decoder of JPEG in its rarer forms, JPEG-LS and JPEG 2000 for pydicom: imagecodecs.

It brings libjpeg-turbo, which has 12-bit and lossless JPEG since its version 3, CharLS and OpenJPEG in one wheel, all
under BSD licences. pydicom's own plugins would need three packages for the same: GDCM (BSD) decodes lossless JPEG with
a patched libjpeg of 1998, and no 12-bit JPEG; pylibjpeg-libjpeg, which has both, is under the GPL, and never asked for.
"""

from typing import TYPE_CHECKING, Any

from brain_tumor.lazy import lazy

imagecodecs = lazy("imagecodecs")

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import DecodeRunner

NAME = "imagecodecs"
# Transfer syntaxes (PS3.6, A.1); 8-bit JPEG Baseline is left to Pillow, which is always there
JPEG = ("1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91", *(f"1.2.840.10008.1.2.4.20{i}" for i in (1, 2, 3)))
DECODER_DEPENDENCIES = dict.fromkeys((*JPEG, *JPEG_LS, *JPEG_2000), ("imagecodecs>=2026.1",))


def is_available(syntax: str) -> bool:
    """Whether the plugin can be used; pydicom asks."""
    try:
        return all(each.available for each in (imagecodecs.JPEG8, imagecodecs.JPEGLS, imagecodecs.JPEG2K))
    except ImportError:
        return False


def decode_frame(source: bytes, runner: "DecodeRunner") -> bytes:
    """The values of a compressed frame, as pydicom wants them of a decoding plugin.

    Raises whatever imagecodecs raises of damaged ones.
    """
    values: Any
    if runner.transfer_syntax in JPEG_2000:
        values = imagecodecs.jpeg2k_decode(source)
        # OpenJPEG has undone the colour transform (PS3.5, 8.2.4)
        if runner.photometric_interpretation in ("YBR_ICT", "YBR_RCT"):
            runner.set_option("photometric_interpretation", "RGB")
    elif runner.transfer_syntax in JPEG_LS:
        values = imagecodecs.jpegls_decode(source)
    else:
        # Named alike on both sides, so that no colours are converted: pydicom does it, by what the header says of them
        space = "RGB" if runner.samples_per_pixel == 3 else None
        values = imagecodecs.jpeg8_decode(source, colorspace=space, outcolorspace=space)
    runner.set_option("bits_allocated", 8 * values.dtype.itemsize)
    runner.set_option("planar_configuration", 0)
    return bytes(values.tobytes())

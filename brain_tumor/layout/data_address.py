"""Images as `data:` addresses, which a page holds in itself: nothing of them is ever a file."""

import base64
import io

from PIL import Image


def address(image: Image.Image) -> str:
    """The `data:` address of an image, as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return png_address(buffer.getvalue())


def png_address(content: bytes) -> str:
    """The `data:` address of the content of a PNG file."""
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"

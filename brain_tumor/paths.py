"""Paths as users type them."""

import os
from pathlib import Path


def existing_path(text: str) -> Path:
    """The path as typed where it exists, otherwise with a leading `~` expanded."""
    path = Path(text)
    if os.path.lexists(path) or not text.startswith("~"):
        return path
    return Path(os.path.expanduser(text))

"""The networks within a classifier: one that was built here is one, an ensemble has several, side by side."""

import re
from typing import Any

_LOGITS = re.compile(r"(member\d+_)logits")


def prefix(number: int) -> str:
    """What stands before the names of all layers of an ensemble's member, counted from 1."""
    return f"member{number}_"


def prefixes(model: Any) -> list[str]:
    """The `prefix` of each member, in their order; of a single network "" alone."""
    found = filter(None, (_LOGITS.fullmatch(layer.name) for layer in model.layers))
    return sorted((each[1] for each in found), key=lambda text: (len(text), text)) or [""]

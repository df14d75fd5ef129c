"""Which of the keys and names that there are somebody may have meant."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any


def nearest(text: str, known: Iterable[str]) -> str:
    """`; nearest: …`, those that are spelt alike as a whole or in what follows the last dot; nothing where none is."""
    known = list(known)
    ends: dict[str, list[str]] = {}
    for each in known:
        ends.setdefault(each.rpartition(".")[2], []).append(each)
    alike = get_close_matches(text, known, n=3)
    alike += [each for end in get_close_matches(text.rpartition(".")[2], ends, cutoff=0.8) for each in ends[end]]
    return f"; nearest: {', '.join(list(dict.fromkeys(alike))[:3])}" if alike else ""


def dotted_keys(values: Any, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a configuration, of mappings and of what they hold; not a sweep's, which hold dots."""
    for key, value in values.items() if isinstance(values, dict) else ():
        if "." in str(key):
            continue
        yield f"{prefix}{key}"
        yield from dotted_keys(value, f"{prefix}{key}.")

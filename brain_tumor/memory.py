"""What an error says of memory that there was not, whichever library raised it."""

import re

from brain_tumor.errors import InputError

_TELLING = re.compile(r"\bOOM\b|memory|allocat", re.IGNORECASE)


def shortage(error: BaseException) -> str:
    """`out of memory (…)` in one line, where that is what Python, NumPy, TensorFlow or CUDA say; empty otherwise."""
    kinds = {each.__name__ for each in type(error).__mro__}  # by name: TensorFlow need not have been imported
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if _TELLING.search(line)]  # TensorFlow begins with where, at length
    short = "MemoryError" in kinds or ("ResourceExhaustedError" in kinds and telling)
    if isinstance(error, InputError) or not (short or "out of memory" in str(error).lower()):
        return ""
    return f"out of memory ({': '.join([type(error).__name__, *(telling or lines)[:1]])[:300]})"

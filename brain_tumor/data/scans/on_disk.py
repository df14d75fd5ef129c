"""Files on disk: what one holds, and the file beside a header that holds its values."""

from collections.abc import Callable
from pathlib import Path

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.scan import Limits

Beside = Callable[[str], bytes]  # the content of the file beside a header that the header names


def read_content(path: Path, limits: Limits) -> bytes:
    """The bytes of a file, or as many as are over the limit; CorruptImageError where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(limits.file_bytes + 1)
    except OSError as error:
        raise CorruptImageError(error.strerror or str(error)) from error


def beginning(path: Path, size: int) -> bytes:
    """At most so many bytes of a file, from its first. Raises OSError where it cannot be read."""
    with open(path, "rb") as file:
        return file.read(size)


def beside(header: Path, limits: Limits) -> Beside:
    """Reads the file that the header at `header` names, if it lies in the header's folder and nowhere else."""

    def read(name: str) -> bytes:
        path = values_path(header, name)
        if path is None:
            raise CorruptImageError("its header names a file that does not lie beside it, which is not opened")
        content = read_content(path, limits)
        if len(content) > limits.file_bytes:
            raise CorruptImageError(f"too large: its values are over the limit of {limits.file_bytes:,} bytes")
        return content

    return read


def values_path(header: Path, name: str) -> Path | None:
    """Where the file is that a header names for its values; None of one that is not a file in the header's folder."""
    name = name.removeprefix("./")
    if not name or any(each in name for each in "/\\\0"):
        return None
    path = header.parent / name
    return path if path.is_file() and path.resolve().parent == header.parent.resolve() else None


def values_beside(beside: Beside | None, name: str, pair: str, single: str) -> bytes:
    """The values of a header that names another file for them.

    Args:
        beside: gives that file; None: there is only the header, as where a file was sent.
        name: of the file, or of several.
        pair: what the two are called, ".nhdr, .raw".
        single: what one file with both is called.

    Raises:
        CorruptImageError: there is none, or there are several.
    """
    if name.split()[:1] == ["LIST"] or "%" in name:
        raise CorruptImageError(f"a header whose values are in many files: convert them to one {single} file")
    if beside is None:
        raise CorruptImageError(f"half of a pair of files ({pair}): convert the pair to one {single} file")
    return beside(name)

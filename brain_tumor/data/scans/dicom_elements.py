"""Finding a data set in the bytes of a DICOM file, and quiet use of pydicom.

A file's elements name the patient. Nothing of them may reach a log, a terminal or an error: only the elements that
pixels need are read, what pydicom would say is dropped, and errors are in words of our own.
"""

import importlib
import io
import logging
import math
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.scan import Limits

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MISSING = "DICOM needs pydicom: pip install 'brain-tumor[dicom]'"
IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
UIDS = b"1.2.840.10008."  # the root of all that the standard names (PS3.5, 9)
LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}  # PS3.5, 7.1.2
SHORT = {*b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split()}
READS = 400_000  # of a data set, in pieces; an enhanced file of 1,024 frames takes about half
GROUP_2 = 1_000  # elements before the data set; there are about a dozen
CHARACTERS = (b"\x08\0\x05\0", b"\0\x08\0\x05")  # Specific Character Set, which pydicom converts as it reads
# Elements that are converted, and so may hold no more than a few numbers or words; lookup tables are longer
SMALL = 1024  # bytes
SMALL_TAGS = (
    *(0x00080005, 0x00080008, 0x00080016, 0x00080060, 0x0008103E, 0x00089209),
    *(0x00089007, 0x00189082, 0x00189087, 0x00189089, 0x00209128, 0x00209153, 0x00209156),
    *(0x00180010, 0x00180015, 0x00180020, 0x00180080, 0x00180081, 0x00180082, 0x00180086, 0x00181030, 0x00181060),
    *(0x00181164, 0x0020000D, 0x0020000E, 0x00200011, 0x00200012, 0x00200013, 0x00200020, 0x00200032, 0x00200037),
    *(0x00200052, 0x00200100),
    *(0x00280002, 0x00280004, 0x00280006, 0x00280008, 0x00280010, 0x00280011),
    *(0x00280030, 0x00280034, 0x00280100, 0x00280101, 0x00280103, 0x00280120, 0x00280121),
    *(0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00281056, 0x00281101, 0x00281102, 0x00281103, 0x00283002),
)
TABLE = 2 * 65536  # bytes
TABLE_TAGS = (0x00281201, 0x00281202, 0x00281203, 0x00283006)
SIZES = (*((tag, SMALL) for tag in SMALL_TAGS), *((tag, TABLE) for tag in TABLE_TAGS))
ITEMS = 100_000  # of all sequences; pydicom takes more than a kilobyte for each

Result = TypeVar("Result")


def is_dicom(content: bytes) -> bool:
    """Whether it is a DICOM file (PS3.10, 7.1), or a data set of old without the preamble."""
    return content[128:132] == b"DICM" or _is_bare(content)


@dataclass
class Budget:
    """How many more pieces of a file may be read: pydicom takes a thousand times their bytes for the smallest."""

    reads: int = READS


def data_set(
    content: bytes, limits: Limits, tags: list[int], budget: Budget, until: int | None = None
) -> "tuple[str, Dataset]":
    """The transfer syntax of a DICOM file, and those of its elements that `tags` names, up to the tag `until`.

    Raises:
        CorruptImageError: pydicom is missing, the file is damaged, or it unpacks to more than the limit.
    """
    for module in ("filereader", "pixels"):  # now, so that their loggers are there to be silenced
        _pydicom(module)
    syntax, start = _meta(content, 132 if content[128:132] == b"DICM" else 0)
    body = content[start:]
    if syntax == DEFLATED:
        body = _inflate(body, limits.file_bytes)
    if body.count(b"\xfe\xff\x00\xe0") > ITEMS or body.count(b"\xff\xfe\xe0\x00") > ITEMS:
        raise CorruptImageError("a DICOM file with more items than can be true")
    if syntax is None:
        explicit = body[4:6] in LONG | SHORT
        big = explicit and int.from_bytes(body[:2], "little") >= 0x400  # group 4 or more, read the wrong way round
        syntax = BIG_ENDIAN if big else EXPLICIT if explicit else IMPLICIT
    found = guarded(
        "a damaged DICOM file",
        lambda: _pydicom("filereader").read_dataset(
            _Bounded(body, budget),
            syntax == IMPLICIT,
            syntax != BIG_ENDIAN,
            specific_tags=tags,
            stop_when=until and (lambda tag, vr, length: tag > until),
        ),
    )
    return syntax, guarded("a damaged DICOM file", lambda: _bounded(found))


def items(place: "Dataset", tag: int | str, budget: Budget) -> "list[Dataset]":
    """Those of a sequence, none where there is no sequence; for use inside `guarded`."""
    if tag not in place:
        return []
    element: Any = place.get_item(tag)
    if isinstance(element.value, bytes):  # not taken apart so far
        source, implicit, little = element.value, element.is_implicit_VR, element.is_little_endian
        reader = _Bounded(source, budget)
        found = list(_pydicom("filereader").read_sequence(reader, implicit, little, len(source), "iso8859"))
        place.add_new(element.tag, "SQ", found)
    else:
        found = list(element.value or [])
    return [_bounded(each) for each in found]


def words(place: "Dataset", keyword: str) -> list[str]:
    """The words of an element, in capitals, or none. They are the file's: to be looked up, never to be shown."""
    value = place.get(keyword)
    if value is None or value == "":
        return []
    return [str(each).strip().upper() for each in ([value] if isinstance(value, str) else value)]


def numbers(places: "list[Dataset]", keywords: tuple[str, ...]) -> list[float]:
    """The finite numbers of the first of the elements that is there and not empty."""
    for keyword in keywords:
        for place in places:
            value = place.get(keyword)
            if value is not None and value != "":
                numbers = [float(each) for each in (value if np.iterable(value) else [value])]
                if numbers and all(map(math.isfinite, numbers)):
                    return numbers
    return []


def _bounded(place: "Dataset") -> "Dataset":
    """The same, unless pydicom would make millions of Python objects of an element that is asked for."""
    for tag, size in SIZES:
        element: Any = place.get_item(tag)
        if element is not None and isinstance(element.value, bytes) and len(element.value) > size:
            raise CorruptImageError("a DICOM file with a longer element than can be true")
    return place


def guarded(reason: str, act: Callable[[], Result]) -> Result:
    """What `act` gives with pydicom's tongue held; if it fails, an error that says no more than `reason`."""
    try:
        with _quiet():
            return act()
    except CorruptImageError:
        raise
    except Exception:
        pass  # and not `raise … from`: the error may hold an element's value, and logs print what it came from
    raise CorruptImageError(reason)


def _pydicom(module: str) -> Any:
    try:
        return importlib.import_module(f"pydicom.{module}")
    except ImportError:
        pass
    raise CorruptImageError(MISSING)


class _Bounded(io.BytesIO):
    """A file that gives up on those who read it in too many pieces."""

    def __init__(self, content: bytes, budget: Budget) -> None:
        super().__init__(content)
        self.budget = budget
        self.tag = b""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tag in CHARACTERS and (size is None or not 0 <= size <= SMALL):
            raise CorruptImageError("a DICOM file with a longer element than can be true")
        self.budget.reads -= 1
        if self.budget.reads < 0:
            raise CorruptImageError("a DICOM file with more elements than can be true")
        found = super().read(size)
        self.tag = found[:4] if size == 8 else self.tag  # the head of an element, which its value follows
        return found


_reading = threading.local()
_lock = threading.RLock()  # catch_warnings, entered and left by several threads in turn, would not restore the filters


def _not_reading(record: logging.LogRecord) -> bool:
    return not getattr(_reading, "now", False)


@contextmanager
def _quiet() -> Iterator[None]:
    """No log record of pydicom or Pillow from this thread, and no warning, while it reads; other users keep theirs."""
    names = list(logging.root.manager.loggerDict)  # other threads may add to it
    for name in [each for each in names if each.split(".")[0] in ("pydicom", "PIL")]:
        if _not_reading not in (logger := logging.getLogger(name)).filters:
            logger.addFilter(_not_reading)
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _reading.now = True
        try:
            yield
        finally:
            _reading.now = False


def _meta(content: bytes, start: int) -> tuple[str | None, int]:
    """The transfer syntax (PS3.10, 7.1: group 2, always explicit and little endian), and where the data set begins."""
    syntax, count = None, 0
    while content[start : start + 2] == b"\x02\x00":
        count += 1
        vr = content[start + 4 : start + 6]
        if vr not in LONG | SHORT or count > GROUP_2:
            raise CorruptImageError("a damaged DICOM file")
        wide = vr in LONG
        value = start + (12 if wide else 8)
        size = int.from_bytes(content[start + 8 : value] if wide else content[start + 6 : value], "little")
        if content[start + 2 : start + 4] == b"\x10\x00":
            syntax = content[value : value + min(size, 64)].decode("latin-1").strip("\0 ")
        start = value + size
    return syntax or None, start


def _inflate(body: bytes, limit: int) -> bytes:
    """Unpacked twice, first to see how long it is, so that a bomb takes no memory and other files take their own."""
    counting, size, rest = zlib.decompressobj(-zlib.MAX_WBITS), 0, body
    try:
        while rest and not counting.eof and size <= limit:
            size += len(counting.decompress(rest, 2**20))
            rest = counting.unconsumed_tail
        if size <= limit:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(body, size)
    except zlib.error:
        pass
    if size > limit:
        raise CorruptImageError(f"too large: unpacked it is over the limit of {limit:,} bytes")
    raise CorruptImageError("a damaged DICOM file")


def _is_bare(content: bytes) -> bool:
    """Whether elements begin at the first byte, in rising order, one of them with an identifier of the standard."""
    return any(_walk(content, order, explicit) for order in "<>" for explicit in (True, False))


def _walk(content: bytes, order: str, explicit: bool) -> bool:
    last, start = (0, 0), 0
    for _ in range(32):
        head = content[start : start + 12]
        if len(head) < 12:
            return False
        tag = struct.unpack(order + "HH", head[:4])
        vr = head[4:6]
        if tag <= last or tag[0] not in (2, 8) or (explicit and vr not in LONG | SHORT):
            return False
        field, value = ((head[8:12], 12) if vr in LONG else (head[6:8], 8)) if explicit else (head[4:8], 8)
        size = int.from_bytes(field, "little" if order == "<" else "big")
        if size > len(content) - start - value:
            return False
        # Media Storage SOP Class, Transfer Syntax (PS3.10, 7.1), SOP Class (PS3.3, C.12.1)
        if tag in ((2, 2), (2, 16), (8, 0x16)):
            return content[start + value : start + value + len(UIDS)] == UIDS
        last, start = tag, start + value + size
    return False

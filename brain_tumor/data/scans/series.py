"""One gray scale for those files of a DICOM series that lie in one folder, or were sent together."""

import threading
from collections.abc import Callable, Iterable, Mapping
from posixpath import dirname

import numpy as np

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.pixels import spread
from brain_tumor.data.scans.dicom import sample_of
from brain_tumor.data.scans.dicom_elements import Budget, data_set, is_dicom
from brain_tumor.data.scans.dicom_scale import GrayScale, scale_of
from brain_tumor.data.scans.scan import Limits

SERIES = 0x0020000E  # Series Instance UID (PS3.3, C.7.3.1)
HEAD = 2**16  # bytes of a file in which its series stands; a file where it comes later is shown by itself
LOOKED_AT = 256  # files of a series, at most; by 16 of 176, white was 1 % too low
VALUES = 2**23  # of all of them, about
Content = Callable[[int], bytes]  # so many bytes of a file, from its first


class SeriesScales:
    """The scales of many files; a folder is looked through when the first DICOM file of it is asked for.

    It may be asked by several threads, of which one looks and the others wait.
    """

    def __init__(self, files: Mapping[str, Content], limits: Limits | None = None) -> None:
        """Files by their names, posix; those of one folder are taken together."""
        self._files, self._limits = files, limits or Limits()
        self._folders: dict[str, list[str]] = {}
        for name in sorted(files):
            self._folders.setdefault(dirname(name), []).append(name)
        self._found: dict[str, dict[str, GrayScale]] = {}  # folder -> name of a file -> its scale
        self._lock = threading.Lock()

    def of(self, name: str, content: bytes) -> GrayScale | None:
        """The scale of a file's series; None where it is alone, is no DICOM file, or says nothing of a series."""
        folder = dirname(name)
        if len(self._folders[folder]) < 2 or not is_dicom(content):
            return None
        with self._lock:
            if folder not in self._found:
                self._found[folder] = self._look(self._folders[folder])
        return self._found[folder].get(name)

    def _look(self, names: Iterable[str]) -> dict[str, GrayScale]:
        series: dict[str, list[str]] = {}
        for name in names:
            if uid := self._series(name):
                series.setdefault(uid, []).append(name)
        found: dict[str, GrayScale] = {}
        for files in series.values():
            if len(files) > 1 and (scale := self._scale(files)):
                found |= dict.fromkeys(files, scale)
        return found

    def _scale(self, names: list[str]) -> GrayScale | None:
        samples, chosen = [], spread(np.arange(len(names)), LOOKED_AT)
        for place in chosen:
            try:
                content = self._files[names[place]](self._limits.file_bytes)
                sample = sample_of(content, self._limits, VALUES // len(chosen))
            except (CorruptImageError, OSError):  # said when it is its turn
                continue
            if sample is not None and sample.values.size:
                samples.append(sample)
        return scale_of(samples) if samples else None

    def _series(self, name: str) -> str:
        try:
            head = self._files[name](HEAD)
            if not is_dicom(head):
                return ""
            _, elements = data_set(head, self._limits, [SERIES], Budget(), until=SERIES)
            return str(elements.get("SeriesInstanceUID") or "")
        except (CorruptImageError, OSError):
            return ""

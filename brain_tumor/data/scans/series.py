"""One gray scale for those files of a DICOM series that were sent together, where each is shown by itself."""

import threading
from collections.abc import Mapping

from brain_tumor.data.scans.dicom_elements import is_dicom
from brain_tumor.data.scans.dicom_scale import GrayScale
from brain_tumor.data.scans.scan import Limits
from brain_tumor.data.scans.stacks import Content, scale_of_files, stacks


class SeriesScales:
    """The scales of many files, which are looked through when the first DICOM file of them is asked for.

    It may be asked by several threads, of which one looks and the others wait.
    """

    def __init__(self, files: Mapping[str, Content], limits: Limits | None = None) -> None:
        """Files by their names, posix; those of one folder are taken together."""
        self._files, self._limits = files, limits or Limits()
        self._found: dict[str, GrayScale | None] | None = None  # by the name of a file
        self._lock = threading.Lock()

    def of(self, name: str, content: bytes) -> GrayScale | None:
        """The scale of the volume that a file is a slice of; None where it is alone, or is no DICOM file."""
        if len(self._files) < 2 or not is_dicom(content):
            return None
        with self._lock:
            if self._found is None:
                self._found = {}
                for stack in stacks(self._files, self._limits):
                    if len(stack.files) > 1:
                        scale = scale_of_files([self._files[each] for each in stack.files], self._limits)
                        self._found |= dict.fromkeys(stack.files, scale)
        return self._found.get(name)

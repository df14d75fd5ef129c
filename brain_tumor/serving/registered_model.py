"""A model out of the registry, with all that made it."""

from dataclasses import dataclass
from typing import Any

from brain_tumor.data.classes import ClassList
from brain_tumor.data.split import Split
from brain_tumor.evaluation.uncertainty.fitting import Uncertainty


@dataclass(frozen=True, eq=False)
class RegisteredModel:
    """A logged model with what made it; `name` and `version` are None for one that was never registered."""

    model: Any  # keras.Model
    uri: str
    run_id: str
    name: str | None
    version: str | None
    config: dict[str, Any]
    split: Split
    uncertainty: Uncertainty | None  # None: logged before there were any, or by a sweep's trial

    @property
    def classes(self) -> ClassList:
        """In the order of its outputs."""
        return self.split.classes

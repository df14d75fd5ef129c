"""Kinds of values that several configurations have."""

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field

STRICT_KEYS = ConfigDict(extra="forbid", allow_inf_nan=False)
Fraction = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Level = Annotated[float, Field(gt=0, le=0.999)]  # beyond it a thousand calibration images of a class are not enough
# `true`, `false` and numbers are names of folders, too.
ClassName = Annotated[
    str,
    Field(min_length=1, coerce_numbers_to_str=True),
    BeforeValidator(lambda value: str(value).lower() if isinstance(value, bool) else value),
]
VolumeSide = Annotated[int, Field(ge=8, le=512)]
SplitSeed = Annotated[int, Field(ge=0, lt=2**32)]

"""The page's configuration; `conf/app.yaml` gives the values."""

from typing import Annotated

from pydantic import ConfigDict, Field, PositiveInt
from pydantic.dataclasses import dataclass

from brain_tumor.config.train import TrackingConfig

PASSWORD = "BRAIN_TUMOR_PASSWORD"  # the environment variable: what is typed on a command line is saved


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class AppConfig:
    model_uri: str
    model_b: str | None  # a second model, whose answers stand beside the first one's
    host: Annotated[str, Field(min_length=1)]  # address to listen at; 127.0.0.1: this machine alone
    port: Annotated[int, Field(ge=0, le=65535)]  # 0: a free one
    user: Annotated[str, Field(pattern=r"^[^:]+$")] | None  # who may look, with the password in PASSWORD; None: anyone
    views: Annotated[int, Field(ge=1, le=64)]  # shifted and mirrored views that a map is averaged over
    files: Annotated[int, Field(ge=1, le=100)]  # at most, at once
    megabytes: Annotated[int, Field(ge=1, le=2048)]  # at most, of all files that are dropped at once
    waiting: PositiveInt  # requests that may wait for their turn; others are told that the page is busy
    tracking: TrackingConfig

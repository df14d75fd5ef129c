"""The `sweep` node of a configuration: what to search, how, and when to stop."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PositiveInt
from pydantic.dataclasses import dataclass

from brain_tumor.config.train import LOWER_IS_BETTER
from brain_tumor.errors import InputError

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class SweepConfig:
    n_trials: PositiveInt | None  # finished trials in all, over every worker and every restart; None: the whole grid
    study: str | None  # name; None: made from what is searched, so that the same command finds its study again
    storage: str | None  # any SQLAlchemy address that Optuna takes; None: sqlite in mlruns/ under the current folder
    metric: str | Annotated[list[str], Field(min_length=1)]  # of the val part; several: a multi-objective study
    direction: Direction | list[Direction] | None  # None: as the metric's name says
    space: dict[str, str]  # key -> what to try, in Hydra's sweep syntax
    when: dict[str, str]  # key -> OTHER=VALUE[,VALUE…]: the key is only searched where OTHER has that value
    enqueue: list[dict[str, Any]]  # points of the space to start with
    sampler: dict[str, Any]  # _target_ of an Optuna sampler and its arguments
    pruner: dict[str, Any]  # _target_ of an Optuna pruner and its arguments
    seed: Annotated[int, Field(ge=0, lt=2**31)]  # of the sampler; the trainings have their own
    confirm: PositiveInt | None  # so many of the best trials are trained again with other seeds; None: none
    on_change: Literal["refuse", "new"]  # where the study exists already with another space
    max_failures: Annotated[float, Field(ge=0, le=1)]  # share of the finished trials that may fail before it stops
    warm_start: bool  # train the phases that all trials share once
    retry_smaller: bool  # try a trial that died for want of memory once more, in pieces of half as many images
    ignore: list[str]  # keys that may differ within a study: they do not change what a trial scores

    def __post_init__(self) -> None:
        for metric in self.metrics:
            if metric.startswith("test/"):
                raise InputError(
                    f"sweep.metric={metric} would select on the test part, which decides nothing here: "
                    "choose a val/ metric"
                )
        if len(set(self.metrics)) < len(self.metrics):
            raise InputError(f"sweep.metric names {', '.join(self.metrics)}: each only once")
        if self.confirm is not None and len(self.metrics) > 1:
            raise InputError(
                f"sweep.confirm={self.confirm} confirms the best by one objective, and sweep.metric names "
                f"{len(self.metrics)}: leave it out"
            )
        given = self.direction if isinstance(self.direction, list) else [self.direction]
        if isinstance(self.direction, list) and len(given) != len(self.metrics):
            raise InputError(f"sweep.direction has {len(given)} entries for {len(self.metrics)} metrics")
        if isinstance(self.direction, str) and len(self.metrics) > 1:
            raise InputError(
                f"sweep.direction={self.direction} is one for {len(self.metrics)} metrics: give a list, or null"
            )

    @property
    def metrics(self) -> list[str]:
        return [self.metric] if isinstance(self.metric, str) else self.metric

    @property
    def directions(self) -> list[Direction]:
        """One per metric; where none is given, costs and losses are minimized and the rest is maximized."""
        if self.direction is None:
            return ["minimize" if _is_lower_better(name) else "maximize" for name in self.metrics]
        return [self.direction] if isinstance(self.direction, str) else list(self.direction)


def _is_lower_better(metric: str) -> bool:
    return metric in LOWER_IS_BETTER or metric.startswith("cost/") or metric.endswith("loss")

"""What a card is made from: everything that the tracking store holds of a training run and of its evaluations."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from brain_tumor.data.split import Split
from brain_tumor.evaluation.uncertainty.fitting import Uncertainty

NOTHING = "–"
Row = Mapping[Hashable, Any]


@dataclass(frozen=True, eq=False)
class Logged:
    """One run as it was logged."""

    run_id: str
    name: str
    date: str  # on which it began, YYYY-MM-DD in UTC
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    tables: Mapping[str, pd.DataFrame]  # `tables/NAME.csv`, those that a card reads
    marks: Mapping[str, str]  # part -> what flatters its scores, in a word ("LEAKS", "CONTAMINATED"); "": nothing known

    @property
    def synthetic(self) -> bool:
        return self.tags.get("data_kind") == "synthetic"

    @property
    def data(self) -> str:
        """How the data is called: synthetic images never go without that word."""
        return f"{'SYNTHETIC ' if self.synthetic else ''}{self.tags.get('data', 'data of an unknown source')}"

    def rows(self, name: str) -> list[Row]:
        """The rows of a table; none where there is no such table."""
        return [*self.tables[name].to_dict("records")] if name in self.tables else []

    def score(self, part: str, metric: str) -> Row | None:
        """A metric of a part with its interval: metric, value, low, high."""
        return next((row for row in self.rows(f"{part}_metrics") if row["metric"] == metric), None)

    def size(self, part: str) -> tuple[int, int] | None:
        """Images and groups that were scored."""
        table = self.tables.get(f"{part}_predictions")
        return None if table is None else (len(table), int(table["group"].nunique()))


@dataclass(frozen=True, eq=False)
class Facts:
    """A trained model's run, and what was measured of it since. What is None was not logged, or cannot be read."""

    run: Logged
    classes: tuple[str, ...]  # in the order of the model's outputs
    params: Mapping[str, str]
    config: Mapping[str, Any] | None  # the composed configuration as plain values
    split: Split | None
    uncertainty: Uncertainty | None
    packages: Mapping[str, str]  # name -> version; empty: unknown
    python: str | None  # version
    epochs: tuple[tuple[int, float], ...]  # step and `monitor` of every finished epoch
    versions: tuple[str, ...]  # what the model is registered as: "brain-tumor version 1"
    evaluations: tuple[Logged, ...]  # of this model, the newest first
    unread: tuple[str, ...]  # what is there and cannot be read, in sentences

    @property
    def synthetic(self) -> bool:
        return self.run.synthetic

    @property
    def only_registered(self) -> bool:
        """Whether its run trained and measured nothing: that of an adopted model, an ensemble, or of `pool`."""
        return self.run.tags.get("job") in ("adopt", "ensemble", "pool")

    @property
    def made_by(self) -> str:
        """The job that made the network: of a run of `pool` that of the model which it took."""
        return self.run.tags.get("pooled_job") or self.run.tags.get("job", "")

    @property
    def measured(self) -> tuple[Logged, ...]:
        """The training run, then its evaluations."""
        return (self.run, *self.evaluations)

    def key(self, path: str) -> Any:
        """The configuration's value of a dotted key; None where there is none."""
        value: Any = self.config
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    @property
    def taken(self) -> str:
        """What the network takes."""
        if shape := self.key("data.volume_shape"):
            return f"uint8 gray 0..255 (N, {', '.join(map(str, shape))}, 1), a volume cropped to its head and resampled"
        size = self.params.get("data.image_size") or shown(self.key("data.image_size"))
        return f"uint8 RGB 0..255 (N, {size}, {size}, 3), fitted into the square without distortion"

    def holding(self, table: str) -> list[Logged]:
        """The runs that hold a table, one for each set of images: the training run, else the newest evaluation."""
        found: dict[str, Logged] = {}
        for run in self.measured:
            if run.rows(table):
                found.setdefault(run.tags.get("data_digest", run.run_id), run)
        return list(found.values())


def number(value: float) -> str:
    """A score, a share or a probability, as all of a card's are written."""
    return NOTHING if not np.isfinite(value) else f"{value:.4f}"


def interval(row: Row) -> str:
    """The bounds of a row with `low` and `high`; where there were too few groups there are none."""
    low, high = row["low"], row["high"]
    return NOTHING if not np.isfinite(low) else f"{number(low)} to {number(high)}"


def bounded(row: Row | None) -> str:
    """A row's value and its interval in a table's cell."""
    if row is None:
        return NOTHING
    bounds = interval(row)
    return number(row["value"]) if bounds == NOTHING else f"{number(row['value'])} ({bounds})"


def scored(row: Row | None) -> str:
    """A row's value and its interval in a few words."""
    if row is None:
        return NOTHING
    bounds = interval(row)
    return number(row["value"]) if bounds == NOTHING else f"{number(row['value'])} (95 % interval {bounds})"


def listed(words: Sequence[object]) -> str:
    return ", ".join(str(word) for word in words)


def shown(value: object) -> str:
    """A plain value of the configuration in words."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, Mapping):
        return listed([f"{key}={shown(each)}" for key, each in value.items()])
    if isinstance(value, (list, tuple)):
        return listed([shown(each) for each in value])
    return str(value).lower() if isinstance(value, bool) else str(value)

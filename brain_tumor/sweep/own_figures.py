"""What Optuna does not draw of a study: the best value against what it has cost, and shares with their intervals.

Each is drawn by matplotlib for a picture and by Plotly for the page, from the same numbers.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optuna.study import Study, StudyDirection
from optuna.trial import TrialState

from brain_tumor.evaluation.drawing import ACCENT, BEST, FAINT, new_figure, tidy
from brain_tumor.lazy import lazy
from brain_tumor.sweep.importances import EVALUATOR, Importances
from brain_tumor.sweep.summary import is_scored, short_names

plotly = lazy("plotly.graph_objects")


@dataclass(frozen=True)
class BestAgainstCost:
    """An objective's values over the training time that all trials had taken when each ended."""

    metric: str
    unit: str  # of the cost
    complete: list[tuple[float, float]]  # (cost, value), by cost
    pruned: list[tuple[float, float]]  # with their last reports
    best: list[tuple[float, float]]  # so far

    @classmethod
    def of(cls, study: Study, objective: int, metric: str) -> "BestAgainstCost":
        trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
        trials.sort(key=lambda trial: trial.datetime_complete or datetime.min)
        whole = sum(float(trial.user_attrs.get("seconds") or 0) for trial in trials)
        unit, seconds = ("hours", 3600) if whole > 2 * 3600 else ("minutes", 60)
        better = max if study.directions[objective] == StudyDirection.MAXIMIZE else min
        found, cost = cls(metric, f"{unit} of training, all trials", [], [], []), 0.0
        for trial in trials:
            cost += float(trial.user_attrs.get("seconds") or 0) / seconds
            if is_scored(trial):
                value = float(trial.values[objective])
                found.complete.append((cost, value))
                found.best.append((cost, better(value, found.best[-1][1]) if found.best else value))
            elif trial.state == TrialState.PRUNED and trial.value is not None:
                found.pruned.append((cost, float(trial.value)))
        if found.best:
            found.best.append((cost, found.best[-1][1]))
        return found

    def matplotlib(self) -> Any:
        """Axes of their own figure."""
        axes = new_figure(4.5, 3, "").subplots()
        cost, values = zip(*self.best, strict=True)
        axes.step(cost, values, where="post", color=BEST, label="best so far")
        cost, values = zip(*self.complete, strict=True)
        axes.scatter(cost, values, s=14, color=ACCENT, label="complete")
        if self.pruned:
            cost, values = zip(*self.pruned, strict=True)
            axes.scatter(cost, values, s=14, color=FAINT, marker="x", label="pruned")
        axes.set(xlabel=self.unit, ylabel=self.metric, xlim=(0, None))
        axes.legend(fontsize=8, frameon=False)
        tidy(axes)
        return axes

    def plotly(self) -> Any:
        figure = plotly.Figure()
        for points, name, style in (
            (self.complete, "complete", {"mode": "markers", "marker": {"color": ACCENT}}),
            (self.pruned, "pruned", {"mode": "markers", "marker": {"color": FAINT, "symbol": "x"}}),
            (self.best, "best so far", {"mode": "lines", "line": {"color": BEST, "shape": "hv"}}),
        ):
            if points:
                cost, values = zip(*points, strict=True)
                figure.add_scatter(x=cost, y=values, name=name, **style)
        return figure.update_layout(xaxis_title=self.unit, yaxis_title=self.metric, xaxis_rangemode="tozero")


@dataclass(frozen=True)
class Shares:
    """A bar a key, the largest share at the top, with its interval."""

    found: Importances

    @property
    def _columns(self) -> tuple[list[str], list[float], list[float], list[float], list[str]]:
        names = short_names(list(self.found.shares))
        shares = {names[key]: share for key, share in reversed(self.found.shares.items())}
        values = [each.share for each in shares.values()]
        below = [each.share - each.low for each in shares.values()]
        above = [each.high - each.share for each in shares.values()]
        return list(shares), values, below, above, [ACCENT if each.is_sure else FAINT for each in shares.values()]

    @property
    def _label(self) -> str:
        return f"share that a key decides alone, beyond chance ({EVALUATOR}); 95 % interval, grey where it holds 0"

    def matplotlib(self) -> Any:
        keys, values, below, above, colours = self._columns
        axes = new_figure(9, 2 + 0.35 * len(keys), "").subplots()
        axes.barh(keys, values, color=colours, height=0.6)
        axes.errorbar(values, keys, xerr=(below, above), fmt="none", ecolor="black", elinewidth=1, capsize=2)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set(xlabel=self._label)
        tidy(axes)
        return axes

    def plotly(self) -> Any:
        keys, values, below, above, colours = self._columns
        error = {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1}
        figure = plotly.Figure(plotly.Bar(x=values, y=keys, orientation="h", error_x=error, marker_color=colours))
        return figure.update_layout(xaxis_title=self._label, height=150 + 30 * len(keys))

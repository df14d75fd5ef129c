"""What pruning rules would have done to sweeps that pruned nothing.

    python experiments/sweep-finetune/replay.py [--shuffled N] [--trials K] STORAGE STUDY [STUDY ...]

The studies were made with `sweep/pruner=none`, so the whole curve of every trial is known. A rule is shown the curves
in the order in which they were trained, epoch by epoch, and stops some of them. Two numbers come of it: the epochs
that it still trains, and what the best of the trials that it lets end lacks to the best of all. With `--shuffled` K
trials of all studies come in N random orders, which is a random search over what they hold.

Not replayed: what a sampler would have drawn, had it seen the stopped trials.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, SuccessiveHalvingPruner
from optuna.trial import TrialState
from scipy.stats import spearmanr

Curve = NDArray[np.float64]  # (E): the score after each epoch from where the trials part
STARTUP = 4  # finished trials before a rule of ours stops any


class Rule:
    """One of Optuna's pruners, asked as a sweep asks it."""

    def __init__(self, make: Callable[[], BasePruner]) -> None:
        self._study = optuna.create_study(direction="maximize", pruner=make())

    def epochs(self, curve: Curve) -> int:
        """After how many epochs it stops a trial; all of them, if it does not."""
        trial = self._study.ask()
        for epoch, score in enumerate(curve, 1):
            trial.report(score, epoch)
            if epoch < len(curve) and trial.should_prune():
                self._study.tell(trial, state=TrialState.PRUNED)
                return epoch
        self._study.tell(trial, curve.max())
        return len(curve)


@dataclass
class ByShare:
    """Stops a trial below a quantile of the others at the same share of their schedules, from a share on."""

    quantile: float
    first: float
    seen: list[Curve] = field(default_factory=list)  # best score so far; NaN after it was stopped

    def epochs(self, curve: Curve) -> int:
        best = np.maximum.accumulate(curve)
        for epoch in range(1, len(curve)):
            share = epoch / len(curve)
            others = np.array([np.interp(share, np.arange(1, len(each) + 1) / len(each), each) for each in self.seen])
            others = others[~np.isnan(others)]
            if share >= self.first and len(others) >= STARTUP and best[epoch - 1] < np.quantile(others, self.quantile):
                self.seen.append(np.where(np.arange(len(curve)) < epoch, best, np.nan))
                return epoch
        self.seen.append(best)
        return len(curve)


@dataclass
class ByGain:
    """Stops a trial that would not become the best even if it gained what a quantile of the finished ones gained."""

    quantile: float
    first: int
    done: list[Curve] = field(default_factory=list)

    def epochs(self, curve: Curve) -> int:
        for epoch in range(self.first, len(curve)):
            if len(self.done) < STARTUP:
                break
            gains = [each.max() - each[:epoch].max() for each in self.done]
            if curve[:epoch].max() + np.quantile(gains, self.quantile) < max(each.max() for each in self.done):
                return epoch
        self.done.append(curve)
        return len(curve)


def halving(first: int, factor: int) -> Rule:
    return Rule(lambda: SuccessiveHalvingPruner(min_resource=first, reduction_factor=factor))


def median(first: int) -> Rule:
    return Rule(lambda: MedianPruner(n_startup_trials=3, n_warmup_steps=first))


RULES: dict[str, Callable[[], Rule | ByShare | ByGain]] = {
    **{f"halving from epoch {a}, best 1/{f}": lambda a=a, f=f: halving(a, f) for a in (1, 2, 3, 4) for f in (3, 4)},
    **{f"median from epoch {first}": lambda first=first: median(first) for first in (2, 3)},
    "hyperband": lambda: Rule(lambda: HyperbandPruner(min_resource=1, reduction_factor=3)),
    **{f"median of the same share, from {first}": lambda first=first: ByShare(0.5, first) for first in (0.25, 0.5)},
    **{f"largest gain of finished, from epoch {first}": lambda first=first: ByGain(1, first) for first in (2, 3)},
}


def main(storage: str, names: Sequence[str], shuffled: int, size: int) -> None:
    studies = [_curves(storage, name) for name in names]
    everything = [curve for study in studies for curve in study]
    finals = [curve.max() for curve in everything]
    for epoch in (1, 2, 3, 4):
        so_far = [curve[:epoch].max() for curve in everything]
        print(f"rank correlation of epoch {epoch} with the end: {spearmanr(so_far, finals).statistic:.2f}")
    random = np.random.default_rng(0)
    orders = [[everything[each] for each in random.permutation(len(everything))[:size]] for _ in range(shuffled)]
    for name, make in RULES.items():
        share, lost = np.array([_replay(make(), order) for order in orders or studies]).T
        within = f", lost at most 0.005 in {(lost <= 0.005).mean():.2f}" if orders else ""
        print(f"{name}: {share.mean():.2f} of the epochs, lost {lost.mean():.4f} (worst {lost.max():.4f}){within}")


def _curves(storage: str, name: str) -> list[Curve]:
    trials = optuna.load_study(study_name=name, storage=storage).get_trials(states=(TrialState.COMPLETE,))
    return [np.array([each.intermediate_values[step] for step in sorted(each.intermediate_values)]) for each in trials]


def _replay(rule: Rule | ByShare | ByGain, curves: Sequence[Curve]) -> tuple[float, float]:
    epochs = [rule.epochs(curve) for curve in curves]
    kept = [curve.max() for curve, trained in zip(curves, epochs, strict=True) if trained == len(curve)]
    return sum(epochs) / sum(map(len, curves)), max(curve.max() for curve in curves) - max(kept)


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    parser = argparse.ArgumentParser()
    parser.add_argument("storage")
    parser.add_argument("studies", nargs="+")
    parser.add_argument("--shuffled", type=int, default=0)
    parser.add_argument("--trials", type=int, default=20)
    given = parser.parse_args()
    main(given.storage, given.studies, given.shuffled, given.trials)

"""What a study has cost in epochs, what it was spared, and how far the trials are that run now."""

from collections.abc import Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from brain_tumor.sweep.study import counts, is_dead

EPOCHS = "epochs"  # attribute of a trial: how many epochs it has done, has planned, and has taken from another trial


@dataclass(frozen=True)
class Budget:
    """Epochs of all trials that count; a lost trial's are in the one that goes on from them."""

    trained: int
    shared: int  # of leading phases that another trial had trained
    pruned: int  # that pruned trials had still planned

    @property
    def share_saved(self) -> float:
        """Of what the trials would have trained, each for itself and to its end."""
        whole = self.trained + self.shared + self.pruned
        return (self.shared + self.pruned) / whole if whole else 0.0


@dataclass(frozen=True)
class Running:
    """A trial that has begun and not ended."""

    number: int
    done: int  # epochs
    planned: int  # 0: not known yet
    seconds: float  # of training so far
    seconds_left: float | None  # at its own pace, if it is not pruned; None: not known yet
    dead: bool  # its process is gone; the next worker tries its point again


def budget(trials: Sequence[FrozenTrial]) -> Budget:
    """Add up what the trials have noted."""
    trained = shared = pruned = 0
    for trial in filter(counts, trials):
        done, planned, reused = _epochs(trial)
        trained, shared = trained + done - reused, shared + reused
        if trial.state == TrialState.PRUNED:
            pruned += planned - done
    return Budget(trained, shared, pruned)


def running(trials: Sequence[FrozenTrial]) -> list[Running]:
    """The trials that run, by number."""
    found = []
    for trial in trials:
        if trial.state != TrialState.RUNNING:
            continue
        done, planned, reused = _epochs(trial)
        own = done - reused
        seconds = float(trial.user_attrs.get("seconds") or 0)
        left = (planned - done) * seconds / own if own else None
        name = trial.user_attrs.get("worker")
        found.append(Running(trial.number, done, planned, seconds, left, name is not None and is_dead(str(name))))
    return found


def _epochs(trial: FrozenTrial) -> tuple[int, int, int]:
    done, planned, reused = trial.user_attrs.get(EPOCHS) or (0, 0, 0)
    return int(done), int(planned), int(reused)

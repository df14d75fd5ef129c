"""Every sampler and pruner of conf/sweep on a score that is known beforehand: in memory, as often as they need."""

from collections import Counter
from types import SimpleNamespace

import optuna
import pytest
from composition import composed
from optuna.trial import TrialState
from toy_app import score

from brain_tumor.config.validation import plain
from brain_tumor.sweep.sampling import make_pruner, make_sampler, suggest
from brain_tumor.sweep.space import Space

SAMPLERS = ("tpe", "random", "cmaes", "gp", "nsga2")  # grid: test_sweeper
PRUNERS = ("none", "median", "successive_halving", "hyperband")
SPACE = Space({"x": "interval(0, 1)", "y": "int(interval(1, 3))"}, {})


def searched(sampler: str, pruner: str) -> optuna.Study:
    """A study of 12 trials of 9 epochs."""
    sweep = plain(composed("train", "sweep=base", f"sweep/sampler={sampler}", f"sweep/pruner={pruner}").sweep)
    made = {"sampler": make_sampler(sweep["sampler"], SPACE, 0), "pruner": make_pruner(sweep["pruner"])}
    study = optuna.create_study(direction="maximize", **made)
    for _ in range(12):
        trial = study.ask()
        point = suggest(trial, SPACE)
        for epoch in range(1, 10):
            value = score(SimpleNamespace(x=point["x"], luck=0, seed=0), epoch)
            trial.report(value, epoch)
            if trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            study.tell(trial, value)
    return study


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_searches(sampler: str) -> None:
    if sampler == "gp":
        pytest.importorskip("torch", reason='Optuna\'s GPSampler needs PyTorch: pip install "brain-tumor[gp]"')
    points = {tuple(trial.params.items()) for trial in searched(sampler, "none").trials}
    assert len(points) == 12 or sampler == "nsga2"  # whose children may equal their parents


@pytest.mark.parametrize("pruner", PRUNERS)
def test_every_pruner_runs_and_prunes(pruner: str) -> None:
    ends = Counter(trial.state.name for trial in searched("random", pruner).trials)
    assert ends["COMPLETE"] + ends["PRUNED"] == 12
    assert (ends["PRUNED"] == 0) == (pruner == "none")

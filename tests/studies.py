"""Studies made by hand, whose summaries are known."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

START = datetime(2026, 1, 2, 3, 0, 0)
RATE, UNFREEZE, BLOCKS = "schedule.all.learning_rate", "schedule.all.unfreeze", "schedule.all.blocks"
DISTRIBUTIONS: dict[str, BaseDistribution] = {
    RATE: FloatDistribution(1e-5, 1e-1, log=True),
    UNFREEZE: CategoricalDistribution(["head", "all", "some"]),
    BLOCKS: IntDistribution(1, 6),  # only where UNFREEZE is some
}


def empty(*, directions: tuple[str, ...] = ("maximize",), storage: Any = None, name: str = "demo") -> Study:
    study = optuna.create_study(study_name=name, directions=list(directions), storage=storage)
    study.set_user_attr("metrics", ["val/macro_f1", "cost/inference_ms"][: len(directions)])
    study.set_user_attr("n_trials", 20)
    study.set_user_attr("space", {RATE: "…", UNFREEZE: "…", BLOCKS: "…"})
    study.set_user_attr(
        "command", "-m model=effnet_lite0 'data.root=/my scans' sweep.n_trials=20 hydra/launcher=joblib"
    )
    return study


def trial(
    index: int,
    state: TrialState = TrialState.COMPLETE,
    values: list[float] | None = None,
    params: Mapping[str, Any] | None = None,
    *,
    minutes: float = 1,
    **attributes: Any,
) -> FrozenTrial:
    """A trial that began `index` minutes after START and took `minutes`."""
    params = {RATE: 1e-3, UNFREEZE: "all"} if params is None else dict(params)
    made = create_trial(
        state=state,
        values=values,
        params=params,
        distributions={key: DISTRIBUTIONS[key] for key in params},
        user_attrs=attributes,
        intermediate_values={1: 0.1, 4: 0.2} if state == TrialState.PRUNED else {},
    )
    made.datetime_start = None if state == TrialState.WAITING else START + timedelta(minutes=index)
    made.datetime_complete = START + timedelta(minutes=index + minutes) if state.is_finished() else None
    return made


def mixed() -> Study:
    """Ten trials of every kind; the best is number 1."""
    study = empty()
    some = {RATE: 1e-2, UNFREEZE: "some", BLOCKS: 3}
    study.add_trials(
        [
            trial(0, values=[0.5], minutes=2, seconds=100.0, run_id="r0"),
            trial(1, values=[0.9], params=some, minutes=4, seconds=200.0, run_id="r1", overrides={RATE: "0.01"}),
            trial(2, values=[0.9], minutes=3, seconds=50.0, run_id="r2"),
            trial(3, TrialState.PRUNED, [0.2], minutes=1, seconds=10.0, reason="pruned at step 4"),
            trial(4, TrialState.FAIL, minutes=0, reason="MemoryError: full"),
            trial(5, TrialState.FAIL, minutes=9, lost=True, reason="interrupted", seconds=40.0),
            trial(6, TrialState.FAIL, minutes=9, surplus=True),
            trial(7, TrialState.FAIL, minutes=9),
            trial(8, TrialState.RUNNING),
            trial(9, TrialState.WAITING, params={}),
        ]
    )
    return study


def many(count: int = 40, directions: tuple[str, ...] = ("maximize",)) -> Study:
    """Trials whose first value is decided by the learning rate alone, best at 1e-3; the second by the blocks."""
    import random

    study = empty(directions=directions)
    draw = random.Random(0)
    for index in range(count):
        unfreeze = draw.choice(["head", "all", "some"])
        exponent = draw.uniform(-5, -1)
        params = {
            RATE: 10**exponent,
            UNFREEZE: unfreeze,
            **({BLOCKS: draw.randint(1, 6)} if unfreeze == "some" else {}),
        }
        values = [1 - abs(exponent + 3) / 4, float(params.get(BLOCKS, 7))][: len(directions)]
        study.add_trial(trial(index, values=values, params=params, seconds=50.0))
    return study

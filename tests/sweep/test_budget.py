"""What trials have cost and saved in epochs, added up by hand."""

from optuna.trial import TrialState
from studies import empty, trial

from brain_tumor.sweep.budget import Budget, Running, budget, running
from brain_tumor.sweep.study import worker


def test_epochs_that_were_trained_shared_and_pruned_away() -> None:
    study = empty()
    study.add_trials(
        [
            trial(0, values=[0.5], epochs=[9, 9, 0]),  # has trained the 5 epochs that the others take over
            trial(1, values=[0.5], epochs=[7, 11, 5]),  # stopped early, which is no saving of the sweep's
            trial(2, TrialState.PRUNED, [0.1], epochs=[7, 15, 5], reason="pruned"),
            trial(3, TrialState.FAIL, epochs=[6, 9, 5], lost=True),  # goes on as the next one
            trial(4, TrialState.RUNNING, epochs=[8, 9, 5]),
            trial(5, values=[0.5]),  # of earlier code
        ]
    )
    found = budget(study.trials)
    assert found == Budget(trained=9 + 2 + 2 + 3, shared=15, pruned=8)
    assert found.share_saved == 23 / 39
    assert budget([]).share_saved == 0


def test_trials_that_run_have_their_time_left() -> None:
    host, *others = worker().split(" ")
    dead = " ".join([host, *others[:-2], "999999999", "0.0"])
    study = empty()
    study.add_trials(
        [
            trial(0, values=[0.5]),
            trial(1, TrialState.RUNNING, epochs=[8, 17, 5], seconds=30.0, worker=worker()),
            trial(2, TrialState.RUNNING, epochs=[5, 17, 5], seconds=0.0, worker="elsewhere - - 1 0.0"),
            trial(3, TrialState.RUNNING, worker=dead),
        ]
    )
    assert running(study.trials) == [
        Running(1, 8, 17, 30.0, 90.0, dead=False),  # three epochs of its own took 30 s, and nine are left
        Running(2, 5, 17, 0.0, None, dead=False),
        Running(3, 0, 0, 0.0, None, dead=True),
    ]

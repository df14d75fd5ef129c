"""What a study teaches, against studies whose truth is known: made by hand, worked out by hand."""

import random
import shlex

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import Study
from optuna.trial import TrialState
from studies import BLOCKS, RATE, UNFREEZE, empty, many, trial

from brain_tumor.config.sweep import SweepConfig
from brain_tumor.sweep import advice, importances, search_request
from brain_tumor.sweep.importances import Importances, Share
from brain_tumor.sweep.next_space import next_text

SPACE = {
    RATE: "tag(log, interval(1e-5, 1e-1))",
    UNFREEZE: "choice(head, all, some)",
    BLOCKS: "int(interval(1, 6))",
}
SURE, LITTLE, OPEN = Share(0.8, 0.6, 0.9), Share(0.0, -0.02, 0.01), Share(0.1, -0.1, 0.4)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importances, "RESAMPLES", 20)


def noise(seed: int) -> Study:
    """Trials whose values nothing decides."""
    study, draw = empty(), random.Random(seed)
    for index in range(30):
        params = {RATE: 10 ** draw.uniform(-5, -1), UNFREEZE: draw.choice(["head", "all", "some"])}
        study.add_trial(trial(index, values=[draw.gauss(0, 1)], params=params))
    return study


def told(monkeypatch: pytest.MonkeyPatch, study: Study, **shares: Share) -> advice.Advice:
    """The advice on a study of whose keys this is known."""
    keys = {"rate": RATE, "unfreeze": UNFREEZE, "blocks": BLOCKS}
    found = Importances(20, {keys[name]: share for name, share in shares.items()})
    monkeypatch.setattr(advice, "importances", lambda study, index: found)
    given = advice.advise(study)
    assert given is not None
    return given


def searched(error: float | None = 0.1) -> Study:
    """The best trial has 0.9; two others are within 0.1 of it, and one just is not."""
    study = empty()
    study.set_user_attr("space", SPACE)
    study.set_user_attr("command", "data.root=/my scans sweep=full sweep.study=a seed=3 -m".replace("/my scans", "/x"))
    rates, unfreezes, values = [1e-3, 3e-3, 2e-3, 1e-5], ["all", "some", "all", "head"], [0.9, 0.8, 0.85, 0.79]
    for index, (rate, unfreeze, value) in enumerate(zip(rates, unfreezes, values, strict=True)):
        study.add_trial(trial(index, values=[value], params={RATE: rate, UNFREEZE: unfreeze, BLOCKS: index + 2}))
    study.add_trial(trial(4, TrialState.PRUNED, [0.9], params={RATE: 1e-1, UNFREEZE: "head", BLOCKS: 6}))
    if error is not None:
        study.set_user_attr(advice.ERROR, [0, error])
    return study


def test_the_key_that_decides_is_sure_and_the_others_are_not() -> None:
    found = importances.importances(many(60))
    assert found is not None
    assert found.trials == 60
    assert next(iter(found.shares)) == RATE
    assert found.shares[RATE].low > 0.5
    assert set(found.shares) == {RATE, UNFREEZE, BLOCKS}  # the conditional one too
    assert not found.shares[UNFREEZE].is_sure
    assert not found.shares[BLOCKS].is_sure


def test_where_nothing_decides_every_interval_holds_0() -> None:
    found = importances.importances(noise(0))
    assert found is not None
    assert all(share.low <= 0 <= share.high for share in found.shares.values())


def test_each_objective_has_importances_of_its_own() -> None:
    given = advice.advise(many(60, ("maximize", "minimize")))
    assert given is not None
    assert list(given.found) == ["val/macro_f1", "cost/inference_ms"]
    score, cost = (each.shares for each in given.found.values())
    assert score[RATE].is_sure
    assert not cost[RATE].is_sure
    assert next(iter(cost)) in (UNFREEZE, BLOCKS)  # the blocks are there with one value of the other alone
    assert (given.good, given.again) == ([], [])


def test_pruned_trials_decide_with_their_last_report() -> None:
    study = empty()
    for each in many(60).trials:
        if each.number % 4:
            each.state, each.intermediate_values = TrialState.PRUNED, {1: each.value}
        study.add_trial(each)
    found = importances.importances(study)
    assert found is not None
    assert (found.trials, next(iter(found.shares))) == (60, RATE)
    copied = importances.with_pruned(study)
    assert [each.value for each in copied.trials] == [each.value for each in many(60).trials]
    assert study.trials[1].state == TrialState.PRUNED


def test_too_few_trials_or_nothing_that_differs_is_no_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert advice.advise(many(importances.FEWEST - 1)) is None
    same = empty()
    same.add_trials([trial(index, values=[0.5]) for index in range(20)])
    assert advice.advise(same) is None
    failed = empty()
    failed.add_trials([trial(index, TrialState.FAIL, reason="r") for index in range(20)])
    assert advice.advise(failed) is None
    monkeypatch.setattr(importances, "MOST", 30)
    monkeypatch.setattr(importances, "RESAMPLES", 2)
    found = importances.importances(many(60))
    assert found is not None
    assert found.trials == 30  # the latest


def test_as_good_as_the_best_is_within_one_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    given = told(monkeypatch, searched(), rate=SURE)
    assert [each.number for each in given.good] == [0, 1, 2]  # a pruned trial was not measured to its end
    assert [each.number for each in told(monkeypatch, searched(None), rate=SURE).good] == [0]
    stale = searched()
    stale.set_user_attr(advice.ERROR, [7, 0.1])  # of a trial that is not the best any more
    assert told(monkeypatch, stale, rate=SURE).error is None


def test_what_mattered_is_narrowed_and_what_did_not_is_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    given = told(monkeypatch, searched(), rate=SURE, unfreeze=OPEN, blocks=LITTLE)
    # Of the logarithms -3 to -2.523 of three trials a half is put on either side: -3.239 to -2.284.
    assert given.changed == {RATE: "tag(log,interval(0.00058,0.0052))"}
    assert given.fixed == {BLOCKS: "2"}
    assert given.again == [
        *("data.root=/x", "sweep=full", "seed=3", f"{RATE}=tag(log,interval(0.00058,0.0052))"),
        *(f"{UNFREEZE}=choice(head, all, some)", f"{BLOCKS}=2", "-m"),
    ]
    choices = told(monkeypatch, searched(), unfreeze=SURE)
    assert choices.changed == {UNFREEZE: "all,some"}


def test_the_command_searches_what_was_advised(monkeypatch: pytest.MonkeyPatch) -> None:
    given = told(monkeypatch, searched(), rate=SURE, unfreeze=OPEN, blocks=LITTLE)
    words = shlex.split(shlex.join(given.again))[:-1]
    OverridesParser.create().parse_overrides(words)
    settings = SweepConfig(
        n_trials=20, study=None, storage=None, metric="val/macro_f1", direction=None, space=SPACE, when={}, enqueue=[],
        sampler={"_target_": "optuna.samplers.TPESampler"}, pruner={}, seed=0, on_change="refuse", confirm=None,
        max_failures=0.5, warm_start=True, retry_smaller=False, ignore=[],
    )  # fmt: skip
    request = search_request.read(words, settings)
    assert dict(request.space.distributions) == {
        RATE: FloatDistribution(0.00058, 0.0052, log=True),
        UNFREEZE: CategoricalDistribution(["head", "all", "some"]),
    }
    assert f"{BLOCKS}=2" in request.shared
    assert request.label == ""  # still the sweep that was named, and no grid


def test_an_objective_that_is_the_same_everywhere_has_no_share() -> None:
    study = empty(directions=("minimize", "maximize"))
    for each in many(20).trials:
        each.values = [1.0, each.value]
        study.add_trial(each)
    given = advice.advise(study)
    assert given is not None
    assert list(given.found) == ["cost/inference_ms"]


def test_a_study_of_others_has_no_next_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    study = optuna.create_study(direction="maximize")
    study.add_trials([trial(index, values=[index / 9]) for index in range(3)])
    assert told(monkeypatch, study, rate=SURE, unfreeze=LITTLE).again == []


def test_conditions_are_kept_and_seeds_are_no_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    study = searched()
    study.set_user_attr("space", {**SPACE, f"sweep.when.{BLOCKS}": f"{UNFREEZE}=some,all"})
    given = told(monkeypatch, study, rate=SURE, unfreeze=SURE, blocks=LITTLE)
    assert (list(given.changed), given.fixed) == ([RATE], {})
    assert given.again[-2:] == [f'+sweep.when={{{BLOCKS}: "{UNFREEZE}=some,all"}}', "-m"]
    monkeypatch.setattr(advice, "LUCK", "blocks")
    assert told(monkeypatch, searched(), rate=SURE, unfreeze=OPEN, blocks=LITTLE).fixed == {}


def test_where_nothing_can_be_told_the_study_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given = told(monkeypatch, searched(), rate=OPEN, unfreeze=OPEN, blocks=LITTLE)
    assert (given.changed, given.fixed) == ({}, {})
    assert given.again == ["data.root=/x", "sweep=full", "sweep.study=a", "seed=3", "sweep.n_trials=40", "-m"]
    whole = empty()  # of a grid everything has been tried
    whole.set_user_attr("n_trials", 3)
    whole.add_trials([trial(i, values=[0.1 * i], params={UNFREEZE: u}) for i, u in enumerate(["head", "all", "some"])])
    assert told(monkeypatch, whole, unfreeze=OPEN).again == []


@pytest.mark.parametrize(
    ("key", "allowed", "good", "best", "text"),
    [
        # The range 0.1 to 0.3 of three trials, half of it on either side.
        ("schedule.all.dropout", FloatDistribution(0.0, 0.5), [0.1, 0.2, 0.3], 0.2, "interval(0.0,0.4)"),
        ("schedule.all.epochs", IntDistribution(4, 12), [7, 8, 8, 9], 8, "int(interval(6,10))"),
        # A quarter of the width beyond the end at which the best lies, as far as the key goes.
        ("schedule.all.epochs", IntDistribution(4, 12), [10, 12, 11], 12, "int(interval(9,14))"),
        ("schedule.all.dropout", FloatDistribution(0.0, 0.5), [0.0, 0.1], 0.0, "interval(0.0,0.2)"),
        ("schedule.all.augment_strength", FloatDistribution(0.0, 0.9), [0.8, 0.89], 0.89, "interval(0.71,1.0)"),
        ("schedule.all.weight_averaging", FloatDistribution(0.0, 0.9), [0.8, 0.89], 0.89, "interval(0.71,0.95)"),
        ("model.rate", FloatDistribution(1e-5, 1e-1, log=True), [1e-5], 1e-5, "tag(log,interval(1e-06,0.1))"),
        # One trial tells no range, and what keeps nearly all of it stays.
        ("schedule.all.dropout", FloatDistribution(0.0, 0.5), [0.2], 0.2, None),
        ("schedule.all.dropout", FloatDistribution(0.0, 0.5), [0.05, 0.1, 0.45], 0.1, None),
        ("schedule.all.decay", CategoricalDistribution(["constant", "cosine"]), ["cosine"] * 2, "cosine", "cosine"),
        ("schedule.all.decay", CategoricalDistribution(["constant", "cosine"]), ["cosine"], "cosine", None),
        ("schedule.all.decay", CategoricalDistribution(["a", "b"]), ["a", "b"], "a", None),
        ("schedule.all.weight_averaging", CategoricalDistribution([None, 0.9, 0.99]), [0.9, None], 0.9, "null,0.9"),
        ("schedule.all.unfreeze", CategoricalDistribution([2, 4, "all"]), ["all", 4], "all", "4,all"),
    ],
)  # fmt: skip
def test_what_the_next_sweep_tries_of_a_key(
    key: str, allowed: optuna.distributions.BaseDistribution, good: list[object], best: object, text: str | None
) -> None:
    assert next_text(key, allowed, good, best) == text  # type: ignore[arg-type]

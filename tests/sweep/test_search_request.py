from dataclasses import replace

import pytest

from brain_tumor.config.sweep import SweepConfig
from brain_tumor.errors import InputError
from brain_tumor.sweep.search_request import flat, read, study_name

CONFIGURED = SweepConfig(
    n_trials=20,
    study=None,
    storage=None,
    metric="val/macro_f1",
    direction=None,
    space={"rate": "interval(0, 1)", "decay": "choice(cosine, constant)", "floor": "interval(0, 1)"},
    when={"floor": "decay=cosine"},
    enqueue=[{"rate": 0.5, "decay": "cosine", "floor": 0.1}],
    sampler={"_target_": "optuna.samplers.TPESampler"},
    pruner={"_target_": "optuna.pruners.MedianPruner"},
    seed=0,
    confirm=None,
    on_change="refuse",
    max_failures=0.5,
    retry_smaller=False,
    warm_start=True,
    ignore=[],
)


def test_without_a_swept_key_the_configured_space_stands():
    request = read(["seed=3"], CONFIGURED)
    assert request.space.texts == CONFIGURED.space
    assert request.shared == ["seed=3"]
    assert request.n_trials == 20
    assert request.queue == [{"rate": 0.5, "decay": "cosine", "floor": 0.1}]


def test_a_swept_key_replaces_the_configured_space_unless_a_sweep_is_named():
    alone = read(["depth=int(interval(1, 4))"], CONFIGURED)
    assert alone.space.texts == {"depth": "int(interval(1, 4))"}
    assert alone.queue == []
    assert alone.settings.sampler == CONFIGURED.sampler
    extended = read(["sweep=finetune", "depth=int(interval(1, 4))", "rate=interval(0, 2)"], CONFIGURED)
    assert extended.space.texts == {**CONFIGURED.space, "rate": "interval(0, 2)", "depth": "int(interval(1, 4))"}


def test_conditions_and_points_on_the_command_line_stand_with_a_space_from_there():
    settings = replace(CONFIGURED, when={"floor": "decay=cosine"}, enqueue=[{"floor": 0.1, "decay": "cosine"}])
    swept = ["decay=choice(cosine, constant)", "floor=interval(0, 1)"]
    assert read(swept, settings).space.when == {}
    assert read(swept, settings).queue == []
    request = read(
        [*swept, "sweep.when={floor: 'decay=cosine'}", "sweep.enqueue=[{floor: 0.1, decay: cosine}]"], settings
    )
    assert request.space.when == {"floor": "decay=cosine"}
    assert request.queue == [{"decay": "cosine", "floor": 0.1}]


def test_lists_alone_are_an_exhaustive_grid_in_their_order():
    request = read(["a=1,2", "b=x,y"], CONFIGURED)
    assert [tuple(point.values()) for point in request.queue] == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]
    assert request.n_trials == 4
    assert request.settings.sampler["_target_"] == "optuna.samplers.GridSampler"
    assert request.settings.pruner["_target_"] == "optuna.pruners.NopPruner"


def test_lists_with_a_named_sampler_or_an_interval_are_searched():
    chosen = replace(CONFIGURED, sampler={"_target_": "optuna.samplers.RandomSampler"})
    assert read(["a=1,2", "sweep/sampler=random"], chosen).settings.sampler == chosen.sampler
    assert read(["a=1,2", "b=interval(0, 1)"], CONFIGURED).settings.sampler == CONFIGURED.sampler


def test_a_key_with_one_value_is_not_searched():
    request = read(["decay=cosine"], CONFIGURED)
    assert request.space.texts == {"rate": "interval(0, 1)", "floor": "interval(0, 1)"}
    assert request.space.when == {}
    assert request.queue == [{"rate": 0.5, "floor": 0.1}]
    other = read(["decay=constant"], CONFIGURED)  # under which there is no floor
    assert other.space.texts == {"rate": "interval(0, 1)"}
    assert other.queue == [{"rate": 0.5}]


def test_a_condition_on_a_key_that_is_not_searched_is_refused():
    with pytest.raises(InputError, match=r"sweep\.when\.rat"):
        read(
            ["decay=choice(cosine, constant)", "sweep.when={rat: 'decay=cosine'}"],
            replace(CONFIGURED, when={"rat": "decay=cosine"}),
        )


def test_a_grid_that_is_asked_for_is_the_whole_of_it():
    grid = replace(CONFIGURED, sampler={"_target_": "optuna.samplers.GridSampler"})
    space = ["a=range(6)", "b=range(5)", "sweep/sampler=grid"]
    assert read(space, grid).n_trials == 30
    assert read([*space, "sweep.n_trials=20"], grid).n_trials == 20


@pytest.mark.parametrize("arguments", [["sweep.n_trials=1,2"], ["sweep=finetune,full"]])
def test_the_sweeps_own_keys_are_not_searched(arguments):
    with pytest.raises(InputError, match="one value"):
        read(arguments, CONFIGURED)


@pytest.mark.parametrize("argument", ["data.rename={a: b},{a: c}", "data.classes=[a,b],[a,c]", "+data.rename.a=b,c"])
def test_classes_are_not_searched(argument):
    with pytest.raises(InputError, match="has several values: scores of other classes are not comparable"):
        read([argument, "rate=0.1,0.2"], CONFIGURED)


def test_of_a_file_those_keys_and_points_are_left_out_that_do_not_fit_and_a_line_says_so():
    lacking = {"decay": "there is no decay"}.get
    request = read([], CONFIGURED, None, lambda key: lacking(key, ""))
    assert request.space.texts == {"rate": "interval(0, 1)"}  # without floor, whose condition reads decay
    assert request.queue == [{"rate": 0.5}]
    assert request.left_out == ("not searched: decay, floor, since there is no decay",)
    narrowed = read(["sweep=finetune", "rate=interval(0, 0.1)"], CONFIGURED)
    assert narrowed.queue == []
    assert narrowed.left_out == ("sweep.enqueue: rate=0.5 is not of the space interval(0, 0.1): the point is left out",)
    # What is typed is meant
    with pytest.raises(InputError, match=r"rate=0\.5 is not of the space"):
        _ = read(["sweep=finetune", "rate=interval(0, 0.1)", "sweep.enqueue=[{rate: 0.5}]"], CONFIGURED).queue
    assert (
        "decay"
        in read(["sweep=finetune", "decay=cosine,b"], CONFIGURED, None, lambda key: lacking(key, "")).space.texts
    )


def test_nothing_to_search_is_said():
    with pytest.raises(InputError, match="nothing to search"):
        read([], replace(CONFIGURED, space={}, when={}, enqueue=[]))


def test_the_same_sweep_has_the_same_name_and_another_has_another():
    request, choices = read(["seed=3"], CONFIGURED), {"sweep": "finetune", "model": "effnet_b4", "data": "kaggle"}
    name = study_name(request, {"seed": 3}, choices)
    assert name.startswith("finetune-effnet_b4-kaggle-")
    assert study_name(read(["seed=3"], CONFIGURED), {"seed": 3}, choices) == name
    assert study_name(request, {"seed": 4}, choices) != name
    assert study_name(read(["sweep=x", "rate=1,2"], CONFIGURED), {"seed": 3}, choices) != name
    minimized = replace(CONFIGURED, direction="minimize")
    assert study_name(read(["seed=3"], minimized), {"seed": 3}, choices) != name
    assert study_name(read([], replace(CONFIGURED, study="mine")), {}, choices) == "mine"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"metric": "test/accuracy"}, "test part"),
        ({"metric": ["val/loss", "test/loss"]}, "test part"),
        ({"metric": ["val/loss", "val/loss"]}, "once"),
        ({"metric": ["val/loss", "cost/parameters"], "direction": "minimize"}, "one for 2"),
        ({"metric": "val/loss", "direction": ["minimize", "maximize"]}, "2 entries"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(changes, reason):
    with pytest.raises(InputError, match=reason):
        replace(CONFIGURED, **changes)


def test_directions_follow_from_the_metrics():
    metrics = ["val/macro_f1", "val/loss", "cost/inference_ms"]
    assert replace(CONFIGURED, metric=metrics).directions == ["maximize", "minimize", "minimize"]


def test_a_configuration_is_flattened_as_far_as_it_is_kept():
    values = {"a": {"b": 1, "c": {"d": [1, 2]}}, "e": None, "f": {}}
    assert flat(values, lambda key: key != "a.b") == {"a.c.d": [1, 2], "e": None, "f": {}}

"""Every file in conf/ composes and is typed; what is wrong is named in one line."""

from functools import cache
from itertools import product, takewhile
from pathlib import Path
from typing import Any

import pytest
from composition import composed, task
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from brain_tumor.__main__ import COMMANDS
from brain_tumor.config.commands import EvaluateConfig, ExportConfig, LoggedData, PredictConfig
from brain_tumor.config.sweep import SweepConfig
from brain_tumor.config.train import HardwareConfig, TrainConfig
from brain_tumor.config.validation import plain, typed
from brain_tumor.entry import conf_dir
from brain_tumor.errors import InputError
from brain_tumor.models.backbones import BACKBONES
from brain_tumor.sweep.sampling import make_pruner, make_sampler
from brain_tumor.sweep.search_request import read
from brain_tumor.sweep.space import overrides

FILES = sorted(conf_dir().glob("*/**/*.yaml"))  # of groups
# What the README.md of an experiment has its command say, after `python -m brain_tumor.train`.
PUBLISHED = {
    "default_run": "seeds=[0,1,2]",
    "two_phase_b4": "data=kaggle model=effnet_b4 schedule=two_phase protocol=official",
    "official": "data=folder model=effnet_lite0 data.image_size=128 seeds=[0,1,2] protocol=official",
    "grouped": "data=folder data.patients=patients.csv data.calibration_fraction=null data.val_fraction=0.2 "
    "model=effnet_lite0 data.image_size=160 schedule.all.epochs=12 protocol=grouped protocol.folds=5",
    "evidence": "data=folder data.patients=patients.csv data.masks=MASKS data.copies=false data.image_size=160 "
    "model=effnet_lite0 model.head=evidence augment=counterfactual schedule.all.epochs=12 "
    "schedule.all.weight_averaging=0.99 monitor=val/trust protocol=grouped protocol.folds=5",
    "sweep_finetune": "data=folder protocol=official data.subset=0.1 data.image_size=64 model=effnet_lite0 "
    "schedule.head.epochs=5 schedule.head.learning_rate=1e-3",
}


def stems(group: str) -> list[str]:
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


@cache
def groups_of(command: str) -> list[str]:
    """The groups of a command as its defaults list names them: GROUP, or GROUP@KEY."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return list(compose(command, return_hydra_config=True).hydra.runtime.choices)


@pytest.mark.parametrize("group", sorted({str(each.parent.relative_to(conf_dir())) for each in FILES}))
def test_every_file_of_a_group_composes_for_every_command_that_has_it_and_is_typed(group: str) -> None:
    mounts = [(command, key) for command in COMMANDS for key in groups_of(command) if key.partition("@")[0] == group]
    assert mounts
    for stem, (command, key) in product(stems(group), mounts):
        config = composed(command, f"{key}={stem}")
        if command == "train" and group in ("model", "augment", "schedule", "tracking", "hardware"):
            values = plain(config)
            values.pop("sweep")
            chosen = getattr(typed(TrainConfig, values), group)
            assert getattr(chosen, "name", stem) == stem


@pytest.mark.parametrize(("source", "default"), [("phantom", "official"), ("folder", "grouped"), ("kaggle", "grouped")])
def test_every_protocol_is_typed_and_the_default_depends_on_the_data(source: str, default: str) -> None:
    for stem in stems("protocol"):
        config = typed(TrainConfig, task(f"data={source}", "data.root=x", f"protocol={stem}"))
        assert config.protocol.name == (default if stem == "auto" else stem)


def test_folds_of_the_phantom_are_drawn_over_its_subjects() -> None:
    assert typed(TrainConfig, task("protocol.folds=5")).protocol.name == "grouped"


def test_phases_are_trained_in_the_order_of_the_schedule() -> None:
    orders = {stem: list(task(f"schedule={stem}")["schedule"]) for stem in stems("schedule")}
    two = ["head", "all"]
    expected = {
        "fast": two,
        "finetune": two,
        "two_phase": two,
        "head_only": ["head"],
        "scratch": ["scratch"],
        "vit": two,
    }
    assert orders == expected


def test_a_tiny_run_is_small_in_everything() -> None:
    small = ["model=cnn_baseline", "schedule=scratch", "augment=none", "data.image_size=32", "bootstrap=100"]
    short = ["schedule.scratch.epochs=2", "schedule.scratch.warmup_epochs=0.5", "tracking.system_metrics=false"]
    assert task("debug=tiny", "data=folder") == task(*small, *short, "data=folder")
    assert task("debug=tiny") == task(*small, *short, "data=phantom_tiny")
    assert typed(TrainConfig, task("debug=tiny")).data.phantom != typed(TrainConfig, task()).data.phantom


@pytest.mark.parametrize("name", stems("experiment"))
def test_an_experiment_is_its_command_in_one_word(name: str) -> None:
    given = [] if name in ("default_run", "two_phase_b4") else ["data.root=DIR"]
    given += ["data.patients=patients.csv"] if name in ("grouped", "evidence") else []
    given += ["data.masks=MASKS"] if name == "evidence" else []
    assert task(f"experiment={name}", *given) == task(*PUBLISHED[name].split(), *given)
    typed(TrainConfig, task(f"experiment={name}", *given))


def test_what_stands_beside_an_experiment_wins() -> None:
    config = typed(TrainConfig, task("seed=3", "model=effnet_lite1", "experiment=official", "data.image_size=96"))
    assert (config.seed, config.model.name, config.data.image_size) == (3, "effnet_lite1", 96)
    assert config.protocol.name == "official"


def test_maps_are_made_alike_by_every_command() -> None:
    train = typed(TrainConfig, task("explain.layer=top_conv", "explain.views=2")).explain
    other = ["model_uri=u", "explain.layer=top_conv", "explain.views=2"]
    assert typed(EvaluateConfig, composed("evaluate", *other)).explain == train
    assert (train.method, train.layer, train.views, train.sanity) == (None, "top_conv", 2, False)
    given = ["model_uri=u", "input=x", "explain=true", "maps.layer=top_conv", "maps.views=2"]
    predict = typed(PredictConfig, composed("predict", *given))
    assert predict.explain
    assert (predict.maps.method, predict.maps.layer, predict.maps.views) == (train.method, train.layer, train.views)


def test_only_where_lesions_are_known_may_maps_be_chosen_by_them() -> None:
    explain = typed(TrainConfig, task("maps@explain=auto")).explain
    assert (explain.method, explain.layer, explain.views) == ("auto", "auto", 8)
    with pytest.raises(InputError, match=r"maps\.method: input should be 'gradcam'"):
        typed(PredictConfig, composed("predict", "model_uri=u", "input=x", "maps=auto"))


@pytest.mark.parametrize("source", ["phantom", "phantom_tiny", "folder", "kaggle"])
def test_every_source_is_typed_for_both_entries(source: str) -> None:
    train = typed(TrainConfig, task(f"data={source}", "data.root=x"))
    other = typed(EvaluateConfig, composed("evaluate", f"data={source}", "data.root=x", "model_uri=u"))
    assert train.data == other.data
    assert train.data.source == source.removesuffix("_tiny")


def test_evaluate_takes_the_logged_split_by_default() -> None:
    config = typed(EvaluateConfig, composed("evaluate", "model_uri=u", "data.root=moved"))
    assert config.data == LoggedData("logged", "moved", None)


def test_evaluate_answers_with_keras_by_default_and_knows_its_runtimes() -> None:
    assert typed(EvaluateConfig, composed("evaluate", "model_uri=u")).runtime == "keras"
    with pytest.raises(InputError, match="runtime: input should be 'auto', 'keras', 'onnx' or 'tflite'"):
        typed(EvaluateConfig, composed("evaluate", "model_uri=u", "runtime=tflite_int8"))


def test_an_export_is_of_known_formats_into_a_named_folder() -> None:
    config = typed(ExportConfig, composed("export", "model_uri=u", "out=x"))
    assert config.formats == ("onnx", "tflite", "tflite_int8")
    for override, message in {
        "formats=[onnx,torch]": "input should be 'onnx', 'tflite' or 'tflite_int8'",
        "formats=[]": "formats: tuple should have at least 1 item",
        "formats=onnx": r"formats: give a list, \[onnx\]",
        "out=???": "Missing mandatory value: out",
    }.items():
        with pytest.raises(InputError, match=message):
            typed(ExportConfig, composed("export", "model_uri=u", "out=x", override))


@pytest.mark.parametrize("sweep", sorted(path.stem for path in (conf_dir() / "sweep").glob("*.yaml")))
def test_every_point_of_a_sweep_is_a_configuration(sweep: str) -> None:
    settings = typed(SweepConfig, plain(composed("train", f"sweep={sweep}").sweep), "sweep.")
    if sweep == "base":
        assert settings.space == {}
        return
    request = read([f"sweep={sweep}"], settings)
    points = [*request.queue[:20], *request.space.corners()]
    for point in points:
        typed(TrainConfig, task(*overrides(point)))
    assert request.n_trials > 0
    make_pruner(settings.pruner)
    make_sampler(settings.sampler, request.space, 0)


@pytest.mark.parametrize("group", ["sampler", "pruner"])
def test_samplers_and_pruners_are_optunas_own(group: str) -> None:
    for stem in stems(f"sweep/{group}"):
        target = composed("train", "sweep=base", f"sweep/{group}={stem}").sweep[group]._target_
        assert target.startswith(f"optuna.{group}s.")


def test_model_files_are_the_registry() -> None:
    assert stems("model") == sorted(BACKBONES)


def test_every_file_opens_with_what_it_is_and_a_command() -> None:
    for path in conf_dir().rglob("*.yaml"):
        lines = path.read_text(encoding="utf-8").removeprefix("# @package _global_\n").splitlines()
        assert lines[0].startswith("# "), path
        opening = list(takewhile(lambda line: line.startswith("#"), lines))
        assert any("python -m brain_tumor." in line for line in opening), path


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+data.rot=1", "data.rot is no known key"),
        ("seed=yes please", "seed: input should be a valid integer"),
        ("data.val_fraction=1.5", "data.val_fraction: input should be less than 1 (got 1.5)"),
        ("schedule.all.epochs=0", "schedule.all.epochs: input should be greater than 0 (got 0)"),
        ("schedule.all.optimizer=adamm", "schedule.all.optimizer: input should be 'adam', 'adamw' or 'sgd'"),
        ("schedule.all.decay=plateau", "decay=plateau needs the settings under plateau"),
        ("schedule.all.unfreeze=some", "schedule.all.unfreeze: input should be 'head' or 'all' (got 'some')"),
        ("schedule.all.dropout=1", "schedule.all.dropout: input should be less than 1 (got 1)"),
        ("schedule.all.feature_views=2", "feature_views=2 needs unfreeze=head"),
        ("schedule.head.feature_views=0", "feature_views: input should be greater than 0 (got 0)"),
        ("schedule.all.augment_strength=1.5", "augment_strength: input should be less than or equal to 1 (got 1.5)"),
        ("schedule.all.warmup_epochs=6", "warmup_epochs=6.0 leaves nothing of the 6 epochs"),
        ("hardware.threads=0", "hardware.threads: input should be greater than 0 (got 0)"),
        ("hardware.strategy=horovod", "hardware.strategy: input should be 'none' or 'mirrored' (got 'horovod')"),
        ("hardware.device=tpu", "hardware.device: input should be 'auto', 'cpu' or 'gpu' (got 'tpu')"),
        ("hardware.jit_compile=maybe", "hardware.jit_compile: input should be 'auto', True or False (got 'maybe')"),
        ("hardware.micro_batch=0", "hardware.micro_batch: input should be greater than 0 (got 0)"),
        ("hardware=mirrored & hardware.micro_batch=8", "hardware: micro_batch=8 needs strategy=none"),
        ("hardware=mirrored & hardware.jit_compile=true", "hardware: jit_compile=true needs strategy=none"),
        (
            "model.head=evidence & schedule=fast",
            "feature_views=1 stores pooled features, and model.head=evidence needs",
        ),
        ("model.head=evidence & hardware=mirrored", "model.head=evidence trains on one device: give hardware.strategy"),
        (
            "augment=counterfactual & data=folder",
            "augment=counterfactual needs lesion masks to paint over: give data.masks",
        ),
        (
            "augment=counterfactual & schedule=fast",
            "feature_views=1 stores pooled features, and augment=counterfactual",
        ),
        (
            "augment=counterfactual & augment.counterfactual.removed=0.9",
            "removed=0.9 and elsewhere=0.2 are more than all",
        ),
        (
            "augment=counterfactual & augment.counterfactual.transplanted=0.9",
            "transplanted=0.9 and elsewhere=0.2 are more than all",
        ),
        ("explain.method=evidence", "explain.method=evidence is the map of model.head=evidence, not of pooled"),
        ("monitor=test/accuracy", "monitor: input should be 'val/accuracy'"),
        ("monitor=val/trust & schedule=fast", "stores pooled features, and monitor=val/trust needs pictures"),
        ("monitor=val/trust & data=folder", "monitor=val/trust needs lesion masks to paint over: give data.masks=DIR"),
        ("protocol.name=fair", "protocol.name: input should be 'auto', 'official', 'clean', 'grouped'"),
        ("protocol=clean & protocol.folds=5", "protocol: folds=5 needs protocol=grouped"),
        ("protocol.folds=5 & protocol.fold=5", "protocol: fold=5 is none of the 5 folds: count from 0"),
        ("protocol.fold=0", "protocol: fold=0 is one of several folds: give protocol.folds=K, too"),
        ("protocol.site=A", "site=A needs protocol=leave_one_site_out"),
        ("seeds=[1,1]", "configuration: seeds=[1, 1] has a seed twice"),
        ("seeds=[7]", "configuration: seeds=[7]: give at least two seeds, or seed=7"),
        ("seeds=[]", "configuration: seeds=[]: give at least two seeds, or seed=0"),
        ("coverage=[0.9,0.9]", "configuration: coverage=[0.9, 0.9] has a level twice"),
        ("coverage=[0.9999]", "input should be less than or equal to 0.999 (got 0.9999)"),
        ("coverage=0.9", "coverage: give a list, [0.9] (got 0.9)"),
        ("~schedule.all.epochs", "schedule.all.epochs is missing"),
        ("distill=models:/t/1", "distill: give a key below it, distill.KEY=VALUE (got 'models:/t/1')"),
    ],
)
def test_what_is_wrong_is_one_line(override: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        typed(TrainConfig, task(*override.split(" & ")))
    assert message in str(caught.value)
    assert not set("\n{") & set(str(caught.value))  # one line, and no block of the configuration as Python shows it


def test_a_schedule_logged_before_there_were_dropout_and_strength_still_loads() -> None:
    config = task()
    for phase in config["schedule"].values():
        del phase["dropout"], phase["augment_strength"], phase["feature_views"]
    assert typed(TrainConfig, config) == typed(TrainConfig, task())


def test_a_run_logged_before_there_was_hardware_still_loads() -> None:
    config = task()
    del config["hardware"]
    as_trained = HardwareConfig(
        threads=None, strategy="none", device="auto", precision="float32", jit_compile=False, micro_batch=None
    )
    assert typed(TrainConfig, config).hardware == as_trained
    config["hardware"] = {"threads": None, "strategy": "none"}  # as it then was
    assert typed(TrainConfig, config).hardware == as_trained


def test_a_model_logged_before_there_were_heads_has_the_pooled_one() -> None:
    config = task()
    del config["model"]["head"]
    assert typed(TrainConfig, config).model.head == "pooled"


def test_an_empty_schedule_is_refused() -> None:
    config: Any = DictConfig(task())
    config.schedule = {}
    with pytest.raises(InputError, match="schedule"):
        typed(TrainConfig, config)


def test_conf_dir_is_the_checkouts() -> None:
    assert conf_dir() == Path(__file__).parents[1] / "conf"


@pytest.mark.parametrize(
    ("key", "field", "value"),
    [
        ("data.classes=[true,False]", "classes", ("true", "false")),
        ("data.classes=[no,01,1.0]", "classes", ("no", "01", "1.0")),
        ("data.rename={true: tumour, 0: notumor}", "rename", (("true", "tumour"), ("0", "notumor"))),
        ("data.healthy=false", "healthy", "false"),
        ("data.healthy=0", "healthy", "0"),
        ("data.healthy=null", "healthy", None),
    ],
)
def test_folders_may_be_called_as_truth_and_numbers_are(key: str, field: str, value: object) -> None:
    assert getattr(typed(TrainConfig, task(key)).data, field) == value


@pytest.mark.parametrize("key", ["data.rename=[no,yes]", "data.rename=no"])
def test_a_rename_that_is_no_mapping_says_what_it_takes(key: str) -> None:
    with pytest.raises(InputError, match=r"give the class of each folder, \{no: notumor, yes: tumour\}"):
        typed(TrainConfig, task(key))

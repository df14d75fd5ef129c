"""Evaluate a registered model: `python -m brain_tumor.evaluate model_uri=models:/brain-tumor@champion`."""

from dataclasses import replace
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config.commands import EvaluateConfig, LoggedData
from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.errors import InputError
from brain_tumor.imports import uncollected
from brain_tumor.paths import existing_path

if TYPE_CHECKING:
    from brain_tumor.data.contamination import Contamination
    from brain_tumor.data.dataset import Dataset
    from brain_tumor.tracking.registry import RegisteredModel


def evaluate(raw: DictConfig) -> None:
    """Rebuild model, configuration and split from the registry, score the test part, log a run linked to the first.

    With `data=folder` (or another source) the model meets all images of that source instead.
    """
    config = typed(EvaluateConfig, raw)

    from brain_tumor.jobs.preflight import check_source
    from brain_tumor.serving.runtimes import FORMATS, require

    if config.runtime in FORMATS:
        require(config.runtime)
    if not isinstance(config.data, LoggedData):
        check_source(config.data)
    _check_trained_root(config)

    with uncollected():
        from brain_tumor.tracking.store import open_store

        store = open_store(config.tracking)

        from brain_tumor.models.backend import start_tensorflow

        start_tensorflow()

        from brain_tumor.evaluation import site
        from brain_tumor.evaluation.explanation.kinds import check
        from brain_tumor.evaluation.scoring import measure, measure_all
        from brain_tumor.serving.choice import choose_for
        from brain_tumor.tracking import cards, logged_uncertainty, registry, results, runs, setup
        from brain_tumor.tracking.explanations import log_explanations

    registered = registry.load_model(config.model_uri)
    trained = typed(TrainConfig, registered.config)
    dataset, protocol, known = _images(config, registered, trained)
    check(config.explain, registered.model, trained.model.name, dataset)
    answering, runtime = choose_for(config.runtime, registered.model, dataset, robustness=config.robustness)
    tags = setup.evaluation_tags(registered, dataset.split, protocol, known.verdict if known else "false")
    name = f"evaluate {trained.model.name} on {dataset.split.name}"
    with runs.started(
        store, name=name, tags=tags, parent=registered.run_id, system_metrics=config.tracking.system_metrics
    ) as run_id:
        runs.log_split(dataset.split, "evaluation")
        uncertainty = registered.uncertainty
        evaluation, outputs = measure_all(
            answering, dataset, "test", protocol, uncertainty, batch_size=config.batch_size
        )
        measured = site.by_contamination(evaluation, known)
        tables = {
            part: results.log_evaluation(each, part, resamples=config.bootstrap) for part, each in measured.items()
        }
        more = logged_uncertainty.describe(uncertainty)
        for part, each in measured.items():
            places = evaluation.rows.index.get_indexer(each.rows.index)
            more += logged_uncertainty.log_worth(uncertainty, each, outputs.take(places), part)
        explained = {"test": measured["test"]}
        if dataset.mask_paths is not None and len(dataset.rows("val")):  # what scoring maps needs is chosen there
            explained["val"] = measure(answering, dataset, "val", protocol, batch_size=config.batch_size)
        found = log_explanations(
            registered.model,
            trained.model.name,
            dataset,
            explained,
            config.explain,
            parts=["test"],
            resamples=config.bootstrap,
        )
        if config.robustness:
            sizes = {"batch_size": config.batch_size, "resamples": config.bootstrap}
            line = results.log_robustness(answering, dataset, "test", measured["test"], **sizes)
            found = [*found, f"test      {line}"]
    said = [] if config.runtime == "keras" else [f"runtime   {runtime}"]
    card = cards.card_line(registered.run_id)  # now that this evaluation has finished, the card has it, too
    lines = [f"model     {registered.uri}", *said, *more, *found, *site.remarks(known), card]
    print(
        results.run_summary([(measured[part], tables[part]) for part in measured], dataset.split, store, run_id, lines)
    )


def _images(
    config: EvaluateConfig, registered: "RegisteredModel", trained: TrainConfig
) -> tuple["Dataset", str, "Contamination | None"]:
    """What the model meets, under which protocol; and, of another source, what of it the model has met before."""
    from brain_tumor.data.contamination import find_contamination
    from brain_tumor.data.dataset import load_whole
    from brain_tumor.data.logged_split import load_logged

    data, size = config.data, int(registered.model.input_shape[1])
    if isinstance(data, LoggedData):
        there = replace(trained.data, cache=data.cache or trained.data.cache)
        dataset = load_logged(registered.split, there, root=data.root, image_size=size, masks=data.masks)
        return dataset, trained.protocol.name, None
    dataset = load_whole(data, image_size=size)
    root = existing_path(config.trained_root) if config.trained_root else registered.split.root
    known = find_contamination(dataset.split, registered.split, root, data.cache, data.workers, patients=data.patients)
    return dataset, "all images", known


def _check_trained_root(config: EvaluateConfig) -> None:
    given = config.trained_root
    if given is None:
        return
    if isinstance(config.data, LoggedData):
        raise InputError(
            f"trained_root={given} is read only with other data (data=folder data.root=DIR): leave it out; where the "
            "logged images are now is data.root=DIR"
        )
    if not existing_path(given).is_dir():
        raise InputError(f"trained_root={given} is no folder: give the one that holds the training images")


def main() -> None:
    entry.run(evaluate, "evaluate")


if __name__ == "__main__":
    main()

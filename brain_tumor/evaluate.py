"""Evaluate a registered model: `python -m brain_tumor.evaluate model_uri=models:/brain-tumor@champion`."""

from dataclasses import replace

from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config import EvaluateConfig, LoggedData, TrainConfig, typed
from brain_tumor.paths import existing_path


def evaluate(raw: DictConfig) -> None:
    """Rebuild model, configuration and split from the registry, score the test part, log a run linked to the first.

    With `data=folder` (or another source) the model meets all images of that source instead.
    """
    config = typed(EvaluateConfig, raw)

    from brain_tumor.tracking.store import open_store

    store = open_store(config.tracking)

    from brain_tumor.models.backend import start_tensorflow

    start_tensorflow()

    from brain_tumor.data.contamination import seen_in_training
    from brain_tumor.data.load import load_whole
    from brain_tumor.data.logged import load_logged
    from brain_tumor.evaluation import site
    from brain_tumor.evaluation.explanation.kinds import check
    from brain_tumor.evaluation.measure import measure, measure_all
    from brain_tumor.evaluation.prediction import observing
    from brain_tumor.tracking import decisions, registry, report, runs, setup
    from brain_tumor.tracking.explanations import log_explanations
    from brain_tumor.training.preflight import check_source

    registered = registry.load_model(config.model_uri)
    trained = typed(TrainConfig, registered.config)
    seen = None
    size = int(registered.model.input_shape[1])
    if isinstance(config.data, LoggedData):
        data = replace(trained.data, cache=config.data.cache or trained.data.cache)
        dataset = load_logged(registered.split, data, root=config.data.root, image_size=size, masks=config.data.masks)
        protocol: str = trained.protocol.name
    else:
        check_source(config.data)
        dataset = load_whole(config.data, image_size=size)
        protocol = "all images"
        where = existing_path(config.trained_root) if config.trained_root else registered.split.root
        seen = seen_in_training(dataset.split, registered.split, where, config.data.cache, config.data.workers)
    check(config.explain, registered.model, trained.model.name, dataset)
    tags = setup.evaluation_tags(registered, dataset.split, protocol, seen is not None and bool(seen.any()))
    name = f"evaluate {trained.model.name} on {dataset.split.name}"
    with runs.started(
        store, name=name, tags=tags, parent=registered.run_id, system_metrics=config.tracking.system_metrics
    ) as run_id:
        runs.log_split(dataset.split, "evaluation")
        decision = registered.decision
        evaluation, outputs = measure_all(
            observing(registered.model), dataset, "test", protocol, decision, batch_size=config.batch_size
        )
        measured = site.by_contamination(evaluation, seen)
        tables = {
            part: report.log_evaluation(each, part, resamples=config.bootstrap) for part, each in measured.items()
        }
        more = decisions.log_worth(decision, measured["test"], outputs, "test")
        explained = {"test": measured["test"]}
        if dataset.mask_paths is not None and len(dataset.rows("val")):  # what scoring maps needs is chosen there
            explained["val"] = measure(registered.model, dataset, "val", protocol, batch_size=config.batch_size)
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
            line = report.log_robustness(registered.model, dataset, "test", measured["test"], **sizes)
            found = [*found, f"test      {line}"]
    lines = [f"model     {registered.uri}", *more, *found]
    if seen is not None and seen.all():
        lines.append("unseen    none: every image has a twin in training, and nothing is measured of another site")
    print(report.summary([(measured[part], tables[part]) for part in measured], dataset.split, store, run_id, lines))


def main() -> None:
    entry.run(evaluate, "evaluate")


if __name__ == "__main__":
    main()

"""Going on with a single interrupted run, by its own configuration; `single_run.finish` then ends it."""

from dataclasses import replace

from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.data.logged_split import load_logged
from brain_tumor.errors import InputError
from brain_tumor.jobs.single_run import finish, resumable
from brain_tumor.jobs.steps import titles
from brain_tumor.jobs.teacher import load_teacher
from brain_tumor.jobs.training_checks import check_model, given
from brain_tumor.models.backbones import input_shape
from brain_tumor.models.backend import start
from brain_tumor.paths import existing_path
from brain_tumor.progress import course
from brain_tumor.tracking import runs
from brain_tumor.tracking.store import open_store
from brain_tumor.training import checkpoint
from brain_tumor.training.preparation import prepare


def resume_one(config: TrainConfig, overrides: list[str]) -> float:
    """Train the single run `config.resume` to its end; returns the best epoch's `monitor` on the val part.

    Of `config` only where things are, and the model's name and the hardware if given, is read (the keys that may stand
    beside `resume`).
    Raises InputError for a run that is not there, has finished, or whose checkpoint is gone.
    """
    store = open_store(config.tracking)
    run = runs.interrupted(str(config.resume))
    logged = typed(TrainConfig, runs.load_config(run.info.run_id))
    if given(overrides, "hardware"):
        logged = replace(logged, hardware=config.hardware)
    renamed = given(overrides, "tracking.register")
    if renamed:
        logged = replace(logged, tracking=replace(logged.tracking, register=config.tracking.register))
    start(logged.hardware)
    store = replace(store, experiment_id=run.info.experiment_id)
    run_id = run.info.run_id
    places = config if given(overrides, "tracking.checkpoints") else logged
    folder = existing_path(places.tracking.checkpoints) / run_id
    if not folder.is_dir():
        raise InputError(
            f"resume={run_id}: its checkpoint is not in {folder.absolute()}; "
            "resume where it was started, or give tracking.checkpoints=DIR"
        )
    with checkpoint.claimed(folder):
        history = checkpoint.read_history(folder)
        if not history and runs.logged_epochs(run_id):
            raise InputError(f"resume={run_id}: {folder.absolute()} holds no checkpoint any more: train anew")
        # Finished epochs hold all weights; the file that they began with may be gone by now.
        weights = None if history else check_model(logged)
        cache = config.data.cache or logged.data.cache
        data = replace(logged.data, cache=cache)
        split = runs.load_split(run_id)
        dataset = load_logged(split, data, root=config.data.root, shape=input_shape(logged), masks=config.data.masks)
        prepared = prepare(logged, dataset, weights, load_teacher(logged, dataset))
        with (
            runs.started(store, run_id=run_id, system_metrics=logged.tracking.system_metrics),
            resumable(run_id, folder, overrides),
            course(titles(logged)),
        ):
            if renamed:
                runs.log_name(logged.tracking.register)
            return finish(prepared, store, runs.own_tags(run), run_id, folder)

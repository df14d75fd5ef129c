"""Compare two runs on the images that both predicted: `python -m brain_tumor.compare RUN_A RUN_B [part=val]`."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from brain_tumor import entry
from brain_tumor.config.commands import CompareConfig
from brain_tumor.config.validation import typed
from brain_tumor.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

RUNS = ("run_a", "run_b")
SIDE = 96  # pixels of an image on the sheet of changed ones


def compare(raw: DictConfig) -> None:
    """Pair what two runs predicted, log the difference as a run that links to both, and print it."""
    absent = [key for key in RUNS if OmegaConf.is_missing(raw, key)]
    if absent:
        raise InputError(f"{' and '.join(absent)} missing: {entry.command('compare')} RUN_A RUN_B")
    config = typed(CompareConfig, raw)

    from brain_tumor.tracking.store import open_store

    store = open_store(config.tracking)

    from brain_tumor.evaluation import comparison
    from brain_tumor.tracking import comparison_run, results, runs

    a, b = comparison_run.find(config.run_a, "run_a"), comparison_run.find(config.run_b, "run_b")
    evaluations = [comparison_run.predictions(run, config.part, key) for run, key in zip((a, b), RUNS, strict=True)]
    found = comparison.compare(*evaluations, resamples=config.bootstrap)
    images, said = _pictures(found.changed, [a.info.run_id, b.info.run_id])
    name, tags = comparison_run.name(a, b), comparison_run.tags(a, b, config.part)
    with runs.started(store, name=name, tags=tags, system_metrics=False) as run_id:
        comparison_run.log(found, (a.info.run_name, b.info.run_name), images)
    print("\n".join([*comparison_run.comparison_summary(found, a, b), *said, *results.places(store, run_id)]))


def _pictures(changed: "pd.DataFrame", run_ids: Sequence[str]) -> tuple[dict[str, Any] | None, list[str]]:
    """The images for the sheet, from the split of the first run that has one; None, and why, if they are gone."""
    from brain_tumor.data.logged_split import load_pictures
    from brain_tumor.evaluation.comparison_figures import first_changes
    from brain_tumor.tracking.runs import load_split

    shas = set(first_changes(changed)["sha256"])
    reason = ""
    for run_id in run_ids:
        try:
            return load_pictures(load_split(run_id), shas, image_size=SIDE), []
        except InputError as error:
            reason = reason or str(error)
    return None, [f"no sheet  of the changed images: {reason}"]


def overrides(arguments: Sequence[str]) -> list[str]:
    """The command line with `RUN_A RUN_B` as `run_a=… run_b=…`; the value of an option (`--cfg job`) stays."""
    free = [key for key in RUNS if not any(argument.startswith(f"{key}=") for argument in arguments)]
    translated = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        positional = not argument.startswith(("-", "~")) and "=" not in argument and not before.startswith("-")
        if positional and not free:
            raise InputError(f"{argument}: only two runs can be compared: {entry.command('compare')} RUN_A RUN_B")
        translated.append(f"{free.pop(0)}={argument}" if positional else argument)
    return translated


def main() -> None:
    with entry.guarded():
        sys.argv[1:] = overrides(sys.argv[1:])
    entry.run(compare, "compare")


if __name__ == "__main__":
    main()

"""Train one classifier: `python -m brain_tumor.train` (`--help` shows the groups and the choices).

With `-m` it is one trial of many: see brain_tumor/sweep/.
"""

import os

from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config.composition import composition, is_multirun
from brain_tumor.jobs.preflight import check_run
from brain_tumor.sweep.signals import NUMBER


def train(raw: DictConfig) -> float | list[float]:
    """Type the configuration, check it, and run the job: a trial, several runs, one that goes on, or a single one.

    Returns the best epoch's `monitor` on the val part, of a trial its objective's values.
    """
    is_trial = NUMBER in os.environ  # of a sweep, which has checked it
    checked = None if is_trial else check_run(composition(raw), multirun=is_multirun())
    with entry.loading():
        from brain_tumor.jobs import train as job  # noqa: PLC0415 - TensorFlow, once the checks have passed
    return job.run_trial(raw) if checked is None else job.run(checked)


def main() -> None:
    entry.run(train, "train")


if __name__ == "__main__":
    main()

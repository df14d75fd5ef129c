"""Train one classifier: `python -m brain_tumor.train` (`--help` shows the groups and the choices).

With `-m` it is one trial of many: see brain_tumor/sweep/.
"""

import os

from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config.composition import composition, is_multirun
from brain_tumor.sweep.signals import NUMBER


def train(raw: DictConfig) -> float | list[float]:
    """Type the configuration, check it, and run the job: a trial, several runs, one that goes on, or a single one.

    Returns the best epoch's `monitor` on the val part, of a trial its objective's values.
    """
    if NUMBER in os.environ:  # a trial of a sweep, which has checked it
        return entry.job("train").run_trial(raw)  # type: ignore[no-any-return]
    composed = composition(raw)
    checked = entry.preflight("training_checks").check_run(composed, multirun=is_multirun())
    return entry.job("train").run(checked)  # type: ignore[no-any-return]


def main() -> None:
    entry.run(train, "train")


if __name__ == "__main__":
    main()

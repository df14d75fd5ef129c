"""Compare two runs on the images that both predicted: `python -m brain_tumor.compare RUN_A RUN_B [part=val]`."""

import sys

from omegaconf import DictConfig, OmegaConf

from brain_tumor import entry
from brain_tumor.command_line import RUNS, command, named_runs
from brain_tumor.config.commands import CompareConfig
from brain_tumor.config.validation import typed
from brain_tumor.errors import InputError


def compare(raw: DictConfig) -> None:
    """Type the configuration and run the job."""
    absent = [key for key in RUNS if OmegaConf.is_missing(raw, key)]
    if absent:
        raise InputError(f"{' and '.join(absent)} missing: {command('compare')} RUN_A RUN_B")
    config = typed(CompareConfig, raw)
    entry.job("compare", tensorflow=False).run(config)


def main() -> None:
    with entry.guarded():
        sys.argv[1:] = named_runs(sys.argv[1:])
    entry.run(compare, "compare")


if __name__ == "__main__":
    main()

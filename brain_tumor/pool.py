"""Fit one answer for a whole volume to a model of slices: `python -m brain_tumor.pool model_uri=URI data.root=DIR`."""

from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config.commands import PoolConfig
from brain_tumor.config.validation import typed


def pool(raw: DictConfig) -> None:
    """Type the configuration, check the model and the volumes, and run the job."""
    config = typed(PoolConfig, raw)
    name, images = entry.preflight("pool_checks").check_pool(config)
    entry.job("pool").run(config, name, images)


def main() -> None:
    entry.run(pool, "pool")


if __name__ == "__main__":
    main()

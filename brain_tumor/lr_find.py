"""Find a learning rate: `python -m brain_tumor.lr_find data=folder data.root=DIR` (it takes what `train` takes)."""

from dataclasses import fields

from omegaconf import DictConfig, OmegaConf

from brain_tumor import entry
from brain_tumor.config.commands import LrFindConfig
from brain_tumor.config.composition import composition
from brain_tumor.config.validation import typed


def find(raw: DictConfig) -> None:
    """Type the two configurations, check them, and run the job."""
    own = [field.name for field in fields(LrFindConfig)]
    config = typed(LrFindConfig, OmegaConf.masked_copy(raw, own))
    composed = composition(OmegaConf.masked_copy(raw, [str(key) for key in raw if str(key) not in own]))
    weights, out = entry.preflight("training_checks").check_lr_find(composed.config, config)
    entry.job("lr_find").run(composed.config, config, weights, out)


def main() -> None:
    entry.run(find, "lr_find")


if __name__ == "__main__":
    main()

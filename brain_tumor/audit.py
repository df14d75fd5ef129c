"""Look at a data set before anything is trained on it: `python -m brain_tumor.audit data=folder data.root=DIR`."""

from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config.commands import AuditConfig
from brain_tumor.config.validation import plain, typed


def audit(raw: DictConfig) -> None:
    """Type the configuration, check it, and run the job."""
    config = typed(AuditConfig, raw)
    place = entry.preflight().check_audit(config)
    entry.job("audit", tensorflow=False).run(config, plain(raw), place)


def main() -> None:
    entry.run(audit, "audit")


if __name__ == "__main__":
    main()

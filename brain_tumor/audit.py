"""Look at a data set before anything is trained on it: `python -m brain_tumor.audit data=folder data.root=DIR`."""

from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config.commands import AuditConfig
from brain_tumor.config.validation import plain, typed
from brain_tumor.jobs.preflight import check_audit


def audit(raw: DictConfig) -> None:
    """Type the configuration, check it, and run the job."""
    config = typed(AuditConfig, raw)
    place = check_audit(config)
    with entry.loading(tensorflow=False):
        from brain_tumor.jobs import audit as job  # noqa: PLC0415 - MLflow, once the checks have passed
    job.run(config, plain(raw), place)


def main() -> None:
    entry.run(audit, "audit")


if __name__ == "__main__":
    main()

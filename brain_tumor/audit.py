"""Look at a data set before anything is trained on it: `python -m brain_tumor.audit data=folder data.root=DIR`."""

from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config.commands import AuditConfig
from brain_tumor.config.validation import plain, typed
from brain_tumor.errors import InputError


def audit(raw: DictConfig) -> None:
    """Find twins, label conflicts, broken images and shortcuts; print a summary, log a run, write the report."""
    config = typed(AuditConfig, raw)
    if config.data.masks is not None:
        raise InputError(f"data.masks={config.data.masks} is not read by an audit: leave it out")

    from brain_tumor.auditing.examine import examine
    from brain_tumor.auditing.report import PAGE, audit_summary, check_place, write_report
    from brain_tumor.jobs.preflight import check_source
    from brain_tumor.tracking import audit_run, runs
    from brain_tumor.tracking.store import open_store

    check_source(config.data)
    place = check_place(config.report)
    store = open_store(config.tracking)
    tags = audit_run.tags(config.data)
    name = f"audit {config.data.source}"
    found = examine(config.data, floor=config.floor)  # before there is a run, which a mistake would leave failed
    with runs.started(store, name=name, tags=tags, system_metrics=config.tracking.system_metrics) as run_id:
        page = audit_run.log(found, plain(raw), run_id)
        if place is not None:
            write_report(found, place)
            page = str(place / PAGE)
    print(audit_summary(found))
    print(f"\nreport    {page}\nrun       {store.run_address(run_id)}\nMLflow    {store.ui_command}")


def main() -> None:
    entry.run(audit, "audit")


if __name__ == "__main__":
    main()

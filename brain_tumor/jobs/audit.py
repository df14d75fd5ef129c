"""Looking at a data set: twins, label conflicts, broken images and shortcuts, as a run and a report."""

from pathlib import Path
from typing import Any

from brain_tumor.auditing.examine import examine
from brain_tumor.auditing.report import PAGE, summarize_audit, write_report
from brain_tumor.config.commands import AuditConfig
from brain_tumor.layout.blocks import Code, Summary, pairs
from brain_tumor.tracking import audit_run, runs
from brain_tumor.tracking.store import open_store
from brain_tumor.tracking.summary import publish


def run(config: AuditConfig, composed: dict[str, Any], place: Path | None) -> None:
    """Examine the images, log what was found, write the report to `place` too if there is one, print a summary."""
    store = open_store(config.tracking)
    tags = audit_run.tags(config.data)
    name = f"audit {config.data.source}"
    found = examine(config.data, floor=config.floor)  # before there is a run, which a mistake would leave failed
    with runs.started(store, name=name, tags=tags, system_metrics=config.tracking.system_metrics) as run_id:
        page = audit_run.log(found, composed, run_id)
        if place is not None:
            write_report(found, place)
            page = str(place / PAGE)
    blocks, details = summarize_audit(found)
    facts = pairs([("report", page), ("run", store.run_address(run_id))])
    publish(run_id, Summary((*blocks, facts, *map(Code, store.serve)), tuple(details)))

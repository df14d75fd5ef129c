"""The description of a study's run: how the sweep stands, kept up to date while its trials train."""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from urllib.parse import quote

import mlflow
from optuna.study import Study

from brain_tumor import NOTICE
from brain_tumor.command_line import command
from brain_tumor.layout.blocks import Block, Paragraph
from brain_tumor.lazy import lazy
from brain_tumor.sweep import description
from brain_tumor.sweep.summary import Summary, summarize
from brain_tumor.tracking.summary import described
from brain_tumor.tracking.view import NOTE

drawing = lazy("brain_tumor.sweep.figures")  # plotting libraries, whose failure to import ends no sweep either

EVERY = 60  # seconds between two looks at the trials
FOLDER = "study"  # of the artifacts


def keep(uri: str, run_id: str, study: Study) -> Callable[[], None]:
    """Keep the run's description up to date from a thread, until what is returned is called.

    While trials train nothing else of a sweep is awake.
    """
    stopped = Event()

    def refresh() -> None:
        said = ""
        failed: set[str] = set()
        while not stopped.is_set():
            with _forgiven(study, failed):
                said = _refresh(uri, run_id, study, said)
            stopped.wait(EVERY)

    thread = Thread(target=refresh, daemon=True)
    thread.start()

    def stop() -> None:
        stopped.set()
        thread.join(EVERY)

    return stop


def opening(run_id: str, study: Study, advice: Sequence[Block] = ()) -> str:
    """What the description opens with, as Markdown: how the sweep stands, its best so far, and the advice."""
    found = summarize(study)
    blocks = [*description.going_on(study, found, command("train")), *advice]
    return "\n\n".join(
        [described(description.view(found)), *_picture(run_id, found), *([described(blocks)] * bool(blocks))]
    )


def describe(uri: str, run_id: str, study: Study, text: str) -> None:
    """Make the run's description of what it opens with; one line on stderr where that fails."""
    with _forgiven(study, set()):
        _describe(uri, run_id, study, text)


def _describe(uri: str, run_id: str, study: Study, text: str) -> None:
    about = f"As of {datetime.now():%Y-%m-%d %H:%M}. Every trial of study {study.study_name} is a run below this one."
    mlflow.MlflowClient(uri).set_tag(run_id, NOTE, f"{text}\n\n{described([Paragraph(f'{about} {NOTICE}')])}")


def _refresh(uri: str, run_id: str, study: Study, said: str) -> str:
    """Describe the run where there is anything new, and draw its picture; returns what is said of it by now."""
    text = opening(run_id, study)
    client = mlflow.MlflowClient(uri)
    run = client.get_run(run_id).info
    if text == said or run.status != "RUNNING" or run.lifecycle_stage != "active":  # another worker has ended it
        return said
    with tempfile.TemporaryDirectory() as folder:
        if drawing.write_best(study, Path(folder)):
            client.log_artifacts(run_id, folder, FOLDER)
    _describe(uri, run_id, study, text)
    return text


def _picture(run_id: str, found: Summary) -> list[str]:
    if not found.best:
        return []
    name = drawing.best_name(found.metrics)
    return [f"![best so far](get-artifact?path={quote(f'{FOLDER}/{name}')}&run_uuid={run_id})"]


@contextmanager
def _forgiven(study: Study, failed: set[str]) -> Iterator[None]:
    """Say in one line, once, why a run could not be described, and go on: no description is worth a sweep."""
    try:
        yield
    except Exception as error:  # whatever the store or the drawing raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        if reason not in failed:
            print(f"study {study.study_name} could not be described: {reason}", file=sys.stderr)
        failed.add(reason)

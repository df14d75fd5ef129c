"""Answering for files, one after the other: each answer is kept before the next is given."""

import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np

from brain_tumor.config.commands import PredictConfig
from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.data.scans.stacks import Stack
from brain_tumor.errors import InputError
from brain_tumor.evaluation.explanation.gradcam import Kind
from brain_tumor.evaluation.explanation.kinds import has_map
from brain_tumor.evaluation.prediction import answering
from brain_tumor.evaluation.views import said, viewed
from brain_tumor.layout.blocks import Paragraph, pairs
from brain_tumor.layout.terminal import show_blocks
from brain_tumor.models.backend import start_tensorflow
from brain_tumor.models.onnx_model import OnnxModel
from brain_tumor.progress import progress
from brain_tumor.serving import answer_lines
from brain_tumor.serving.answer_lines import Tally
from brain_tumor.serving.case_report import Answerer
from brain_tumor.serving.files import Read, answer_files, find_stacks, read_stacks, read_volumes
from brain_tumor.serving.inputs import Files
from brain_tumor.serving.journal import Journal, journal_of
from brain_tumor.serving.overlays import Draw, Overlays, Reports, kind_of, overlay_drawer
from brain_tumor.serving.predictor import Predictor, ScanPrediction, for_plane, keras_predictor
from brain_tumor.serving.registered_model import RegisteredModel
from brain_tumor.serving.runtime_choice import choose
from brain_tumor.tracking import registry
from brain_tumor.tracking.store import open_store

OWN_PLANE = "it was fitted to volumes cut in their own plane"
FIRST = 16  # files on which an export is checked and timed


@dataclass(frozen=True, eq=False)
class Answering:
    """One command's answers: where each goes, and what they come to."""

    journal: Journal | None  # None: the terminal
    draw: Draw | None  # lays maps over the pictures, for what follows
    overlays: Overlays | None = None
    reports: Reports | None = None
    tally: Tally = field(default_factory=Tally)

    def keep(self, file: Read, found: ScanPrediction | None) -> None:
        """Take one file's answer, None of one that cannot be read."""
        if self.draw and found:
            self._draw(self.draw, file, found)
        if self.journal:
            self.journal.append(file, found)
        else:
            print(answer_lines.row(file, found), flush=True)
        self.tally.add(file, found)

    def _draw(self, draw: Draw, file: Read, found: ScanPrediction) -> None:
        drawn = list(draw(file, found))
        for each in drawn:
            if self.overlays and each.over:
                self.overlays.write(file, found, each)
        if self.reports:
            self.reports.write(file, found, drawn)


def run(config: PredictConfig, files: Files, out: Path | None) -> None:
    """Load the model, answer for `files`, and write the table `out`, going on with what a stopped command has kept."""
    open_store(config.tracking)
    start_tensorflow()
    registered = registry.load_model(config.model_uri)
    kind = _kind(config, registered)
    folder = out.with_name(f"{out.stem}_maps") if out and config.explain else None
    pages = out.with_name(f"{out.stem}_reports") if out and config.report else None
    draw = overlay_drawer(registered.model, kind, config.maps.views, registered.classes) if folder or pages else None
    begun_with = {
        "model": registered.uri,
        "run": registered.run_id,
        "plane": config.plane,
        "volume": config.volume,
        "input": str(files.base.absolute()),
        "maps": [*kind, config.maps.views] if draw and kind else None,
        "report": config.report or None,
        "views": config.views if config.views > 1 else None,
        "lesion_map": has_map(registered.model) or None,
        "without_lesion": config.without_lesion or None,
    }
    with ExitStack() as stack:
        journal = stack.enter_context(journal_of(out, begun_with)) if out else None
        overlays = Overlays(folder) if folder else None
        reports = Reports(pages, _answerer(registered, config.views)) if pages else None
        answers = Answering(journal, draw, overlays, reports)
        found = find_stacks(files.base, files.names)
        asked = _answer(config, registered, files, found, answers)
    made = [("answers", str(out))] if out else []
    if folder:
        made.append(("maps", f"{folder}{', of a volume the slices to look at first' if answers.tally.volumes else ''}"))
    made += [("reports", str(pages))] if pages else []
    show_blocks(*answers.tally.blocks(), *answer_lines.closing(files), *([pairs(made)] if made else []))
    if found and not answers.tally.classes and asked == len(found):
        raise InputError(f"input={config.input}: none of its files could be read")


def _kind(config: PredictConfig, registered: RegisteredModel) -> Kind | None:
    """How maps are made; None of a model without layers."""
    if not registered.model.layers:
        return None
    return kind_of(config.maps, registered.model, typed(TrainConfig, registered.config).model.name)


def _answerer(registered: RegisteredModel, views: int) -> Answerer:
    split = registered.split
    return Answerer(registered.uri, split.name, split.synthetic, registered.uncertainty, views=said(views))


def _answer(
    config: PredictConfig, registered: RegisteredModel, files: Files, found: Sequence[Stack], answers: Answering
) -> int:
    """Answer for what was `found` in the files and is not in the journal yet; returns how many answers those are."""
    journal, tally = answers.journal, answers.tally
    asked = [each for each in found if journal is None or each.name not in journal.done]
    with ExitStack() as stack:
        read = _read(config, registered, files, asked)
        stack.callback(read.close)
        predictor, runtime, first = _predictor(config, registered, read, len(asked))
        predictor = replace(predictor, run=viewed(predictor.run, config.views))
        trained_on = registered.split.name
        before = len(found) - len(asked)
        show_blocks(*answer_lines.opening(predictor, trained_on, runtime, files, found, before, said(config.views)))
        if registered.uncertainty and registered.uncertainty.volumes and config.plane != "auto":
            show_blocks(Paragraph(f"Volumes have no class with plane={config.plane}: {OWN_PLANE}."))
        if journal is None:
            print(f"\n{answer_lines.header(registered.classes.names, registered.uncertainty)}")
        bar = stack.enter_context(progress(len(asked), "answering", "scan", disable=journal is None))
        if journal:
            stack.enter_context(_kept(journal.path, tally, len(asked)))
        for file, answer in answer_files(predictor, chain(first, read), without=config.without_lesion):
            answers.keep(file, answer)
            bar.update()
        if journal:
            journal.finish()
    return len(asked)


def _read(
    config: PredictConfig, registered: RegisteredModel, files: Files, asked: Sequence[Stack]
) -> Generator[Read, None, None]:
    shape = tuple(registered.model.input_shape[1:])
    if len(shape) == 4:
        spacing = typed(TrainConfig, registered.config).data.spacing
        return read_volumes(files.base, asked, shape, spacing, workers=config.workers)
    return read_stacks(files.base, asked, shape[0], plane=config.plane, workers=config.workers, volume=config.volume)


def _predictor(
    config: PredictConfig, registered: RegisteredModel, read: Iterator[Read], total: int
) -> tuple[Predictor, str, list[Read]]:
    """What answers, which runtime that is, and the files read to find that out, which are the first to be answered."""
    predictor = keras_predictor(registered.model, registered.uri, registered.classes, registered.uncertainty)
    predictor = for_plane(predictor, config.plane)
    if isinstance(registered.model, OnnxModel):
        return predictor, choose(config.runtime, registered.model, np.empty(0, np.uint8), total)[1], []
    if config.runtime == "keras":
        return predictor, "keras", []
    first = list(islice(read, FIRST))
    there = [file.pixels[:FIRST] for file in first if file.pixels is not None]
    if not there:
        return predictor, "keras (no file could be read to compare others on)", first
    run, runtime = choose(config.runtime, registered.model, np.concatenate(there)[: 4 * FIRST], config.views * total)
    return replace(predictor, run=answering(run)), runtime, first


@contextmanager
def _kept(journal: Path, tally: Tally, total: int) -> Iterator[None]:
    """Say how to go on, whatever stops the command."""
    try:
        yield
    except BaseException:
        print(
            f"stopped: {tally.files} of {total} scans answered, kept in {journal}; to go on, type the same line again",
            file=sys.stderr,
        )
        raise

"""Answer for files: `python -m brain_tumor.predict model_uri=models:/brain-tumor@champion input=DIR out=x.csv`."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from brain_tumor import entry
from brain_tumor.config.commands import PredictConfig
from brain_tumor.config.train import TrainConfig
from brain_tumor.config.validation import typed
from brain_tumor.errors import InputError

if TYPE_CHECKING:
    from brain_tumor.serving.files import Read
    from brain_tumor.serving.predictor import Predictor
    from brain_tumor.serving.terminal import Tally
    from brain_tumor.tracking.registry import RegisteredModel

FIRST = 16  # files on which an export is checked and timed


def predict(raw: DictConfig) -> None:
    """Find the files, load the model, answer file by file, and keep each answer before the next is given."""
    config = typed(PredictConfig, raw)

    from brain_tumor.serving.inputs import find_files
    from brain_tumor.serving.journal import check_out, journal_of
    from brain_tumor.serving.runtimes import FORMATS, require

    if config.runtime in FORMATS:
        require(config.runtime)
    if config.explain and config.out is None:
        raise InputError("explain=true writes a folder beside out: give out=FILE.csv or out=FILE.jsonl")
    out = check_out(config.out, overwrite=config.overwrite) if config.out else None
    files = find_files(config.input)

    from brain_tumor.tracking.store import open_store

    open_store(config.tracking)

    from brain_tumor.models.backend import start_tensorflow

    start_tensorflow()

    from brain_tumor.progress import progress
    from brain_tumor.serving import terminal
    from brain_tumor.serving.files import answer_files, read_files
    from brain_tumor.serving.overlays import kind_of, overlay_writer
    from brain_tumor.tracking import registry

    registered = registry.load_model(config.model_uri)
    kind = kind_of(config.maps, registered.model, typed(TrainConfig, registered.config).model.name)
    folder = out.with_name(f"{out.stem}_maps") if out and config.explain else None
    draw = overlay_writer(registered.model, kind, config.maps.views, folder) if folder else None
    begun_with = {
        "model": registered.uri,
        "run": registered.run_id,
        "plane": config.plane,
        "input": str(files.base.absolute()),
        "maps": [*kind, config.maps.views] if folder else None,
    }
    tally = terminal.Tally()
    with ExitStack() as stack:
        journal = stack.enter_context(journal_of(out, begun_with)) if out else None
        names = [name for name in files.names if journal is None or name not in journal.done]
        read = read_files(
            files.base, names, int(registered.model.input_shape[1]), plane=config.plane, workers=config.workers
        )
        stack.callback(read.close)
        predictor, runtime, first = _predictor(config, registered, read, len(names))
        trained_on = registered.split.name
        print("\n".join(terminal.opening(predictor, trained_on, runtime, files, len(files.names) - len(names))))
        if journal is None:
            print(terminal.header(registered.uncertainty))
        bar = stack.enter_context(progress(len(names), "answering", "file", disable=journal is None))
        if journal:
            stack.enter_context(_kept(journal.path, tally, len(names)))
        for file, found in answer_files(predictor, chain(first, read)):
            if draw and found:
                draw(file, found)
            if journal:
                journal.append(file, found)
            else:
                print(terminal.row(file, found), flush=True)
            tally.add(file, found)
            bar.update()
        if journal:
            journal.finish()
    print("\n".join(tally.lines()))
    if out:
        print(f"answers   {out}")
    if folder:
        print(f"maps      {folder}" + (", of a volume the slices that speak for it" if tally.volumes else ""))
    if files.names and not tally.classes and len(names) == len(files.names):
        raise InputError(f"input={config.input}: none of its files could be read")


def _predictor(
    config: PredictConfig, registered: "RegisteredModel", read: "Iterator[Read]", total: int
) -> "tuple[Predictor, str, list[Read]]":
    """What answers, which runtime that is, and the files read to find that out, which are the first to be answered."""
    import numpy as np

    from brain_tumor.evaluation.prediction import answering
    from brain_tumor.serving.choice import choose
    from brain_tumor.serving.predictor import keras_predictor

    predictor = keras_predictor(registered.model, registered.uri, registered.uncertainty)
    if config.runtime == "keras":
        return predictor, "keras", []
    first = list(islice(read, FIRST))
    there = [file.pixels[:FIRST] for file in first if file.pixels is not None]
    if not there:
        return predictor, "keras (no file could be read to compare others on)", first
    run, runtime = choose(config.runtime, registered.model, np.concatenate(there)[: 4 * FIRST], total)
    return replace(predictor, run=answering(run)), runtime, first


@contextmanager
def _kept(journal: Path, tally: "Tally", total: int) -> Iterator[None]:
    """Say how to go on, whatever stops the command."""
    try:
        yield
    except BaseException:
        print(
            f"stopped: {tally.files} of {total} files answered, kept in {journal}; to go on, type the same line again",
            file=sys.stderr,
        )
        raise


def main() -> None:
    entry.run(predict, "predict")


if __name__ == "__main__":
    main()

"""A report of one case, to be printed or kept: one HTML page without scripts, all of it in itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from PIL import Image

from brain_tumor import NOTICE
from brain_tumor.evaluation.uncertainty.fitting import Uncertainty, warnings
from brain_tumor.layout import html
from brain_tumor.layout.blocks import Alert, Block, Card, Grid, Paragraph, Picture, Points, Section, pairs
from brain_tumor.layout.data_address import address
from brain_tumor.paths import printable
from brain_tumor.serving.predictor import Prediction, ScanPrediction
from brain_tumor.serving.wording import POOLED, SYNTHETIC, calibrated, headline, share, summary


@dataclass(frozen=True)
class Answerer:
    """The model that a report is by."""

    uri: str
    trained_on: str
    synthetic: bool
    uncertainty: Uncertainty | None
    views: str = ""  # what its answers are, where they are by several views of an image


@dataclass(frozen=True, eq=False)
class Drawn:
    """A slice that is shown: as it is, and with the map of its answer laid over it."""

    index: int
    picture: Image.Image
    over: Image.Image | None  # None: there is no map
    how: str = ""  # the map is made


@dataclass(frozen=True)
class Case:
    """What is known of the file."""

    name: str
    kind: str
    plane: str | None
    remarks: Sequence[str]


def report(case: Case, found: ScanPrediction, drawn: Sequence[Drawn], by: Answerer, made: datetime) -> str:
    """The page: notice, answer, probabilities, sets, pictures and maps, model.

    `drawn` is the one slice, or of a volume those to look at.
    """
    opening: list[Block] = [Alert(NOTICE)]
    if by.synthetic:
        opening.append(Alert(f"SYNTHETIC: this model was {SYNTHETIC}"))
    what = f"The volume of {len(found.slices)} slices" if len(found.slices) > 1 else "The picture"
    opening.append(Paragraph(f"{what}: {summary(found)}."))
    if case.remarks:
        opening.append(_sentences(case.remarks))
    sections = [_overall(found, by), *(_slice(each, found) for each in drawn)]
    return html.render(Card(f"Report of {printable(case.name)}", tuple(opening), (*sections, _about(case, by, made))))


def _overall(found: ScanPrediction, by: Answerer) -> Section:
    volume = found.volume
    if volume is None:
        return Section("Answer", tuple(_answer(found.slices[0])), note=calibrated(by.uncertainty))
    if not volume.brains:
        return Section("Answer", (Paragraph("None of its slices passes as a brain MRI."),))
    bare = volume.without
    columns = ("class", "share of slices", *(("without what the map marks",) if bare else ()))
    rows = tuple(
        (name, share(value), *((share(bare.shares.get(name, 0.0)),) if bare else ()))
        for name, value in volume.shares.items()
    )
    whole = _answer(volume.answer) if volume.answer else []
    note = POOLED if volume.answer else _sentence(volume.silence)
    return Section("Answer", (*whole, Grid(columns, rows)), note=note)


def _slice(each: Drawn, found: ScanPrediction) -> Section:
    answer, several = found.slices[each.index], len(found.slices) > 1
    blocks: list[Block] = [Picture(address(each.picture), "The picture")]
    if each.over is not None:
        blocks.append(Picture(address(each.over), f"Map: {each.how}"))
    if answer.lesion is not None:
        blocks.append(Paragraph(f"The map marks {answer.lesion}."))
    if several:
        blocks = [Paragraph(f"{headline(answer)}."), *_answer(answer), *blocks]
    return Section(f"Slice {each.index + 1} of {len(found.slices)}" if several else "Picture and map", tuple(blocks))


def _answer(answer: Prediction) -> list[Block]:
    """Probabilities, sets, and what is said without what is marked."""
    rows = tuple((name, share(value)) for name, value in answer.probabilities.items())
    blocks: list[Block] = [Grid(("class", "probability"), rows)]
    if answer.sets:
        sets = tuple((f"{100 * level:g} %", ", ".join(names)) for level, names in answer.sets.items())
        blocks.append(Grid(("set", "classes"), sets, leading=2))
    if answer.without is not None:
        bare = answer.without
        blocks.append(
            Paragraph(f"Without what the map marks: {headline(bare)} ({share(bare.probabilities[bare.label])}).")
        )
    return blocks


def _about(case: Case, by: Answerer, made: datetime) -> Section:
    rows = [("file", printable(case.name)), ("kind", case.kind + (f", {case.plane}" if case.plane else ""))]
    rows += [("model", by.uri), ("trained on", by.trained_on), ("made", f"{made:%Y-%m-%d %H:%M}")]
    rows += [("views", by.views)] if by.views else []
    told = _sentences(warnings(by.uncertainty) if by.uncertainty is not None else ())
    return Section("File and model", (pairs(rows), *((told,) if told.items else ()), Alert(NOTICE)))


def _sentences(lines: Sequence[str]) -> Points:
    return Points(tuple(map(_sentence, lines)))


def _sentence(line: str) -> str:
    return f"{line[:1].upper()}{line[1:]}."

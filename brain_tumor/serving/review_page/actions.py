"""What the page answers, apart from how it is laid out: every function here works without a browser."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, get_args
from urllib.parse import urlencode

from PIL import Image

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.scan import Limits, Plane
from brain_tumor.errors import InputError
from brain_tumor.evaluation.explanation.gradcam import EVIDENCE, described
from brain_tumor.layout.data_address import address
from brain_tumor.serving.review_page import pictures, render, render_planes
from brain_tumor.serving.review_page.case_reports import reports
from brain_tumor.serving.review_page.examples import Example
from brain_tumor.serving.review_page.models import Shown
from brain_tumor.serving.review_page.opened import opened
from brain_tumor.serving.review_page.render import Drawn
from brain_tumor.serving.review_page.review import Review
from brain_tumor.serving.review_page.review_store import Kept
from brain_tumor.serving.review_page.uploads import Uploads
from brain_tumor.serving.wording import headline, summary

LET_GO = "These files are no longer kept: drop them again."
NO_FILES = "No file could be read there. Nothing of it is kept."
GONE = "This upload is gone: drop the file again."
SAVE = "The report stands above the answer: save it by its link, then open it to print."
CRASHED = "Something went wrong here with this request. The page goes on; try another file."
PLANES: tuple[Plane, ...] = get_args(Plane)
_LOG = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Page:
    """All that the page has, for all users."""

    models: tuple[Shown, ...]
    examples: tuple[Example, ...]
    uploads: Uploads
    kept: Kept
    allowed: Limits
    files: int  # at once


@dataclass(frozen=True)
class Choices:
    """What a user has chosen to look at."""

    file: int
    index: int  # the slice
    method: str
    layers: tuple[str, ...]  # a model each


@dataclass(frozen=True)
class View:
    """What is shown of a review."""

    status: str  # HTML
    table: str  # HTML
    panels: str  # HTML
    names: tuple[tuple[str, int], ...] = ()  # of the files that can be looked at, and their places
    file: int = 0
    slices: int = 0
    index: int = 0
    planes: str = ""  # HTML: the three planes of the file that is looked at


def answer_uploads(
    page: Page,
    session: str,
    uploaded: Sequence[tuple[str, str]],
    method: str,
    layers: Sequence[str],
    plane: Plane = "auto",
) -> View:
    """Read uploads (name, path), which are removed by it, and answer them; volumes are cut in `plane`."""
    if len(uploaded) > page.files:
        for _, path in uploaded:
            _discard(page, path)
        return answer_excess(page, session, len(uploaded), 0)

    def read() -> View:
        contents = []
        for name, path in uploaded:
            try:
                contents.append((name, page.uploads.take(path)))
            except FileNotFoundError:
                return failed(GONE)
        if plane not in PLANES:
            raise InputError("there is no such plane to choose")
        return _answer(page, session, contents, method, layers, plane)

    return guarded(read, failed)


def answer_excess(page: Page, session: str, files: int, size: int) -> View:
    """What is said of a drop that is not uploaded, for what is in it; answers before it are gone."""
    page.kept.forget(session)
    if not files:
        return failed(NO_FILES)
    if files > page.files:
        return failed(f"{files} files are too many: at most {page.files} at once. Nothing of it is kept.")
    held, most = math.ceil(10 * size / 2**20) / 10, page.allowed.file_bytes // 2**20
    return failed(f"{held:g} MiB are too much: at most {most} MiB at once. Nothing of it is kept.")


def answer_example(page: Page, session: str, place: int, method: str, layers: Sequence[str]) -> View:
    """Answer an example."""
    example = page.examples[place]
    return guarded(lambda: _answer(page, session, [(example.name, example.content)], method, layers), failed)


def look(page: Page, session: str, choices: Choices, *, without: bool = False, report: bool = False) -> tuple[str, str]:
    """Status and panels of another slice, map or file of the session's review.

    With `without` each model is asked again with what its lesion map marks painted over, and that is shown beside. With
    `report` there is a page of this case for each model to save, before the panels.
    """
    found = page.kept.get(session)
    if found is None:
        return render.status(LET_GO, failed=True), ""
    held: Review = found

    def draw() -> tuple[str, str]:
        panels, told = _panels(page, held, choices, without)
        if report:
            panels, told = reports(page.models, held, choices) + panels, SAVE
        if page.kept.get(session) is None:  # it was forgotten meanwhile
            return render.status(LET_GO, failed=True), ""
        return render.status(told or _place(held, choices)), panels

    return guarded(draw, lambda text: (render.status(text, failed=True), ""))


def first_slice(page: Page, session: str, file: int) -> tuple[int, int, str]:
    """Of a file of the session's review: the slice to begin with, how many there are, and the planes; else 0, 0, ""."""
    found = page.kept.get(session)
    if found is None or not 0 <= file < len(found.files):
        return 0, 0, ""
    return found.files[file].first, found.files[file].slices, render_planes.planes(found, file, page.models)


def failed(text: str) -> View:
    """A view that has only something to say."""
    return View(render.status(text, failed=True), "", "")


def guarded(work: Callable[[], T], say: Callable[[str], T]) -> T:
    """What `work` gives, or one line for this user: whatever is in a file, the page goes on."""
    try:
        return work()
    except (CorruptImageError, InputError) as error:
        return say(f"{str(error)[:1].upper()}{str(error)[1:]}.")
    except Exception:
        _LOG.exception("a request of the page failed")
        return say(CRASHED)


def _answer(
    page: Page,
    session: str,
    contents: Sequence[tuple[str, bytes]],
    method: str,
    layers: Sequence[str],
    plane: Plane = "auto",
) -> View:
    begun = page.kept.clock()
    found = Review(opened(contents, page.models, page.allowed, plane))
    good = [place for place, file in enumerate(found.files) if file.refused is None]
    refused = len(good) < len(found.files)
    said = render.status(render.answered(found), failed=refused)
    if not good:
        page.kept.forget(session)
        return View(said, render.table(found, page.models), "")
    page.kept.put(session, found, begun)
    first = found.files[good[0]]
    choices = Choices(good[0], first.first, method, tuple(layers))
    return View(
        said,
        render.table(found, page.models),
        _panels(page, found, choices)[0],
        tuple((f"{place + 1}. {render.short(found.files[place].name)}", place) for place in good),
        good[0],
        first.slices,
        first.first,
        render_planes.planes(found, good[0], page.models),
    )


def _panels(page: Page, found: Review, choices: Choices, without: bool = False) -> tuple[str, str]:
    """A panel a model; and in a line what they say without what they mark, if that is asked."""
    file = found.files[choices.file]
    index = min(max(choices.index, 0), file.slices - 1)
    if not any(choices.method in model.methods for model in page.models):
        raise InputError(f"{choices.method} is no method to choose from")
    least = max(model.predictor.size for model in page.models)
    picture = "" if file.cuts else address(found.picture(choices.file, index, least))
    panels, told = "", []
    for place, (model, layer) in enumerate(zip(page.models, choices.layers, strict=True)):
        if layer not in model.layers:
            raise InputError(f"{layer} is no layer of {model.name} to choose from")
        drawn = _drawn(page, found, replace(choices, index=index), place, picture)
        if without and model.draws:
            bare = found.without(choices.file, index, page.models, place)
            if bare is not None:
                drawn = replace(drawn, painted=address(Image.fromarray(bare[0])))
            drawn = replace(drawn, told=render.told(file.answers[place].slices[index], bare and bare[1]))
            told.append(f"{model.name}: {drawn.told}" if len(page.models) > 1 else drawn.told)
        panels += render.panel(file, index, model, place, drawn)
    return f'<div class="bt-all">{panels}</div>', " ".join(told)


def _drawn(page: Page, found: Review, choices: Choices, place: int, picture: str) -> Drawn:
    """What is drawn of the slice for one of the models."""
    model, layer = page.models[place], choices.layers[place]
    if choices.method not in model.methods:
        return Drawn(picture)
    how = described(choices.method, layer, found.files[choices.file].answers[place].slices[choices.index].label)
    lesion = found.lesion(choices.file, choices.index, place)
    marks = f"The map marks {lesion}." if choices.method == EVIDENCE and lesion is not None else ""
    if not picture:  # the planes ask for it
        asked = urlencode({"model": place, "method": choices.method, "layer": layer})
        return Drawn("", how=how, marks=marks, asked=asked)
    values = found.map(choices.file, choices.index, page.models, place, layer, choices.method)
    heat = address(pictures.heat(values)) if values.any() else ""
    if choices.method != EVIDENCE or lesion is None:
        return Drawn(picture, heat, how)
    line = address(pictures.contour(lesion.map)) if lesion.area else ""
    return Drawn(picture, heat, how, line, marks)


def _place(found: Review, choices: Choices) -> str:
    file = found.files[choices.file]
    if file.slices < 2:
        return f"{render.short(file.name)}: {summary(file.answers[0])}."
    said = headline(file.answers[0].slices[choices.index])
    return f"Slice {choices.index + 1} of {file.slices}: {said}."


def _discard(page: Page, path: str) -> None:
    try:
        page.uploads.take(path)
    except FileNotFoundError:
        return

"""What is said of files, as HTML. Whatever comes from a file, a name or a model is escaped here."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from brain_tumor import NOTICE
from brain_tumor.data.scans.scan import Limits
from brain_tumor.evaluation.uncertainty.fitting import unsure
from brain_tumor.serving.predictor import Prediction, VolumeCounts
from brain_tumor.serving.review_page.models import Shown
from brain_tumor.serving.review_page.opened import Opened
from brain_tumor.serving.review_page.review import Review
from brain_tumor.serving.wording import OTHER, POOLED, SYNTHETIC, UNSURE, calibrated, counted, headline, share, summary

NAME_LENGTH = 60
NAMED = 5  # refused files, in the status line; the table has all
_NOTHING, _NO_MAP = "nothing in the map speaks for this class", "this model has no such map"


@dataclass(frozen=True)
class Drawn:
    """What is drawn of a slice for a model, as `data:` addresses, and what is said of it; "" where there is nothing."""

    picture: str  # "" of a volume that is looked at in three planes
    heat: str = ""  # the map over it; "" where nothing speaks for the class
    how: str = ""  # the map is made; "" of a model that has no such map
    outline: str = ""  # of what a lesion map marks
    marks: str = ""  # how much that is
    painted: str = ""  # the slice with that painted over
    told: str = ""  # what the model says then
    asked: str = ""  # how the map over the planes is asked for


def heading(models: Sequence[Shown]) -> str:
    """The title, and what has to be in sight at all times."""
    return f"<h1>Brain MRI slices, classified and explained</h1>{synthetic(models)}{doubtful(models)}"


def notice() -> str:
    return f'<p role="note">{escape(NOTICE)}</p>'


def synthetic(models: Sequence[Shown]) -> str:
    """Which models have never seen a real image; nothing where all have."""
    trained = [model.name for model in models if model.synthetic]
    if not trained:
        return ""
    names = " and ".join(escape(name) for name in trained)
    verb = "were" if len(trained) > 1 else "was"
    return f'<p class="bt-synthetic"><strong>SYNTHETIC</strong> {names} {verb} {SYNTHETIC}</p>'


def doubtful(models: Sequence[Shown]) -> str:
    """Which models say "not sure" of nearly everything, and why; nothing where none does."""
    lines = ""
    for model in models:
        uncertainty = model.predictor.uncertainty
        for line in unsure(uncertainty) if uncertainty is not None else []:
            lines += f'<p class="bt-warning"><strong>{escape(model.name)}</strong> {escape(line)}</p>'
    return lines


def card(text: str) -> str:
    """A card's Markdown without HTML and drawings: Gradio's rules let styles through that could cover the page.

    A card of this package has none. A space of no width is seen nowhere, in code neither, where an entity would be.
    Its headings stand below those of the page.
    """
    return re.sub("<", "<\u200b", re.sub("(?i)(m)(ermaid)", "\\1\u200b\\2", _lowered(text)))


def _lowered(text: str) -> str:
    lines, fence = [], ""
    for line in text.split("\n"):
        found = re.match("`{3,}|~{3,}", line)
        if found and not fence:
            fence = found[0]
        elif found and found[0].startswith(fence):
            fence = ""
        lines.append(f"##{line}" if not fence and re.match("#{1,4} ", line) else line)
    return "\n".join(lines)


def limits(files: int, allowed: Limits) -> str:
    """What may be dropped, for people and for the page's script."""
    size = allowed.file_bytes
    return (
        f'<p data-files="{files}" data-bytes="{size}">At most {_count(files, "file")} at once, {size // 2**20} MiB '
        f"together, {allowed.slices} slices a volume.</p>"
    )


def short(name: str) -> str:
    """A file's name, no longer than a line, its end kept."""
    clean = "".join(char if char.isprintable() else "\ufffd" for char in name)
    return clean if len(clean) <= NAME_LENGTH else f"{clean[: NAME_LENGTH - 13]}…{clean[-12:]}"


def answered(review: Review) -> str:
    """What became of the files, for the status line."""
    good = [file for file in review.files if file.refused is None]
    bad = [f"{short(file.name)}: {file.refused}" for file in review.files if file.refused is not None]
    said = [f"{_count(len(good), 'file')} answered."] if good else []
    if len(review.files) == 1 and good:
        said = [f"{short(good[0].name)}: {summary(good[0].answers[0])}."]
    if bad:
        more = [f"and {len(bad) - NAMED} more"] if len(bad) > NAMED else []
        said.append(f"{_count(len(bad), 'file')} refused: {'; '.join([*bad[:NAMED], *more])}.")
    return " ".join(said)


def status(text: str, *, failed: bool = False) -> str:
    """A line of the live region; `text` is plain."""
    return f'<p class="bt-{"failed" if failed else "said"}">{escape(text)}</p>' if text else ""


def table(review: Review, models: Sequence[Shown]) -> str:
    """All files of a review, a row each; nothing where there is but one."""
    if len(review.files) < 2:
        return ""
    columns = "".join(f'<th scope="col">{escape(model.name)}</th>' for model in models)
    rows = "".join(_row(file, len(models)) for file in review.files)
    return (
        '<div class="bt-scroll" tabindex="0" role="region" aria-label="All files">'
        '<table class="bt-files"><caption>All files</caption>'
        f'<thead><tr><th scope="col">file</th>{columns}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _row(file: Opened, models: int) -> str:
    parted = re.sub("([_.])", "\\1<wbr>", escape(short(file.name)))  # lines break there first
    name = f'<th scope="row">{parted}</th>'
    if file.refused is not None:
        return f'<tr>{name}<td colspan="{models}" class="bt-failed">refused: {escape(file.refused)}</td></tr>'
    cells = ""
    for answer in file.answers:
        said = answer.slices[0]
        if answer.volume is not None:
            cells += f"<td>{escape(summary(answer))}</td>"
        elif said.not_brain_mri:  # of which it is no probability
            cells += f"<td>{OTHER} (else: {escape(_with_share(said))})</td>"
        else:
            cells += f"<td>{escape(headline(said))} ({_percent(said.probabilities[said.label])})</td>"
    return f"<tr>{name}{cells}</tr>"


def told(before: Prediction, after: Prediction | None) -> str:
    """What a model says of a slice without what its lesion map marks; None: it marks nothing."""
    if after is None:
        return "The lesion map marks nothing here, so there is nothing to paint over."
    how = f"{OTHER}; else " if after.not_brain_mri else f"{UNSURE}; " if after.not_sure else ""
    return f"Without the marked region: {how}{_with_share(after)} (before: {_with_share(before)})."


def panel(file: Opened, index: int, model: Shown, answer: int, drawn: Drawn) -> str:
    """What one model, at its place among the `answer`s, says of one slice of a file, beside what is drawn of it."""
    scan = file.answers[answer]
    said = scan.slices[index]
    place = f"slice {index + 1} of {file.slices}" if file.slices > 1 else "the picture"
    name = escape(short(file.name))
    caption = _NOTHING if drawn.how else _NO_MAP
    over = ""
    if file.cuts:
        caption = f"Map: {escape(drawn.how)}" if drawn.how else _NO_MAP
    if drawn.heat:
        caption = escape(drawn.how)
        over = f'<img class="bt-map" src="{drawn.heat}" alt="Map: {caption}">'
    if drawn.outline:
        over += f'<img class="bt-outline" src="{drawn.outline}" alt="Outline of what the map marks">'
    if drawn.marks:
        caption += f"<br>{escape(drawn.marks)}"
    volume = _volume(scan.volume) if scan.volume else ""
    figure, how = "", f"<p>{caption}</p>"
    if not file.cuts:
        how = ""
        figure = (
            f'<figure><div class="bt-stack"><img src="{drawn.picture}" alt="{name}, {place}">{over}</div>'
            f"<figcaption>{name}{f', {place}' if file.slices > 1 else ''}<br>{caption}</figcaption></figure>"
        )
    what = f"Slice {index + 1}: " if file.slices > 1 else ""
    bars = _bars(said.probabilities, "Probabilities", said.label)
    return (
        f'<section class="bt-panel" aria-label="Answer of {escape(model.name)}" data-map="{escape(drawn.asked)}">'
        f'<h3 class="bt-model">{escape(model.name)}</h3>'
        f'<div class="bt-sides">{figure}{_painted(drawn, f"{name}, {place}")}'
        f'<div class="bt-answers">{_remarks(file)}{volume}'
        f'<div class="bt-answer"><h4>{what}{_verdict(said)}</h4>{bars}{_sets(said)}'
        f"<p>{calibrated(model.predictor.uncertainty)}</p>{how}</div></div></div></section>"
    )


def _painted(drawn: Drawn, what: str) -> str:
    if not drawn.painted:
        return f'<p class="bt-told"><strong>{escape(drawn.told)}</strong></p>' if drawn.told else ""
    return (
        f'<figure class="bt-painted"><div class="bt-stack"><img src="{drawn.painted}" alt="{what}, painted over"></div>'
        f"<figcaption><strong>{escape(drawn.told)}</strong><br>What the lesion map marks, and a cell of the map "
        "around it, is painted over: so the model saw it.</figcaption></figure>"
    )


def _remarks(file: Opened) -> str:
    lines = file.scan.remarks if file.scan else ()
    return "".join(f'<p class="bt-warning">{escape(line[:1].upper() + line[1:])}.</p>' for line in lines)


def _volume(volume: VolumeCounts) -> str:
    few = "Most slices of this volume do not look like a brain MRI." if volume.not_brain_mri else ""
    warning = f'<p class="bt-warning">{few}</p>' if few and volume.brains else ""
    shares = _bars(volume.shares, "Share of slices") if volume.shares else ""
    if volume.answer is None:
        why = escape(volume.silence[:1].upper() + volume.silence[1:])
        return f'<div class="bt-answer"><h4>Volume: {escape(counted(volume))}</h4>{warning}{shares}<p>{why}.</p></div>'
    whole = volume.answer
    bars = _bars(whole.probabilities, "Probabilities of the volume", whole.label)
    return (
        f'<div class="bt-answer"><h4>Volume: {_verdict(whole)}</h4>{warning}{bars}{_sets(whole)}'
        f"<p>{escape(POOLED)} {escape(counted(volume))}.</p></div>"
    )


def _verdict(said: Prediction) -> str:
    if said.not_brain_mri:
        return f'<strong class="bt-warning">{OTHER}</strong> <small>(else: {escape(said.label)})</small>'
    if said.not_sure:
        return f'<strong class="bt-warning">{UNSURE}</strong> <small>(most probable: {escape(said.label)})</small>'
    return f"<strong>{escape(said.label)}</strong>"


def _bars(values: Mapping[str, float], what: str, label: str = "") -> str:
    """A row a class, that of the `label` set off."""
    rows = ""
    for name, value in values.items():
        chosen = ' class="bt-chosen"' if name == label else ""
        rows += (
            f'<tr{chosen}><th scope="row">{escape(name)}</th><td>{_percent(value)}</td>'
            f'<td class="bt-bar" aria-hidden="true"><div style="width:{100 * value:.1f}%"></div></td></tr>'
        )
    return f'<table class="bt-bars"><caption class="bt-unseen">{what}</caption><tbody>{rows}</tbody></table>'


def _sets(said: Prediction) -> str:
    if not said.sets:
        return ""
    rows = "".join(
        f"<dt>{100 * level:.0f} % set</dt><dd>{escape(', '.join(names))}</dd>" for level, names in said.sets.items()
    )
    return f'<dl class="bt-sets">{rows}</dl>'


def _with_share(said: Prediction) -> str:
    """The most probable class and its probability; to be escaped."""
    return f"{said.label} {share(said.probabilities[said.label])}"


def _percent(value: float) -> str:
    return escape(share(value))


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"

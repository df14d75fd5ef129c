"""The report of what is looked at on the page: a link that holds it, for it is never a file here."""

import base64
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from brain_tumor.evaluation.explanation.gradcam import EVIDENCE, described
from brain_tumor.evaluation.explanation.localisation import LESION_FROM
from brain_tumor.evaluation.explanation.maps import upsample
from brain_tumor.evaluation.explanation.overlay import overlay
from brain_tumor.evaluation.explanation.region import outlined
from brain_tumor.evaluation.planes import cuts, drawn
from brain_tumor.serving.case_report import Answerer, Case, Drawn, report
from brain_tumor.serving.review_page.models import Shown
from brain_tumor.serving.review_page.render import short
from brain_tumor.serving.review_page.review import Review

if TYPE_CHECKING:
    from brain_tumor.serving.review_page.actions import Choices


def reports(models: Sequence[Shown], found: Review, choices: "Choices") -> str:
    """A link for each model to its report of the file, with the slice and the map that are looked at, as HTML."""
    file = found.files[choices.file]
    assert file.scan is not None
    choices = replace(choices, index=min(max(choices.index, 0), file.slices - 1))
    scan, links = file.scan, ""
    for place, model in enumerate(models):
        drawn = _drawn(models, found, choices, place)
        by = Answerer(model.predictor.uri, model.trained_on, model.synthetic, model.predictor.uncertainty)
        case = Case(file.name, scan.kind, scan.plane, scan.remarks)
        page = report(case, file.answers[place], [drawn], by, datetime.now())
        content = base64.b64encode(page.encode(errors="replace")).decode()
        called = re.sub(r"[^\w.-]+", "_", f"{short(file.name)} {model.name}", flags=re.ASCII)
        text = escape(f"Report of {short(file.name)} by {model.name}")
        links += f'<p><a download="{called}.html" href="data:text/html;base64,{content}">{text}</a></p>'
    return f'<div class="bt-reports">{links}</div>'


def _drawn(models: Sequence[Shown], found: Review, choices: "Choices", place: int) -> Drawn:
    """The slice with its map as the page has it."""
    model, layer = models[place], choices.layers[place]
    file = found.files[choices.file]
    if file.fitted:
        return _whole(models, found, choices, place)
    least = max(each.predictor.size for each in models)
    picture = found.picture(choices.file, choices.index, least).convert("RGB")
    if choices.method not in model.methods:
        return Drawn(choices.index, picture, None)
    values = found.map(choices.file, choices.index, models, place, layer, choices.method)
    maps = upsample(np.asarray(values)[None], picture.size)
    over = overlay(np.asarray(picture)[None], maps)
    if choices.method == EVIDENCE:
        over = outlined(over, maps >= LESION_FROM)
    label = file.answers[place].slices[choices.index].label
    return Drawn(choices.index, picture, Image.fromarray(over[0]), described(choices.method, layer, label))


def _whole(models: Sequence[Shown], found: Review, choices: "Choices", place: int) -> Drawn:
    """The three planes of what a model takes of a whole volume, through the map's peak, as `predict` draws them."""
    file, layer = found.files[choices.file], choices.layers[place]
    values = found.map(choices.file, 0, models, place, layer, choices.method)[None]
    grays = file.fitted[place].grays
    at = cuts(grays, values)
    shown = drawn(grays, at)
    over = overlay(shown, drawn(values, at))
    how = described(choices.method, layer, file.answers[place].slices[0].label)
    return Drawn(0, Image.fromarray(shown[0]), Image.fromarray(over[0]), how)

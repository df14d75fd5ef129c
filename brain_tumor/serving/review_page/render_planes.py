"""The three planes of a volume as HTML; the page's script asks for the pictures in them."""

from collections.abc import Sequence
from html import escape

from brain_tumor.data.scans.geometry import PLANES, SIDES
from brain_tumor.serving.review_page.models import Shown
from brain_tumor.serving.review_page.opened import Opened
from brain_tumor.serving.review_page.review import Review
from brain_tumor.serving.wording import share

ORDER = ("axial", "coronal", "sagittal")
AROUND = ("left", "right", "top", "bottom")  # as SIDES has them


def planes(found: Review, file: int, models: Sequence[Shown]) -> str:
    """The planes of a file of the review, with what moves through them; nothing of a file that has none."""
    opened = found.files[file]
    if opened.cuts is None:
        return ""
    shape = opened.cuts.values.shape
    at = opened.start(opened.first)
    axis = "" if opened.axis is None else opened.axis
    figures = "".join(_plane(opened, name, at[PLANES.index(name)]) for name in ORDER)
    return (
        f'<section class="bt-planes" aria-label="Three planes" data-of="{found.token}/{file}" '
        f'data-shape="{_numbers(shape)}" data-at="{_numbers(at)}" data-axis="{axis}">'
        f'{figures}<div class="bt-tools">{_window()}{_map_of(models)}{_attention(opened, models)}</div></section>'
    )


def _plane(opened: Opened, name: str, index: int) -> str:
    cuts = opened.cuts
    assert cuts is not None
    axis = PLANES.index(name)
    across, up = (cuts.values.shape[each] * cuts.spacing[each] for each in range(3) if each != axis)
    count, called = cuts.values.shape[axis], name.capitalize()
    sides = ""
    if not cuts.volume.unplaced:
        sides = "".join(
            f'<span class="bt-side bt-{where}" aria-hidden="true">{letter}</span>'
            for where, letter in zip(AROUND, SIDES[name], strict=True)
        )
    return (
        f'<figure class="bt-plane" data-plane="{name}">'
        f'<div class="bt-cut" style="aspect-ratio: {across:.6g} / {up:.6g}">'
        f'<img class="bt-slice" alt="{called} slice"><img class="bt-map" alt="Map over the {name} slice" hidden>'
        f'<div class="bt-across"></div><div class="bt-down"></div>{sides}</div>'
        f"<label>{called} <output>{index + 1}</output> of {count}"
        f'<input type="range" min="1" max="{count}" value="{index + 1}" aria-label="{called} slice"></label></figure>'
    )


def _window() -> str:
    return (
        '<label>Level, % <output>50</output><input type="range" class="bt-level" min="-50" max="150" value="50" '
        'aria-label="Level of the gray window, %"></label>'
        '<label>Width, % <output>100</output><input type="range" class="bt-width" min="1" max="300" value="100" '
        'aria-label="Width of the gray window, %"></label>'
        '<p><button type="button" class="bt-reset">Reset the window</button>'
        '<button type="button" class="bt-peak" hidden>Go to the map\'s peak</button>'
        '<label class="bt-check"><input type="checkbox" class="bt-cross" checked>Crosshair</label></p>'
    )


def _map_of(models: Sequence[Shown]) -> str:
    """Whose map it is, to choose of two models; and what is said of it."""
    choices = ""
    if len(models) > 1:
        for place, model in enumerate(models):
            checked = "" if place else " checked"
            choices += (
                f'<label class="bt-check"><input type="radio" name="bt-map-of" value="{place}"{checked}>'
                f"{escape(model.name)}</label>"
            )
        choices = f'<fieldset class="bt-whose"><legend>Map of</legend>{choices}</fieldset>'
    return f'{choices}<p class="bt-map-said" role="status"></p>'


def _attention(opened: Opened, models: Sequence[Shown]) -> str:
    """How much each slice counts for a model, as bars that lead there; nothing of models that do not weigh them."""
    found = ""
    for place, (model, fitted) in enumerate(zip(models, opened.fitted, strict=False)):
        if not fitted.attention:
            continue
        most = max(fitted.attention)
        middle = [count // 2 for count in fitted.grays.shape[2:4]]
        bars = ""
        for depth, weight in enumerate(fitted.attention):
            index = opened.place(place, [depth, *middle])[2]
            text = f"Axial slice {index + 1}: {share(weight)}"
            height = 100 * weight / most if most else 0
            bars += (
                f'<button type="button" data-at="{index}" title="{text}" aria-label="{text}">'
                f'<span style="height: {height:.1f}%"></span></button>'
            )
        whose = f" for {escape(model.name)}" if len(models) > 1 else ""
        found += (
            f'<div class="bt-attention" role="group" aria-label="How much each slice counts{whose}">'
            f"<p>How much each slice counts{whose}, from the feet to the head:</p><div>{bars}</div></div>"
        )
    return found


def _numbers(values: Sequence[int]) -> str:
    return ",".join(map(str, values))

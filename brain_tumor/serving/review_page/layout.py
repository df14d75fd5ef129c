"""The page's components and what they ask for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from brain_tumor.data.scans.scan import Plane
from brain_tumor.evaluation.explanation.gradcam import EVIDENCE
from brain_tumor.serving.review_page import actions, render
from brain_tumor.serving.review_page.actions import PLANES, Choices, Page, View
from brain_tumor.serving.review_page.unfetched_answers import Unfetched

TITLE = "brain_tumor: review"
STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
SCRIPTS = [(Path(__file__).parent / name).read_text(encoding="utf-8") for name in ("page.js", "planes.js")]
EXCESS = "() => window.btExcess"  # files and bytes of the drop that the page's script has stopped
OPACITY = "(value) => { document.documentElement.style.setProperty('--bt-map', value / 100); }"
DEFAULT = "layercam"
REPORT = "Report of this case, to save and print"
PAINT = "Paint over what the lesion map marks, and ask again"
NOTHING = "<p>Drop a file, or try one.</p>"
AT_ONCE = 4  # drops that are answered, and maps that are asked for, at the same time; the others wait
PRIVATE: dict[str, Any] = {"api_visibility": "private"}  # in no list of what may be called


def theme() -> gr.themes.Base:
    """Gradio's plain theme with the fonts that the reader's machine has: its default loads them from Google."""
    return gr.themes.Base(
        primary_hue="blue", font=["system-ui", "Arial", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )


def build(page: Page, waiting: int) -> gr.Blocks:
    """The page; `waiting` requests may wait for their turn."""
    with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        gr.HTML(render.notice(), elem_id="bt-notice")
        gr.HTML(render.heading(page.models), elem_id="bt-heading")
        with gr.Row(elem_id="bt-parts"):
            with gr.Column(elem_id="bt-files-part"):
                gr.Markdown("## Files")
                names = "Pictures, volumes, DICOM files or their folder or zip"
                drop = gr.File(label=names, file_count="multiple", height=150, elem_id="bt-drop")
                gr.HTML(render.limits(page.files, page.allowed), elem_id="bt-limits")
                excess = gr.Button("Too much", elem_id="bt-excess")  # not shown: the page's script presses it
                sizes = [gr.Number(visible=False) for _ in range(2)]
                gr.Button("Choose a folder", size="sm", elem_id="bt-folder")
                slices = any(model.takes is None for model in page.models)
                cut = "Volumes are cut into slices for the model"
                plane = gr.Radio(list(PLANES), value="auto", label=cut, elem_id="bt-plane", visible=slices)
                gr.Markdown("Or try one that is drawn, not measured:")
                with gr.Row(elem_id="bt-examples"):
                    buttons = [gr.Button(each.label, size="sm", min_width=150) for each in page.examples]
                status = gr.HTML("", elem_id="bt-status")
                table = gr.HTML("", elem_id="bt-table")
            with gr.Column(elem_id="bt-answer-part"):
                file, index, planes, panels, paint, report, forget = _answer_part()
            with gr.Column(elem_id="bt-map-part"):
                opacity, method, layers = _map_part(page)
        _models_part(page)

        said = [drop, status, table, planes, panels, file, index, paint, report, forget]
        chosen = [method, *layers]
        asked = Asked(page, Unfetched(blocks))
        answered: dict[str, Any] = {"concurrency_limit": AT_ONCE, "concurrency_id": "answer", **PRIVATE}
        # Not preprocessed, for Gradio's own way leaves an empty file behind for each that was dropped.
        drop.upload(asked.uploaded, [drop, plane, *chosen], said, preprocess=False, **answered)
        for place, button in enumerate(buttons):
            button.click(asked.example(place), chosen, said, **answered)
        looked: dict[str, Any] = {"concurrency_limit": AT_ONCE, "concurrency_id": "look", **PRIVATE}
        where = [file, index, *chosen]
        newest: dict[str, Any] = {"trigger_mode": "always_last", "show_progress": "hidden"}
        index.input(asked.look(), where, [status, panels], **newest, **looked)
        for choose in [method.input, *(layer.input for layer in layers)]:
            choose(asked.look(), where, [status, panels], **looked)
        paint.click(asked.look(without=True), where, [status, panels], **looked)
        report.click(asked.look(report=True), where, [status, panels], **looked)
        file.input(asked.other_file, [file, *chosen], [status, planes, panels, index], **looked)
        forget.click(asked.forget, None, said, concurrency_limit=None, **PRIVATE)
        excess.click(asked.excess, sizes, said, js=EXCESS, concurrency_limit=None, **PRIVATE)
        opacity.change(None, opacity, None, js=OPACITY, **PRIVATE)
        for script in SCRIPTS:
            blocks.load(None, None, None, js=script, **PRIVATE)
        blocks.unload(asked.left)
    blocks.queue(max_size=waiting, api_open=False)
    return blocks  # type: ignore[no-any-return]


def _answer_part() -> tuple[Any, Any, Any, Any, Any, Any, Any]:
    """The file that is looked at, its slice, its planes, what is said, and buttons: ask again, report, forget all."""
    gr.Markdown("## Answer")
    file = gr.Dropdown([], label="File", visible=False, elem_id="bt-file")
    index = gr.Slider(1, 2, 1, step=1, label="Slice (arrow keys)", visible=False, elem_id="bt-slice")
    planes = gr.HTML("", elem_id="bt-planes")
    panels = gr.HTML(NOTHING, elem_id="bt-panels")
    paint = gr.Button(PAINT, size="sm", visible=False, elem_id="bt-paint")
    report = gr.Button(REPORT, size="sm", visible=False, elem_id="bt-report")
    forget = gr.Button("Forget my files", size="sm", visible=False, elem_id="bt-forget")
    return file, index, planes, panels, paint, report, forget


def _map_part(page: Page) -> tuple[Any, Any, list[Any]]:
    """The opacity of the map, its method, and of each model its layer."""
    gr.Markdown("## Map")
    opacity = gr.Slider(0, 100, 60, step=1, label="Opacity of the map, %", elem_id="bt-opacity")
    methods = list(dict.fromkeys(each for model in page.models for each in model.methods))
    default = EVIDENCE if page.models[0].methods[0] == EVIDENCE else DEFAULT
    method = gr.Radio(methods, value=default, label="Method", elem_id="bt-method")
    layers = [
        gr.Dropdown(
            [(_short(name), name) for name in model.layers],
            value=model.layers[0],
            label="Layer" if len(page.models) == 1 else f"Layer of {model.name}",
            elem_id=f"bt-layer-{place}",
        )
        for place, model in enumerate(page.models)
    ]
    return opacity, method, layers


def _models_part(page: Page) -> None:
    """Each model's card, folded."""
    gr.Markdown("## Models" if len(page.models) > 1 else "## Model")
    for model in page.models:
        with gr.Accordion(f"What is known of {model.name}", open=False):
            gr.Markdown(render.card(model.card), sanitize_html=True, latex_delimiters=[], elem_classes="bt-card")


@dataclass(frozen=True, eq=False)
class Asked:
    """What Gradio calls; it hands over the request by its annotation, of methods and not of partial functions."""

    page: Page
    unfetched: Unfetched

    def uploaded(self, request: gr.Request, files: Any, plane: Plane, method: str, *layers: str) -> list[Any]:
        """Files as the client describes them: a path, which the front has checked, and a name, its own word."""
        named = [(str(each.get("orig_name") or "file"), str(each["path"])) for each in files or []]
        return self._said(actions.answer_uploads(self.page, _session(request), named, method, layers, plane))

    def example(self, place: int) -> Callable[..., list[Any]]:
        def answer(request: gr.Request, method: str, *layers: str) -> list[Any]:
            return self._said(actions.answer_example(self.page, _session(request), place, method, layers))

        return answer

    def excess(self, request: gr.Request, files: float, size: float) -> list[Any]:
        return self._said(actions.answer_excess(self.page, _session(request), int(files), int(size)))

    def look(self, *, without: bool = False, report: bool = False) -> Callable[..., list[Any]]:
        def answer(request: gr.Request, file: int | None, index: float, method: str, *layers: str) -> list[Any]:
            if file is None:  # nothing is looked at
                return [gr.skip(), gr.skip()]
            choices = Choices(file, int(index) - 1, method, layers)
            return list(actions.look(self.page, _session(request), choices, without=without, report=report))

        return answer

    def other_file(self, request: gr.Request, file: int, method: str, *layers: str) -> list[Any]:
        first, slices, planes = actions.first_slice(self.page, _session(request), file)
        status, panels = actions.look(self.page, _session(request), Choices(file, first, method, layers))
        return [status, planes, panels, _slider(slices, first)]

    def forget(self, request: gr.Request) -> list[Any]:
        self.page.kept.leave(_session(request))
        return self._said(View(render.status("Forgotten."), "", NOTHING))

    async def left(self, request: gr.Request) -> None:
        self.page.kept.leave(_session(request))
        await self.unfetched.forget(_session(request))

    def _said(self, view: View) -> list[Any]:
        """In the order of `said`; the drop zone is empty again, for nothing of the files is there any more."""
        names: Sequence[tuple[str, int]] = view.names
        chooser = gr.Dropdown(choices=list(names), value=view.file if names else None, visible=len(names) > 1)
        slider = _slider(view.slices, view.index)
        paint = gr.Button(visible=bool(names) and any(model.draws for model in self.page.models))
        report, forget = gr.Button(visible=bool(names)), gr.Button(visible=bool(names))
        return [None, view.status, view.table, view.planes, view.panels, chooser, slider, paint, report, forget]


def _short(layer: str) -> str:
    """A layer's name in a list that is as wide as a phone; the map's caption has it whole."""
    return layer.replace("_activation", "").replace("*", " × ")


def _slider(slices: int, index: int) -> Any:
    return gr.Slider(minimum=1, maximum=max(2, slices), value=index + 1, visible=slices > 1)


def _session(request: gr.Request) -> str:
    return request.session_hash or ""

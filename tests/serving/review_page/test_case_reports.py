"""The report that the page gives of what is looked at."""

import base64
import io
import re
from collections.abc import Callable
from dataclasses import replace

from pages import flat
from PIL import Image

from brain_tumor import NOTICE
from brain_tumor.serving.review_page import actions
from brain_tumor.serving.review_page.actions import Choices, Page, answer_uploads, look
from brain_tumor.serving.review_page.models import Shown

LINK = re.compile(r'<a download="([^"]*)" href="data:text/html;base64,([^"]*)">([^<]*)</a>')
HOSTILE = '"><script>alert(1)</script>.png'


def linked(page: Page, name: str, content: bytes) -> list[tuple[str, str, str]]:
    """What each link of the report is called as a file, the page that it holds, and its words."""
    layers = ("deep",) * len(page.models)
    answer_uploads(page, "session", [(name, str(page.uploads.add(io.BytesIO(content))))], "layercam", layers)
    choices = Choices(0, 0, "layercam", layers)
    status, panels = look(page, "session", choices, report=True)
    assert actions.SAVE in status
    assert 'class="bt-panel"' in panels  # the answer is still there
    return [(file, base64.b64decode(held).decode(), text) for file, held, text in LINK.findall(panels)]


def test_each_model_has_a_report_with_its_answer_its_map_and_the_notice(
    page: Page, other: Shown, png: Callable[[Image.Image], bytes]
) -> None:
    both = replace(page, models=(*page.models, other))
    found = linked(both, "a.png", png(flat(90)))
    assert [(file, text) for file, _, text in found] == [
        ("a.png_brain-tumor_3.html", "Report of a.png by brain-tumor/3"),
        ("a.png_brain-tumor_4.html", "Report of a.png by brain-tumor/4"),
    ]
    for (_, held, _), uri in zip(found, ("models:/brain-tumor/3", "models:/brain-tumor/4"), strict=True):
        assert NOTICE in held
        assert uri in held
        assert held.count("<img ") == 2
    assert "The picture: glioma." in found[0][1]
    assert "SYNTHETIC: this model was" in found[0][1]
    assert "SYNTHETIC" not in found[1][1]


def test_a_name_is_text_in_the_link_and_in_the_report(page: Page, png: Callable[[Image.Image], bytes]) -> None:
    [(file, held, _)] = linked(page, HOSTILE, png(flat(90)))
    assert re.fullmatch(r"[\w.-]+", file, flags=re.ASCII)
    assert "<script" not in held
    assert "&lt;script&gt;" in held


def test_nothing_is_reported_once_the_files_are_gone(page: Page) -> None:
    status, panels = look(page, "session", Choices(0, 0, "layercam", ("deep",)), report=True)
    assert actions.LET_GO in status
    assert panels == ""

"""What is answered to whom, in HTML that holds no word of a file as markup."""

import io
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fitted import POOLED, UNCERTAINTY
from pages import flat
from PIL import Image

from brain_tumor.data.decode import CorruptImageError
from brain_tumor.data.scans.scan import Scan
from brain_tumor.serving.review_page import actions, render
from brain_tumor.serving.review_page import opened as module
from brain_tumor.serving.review_page.actions import (
    CRASHED,
    GONE,
    LET_GO,
    Choices,
    Page,
    answer_example,
    answer_uploads,
    look,
)
from brain_tumor.serving.review_page.models import Shown

Png = Callable[[Image.Image], bytes]
HOSTILE = '"><img src=x onerror=alert(1)>\u202e\n.png'
FIRST = Choices(0, 0, "layercam", ("deep",))


def drop(page: Page, *files: tuple[str, bytes], layers: tuple[str, ...] = ("deep",)) -> actions.View:
    named = [(name, str(page.uploads.add(io.BytesIO(content)))) for name, content in files]
    return answer_uploads(page, "session", named, "layercam", layers)


@pytest.fixture
def volume(monkeypatch: pytest.MonkeyPatch) -> None:
    scan = Scan("nifti", 4, "axial", lambda index: flat((0, 90, 95, 60)[index]))
    monkeypatch.setattr(module, "open_scan", lambda content, plane, limits: scan)


def test_a_picture_is_answered_with_all_that_the_model_says(page: Page, png: Png) -> None:
    view = drop(page, ("a.png", png(flat(90))))
    assert "a.png: glioma." in view.status
    for part in ("<strong>glioma</strong>", "90.0\u00a0%", "90 % set", "Calibrated", "brain-tumor/3", 'class="bt-map"'):
        assert part in view.panels
    assert (view.table, view.slices, view.names) == ("", 1, (("1. a.png", 0),))
    assert list(page.uploads.folder.iterdir()) == []


def test_what_is_known_of_a_file_stands_beside_its_answer_and_its_sides_on_the_picture(
    page: Page, png: Png, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = drop(page, ("a.png", png(flat(90))))
    shown = []
    for planes in ((), (None,)):
        scan = Scan("dicom", 1, "axial", lambda index: flat(90), remarks=("the file says <T2>",), planes=planes)
        monkeypatch.setattr(module, "open_scan", lambda content, plane, limits, scan=scan: scan)
        shown.append(drop(page, ("a.dcm", b"dicom")).panels)
    assert all('<p class="bt-warning">The file says &lt;T2&gt;.</p>' in each for each in shown)
    assert "bt-warning" not in plain.panels
    pictures = [re.search('data:image/png;base64,[^"]*', each)[0] for each in (plain.panels, *shown)]  # type: ignore[index]
    assert pictures[0] == pictures[2] != pictures[1]


@pytest.mark.parametrize(
    ("red", "green", "text"), [(60, 0, "Not sure"), (90, 200, "Not a brain MRI"), (60, 200, "Not a brain MRI")]
)
def test_what_the_model_does_not_answer_is_said_first(page: Page, png: Png, red: int, green: int, text: str) -> None:
    view = drop(page, ("a.png", png(flat(red, green))))
    assert text in view.status
    assert f'<strong class="bt-warning">{text}</strong>' in view.panels


def test_a_model_without_a_decision_says_so(page: Page, other: Shown, png: Png) -> None:
    both = replace(page, models=(*page.models, other))
    view = drop(both, ("a.png", png(flat(60))), layers=("deep", "blind"))
    assert view.panels.count("<section") == 2
    assert "this model was not calibrated" in view.panels
    assert "nothing in the map speaks for this class" in view.panels


def test_names_are_text_and_no_longer_than_a_line(page: Page, png: Png) -> None:
    view = drop(page, (HOSTILE, png(flat(90))), ("x" * 300, b"bad"))
    shown = view.status + view.table + view.panels
    assert "<img src=x" not in shown
    assert "&lt;img src=x" in shown
    assert "\u202e" not in shown
    assert "x" * render.NAME_LENGTH not in shown


@pytest.mark.parametrize(
    ("uri", "name"),
    [("models:/a/3", "a/3"), (f"runs:/{'0123456789abcdef' * 2}/model", "run 01234567"), ("models:/m-1", "m-1")],
)
def test_models_have_short_names(model: Shown, uri: str, name: str) -> None:
    assert replace(model, predictor=replace(model.predictor, uri=uri)).name == name


def test_many_files_have_a_table_and_bad_ones_stand_there(page: Page, png: Png) -> None:
    view = drop(page, ("bad.txt", b"text"), ("a.png", png(flat(90))), ("b.png", png(flat(10))))
    assert "2 files answered. 1 file refused: bad.txt:" in view.status
    assert 'class="bt-failed"' in view.status
    assert "notumor (90.0\u00a0%)" in view.table
    assert (view.file, view.names) == (1, (("2. a.png", 1), ("3. b.png", 2)))


def test_names_in_the_table_break_between_their_words(page: Page, png: Png) -> None:
    view = drop(page, ("head_T1.png", png(flat(90))), ("b.png", png(flat(10))))
    assert "head_<wbr>T1.<wbr>png</th>" in view.table


def test_the_probability_of_a_class_is_not_said_to_be_that_of_no_brain(page: Page, png: Png) -> None:
    view = drop(page, ("a.png", png(flat(90, 200))), ("b.png", png(flat(60))))
    assert "Not a brain MRI (else: glioma 90.0\u00a0%)" in view.table
    assert "Not sure; most probable: glioma (60.0\u00a0%)" in view.table


def test_a_bad_file_alone_is_refused_in_a_readable_line(page: Page, png: Png) -> None:
    drop(page, ("a.png", png(flat(90))))
    view = drop(page, ("report.pdf", b"%PDF-1.7"))
    assert "report.pdf: not a JPEG, PNG" in view.status
    assert (view.panels, view.names) == ("", ())
    assert look(page, "session", FIRST) == (render.status(LET_GO, failed=True), "")


def test_a_bomb_is_refused(page: Page) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    assert "too large" in drop(page, ("bomb.png", bomb)).status


def test_too_many_files_are_refused_and_removed(page: Page) -> None:
    view = drop(page, *[(str(place), b"x") for place in range(4)])
    assert "4 files are too many: at most 3 at once." in view.status
    assert list(page.uploads.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("files", "size", "text"), [(4, 1, "4 files are too many"), (1, 2**20 + 1, "1.1 MiB are too much: at most 1 MiB")]
)
def test_a_drop_that_the_browser_has_stopped_is_spoken_of(
    page: Page, png: Png, files: int, size: int, text: str
) -> None:
    drop(page, ("a.png", png(flat(90))))
    view = actions.answer_excess(page, "session", files, size)
    assert text in view.status
    assert (view.table, view.panels, page.kept.get("session")) == ("", "", None)


def test_an_upload_that_is_gone_or_never_was_is_said_to_be(page: Page) -> None:
    for path in (str(page.uploads.folder / "gone"), "/etc/passwd"):
        assert GONE in answer_uploads(page, "session", [("a", path)], "layercam", ("deep",)).status


def test_an_example_is_answered_like_a_file(page: Page) -> None:
    view = answer_example(page, "session", 0, "gradcam", ("deep",))
    assert "SYNTHETIC glioma.png: glioma." in view.status
    assert "gradcam at deep" in view.panels


@pytest.mark.usefixtures("volume")
def test_the_slices_of_a_volume_are_looked_at_one_by_one(page: Page) -> None:
    view = drop(page, ("head.nii", b"nifti"))
    assert (view.slices, view.index) == (4, 2)
    counted = "4 of 4 slices pass as brain MRI, of which glioma 75.0\u00a0%, notumor 25.0\u00a0%"
    assert f"head.nii: {counted}." in view.status
    unfitted = "No answer for a whole volume has been fitted"
    for text in (f"Volume: {counted}", unfitted, "Slice 3: <strong>glioma", "slice 3 of 4"):
        assert text in view.panels
    status, panels = look(page, "session", replace(FIRST, index=0))
    assert "Slice 1 of 4: notumor." in status
    assert "Slice 1: <strong>notumor</strong>" in panels
    assert actions.first_slice(page, "session", 0) == (2, 4, "")
    assert actions.first_slice(page, "session", 1) == actions.first_slice(page, "nobody", 0) == (0, 0, "")


@pytest.mark.usefixtures("volume")
def test_a_volume_has_a_class_where_one_was_fitted_and_in_its_own_plane(page: Page) -> None:
    model = replace(page.models[0], predictor=replace(page.models[0].predictor, uncertainty=POOLED))
    fitted = replace(page, models=(model,))
    assert "Volume: <strong" in drop(fitted, ("head.nii", b"nifti")).panels
    path = str(page.uploads.add(io.BytesIO(b"nifti")))
    coronal = answer_uploads(fitted, "session", [("head.nii", path)], "layercam", ("deep",), "coronal").panels
    assert "Volume: 4 of 4 slices" in coronal
    assert "No answer for a whole volume has been fitted" in coronal


def test_an_answer_is_not_kept_for_who_has_left_meanwhile(page: Page, png: Png) -> None:
    run = page.models[0].predictor.run

    def leave(images: Any) -> Any:
        page.kept.leave("session")
        return run(images)

    model = replace(page.models[0], predictor=replace(page.models[0].predictor, run=leave))
    assert drop(replace(page, models=(model,)), ("a.png", png(flat(90)))).panels
    assert page.kept.get("session") is None
    drop(page, ("a.png", png(flat(90))))
    assert page.kept.get("session") is not None


@pytest.mark.parametrize(
    ("plane", "text"), [("sagittal", "cut sagittal"), ("auto", "cut auto"), ("x", "no such plane")]
)
def test_a_volume_is_cut_in_the_plane_that_was_chosen(
    page: Page, monkeypatch: pytest.MonkeyPatch, plane: Any, text: str
) -> None:
    def refuse(content: bytes, plane: str, limits: Any) -> Scan:
        raise CorruptImageError(f"cut {plane}")

    monkeypatch.setattr(module, "open_scan", refuse)
    path = str(page.uploads.add(io.BytesIO(b"nifti")))
    assert text in answer_uploads(page, "session", [("a.nii", path)], "layercam", ("deep",), plane).status
    assert list(page.uploads.folder.iterdir()) == []


def test_a_review_is_its_sessions_own(page: Page, png: Png) -> None:
    drop(page, ("a.png", png(flat(90))))
    assert look(page, "session", FIRST)[1]
    assert look(page, "another", FIRST) == (render.status(LET_GO, failed=True), "")


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        (replace(FIRST, layers=("<b>",)), "&lt;b&gt; is no layer of brain-tumor/3"),
        (replace(FIRST, method="x"), "X is no method"),
        (replace(FIRST, file=7), CRASHED),
    ],
)
def test_what_is_not_offered_is_refused_in_a_line(
    page: Page, png: Png, choices: Choices, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    drop(page, ("a.png", png(flat(90))))
    with caplog.at_level(logging.CRITICAL):
        status, panels = look(page, "session", choices)
    assert text in status
    assert panels == ""


def test_a_crash_is_one_line_for_its_user_and_a_traceback_in_the_log(
    page: Page, png: Png, caplog: pytest.LogCaptureFixture
) -> None:
    def crash(*given: Any) -> Any:
        raise RuntimeError("secret path /home/x")

    broken = replace(page, models=(replace(page.models[0], explain=crash),))
    view = drop(broken, ("a.png", png(flat(90))))
    assert CRASHED in view.status
    assert "secret" not in view.status + view.panels
    assert "secret" in caplog.text


def test_a_card_holds_no_html_and_no_drawing() -> None:
    text = "a <div style='position: fixed'> b\n```Mermaid\n</div>\n```\n\\<b> <!-- <https://x.example>"
    shown = render.card(text)
    assert re.search("<[a-zA-Z/!?]", shown) is None
    assert "mermaid" not in shown.lower()
    assert shown.replace("\u200b", "") == text


def test_the_headings_of_a_card_stand_below_the_pages_and_code_stays() -> None:
    assert render.card("# A\n\n````\n# b\n```\n# c\n````\n\n## D") == "### A\n\n````\n# b\n```\n# c\n````\n\n#### D"


def test_synthetic_models_are_named_and_real_ones_are_not(page: Page, other: Shown) -> None:
    assert "<strong>SYNTHETIC</strong> brain-tumor/3 was trained" in render.heading((*page.models, other))
    assert "SYNTHETIC" not in render.heading((other,))
    assert "not a medical device" in render.notice()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"confidence": float("inf")}, "brain-tumor/3</strong> every image is answered with not sure: no confidence"),
        ({"answered": 3}, "brain-tumor/3</strong> not sure is said below a confidence that 3 val images reach"),
    ],
)
def test_a_model_that_is_hardly_ever_sure_is_said_to_be_so(
    page: Page, other: Shown, change: dict[str, Any], text: str
) -> None:
    [model] = page.models
    assert "not sure" not in render.heading((model, other))
    predictor = replace(model.predictor, uncertainty=replace(UNCERTAINTY, **change))
    assert text in render.heading((replace(model, predictor=predictor), other))

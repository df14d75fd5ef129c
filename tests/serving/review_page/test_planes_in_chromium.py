"""Whole scans on the page, in a real browser: a folder or a zip is dropped, and looked at in three planes."""

import io
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import answering, launched, opened
from PIL import Image
from scanned import COLUMNS, ROWS, SLICES, SPOT, series, zipped

from brain_tumor.serving.review_page.actions import Page
from brain_tumor.serving.review_page.models import Shown

pytest.importorskip("gradio", reason="needs brain-tumor[app]")
pytestmark = pytest.mark.browser
NAME = f"head/series 1 ({SLICES} slices)"


@dataclass(frozen=True)
class Looked:
    tab: Any
    page: Page
    asked: list[str]  # pictures of planes, and maps

    def index(self, plane: str) -> int:
        return int(self.tab.locator(f".bt-plane[data-plane={plane}] output").inner_text()) - 1

    def seen(self, plane: str) -> np.ndarray:
        shot = self.tab.locator(f".bt-plane[data-plane={plane}] .bt-cut").screenshot()
        return np.asarray(Image.open(io.BytesIO(shot)).convert("L"), np.float32)

    def wait(self, plane: str, index: int) -> None:
        self.tab.locator(f".bt-plane[data-plane={plane}] output").get_by_text(str(index + 1), exact=True).wait_for()
        self.settle()

    def settle(self) -> None:
        """Until no picture is waited for."""
        self.tab.wait_for_function("!document.querySelector('.bt-planes [aria-busy]')")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as found:
        yield found


def looking(stack: ExitStack, browser: Any, page: Page, *models: Shown, width: int = 1280) -> Looked:
    allowed = replace(page.allowed, file_bytes=2**22)
    served = replace(page, models=models, files=SLICES + 2, allowed=allowed)
    address, asked = stack.enter_context(answering(served))
    tab = stack.enter_context(opened(browser, address, width))
    tab.wait_for_selector("#bt-folder-input", state="attached")
    found = Looked(tab, asked, [])
    tab.on("request", lambda each: found.asked.append(each.url) if "/plane/" in each.url or "/map/" in each.url else 0)
    return found


@pytest.fixture
def slices(browser: Any, page: Page, model: Shown) -> Iterator[Looked]:
    with ExitStack() as stack:
        yield looking(stack, browser, page, model)


@pytest.fixture
def volumes(browser: Any, page: Page, whole: Shown) -> Iterator[Looked]:
    with ExitStack() as stack:
        yield looking(stack, browser, page, whole)


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A folder with a series, and what lies beside one."""
    folder = tmp_path / "head"
    folder.mkdir()
    for name, content in series().items():
        (folder / name).write_bytes(content)
    (folder / ".DS_Store").write_bytes(b"Mac")
    (folder / "DICOMDIR").write_bytes(b"index")
    return folder


def choose(looked: Looked, folder: Path) -> None:
    looked.tab.set_input_files("#bt-folder-input", str(folder))
    looked.tab.wait_for_selector(".bt-planes")
    for plane in ("axial", "coronal", "sagittal"):
        looked.tab.wait_for_selector(f".bt-plane[data-plane={plane}] .bt-slice[src]")
    looked.settle()


def test_a_folder_that_is_chosen_is_one_volume_of_which_three_slices_are_sent(slices: Looked, scan: Path) -> None:
    choose(slices, scan)
    status = slices.tab.locator("#bt-status").inner_text()
    assert status.startswith(f"{NAME}: ")
    assert "refused" not in status
    assert [each.split("/")[-2] for each in slices.asked if "/plane/" in each] == ["axial", "coronal", "sagittal"]
    assert len([each for each in slices.asked if "/map/" in each]) == 1  # over the plane that the model looks at
    assert list(slices.page.uploads.folder.iterdir()) == []
    assert "Jones" not in slices.tab.content()
    letters = slices.tab.locator(".bt-plane[data-plane=axial] .bt-side").all_inner_texts()
    assert letters == ["R", "L", "A", "P"]


def test_a_folder_that_is_dropped_is_one_volume(slices: Looked, scan: Path) -> None:
    box = slices.tab.locator("#bt-drop button").bounding_box()
    client = slices.tab.context.new_cdp_session(slices.tab)
    data = {"items": [], "files": [str(scan)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        place = {"x": box["x"] + 50, "y": box["y"] + 50}
        client.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})
    slices.tab.wait_for_selector(".bt-slice[src]")
    assert slices.tab.locator("#bt-status").inner_text().startswith(f"{NAME}: ")


def test_a_zip_of_a_series_and_a_bad_file_beside_it(slices: Looked, tmp_path: Path) -> None:
    (tmp_path / "head.zip").write_bytes(zipped(series()))
    (tmp_path / "bad.zip").write_bytes(b"PK\3\4bad")
    slices.tab.set_input_files("#bt-drop input[type=file]", [str(tmp_path / name) for name in ("head.zip", "bad.zip")])
    slices.tab.wait_for_selector(".bt-slice[src]")
    status = slices.tab.locator("#bt-status").inner_text()
    assert status == "1 file answered. 1 file refused: bad.zip: a damaged zip file."
    assert f"head.zip/series 1 ({SLICES} slices)" in slices.tab.locator(".bt-files").inner_text().replace("\u200b", "")


def test_too_many_files_of_a_folder_are_refused_before_they_are_sent(slices: Looked, scan: Path) -> None:
    for place in range(3):
        (scan / f"more{place}").write_bytes(b"x")
    slices.tab.set_input_files("#bt-folder-input", str(scan))
    line = f"{SLICES + 3} files are too many: at most {SLICES + 2} at once."
    slices.tab.locator("#bt-status .bt-failed").filter(has_text=line).wait_for()
    assert list(slices.page.uploads.folder.iterdir()) == []


def test_slices_are_scrolled_in_each_plane_and_the_answer_follows(slices: Looked, scan: Path) -> None:
    choose(slices, scan)
    tab, start_at, before = slices.tab, slices.index("axial"), slices.seen("axial")
    tab.locator(".bt-plane[data-plane=axial] .bt-cut").hover()
    tab.mouse.wheel(0, 100)
    slices.wait("axial", start_at - 1)
    assert np.abs(slices.seen("axial") - before).max() > 10
    tab.locator(".bt-panel h4", has_text=f"Slice {start_at}:").wait_for()
    assert len([each for each in slices.asked if "/plane/" in each]) == 4  # one more
    tab.locator(".bt-plane[data-plane=axial] input").focus()
    tab.keyboard.press("ArrowRight")
    slices.wait("axial", start_at)
    tab.locator(".bt-panel h4", has_text=f"Slice {start_at + 1}:").wait_for()
    other = slices.index("coronal")
    tab.locator(".bt-plane[data-plane=coronal] input").focus()
    tab.keyboard.press("ArrowLeft")
    slices.wait("coronal", other - 1)
    assert slices.index("axial") == start_at


def test_a_click_moves_the_other_planes_to_the_crosshair(slices: Looked, scan: Path) -> None:
    choose(slices, scan)
    box = slices.tab.locator(".bt-plane[data-plane=axial] .bt-cut").bounding_box()
    _, row, column = SPOT
    across, down = (column + 0.5) / COLUMNS, (row + 0.5) / ROWS
    slices.tab.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])
    slices.wait("sagittal", COLUMNS - 1 - column)
    slices.wait("coronal", ROWS - 1 - row)
    line = slices.tab.locator(".bt-plane[data-plane=axial] .bt-down").bounding_box()
    assert abs(line["x"] - box["x"] - across * box["width"]) < 2
    without = slices.seen("axial")
    slices.tab.get_by_label("Crosshair").uncheck()
    assert np.abs(slices.seen("axial") - without).max() > 20


def test_a_window_is_set_and_reset(slices: Looked, scan: Path) -> None:
    choose(slices, scan)
    before = slices.seen("sagittal")
    slices.tab.get_by_label("Level of the gray window, %").focus()
    slices.tab.keyboard.press("End")
    slices.settle()
    assert slices.seen("sagittal").mean() < before.mean() - 5
    slices.tab.get_by_role("button", name="Reset the window").click()
    slices.settle()
    np.testing.assert_array_equal(slices.seen("sagittal"), before)


def test_a_model_of_volumes_answers_once_and_its_bars_lead_to_slices(volumes: Looked, scan: Path) -> None:
    choose(volumes, scan)
    tab = volumes.tab
    assert not tab.locator("#bt-plane").is_visible()  # nothing is cut for this model
    assert tab.locator("#bt-status").inner_text() == f"{NAME}: glioma."
    text = tab.locator(".bt-panel").inner_text()
    assert "Calibrated probabilities" in text
    assert "Slice" not in text
    maps = [each.split("/")[-2] for each in volumes.asked if "/map/" in each]
    assert sorted(maps) == ["axial", "coronal", "sagittal"]
    bar = tab.locator(".bt-attention button").first
    place = int(bar.get_attribute("data-at"))
    assert volumes.index("axial") != place
    bar.focus()
    tab.keyboard.press("Enter")
    volumes.wait("axial", place)
    assert bar.get_attribute("aria-current") == "true"
    tab.get_by_role("button", name="Go to the map's peak").click()
    slice_, row, column = SPOT
    for plane, there in (("axial", slice_), ("coronal", ROWS - 1 - row), ("sagittal", COLUMNS - 1 - column)):
        assert abs(volumes.index(plane) - there) <= 2
    tab.get_by_role("radio", name="gradcam", exact=True).check()
    tab.locator(".bt-panel").filter(has_text="gradcam at deep").wait_for()
    volumes.settle()
    assert any("method=gradcam&" in each for each in volumes.asked)


def test_the_report_of_a_volume_has_its_planes(volumes: Looked, scan: Path) -> None:
    choose(volumes, scan)
    volumes.tab.get_by_role("button", name="Report of this case").click()
    link = volumes.tab.locator(".bt-reports a")
    link.wait_for()
    assert NAME in link.inner_text()


def test_what_is_forgotten_is_shown_no_more(volumes: Looked, scan: Path) -> None:
    choose(volumes, scan)
    address = next(each for each in volumes.asked if "/plane/" in each)
    assert volumes.tab.evaluate("async (url) => (await fetch(url)).status", address) == 200
    volumes.tab.get_by_role("button", name="Forget my files").click()
    volumes.tab.get_by_text("Forgotten.").wait_for()
    assert volumes.tab.locator(".bt-planes, .bt-slice, .bt-panel").count() == 0
    assert volumes.tab.evaluate("async (url) => (await fetch(url)).status", address) == 404
    assert len(volumes.page.kept._held) == 0


def test_planes_of_files_that_are_no_longer_kept_say_so(slices: Looked, scan: Path) -> None:
    choose(slices, scan)
    for session in list(slices.page.kept._held):
        slices.page.kept.leave(session)
    slices.tab.locator(".bt-plane[data-plane=axial] input").focus()
    slices.tab.keyboard.press("ArrowRight")
    slices.tab.locator(".bt-map-said", has_text="These files are no longer kept").wait_for()


def test_a_phone_shows_the_planes_below_each_other(browser: Any, page: Page, whole: Shown, scan: Path) -> None:
    with ExitStack() as stack:
        looked = looking(stack, browser, page, whole, whole, width=390)
        choose(looked, scan)
        assert looked.tab.evaluate("document.documentElement.scrollWidth") <= 390
        tops = [each.bounding_box()["y"] for each in looked.tab.locator(".bt-plane").all()]
        assert tops == sorted(tops)
        assert len(set(tops)) == 3
        assert looked.tab.get_by_role("group", name="How much each slice counts").count() == 2
        nameless = "e => !(e.ariaLabel || e.innerText || e.labels?.length)"
        inside = "[...document.querySelectorAll('.bt-planes input, .bt-planes button')]"
        assert looked.tab.evaluate(f"{inside}.filter({nameless}).length") == 0

"""The page as people meet it: in a real browser, on a trained model."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsing import answering, launched, opened
from pages import drawn, spotted
from PIL import Image
from stores import Trained
from toy import draw, environment, hear_ctrl_c

from brain_tumor import NOTICE
from brain_tumor.evaluation.explanation.gradcam import METHODS
from brain_tumor.serving.predictor import Prediction
from brain_tumor.serving.review_page import render
from brain_tumor.serving.review_page.actions import Page
from brain_tumor.serving.review_page.examples import Example, draw_volume
from brain_tumor.serving.review_page.models import Shown

pytest.importorskip("gradio", reason="needs brain-tumor[app]")
pytestmark = pytest.mark.browser
# Every address that the page's process connects to, and every name that it looks up, is written down.
WATCH = """
import sys
def hook(event, arguments, file=open({path!r}, "a", buffering=1)):
    if event == "socket.connect":
        print(arguments[1], file=file)
    elif event == "socket.getaddrinfo":
        print((arguments[0],), file=file)
sys.addaudithook(hook)
"""
HOSTILE = """

End of the card <img src="data:," onerror="document.title = 'owned'"><script>document.title = 'owned'</script>
[link](javascript:document.title='owned')
<div style="position:fixed;inset:0;background:red">a cover</div>
"""
FOCUSED = "(e => [e.tagName, e.ariaLabel, e.innerText, e.value].join(' '))(document.activeElement)"
HEADINGS = "[...document.querySelectorAll('h1,h2,h3,h4')].filter(e => e.offsetParent).map(e => +e.tagName[1])"
LOOPBACK = re.compile(r"\('(127\.0\.0\.1|localhost|::1)'|\(None,\)")


@dataclass(frozen=True)
class Running:
    address: str
    process: "subprocess.Popen[str]"
    place: Path

    @property
    def connections(self) -> list[str]:
        return (self.place / "connections").read_text().splitlines()

    @property
    def uploads(self) -> list[Path]:
        [folder] = (self.place / "temporary").glob("brain-tumor-page-*")
        return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def served(trained_copy: Trained) -> Trained:
    """A trained run whose card is hostile."""
    with (trained_copy.artifacts / "card" / "model_card.md").open("a") as card:
        card.write(HOSTILE)
    return trained_copy


def start(served: Trained, place: Path, *overrides: str, **variables: str) -> Running:
    for name in ("temporary", "watch"):
        (place / name).mkdir()
    (place / "connections").touch()
    (place / "watch" / "sitecustomize.py").write_text(WATCH.format(path=str(place / "connections")))
    env = environment(served.place) | {"TMPDIR": str(place / "temporary"), "PYTHONUNBUFFERED": "1"} | variables
    env["PYTHONPATH"] = f"{place / 'watch'}{os.pathsep}{env['PYTHONPATH']}"
    command = [sys.executable, "-m", "brain_tumor.app", f"model_uri={model(served)}", "port=0", "views=2", *overrides]
    errors = (place / "errors").open("w")
    process = subprocess.Popen(
        command,
        cwd=served.work,
        env=env,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        preexec_fn=hear_ctrl_c,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.match(r"\s+page\s+(http\S+)", line):
            return Running(found[1], process, place)
    raise AssertionError((place / "errors").read_text())


def model(served: Trained) -> str:
    return f"runs:/{served.run}/model"


def stop(running: Running) -> int:
    running.process.send_signal(signal.SIGINT)
    return running.process.wait(60)


@pytest.fixture(scope="module")
def running(served: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    found = start(served, tmp_path_factory.mktemp("page"), f"model_b={model(served)}", "megabytes=1", "files=3")
    yield found
    found.process.kill()
    found.process.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as found:
        yield found


@pytest.fixture
def tab(browser: Any, running: Running) -> Iterator[Any]:
    with opened(browser, running.address, width=1280) as found:
        yield found


@pytest.fixture
def phone(browser: Any, running: Running) -> Iterator[Any]:
    with opened(browser, running.address, width=390) as found:
        yield found


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "glioma <b>bold.png"
    Image.fromarray(draw(0, np.random.default_rng(7))).save(path)
    return path


def drop(page: Any, *paths: Path) -> None:
    page.set_input_files("#bt-drop input[type=file]", [str(path) for path in paths])


def pixels(page: Any, place: int = 0) -> np.ndarray:
    """What is seen of the picture and the map over it."""
    import io

    shot = page.locator(".bt-stack").nth(place).screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), np.float32)


def opacity(page: Any, value: int) -> np.ndarray:
    slider = page.locator("#bt-opacity input[type=range]")
    slider.focus()
    page.keyboard.press("Home" if value == 0 else "End")
    page.wait_for_function(f"getComputedStyle(document.querySelector('.bt-map')).opacity == {value / 100}")
    return pixels(page)


def test_a_picture_is_dropped_answered_and_explained(tab: Any, running: Running, picture: Path) -> None:
    drop(tab, picture)
    tab.wait_for_selector(".bt-panel")
    assert tab.locator(".bt-panel").count() == 2  # two models, side by side
    first, second = (tab.locator(".bt-panel").nth(place).bounding_box() for place in range(2))
    assert abs(first["y"] - second["y"]) < 2
    text = tab.locator(".bt-panel").first.inner_text()
    assert all(part in text for part in ("glioma", "meningioma", "notumor", "pituitary", "%"))
    assert "glioma <b>bold.png" in tab.locator("#bt-status").inner_text()
    assert running.uploads == []


def test_the_map_is_over_the_picture_and_as_opaque_as_the_slider_says(tab: Any, picture: Path) -> None:
    drop(tab, picture)
    tab.wait_for_selector(".bt-map")
    before = pixels(tab)
    none, full = opacity(tab, 0), opacity(tab, 100)
    assert np.abs(full - none).max() > 60
    assert np.abs(before - none).max() > 30
    assert np.abs(full - before).max() > 10


def test_another_method_draws_another_map(tab: Any, picture: Path) -> None:
    drop(tab, picture)
    tab.wait_for_selector(".bt-map")
    tab.get_by_role("radio", name="gradcam", exact=True).check()
    tab.wait_for_function("document.querySelector('.bt-panel figcaption').innerText.includes('gradcam at')")


def test_a_volume_is_cut_in_another_plane(tab: Any, tmp_path: Path) -> None:
    (tmp_path / "head.nii.gz").write_bytes(draw_volume())
    tab.get_by_role("radio", name="coronal", exact=True).check()
    drop(tab, tmp_path / "head.nii.gz")
    tab.wait_for_function("document.querySelector('.bt-panel')?.innerText.includes('of 128 slices')")


def test_a_dicom_file_is_dropped_and_answered(tab: Any, tmp_path: Path, running: Running) -> None:
    from dicom_files import dicom

    pixels = 8 * draw(0, np.random.default_rng(7))[..., 0].astype(np.uint16)
    (tmp_path / "head.dcm").write_bytes(dicom(pixels, PatientName="Jones^Mary"))
    drop(tab, tmp_path / "head.dcm")
    tab.wait_for_selector(".bt-panel .bt-map")
    assert "head.dcm" in tab.locator("#bt-status").inner_text()
    assert "Jones" not in tab.content()
    assert running.uploads == []


def test_one_file_of_several_is_chosen(tab: Any, picture: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.png"
    Image.fromarray(draw(2, np.random.default_rng(8))).save(other)
    drop(tab, picture, other)
    tab.wait_for_selector(".bt-files")
    assert tab.locator(".bt-files tbody tr").count() == 2
    tab.locator("#bt-file input").click()
    tab.get_by_role("option", name="2. other.png").click()
    tab.wait_for_function("document.querySelector('.bt-panel figcaption').innerText.includes('other.png')")


def test_what_is_no_image_is_refused_in_a_readable_line(tab: Any, tmp_path: Path, running: Running) -> None:
    (tmp_path / "letter.txt").write_text("Dear Sir")
    drop(tab, tmp_path / "letter.txt")
    tab.wait_for_selector("#bt-status .bt-failed")
    text = tab.locator("#bt-status").inner_text()
    assert "letter.txt: not a JPEG, PNG, BMP, TIFF or WebP picture" in text
    assert "Traceback" not in tab.locator("body").inner_text()
    assert running.uploads == []


DROP = """([count, size]) => {
  const held = new DataTransfer();
  for (let place = 0; place < count; place++) held.items.add(new File([new Uint8Array(size)], `${place}.bin`));
  const told = { dataTransfer: held, bubbles: true, cancelable: true };
  document.querySelector("#bt-drop button").dispatchEvent(new DragEvent("drop", told));
}"""


@pytest.mark.parametrize("how", ["chosen", "dropped"])
@pytest.mark.parametrize(
    ("count", "size", "text"),
    [
        (1, 2**20 + 1, "1.1 MiB are too much: at most 1 MiB at once"),
        (2, 2**20 - 1, "2 MiB are too much: at most 1 MiB at once"),
        (4, 10, "4 files are too many: at most 3 at once"),
    ],
)
def test_too_much_is_refused_in_a_line_that_stays(
    tab: Any, tmp_path: Path, running: Running, how: str, count: int, size: int, text: str
) -> None:
    tab.get_by_role("button", name="SYNTHETIC glioma").click()
    tab.wait_for_selector(".bt-panel")
    if how == "dropped":
        tab.evaluate(DROP, [count, size])
    else:
        paths = [tmp_path / f"{place}.bin" for place in range(count)]
        for path in paths:
            path.write_bytes(bytes(size))
        drop(tab, *paths)
    tab.locator("#bt-status .bt-failed").filter(has_text=text).wait_for()
    assert tab.locator(".bt-panel").count() == 0  # what was answered before stands under no refusal
    assert "At most 3 files at once, 1 MiB together, 512 slices a volume." in tab.locator("#bt-limits").inner_text()
    assert running.uploads == []
    tab.get_by_role("button", name="SYNTHETIC glioma").click()  # and the page goes on
    tab.wait_for_selector(".bt-panel")


def test_files_are_forgotten_when_asked(tab: Any, picture: Path) -> None:
    drop(tab, picture)
    tab.wait_for_selector(".bt-panel")
    assert not tab.locator("#bt-paint").is_visible()  # these models draw no lesion map
    tab.get_by_role("button", name="Forget my files").click()
    tab.get_by_text("Forgotten.").wait_for()
    assert tab.locator(".bt-panel").count() == 0


@pytest.fixture
def drawing(browser: Any, page: Page, model: Shown, png: Callable[..., bytes]) -> Iterator[Any]:
    """A tab with the page of a stand-in that draws a lesion map, answered by this process."""
    shown = replace(model, predictor=replace(model.predictor, run=drawn), methods=("evidence", *METHODS))
    example = Example("SYNTHETIC glioma", "SYNTHETIC glioma.png", png(spotted()))
    asked = replace(page, models=(shown,), examples=(example,))
    with answering(asked) as (address, _), opened(browser, address, width=1280) as found:
        yield found


def test_what_a_lesion_map_marks_is_painted_over_by_keyboard_and_forgotten(drawing: Any) -> None:
    drawing.get_by_role("button", name="SYNTHETIC glioma").click()
    drawing.wait_for_selector(".bt-outline")
    drawing.get_by_role("button", name="Paint over what the lesion map marks, and ask again").focus()
    drawing.keyboard.press("Enter")
    said = drawing.locator(".bt-painted figcaption")
    said.wait_for()
    assert "Without the marked region: notumor 90.0\u00a0% (before: glioma 55.9\u00a0%)." in said.inner_text()
    assert "notumor 90.0" in drawing.locator("#bt-status").inner_text()
    drawing.get_by_role("button", name="Forget my files").click()
    drawing.get_by_text("Forgotten.").wait_for()
    assert drawing.locator(".bt-painted").count() == 0
    assert not drawing.locator("#bt-paint").is_visible()


def test_a_full_queue_is_said_to_be(tab: Any) -> None:
    full = '{"detail": "Queue is full. Max size is 32 and size is 32."}'
    tab.route("**/queue/join*", lambda route: route.fulfill(status=503, body=full, content_type="application/json"))
    tab.get_by_role("button", name="SYNTHETIC glioma").click()
    tab.locator("[data-testid=toast-text]").filter(has_text="currently busy").wait_for()


def test_in_the_dark_nothing_is_white_on_yellow(browser: Any, running: Running) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(running.address)
    page.wait_for_selector("#bt-heading h1")
    added = "<p class=bt-synthetic>a <strong>b</strong></p>"  # this test's model has seen no synthetic images
    page.evaluate("html => document.querySelector('#bt-heading h1').insertAdjacentHTML('afterend', html)", added)
    shown = page.locator(".bt-synthetic, .bt-synthetic strong").all()
    colours = [each.evaluate("element => getComputedStyle(element).color") for each in shown]
    assert colours == ["rgb(74, 50, 0)"] * 2
    page.close()


def test_a_card_is_read_and_not_run(tab: Any) -> None:
    tab.get_by_role("button", name="What is known of").first.click()
    tab.get_by_text("End of the card").first.wait_for()
    tab.wait_for_timeout(1000)
    assert "owned" not in tab.title()
    assert tab.locator("[onerror], a[href^='javascript'], [style*=inset]").count() == 0
    assert "a cover" in tab.locator("body").inner_text()


def test_the_notice_stays_in_sight(tab: Any, picture: Path) -> None:
    drop(tab, picture)
    tab.wait_for_selector(".bt-panel")
    for place in (0, 10_000):
        tab.mouse.wheel(0, place)
        tab.wait_for_timeout(300)
        box = tab.get_by_text(NOTICE, exact=True).first.bounding_box()
        assert 0 <= box["y"] < 200


def test_a_phone_needs_no_scrolling_sideways(phone: Any, picture: Path, tmp_path: Path) -> None:
    shutil.copy(picture, tmp_path / f"{'long' * 30}.png")
    drop(phone, picture, tmp_path / f"{'long' * 30}.png")
    phone.wait_for_selector(".bt-panel")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    for box in (phone.locator(".bt-panel").nth(place).bounding_box() for place in range(2)):
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    for button in phone.get_by_role("button", name="What is known of").all():
        button.click()
    for place in range(2):
        phone.locator(".bt-card table").nth(place).wait_for()
        phone.get_by_text("End of the card").nth(place).wait_for()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    assert phone.evaluate("innerWidth") <= 390  # a phone zooms out to see what is too wide


def test_the_probabilities_of_classes_with_long_names_stay_in_sight(browser: Any) -> None:
    words, word = (
        "high-grade glioma of the left hemisphere and a few words more",
        "low_grade_glioma_of_the_left_hemisphere",
    )
    said = Prediction(words, {words: 0.5, word: 0.3, "no": 0.2}, {0.9: (words, word)}, False, False)
    style = Path(render.__file__).with_name("style.css").read_text()
    answer = f'<div class="bt-answer">{render._bars(said.probabilities, "said", words)}{render._sets(said)}</div>'
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.set_content(f'<style>{style}</style><section class="bt-panel">{answer}</section>')
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert all(box.bounding_box()["width"] > 20 for box in page.query_selector_all(".bt-bar"))
    page.close()


def test_a_cards_tables_are_set_as_its_markdown_says(tab: Any) -> None:
    tab.get_by_role("button", name="What is known of").first.click()
    tab.get_by_text("End of the card").first.wait_for()
    number = tab.locator(".bt-card td[align=right]").first
    assert number.evaluate("element => getComputedStyle(element).textAlign") == "right"
    for head in tab.locator(".bt-card thead").all():
        assert head.is_visible() == bool(head.inner_text().strip())
    assert tab.evaluate("document.querySelectorAll('h1').length") == 1


def test_everything_is_reached_and_used_by_keyboard(tab: Any) -> None:
    reached = []
    for _ in range(40):
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate(FOCUSED))
        if "SYNTHETIC glioma" in reached[-1]:
            tab.keyboard.press("Enter")
    text = "\n".join(reached)
    for name in ("Choose pictures, DICOM files", "SYNTHETIC glioma", "Opacity", "layercam", "What is known of"):
        assert name in text
    tab.wait_for_selector(".bt-panel")


def test_a_screen_reader_finds_names_and_an_order(tab: Any, picture: Path) -> None:
    drop(tab, picture)
    tab.wait_for_selector(".bt-panel")
    levels = tab.evaluate(HEADINGS)
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert tab.evaluate("[...document.images].filter(e => !e.alt).length") == 0
    assert tab.evaluate("document.documentElement.lang") == "en"
    status = tab.locator("#bt-status")
    assert (status.get_attribute("role"), status.get_attribute("aria-live")) == ("status", "polite")
    nameless = tab.evaluate(
        """[...document.querySelectorAll('input, select, textarea, button')].filter(e => e.offsetParent
           && !(e.ariaLabel || e.innerText || e.title || e.labels?.length || e.getAttribute('aria-labelledby')))
           .map(e => e.outerHTML)"""
    )
    assert nameless == []


def test_the_page_has_connected_to_nothing_outside(running: Running) -> None:
    told = running.connections
    assert [line for line in told if not LOOPBACK.match(line) and not line.startswith(("'", "b'"))] == []
    assert running.process.poll() is None


def test_a_password_is_asked_for_and_at_ctrl_c_nothing_is_left(served: Trained, tmp_path: Path, browser: Any) -> None:
    found = start(served, tmp_path, "user=ann", BRAIN_TUMOR_PASSWORD="secret")
    try:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(found.address)
        context = browser.new_context(http_credentials={"username": "ann", "password": "secret"})
        page = context.new_page()
        page.goto(found.address)
        page.get_by_role("button", name="SYNTHETIC glioma").click()
        page.wait_for_selector(".bt-panel", timeout=60_000)
        started = time.monotonic()
        assert stop(found) == 130  # with a browser that still listens
    finally:
        found.process.kill()
    assert time.monotonic() - started < 30
    assert list((tmp_path / "temporary").glob("brain-tumor-page-*")) == []
    said = (tmp_path / "errors").read_text()
    assert "Traceback" not in said
    assert "secret" not in said
    context.close()

"""Pictures of the review page for the README; overrides as for the page. Models with lesion maps or of volumes: others.

python experiments/page/screenshots.py model_uri=models:/brain-tumor@champion
"""

import io
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
SHOWN = (("desktop", 1280, "SYNTHETIC volume"), ("phone", 390, "SYNTHETIC pituitary"))
DRAWN = (("lesion", 1280, "SYNTHETIC glioma"),)  # by a model that draws a lesion map
WHOLE = (("planes", 1280, "SYNTHETIC volume"), ("planes-phone", 390, "SYNTHETIC volume"))  # by a model of volumes


def main() -> None:
    command = [sys.executable, "-m", "brain_tumor.app", "port=0", *sys.argv[1:]]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = next(found[1] for line in process.stdout if (found := re.match(r"\s*page\s+(http\S+)", line)))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page()
            page.goto(address)
            page.get_by_role("radio", name="layercam").wait_for()
            shown = DRAWN if page.get_by_role("radio", name="evidence").count() else SHOWN
            shown = shown if page.get_by_role("button", name="SYNTHETIC glioma").count() else WHOLE
            for name, width, example in shown:
                page = browser.new_page(viewport={"width": width, "height": 844}, device_scale_factor=1)
                page.goto(address)
                page.get_by_role("button", name=example).click()
                page.wait_for_selector(".bt-map[src]", timeout=120_000)
                if page.locator("#bt-paint").is_visible():
                    page.locator("#bt-paint").click()
                    page.wait_for_selector(".bt-painted", timeout=120_000)
                _save(page, HERE / f"{name}.png")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _save(page: Page, path: Path) -> None:
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.wait_for_timeout(1000)
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    shot.save(path, optimize=True)
    print(f"{path}: {shot.width} x {shot.height}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

"""Takes the pictures of the page for the README: drawings, answered by a model of drawings.

DATA=drawings make train
MODEL=drawings make backend
.venv/bin/python tests/take_pictures.py http://127.0.0.1:5000
"""

import io
import sys
import tempfile
from pathlib import Path

import get_browser
from conftest import drawing
from PIL import Image
from playwright.sync_api import Page, Route, expect, sync_playwright

PICTURES = Path(__file__).parent / "pictures"
DESK, PHONE = {"width": 960, "height": 700}, {"width": 360, "height": 740}
EACH = 9  # drawings a class
COLOURS = 128
SECONDS = {"empty": 1.5, "working": 1.5, "done": 2.5, "large": 1.5, "why": 2.5}


def take(url: str) -> None:
    """Photograph the page of the backend at `url` in its main states."""
    PICTURES.mkdir(exist_ok=True)
    expect.set_options(timeout=60_000)  # milliseconds
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=get_browser.on_path(), args=["--no-sandbox"])
        photos = _draw(Path(folder) / "photos")
        frames = _at_a_desk(browser.new_page(viewport=DESK), url, photos)
        phone = browser.new_page(viewport=PHONE, color_scheme="dark", is_mobile=True, has_touch=True)
        _on_a_phone(phone, url, photos)
        browser.close()
    _animate(frames)


def _draw(folder: Path) -> Path:
    """Sorted into folders, but for one that lies in the wrong one and one that is no photo."""
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for seed in range(20, 20 + EACH):
            (folder / label / f"{label}-{seed}.jpg").write_bytes(drawing(label, seed))
    (folder / "cat" / "cat-30.jpg").write_bytes(drawing("dog", 44))
    (folder / "cat" / "notes.jpg").write_bytes(b"words")
    return folder


def _at_a_desk(page: Page, url: str, photos: Path) -> dict[str, bytes]:
    frames = {}

    def snap(name: str) -> None:
        frames[name] = page.screenshot(path=PICTURES / f"{name}.png")

    _open(page, url)
    snap("empty")
    _hold(page, after=2)
    page.set_input_files("#folder", photos)
    expect(page.locator('.card[data-state="done"]')).to_have_count(8)
    snap("working")
    page.unroute_all(behavior="ignoreErrors")
    page.click("#cancel")
    page.click("#go-on")
    expect(page.locator('#status[data-working="false"]')).to_be_visible()
    page.evaluate("document.getElementById('trouble').nextElementSibling.scrollIntoView()")
    snap("done")
    page.locator(".card .open", has_text="dog-22.jpg").click()
    page.locator("#detail img").evaluate("image => image.decode()")
    snap("large")
    page.click("#why")
    expect(page.locator('#why-words[data-state="shown"]')).to_be_visible()
    page.emulate_media(reduced_motion="reduce")
    snap("why")
    page.click("#close")
    page.route("**/*", lambda route: route.abort())
    page.set_input_files("#photos", photos / "dog" / "dog-21.jpg")
    expect(page.locator("#trouble")).to_be_visible()
    expect(page.locator('#status[data-all="21"]')).to_be_visible()
    page.evaluate("scrollTo(0, 0)")
    snap("error")
    return frames


def _on_a_phone(page: Page, url: str, photos: Path) -> None:
    _open(page, url)
    page.set_input_files("#photos", [photos / "dog" / "dog-22.jpg", photos / "cat" / "cat-21.jpg"])
    expect(page.locator('.card[data-state="done"]')).to_have_count(2)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=PICTURES / "phone.png")


def _open(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.locator("#model[data-classes]")).to_be_visible()


def _hold(page: Page, after: int) -> None:
    """Let so many requests through, and hold the others, so that a state can be looked at."""
    seen = []

    def handle(route: Route) -> None:
        seen.append(route)
        if len(seen) <= after:
            route.continue_()

    page.route("**/predict", handle)


def _animate(frames: dict[str, bytes]) -> None:
    images = [Image.open(io.BytesIO(frames[name])).convert("RGB").quantize(COLOURS) for name in SECONDS]
    images[0].save(
        PICTURES / "page.gif",
        save_all=True,
        append_images=images[1:],
        duration=[round(1000 * seconds) for seconds in SECONDS.values()],
        loop=0,
        optimize=True,
    )


if __name__ == "__main__":
    take(sys.argv[1])

"""Takes the README's picture: the page with drawings, answered by a model of drawings. Run it after `make train`."""

import sys
from pathlib import Path

import get_browser
from conftest import drawing
from playwright.sync_api import expect, sync_playwright

PICTURES = Path(__file__).parent / "pictures"
SETTLED = '.card:is([data-state="done"], [data-state="failed"])'


def take(url: str) -> None:
    """Photograph the page of the backend at `url` after six files were chosen."""
    names = [("cat", 21), ("dog", 22), ("dog", 44), ("cat", 4)]
    files = [
        {"name": f"{label}-{seed}.jpg", "mimeType": "image/jpeg", "buffer": drawing(label, seed)}
        for label, seed in names
    ]
    files.insert(3, {"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"words"})
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=get_browser.on_path(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 690})
        page.goto(url)
        page.set_input_files("#photos", files)
        expect(page.locator(SETTLED)).to_have_count(len(files), timeout=60_000)
        page.screenshot(path=PICTURES / "page.png", full_page=True)
        browser.close()


if __name__ == "__main__":
    take(sys.argv[1])

"""What the tests of the page share: a real browser, tabs, and how photos are chosen in them."""

import get_browser
import pytest
from catdog.frontend.page import create_page_app
from catdog.serving import Server
from playwright.sync_api import expect, sync_playwright

PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 800}


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=get_browser.on_path(), args=["--no-sandbox", "--disable-background-networking"]
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def frontend(backend):
    """The page at an address of its own, as notebook 3 serves it."""
    server = Server(create_page_app(backend.url), "127.0.0.1", 0, 1 << 20)
    yield server
    server.stop()


@pytest.fixture(params=[PHONE, DESK], ids=["phone", "desk"])
def page(browser, request):
    """An empty tab; at the end nothing may have been complained about or fetched from elsewhere."""
    context = browser.new_context(viewport=request.param)
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda message: message.type in ("error", "warning") and page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on(
        "request", lambda sent: sent.url.startswith(("http://127.0.0.1", "blob:")) or page.complaints.append(sent.url)
    )
    yield page
    assert not page.complaints
    context.close()


def photo(name, data, kind="image/jpeg"):
    return {"name": name, "mimeType": kind, "buffer": data}


def choose(page, *photos):
    page.set_input_files("#photos", list(photos))


def labels(page):
    return page.locator(".card .label").all_text_contents()


def names(page):
    return page.locator(".card .filename").all_text_contents()


def wait_until_done(page, count):
    expect(page.locator('.card:is([data-state="done"], [data-state="failed"])')).to_have_count(count, timeout=60_000)

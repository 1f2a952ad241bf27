"""What the tests of the page share: a real browser, tabs, and how photos are chosen in them."""

import io
import re
import threading
from collections import Counter

import get_browser
import pytest
from catdog.frontend.page import create_page_app
from catdog.frontend.words import read_words
from catdog.web.server import Server
from playwright.sync_api import expect, sync_playwright
from werkzeug import Request

PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 800}
ONCE = pytest.mark.parametrize("page", [DESK], indirect=True, ids=["desk"])  # where nothing depends on the size

expect.set_options(timeout=30_000)  # milliseconds: what is late on a slow machine is not wrong


def chromium(playwright):
    return playwright.chromium.launch(
        executable_path=get_browser.on_path(),
        args=["--no-sandbox", "--disable-background-networking", "--disable-gpu"],
    )


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        opened = chromium(playwright)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def frontend(backend):
    """The page at an address of its own, as notebook 3 serves it."""
    server = Server(create_page_app(backend.url), "127.0.0.1", 0)
    yield server
    server.stop()


@pytest.fixture
def serve():
    """Serves an app, as long as the test runs, and returns its address."""
    running = []

    def start(app, port=0):
        running.append(Server(app, "127.0.0.1", port))
        return running[-1].url

    yield start
    for server in running:
        server.stop()


def complaints_of(page):
    """A list to which the browser's complaints are added, and what is fetched from elsewhere."""
    complaints = []
    page.on("console", lambda message: message.type in ("error", "warning") and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda sent: sent.url.startswith(("http://127.0.0.1", "blob:")) or complaints.append(sent.url))
    return complaints


@pytest.fixture(params=[PHONE, DESK], ids=["phone", "desk"])
def page(browser, request):
    """An empty tab; at the end nothing may have been complained about or fetched from elsewhere."""
    context = browser.new_context(viewport=request.param)
    page = context.new_page()
    page.complaints = complaints_of(page)
    yield page
    assert not page.complaints, page.complaints
    context.close()


class Watched:
    """The service, and what was seen of its /predict: the names in each request, the files by name, how often each was
    answered, how many requests there were at a time. `refusals` (status, headers, what must stand in the body) are used
    up one a request; while closed, requests are held."""

    def __init__(self, app):
        self.app, self.refusals = app, []
        self.requests, self.files, self.answered = [], {}, Counter()
        self.now = self.most = 0
        self._lock, self._open = threading.Lock(), threading.Event()
        self._open.set()

    def close(self):
        self._open.clear()

    def open(self):
        self._open.set()

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] != "/predict" or environ["REQUEST_METHOD"] != "POST":
            return self.app(environ, start_response)
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        files = Request({**environ, "wsgi.input": io.BytesIO(body)}).files.getlist("images")
        sent = [file.filename for file in files]
        with self._lock:
            self.files.update((file.filename, file.read()) for file in files)
            self.requests.append(sent)
            self.now += 1
            self.most = max(self.most, self.now)
            refusal = self.refusals.pop(0) if self.refusals else None
        try:
            assert self._open.wait(30)
            if refusal and refusal[2] in body:
                return self._refuse(start_response, *refusal[:2])
            answer = self.app({**environ, "wsgi.input": io.BytesIO(body)}, start_response)
            self.answered.update(sent)
            return answer
        finally:
            with self._lock:
                self.now -= 1

    def _refuse(self, start_response, status, headers):
        kind = [("Content-Type", "application/problem+json"), ("Access-Control-Allow-Origin", "*"),
                ("Access-Control-Expose-Headers", "Retry-After")]  # fmt: skip
        start_response(status, kind + headers)
        return [b'{"type": "/docs#not-now", "title": "x", "status": 0, "detail": "Not now."}']


@pytest.fixture
def watched(app):
    return Watched(app)


@pytest.fixture
def service(watched):
    server = Server(watched, "127.0.0.1", 0)
    yield server
    watched.open()
    server.stop()


def photo(name, data, kind="image/jpeg"):
    return {"name": name, "mimeType": kind, "buffer": data}


def choose(page, *photos):
    page.set_input_files("#photos", list(photos))


def expect_data(place, **facts):
    """What stands in an element's data- attributes, whatever it says."""
    for name, value in facts.items():
        text = str(value).lower() if isinstance(value, bool) else value if isinstance(value, re.Pattern) else str(value)
        expect(place).to_have_attribute(f"data-{name.replace('_', '-')}", text)


def expect_connected(page):
    """It knows its model."""
    expect_data(page.locator("#model"), classes="cat, dog")


def load_answers(page):
    """Load what comes with the first photo, as a tester does who is about to choose one."""
    page.evaluate("import('/page/answers.js').then(() => {})")


def expect_trouble(page, code):
    """The link, or what is behind it, is in the way, and a person gets to know why."""
    expect_data(page.locator("#trouble p"), code=code)
    expect(page.locator("#trouble p")).not_to_be_empty()


def show_only(page, group):
    """Press the button of a class, of "?not sure", "?failed" or "?wrong", or of "" for all, unless it is pressed."""
    chip = page.locator(f'#totals [data-group="{group}"]')
    if chip.get_attribute("aria-pressed") == "false":
        chip.click()
    expect(chip).to_have_attribute("aria-pressed", "true")


NONE = "?none"  # of the classes


def say_it_is(page, label):
    """Of the photo that is open: no, it is this class, or NONE."""
    if page.get_attribute("#no", "aria-expanded") == "false":
        page.click("#no")
    page.click(f'#truths [data-label="{label}"]')


def in_words(error):
    """What the page says of a problem that the service names."""
    problems = read_words("en")["script"]["problems"]
    return problems.get(error["type"].partition("#")[2], error["detail"])


def labels(page):
    """The classes that the cards answer with; of a photo that has none, the code of the reason."""
    return page.locator(".card").evaluate_all(
        "cards => cards.map(({dataset}) => dataset.state === 'done' ? dataset.label : dataset.code)"
    )


def names(page):
    return page.locator(".card .filename").all_text_contents()


def wait_until_done(page, count):
    expect(page.locator('.card:is([data-state="done"], [data-state="failed"])')).to_have_count(count, timeout=60_000)

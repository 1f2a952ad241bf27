"""Many photos: in what order and how often they are sent, and what happens when the way is blocked."""

import io
import re
import threading
from collections import Counter

import pytest
from browser import DESK, choose, labels, names, photo, wait_until_done
from browser import browser as browser
from browser import frontend as frontend
from browser import page as page
from catdog.frontend.page import create_page_app
from catdog.serving import Server
from conftest import drawing, encoded, until
from PIL import Image
from playwright.sync_api import expect

LANES, EACH = 3, 8
DONE = '.card[data-state="done"]'
WAITING = '.card[data-state="waiting"]'


class Watched:
    """The service, and what was seen of its /predict: the names in each request, which were answered, how many
    requests there were at a time. `refusals` are given one a request before it is asked at all; while `closed`,
    requests are held."""

    def __init__(self, app):
        self.app, self.refusals = app, []
        self.requests, self.answered = [], Counter()
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
        sent = [name.decode() for name in re.findall(rb'filename="([^"]*)"', body)]
        with self._lock:
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
        return [b'{"type": "/docs#x", "title": "x", "status": 0, "detail": "Not now."}']


def busy(seconds, status="503 Service Unavailable"):
    return status, [("Retry-After", str(seconds))], b""


@pytest.fixture
def watched(app):
    return Watched(app)


@pytest.fixture
def service(watched):
    server = Server(watched, "127.0.0.1", 0, 1 << 30)
    yield server
    watched.open()
    server.stop()


def tiny(count, first=0):
    """Photos that differ, each some hundred bytes."""
    return [
        photo(f"{seed}.png", encoded(Image.new("RGB", (16, 16), (seed % 256, seed // 256, 9)), "PNG"), "image/png")
        for seed in range(first, first + count)
    ]


@pytest.mark.parametrize("page", [DESK], indirect=True, ids=["desk"])
def test_five_hundred_photos_each_once_in_order_and_nothing_is_left_behind(page, watched, service):
    page.add_init_script("""
      window.urls = new Set();
      const [make, release] = [URL.createObjectURL, URL.revokeObjectURL];
      URL.createObjectURL = (blob) => { const url = make.call(URL, blob); urls.add(url); return url; };
      URL.revokeObjectURL = (url) => { urls.delete(url); release.call(URL, url); };
    """)
    page.goto(service.url)
    page.evaluate("""() => {
      window.told = [];
      new MutationObserver(() => told.push(document.getElementById("status").textContent))
        .observe(document.getElementById("status"), {childList: true});
    }""")
    choose(page, *tiny(500))
    expect(page.locator("#progress")).to_be_visible()
    assert page.locator("#progress").get_attribute("max") == "500"
    expect(page.locator("#status")).to_have_text("500 of 500 photos done.", timeout=120_000)
    assert names(page) == [f"{seed}.png" for seed in range(500)]
    assert watched.answered == {f"{seed}.png": 1 for seed in range(500)}
    assert watched.most == LANES
    assert {len(sent) for sent in watched.requests} <= {EACH, 500 % EACH}
    assert any(re.search(r", [\d.]+ a second, about \d+ s left…$", words) for words in page.evaluate("told"))
    expect(page.locator("#progress")).to_be_hidden()
    page.locator(".card").last.scroll_into_view_if_needed()
    until(lambda: page.locator(".card img").last.evaluate("image => image.naturalWidth") == 16)
    until(lambda: page.evaluate("urls.size") == 0)
    assert page.locator("#totals").inner_text().count(":") in (1, 2)
    page.click("#clear")
    expect(page.locator(".card")).to_have_count(0)


def test_cancelled_photos_wait_and_go_on_where_they_were(page, watched, service):
    page.goto(service.url)
    choose(page, *tiny(8))
    wait_until_done(page, 8)
    watched.close()
    choose(page, *tiny(32, 8))
    expect(page.locator('.card[data-state="sending"]')).to_have_count(LANES * EACH)
    page.click("#cancel")
    expect(page.locator("#go-on")).to_be_focused()
    expect(page.locator(WAITING)).to_have_count(32)
    expect(page.locator("#status")).to_have_text("8 of 40 photos done.")
    asked = len(watched.requests)
    watched.open()
    page.click("#go-on")
    wait_until_done(page, 40)
    assert len(watched.requests) == asked + 4
    assert all(watched.answered[f"{seed}.png"] == 1 for seed in range(8))
    expect(page.locator("#go-on")).to_be_hidden()


@pytest.mark.parametrize("status", ["503 Service Unavailable", "429 Too Many Requests"])
def test_a_busy_service_is_given_the_time_it_asks_for(page, watched, service, status):
    """From another origin, which must be allowed to read the header. The page's clock is ours."""
    elsewhere = Server(create_page_app(service.url), "127.0.0.1", 0, 1 << 20)
    page.complaints = []  # Chromium logs every 503
    page.clock.install()
    page.goto(elsewhere.url)
    expect(page.locator("#model")).to_contain_text("cat, dog")
    watched.refusals = [busy(40, status)] * 2
    choose(page, *tiny(10))
    expect(page.locator("#status")).to_contain_text("0 of 10 photos done. Not now. Going on in 40 s.")
    expect(page.locator(WAITING)).to_have_count(10)
    asked = len(watched.requests)
    page.clock.run_for(38_000)
    assert len(watched.requests) == asked
    page.clock.run_for(3_000)
    wait_until_done(page, 10)
    assert watched.answered == {f"{seed}.png": 1 for seed in range(10)}
    page.complaints.clear()
    elsewhere.stop()


def test_when_the_link_is_back_it_goes_on_by_itself_and_sends_nothing_twice(page, watched, service, app):
    page.goto(service.url)
    choose(page, *tiny(8))
    wait_until_done(page, 8)
    service.stop()
    choose(page, *tiny(20, 8))
    expect(page.locator("#trouble")).to_contain_text("The service cannot be reached")
    expect(page.locator(WAITING)).to_have_count(20)
    assert "cannot be reached" not in "".join(labels(page))  # once is enough
    again = Server(watched, "127.0.0.1", service.port, 1 << 30)
    wait_until_done(page, 28)
    expect(page.locator("#trouble")).to_be_hidden()
    assert watched.answered == {f"{seed}.png": 1 for seed in range(28)}
    page.complaints.clear()
    again.stop()


def test_one_photo_that_breaks_the_service_does_not_spoil_the_others(page, watched, service):
    page.goto(service.url)
    watched.refusals = [("500 Internal Server Error", [], b"5.png")] * 20
    choose(page, *tiny(EACH))
    wait_until_done(page, EACH)
    assert [label == "Not now." for label in labels(page)] == [seed == 5 for seed in range(EACH)]
    expect(page.locator("#status")).to_have_text("7 of 8 photos done, 1 without an answer.")
    watched.refusals = []
    page.locator(".card .retry:visible").click()
    expect(page.locator(DONE)).to_have_count(EACH)
    assert watched.answered == {f"{seed}.png": 1 for seed in range(EACH)}
    page.complaints.clear()


def test_photos_can_be_added_and_removed_at_any_time(page, watched, service):
    page.goto(service.url)
    watched.close()
    choose(page, *tiny(30))
    expect(page.locator('.card[data-state="sending"]')).to_have_count(LANES * EACH)
    for place in (29, 3):  # one waits, one is under way
        page.locator(".card .remove").nth(place).click()
        expect(page.locator(".card")).to_have_count(29 if place == 29 else 28)
    choose(page, photo("more.jpg", drawing()))
    watched.open()
    wait_until_done(page, 29)
    assert names(page) == [f"{seed}.png" for seed in range(29) if seed != 3] + ["more.jpg"]
    assert not watched.answered["29.png"]
    expect(page.locator("#status")).to_have_text("29 of 29 photos done.")


def test_a_file_that_is_gone_is_told_and_the_others_are_answered(page, watched, service, tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(drawing("cat", ord(name[0])))
    page.goto(service.url)
    watched.close()
    choose(page, *tiny(LANES * EACH))
    page.set_input_files("#photos", [tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg")])
    (tmp_path / "b.jpg").unlink()
    watched.open()
    wait_until_done(page, LANES * EACH + 3)
    assert labels(page)[-2] == "The file cannot be read any more: choose it again."
    assert all(label in ("cat", "dog") for label in labels(page)[:-2] + labels(page)[-1:])
    page.complaints.clear()


def test_what_happens_is_told_to_those_who_listen(page, watched, service):
    page.goto(service.url)
    watched.close()
    choose(page, *tiny(2))
    expect(page.locator("#spoken")).to_have_text("Sending photos.")
    watched.open()
    wait_until_done(page, 2)
    expect(page.locator("#spoken[role=status]")).to_contain_text(
        re.compile(r"^2 of 2 photos done\. 0.png: (cat|dog), [\d.]+ %\. 1.png: (cat|dog), [\d.]+ %\.$")
    )

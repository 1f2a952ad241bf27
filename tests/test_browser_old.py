"""Browsers that lack something, change what a page draws, or belong to another app: the page works, or says why not."""

import functools
import io
import zipfile

import numpy as np
import pytest
from browser import ONCE, PHONE, choose, expect_connected, expect_data, labels, names, photo, wait_until_done
from browser import browser as browser
from browser import page as page
from browser import service as service
from browser import watched as watched
from catdog.data.synthetic import draw
from conftest import drawing, encoded, until
from PIL import Image
from playwright.sync_api import expect


@functools.cache
def large():
    """A JPEG too large to be sent as it is."""
    smooth = np.asarray(draw("cat", 1).resize((1600, 1200), Image.Resampling.BICUBIC), np.float32)
    noisy = smooth + np.random.default_rng(0).normal(0, 12, smooth.shape)
    data = encoded(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)), quality=90)
    assert len(data) > 200_000
    return data


# What is missing

GONE = {
    "createImageBitmap": "delete window.createImageBitmap",
    "IntersectionObserver": "delete window.IntersectionObserver",
    "DecompressionStream": "delete window.DecompressionStream",
    "deflate-raw": """
      const whole = window.DecompressionStream;
      window.DecompressionStream = function (format) {
        if (format === "deflate-raw") throw new TypeError("unsupported");
        return new whole(format);
      };
    """,
    "dialogs": """
      delete HTMLDialogElement.prototype.showModal;
      delete HTMLDialogElement.prototype.close;
      delete HTMLDialogElement.prototype.open;
      delete window.HTMLDialogElement;
    """,
    "replaceChildren": "for (const kind of [Element, DocumentFragment]) delete kind.prototype.replaceChildren",
    "Array.at": "for (const kind of [Array, String, Object.getPrototypeOf(Int8Array)]) delete kind.prototype.at",
    "Blob.arrayBuffer": "delete Blob.prototype.arrayBuffer",
    "sharing": "delete Navigator.prototype.share; delete Navigator.prototype.canShare",
}
NO_ZIPS = ("DecompressionStream", "deflate-raw")


def as_zip(**files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, data in files.items():
            zipped.writestr(f"cat/{name}.jpg", data)
    return packed.getvalue()


@ONCE
@pytest.mark.parametrize("gone", GONE)
def test_the_page_works_without(page, watched, service, gone):
    page.add_init_script(GONE[gone])
    page.goto(service.url)
    expect_connected(page)
    choose(page, photo("a.jpg", large()))
    wait_until_done(page, 1)
    assert len(watched.files["a.jpg"]) < 100_000
    choose(page, photo("z.zip", as_zip(z=drawing("cat", 3)), "application/zip"))
    if gone in NO_ZIPS:
        expect_data(page.locator("#notice"), code="zip-browser")
        choose(page, photo("z.jpg", drawing("cat", 3)))
    wait_until_done(page, 2)
    choose(page, photo("l.csv", b"name,label\na.jpg,cat\nz.jpg,dog\n", "text/csv"))
    expect_data(page.locator("#notice"), code="labels-read", labels=2)
    expect(page.locator("#field-test")).to_be_visible()
    expect(page.locator('.card[data-state="done"]')).to_have_count(2)
    page.locator(".card .open").first.click()
    expect(page.locator("#detail")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_be_hidden()
    expect(page.locator(".card .open").first).to_be_focused()
    for picture in page.locator(".card img").all():
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("image => image.naturalWidth") > 0


@ONCE
def test_a_zip_whose_photos_are_not_packed_needs_nothing(page, backend):
    page.add_init_script(GONE["DecompressionStream"])
    page.goto(backend.url)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        zipped.writestr("a.jpg", drawing())
        zipped.writestr("notes.txt", "words" * 99, zipfile.ZIP_DEFLATED)
    choose(page, photo("a.zip", packed.getvalue(), "application/zip"))
    wait_until_done(page, 1)
    assert names(page) == ["a.jpg"]


# What cannot start

BROKEN = {
    "does not come": ("page.js", lambda route: route.abort()),
    "is not there": ("batch.js", lambda route: route.fulfill(status=404)),
    "does not parse": ("store.js", lambda route: route.fulfill(content_type="text/javascript", body="let = ?")),
    "breaks": ("page.js", lambda route: route.fulfill(content_type="text/javascript", body="noSuchThing()")),
}


@ONCE
@pytest.mark.parametrize("how", BROKEN)
def test_a_script_that(page, backend, how):
    """It is told at once: the clock stands still."""
    page.clock.install()
    name, answer = BROKEN[how]
    page.route(f"**/page/{name}", answer)
    page.goto(backend.url)
    expect_data(page.locator("#model"), code="too-old")
    expect(page.locator("#model")).to_contain_text("too old")
    page.complaints.clear()


@ONCE
def test_a_browser_that_knows_no_modules_says_so_in_the_end(page, backend):
    page.clock.install()
    page.route("**/page/page.js", lambda route: route.fulfill(content_type="text/javascript", body=""))
    page.goto(backend.url)
    page.clock.fast_forward(7_000)
    expect(page.locator("#model")).not_to_contain_text("too old")
    page.clock.fast_forward(2_000)
    expect_data(page.locator("#model"), code="too-old")


@ONCE
def test_a_page_that_has_started_is_never_called_too_old(page, backend):
    page.clock.install()
    page.goto(backend.url)
    expect_connected(page)
    page.evaluate("window.dispatchEvent(new ErrorEvent('error', {message: 'an extension'}))")
    page.clock.fast_forward(9_000)
    expect_connected(page)
    expect(page.locator("#model")).not_to_contain_text("too old")


@ONCE
def test_a_script_that_is_only_late_takes_the_word_back(page, backend):
    page.clock.install()
    held = []
    page.route("**/page/page.js", lambda route: held.append(route))
    page.goto(backend.url, wait_until="commit")
    expect(page.locator("#model")).to_be_visible()
    page.evaluate("window.dispatchEvent(new ErrorEvent('error', {message: 'something else'}))")
    expect_data(page.locator("#model"), code="too-old")
    until(lambda: page.title() and held)
    held[0].continue_()
    expect_connected(page)
    expect(page.locator("#model")).not_to_have_attribute("data-code", "too-old")


# Canvases that do not give back what was drawn

NOISY = {
    "one bit of three pixels": """
      const read = CanvasRenderingContext2D.prototype.getImageData;
      CanvasRenderingContext2D.prototype.getImageData = function (...where) {
        const found = read.apply(this, where);
        for (const place of [0, 401, 1202]) found.data[place] ^= 1;
        return found;
      };
    """,
    "blank": """
      CanvasRenderingContext2D.prototype.getImageData = (x, y, width, height) =>
        new ImageData(new Uint8ClampedArray(4 * width * height).fill(255), width, height);
    """,
    "noise in files alone": """
      const write = HTMLCanvasElement.prototype.toBlob;
      HTMLCanvasElement.prototype.toBlob = function (done, ...how) {
        const other = Object.assign(document.createElement("canvas"), { width: this.width, height: this.height });
        const pen = other.getContext("2d");
        for (let x = 0; x < this.width; x += 4) {
          pen.fillStyle = `hsl(${(x * 37) % 360} 90% 50%)`;
          pen.fillRect(x, 0, 4, this.height);
        }
        return write.call(other, done, ...how);
      };
    """,
    "no files": "HTMLCanvasElement.prototype.toBlob = (done) => done(null)",
    "forbidden": """
      CanvasRenderingContext2D.prototype.getImageData = () => { throw new DOMException("no", "SecurityError"); };
    """,
}


@ONCE
@pytest.mark.parametrize("how", NOISY)
def test_where_a_canvas_is_changed_originals_are_sent_and_that_is_said_once(page, watched, service, how):
    page.add_init_script(NOISY[how])
    page.goto(service.url)
    data = large()
    choose(page, photo("a.jpg", data))
    expect_data(page.locator("#notice"), code="canvas-changed")
    wait_until_done(page, 1)
    assert watched.files["a.jpg"] == data
    expect(page.locator("#originals")).to_be_checked()
    expect(page.locator("#originals")).to_be_disabled()
    choose(page, photo("b.jpg", data))
    wait_until_done(page, 2)
    expect(page.locator("#notice")).to_be_empty()
    assert watched.files["b.jpg"] == data


@ONCE
def test_an_honest_canvas_is_believed(page, watched, service):
    page.goto(service.url)
    choose(page, photo("a.jpg", large()))
    wait_until_done(page, 1)
    expect(page.locator("#notice")).to_be_empty()
    expect(page.locator("#originals")).not_to_be_checked()
    assert len(watched.files["a.jpg"]) < 100_000


# Browsers inside apps, and phones

APPS = {
    "Instagram": "Version/4.0 Chrome/130.0 Mobile Safari/537.36 Instagram 350.0",
    "Facebook": "Version/4.0 Chrome/130.0 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/480.0]",
    "Line": "AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Safari Line/14.9",
    "none": "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1 Online/1",
}


@pytest.mark.parametrize("name", APPS)
def test_a_browser_inside_an_app_gets_a_hint(browser, backend, name):
    context = browser.new_context(user_agent=f"Mozilla/5.0 (a phone) {APPS[name]}", viewport=PHONE)
    tab = context.new_page()
    tab.goto(backend.url)
    expect_connected(tab)
    expect(tab.locator("#in-app")).to_be_visible(visible=name != "none")
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()


SHARING = """
  window.given = [];
  navigator.canShare = ({ files }) => files.length === 1;
  navigator.share = async ({ files: [file] }) => {
    given.push([file.name, file.type, await file.text()]);
    if (window.refusal) throw new DOMException("no", window.refusal);
  };
"""


@pytest.fixture
def phone(browser, backend):
    """A phone that can share files, with one answer."""
    context = browser.new_context(has_touch=True, is_mobile=True)
    tab = context.new_page()
    tab.add_init_script(SHARING)
    tab.goto(backend.url)
    choose(tab, photo("a.jpg", drawing()), photo("b.jpg", drawing()))
    wait_until_done(tab, 2)
    tab.locator("#tools").evaluate("tools => (tools.open = true)")
    yield tab
    context.close()


def test_a_phone_shares_what_is_saved(phone):
    downloads = []
    phone.on("download", lambda download: downloads.append(download))
    phone.evaluate("window.refusal = 'AbortError'")  # also where the tester thinks better of it
    phone.click("#csv")
    phone.click("#json")
    until(lambda: len(phone.evaluate("given")) == 2)
    given = phone.evaluate("given")
    assert [(name, kind) for name, kind, _ in given] == [
        ("answers.csv", "text/csv"),
        ("answers.json", "application/json"),
    ]
    assert "a.jpg" in given[0][2]
    assert not downloads


def test_a_phone_that_may_not_share_downloads(phone):
    phone.evaluate("window.refusal = 'NotAllowedError'")
    with phone.expect_download() as download:
        phone.click("#csv")
    assert download.value.suggested_filename == "answers.csv"


# What a browser cannot show


def heic(size=(240, 240)):
    return photo("IMG_1.heic", encoded(draw("dog", 3).resize(size), "HEIF"), "image/heic")


@ONCE
@pytest.mark.parametrize("size", [(240, 240), (2400, 1800)])
def test_a_photo_that_cannot_be_shown_gets_the_services_picture(page, backend, size):
    page.goto(backend.url)
    choose(page, heic(size), photo("a.jpg", drawing()))
    wait_until_done(page, 2)
    pictures = page.locator(".card img")
    expect(pictures.first).to_have_js_property("naturalWidth", 128)
    assert pictures.nth(1).evaluate("image => image.naturalWidth") != 128
    expect(page.locator(".card .ending").first).to_be_hidden()
    page.locator(".card .open").first.click()
    expect(page.locator("#detail .picture img")).to_have_js_property("naturalWidth", 128)
    expect(page.locator("#no-picture")).to_be_hidden()
    page.click("#close")
    page.locator("#tools").evaluate("tools => (tools.open = true)")
    with page.expect_download() as download:
        page.click("#json")
    assert "thumbnail" not in download.value.path().read_text()


@ONCE
def test_only_for_such_photos_is_a_picture_asked_for(page, backend, monkeypatch):
    made = []
    monkeypatch.setattr("catdog.backend.routes._thumbnail", lambda photo: made.append(photo) or {})
    page.goto(backend.url)
    choose(page, photo("a.jpg", drawing()), photo("b.jpg", large()))
    wait_until_done(page, 2)
    assert not made
    choose(page, heic())
    wait_until_done(page, 3)
    assert len(made) == 1


@ONCE
@pytest.mark.parametrize("thumbnail", [{}, {"thumbnail": "?"}, {"thumbnail": "AAAA"}])
def test_what_nobody_can_draw_shows_its_ending(page, backend, monkeypatch, thumbnail):
    """A service of before, or one whose picture is none."""
    monkeypatch.setattr("catdog.backend.routes._thumbnail", lambda photo: thumbnail)
    page.goto(backend.url)
    choose(page, heic())
    wait_until_done(page, 1)
    assert labels(page)[0] in ("cat", "dog")
    expect(page.locator(".card .ending")).to_have_text("HEIC")
    expect(page.locator(".card .ending")).to_be_visible()
    expect(page.locator(".card img")).to_be_hidden()

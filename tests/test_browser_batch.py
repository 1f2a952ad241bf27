"""Many photos: in what order and how often they are sent, and what happens when the way is blocked."""

import re

import pytest
from browser import ONCE, choose, expect_connected, expect_data, expect_trouble, labels, names, photo, wait_until_done
from browser import browser as browser
from browser import frontend as frontend
from browser import page as page
from browser import service as service
from browser import watched as watched
from catdog.frontend.page import create_page_app
from catdog.web.server import Server
from conftest import drawing, encoded, until
from PIL import Image
from playwright.sync_api import expect

WORKERS, AT_FIRST, AT_MOST = 3, 4, 16
DONE = '.card[data-state="done"]'
WAITING = '.card[data-state="waiting"]'


def busy(seconds, status="503 Service Unavailable"):
    return status, [("Retry-After", str(seconds))], b""


def tiny(count, first=0):
    """Photos of twenty colours, each some hundred bytes."""
    return [
        photo(f"{seed}.png", encoded(Image.new("RGB", (16, 16), (seed % 20, 9, 9)), "PNG"), "image/png")
        for seed in range(first, first + count)
    ]


@ONCE
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
    expect(page.locator('#status[data-done="500"][data-working="false"]')).to_be_visible(timeout=120_000)
    assert names(page) == [f"{seed}.png" for seed in range(500)]
    assert watched.answered == {f"{seed}.png": 1 for seed in range(500)}
    assert watched.most == WORKERS
    sizes = [len(sent) for sent in watched.requests]
    assert sizes[:WORKERS] == [AT_FIRST] * WORKERS
    assert max(sizes) == AT_MOST
    assert any(re.search(r" [\d.]+ a second, about \d+ s left\.$", words) for words in page.evaluate("told"))
    expect(page.locator("#progress")).to_be_hidden()
    page.locator(".card").last.scroll_into_view_if_needed()
    until(lambda: page.locator(".card img").last.evaluate("image => image.naturalWidth") == 16)
    until(lambda: page.evaluate("urls.size") == 0)
    expect_data(page.locator("#totals"), counts=re.compile(r'"(cat|dog)":\d+'))
    page.click("#clear")
    expect(page.locator(".card")).to_have_count(0)


@ONCE
def test_cancelled_photos_wait_and_go_on_where_they_were(page, watched, service):
    page.goto(service.url)
    choose(page, *tiny(8))
    wait_until_done(page, 8)
    watched.close()
    choose(page, *tiny(72, 8))
    expect(page.locator('.card[data-state="sending"]')).to_have_count(WORKERS * AT_MOST)
    until(lambda: watched.now == WORKERS)
    page.click("#cancel")
    expect(page.locator("#go-on")).to_be_focused()
    expect(page.locator(WAITING)).to_have_count(72)
    expect_data(page.locator("#status"), done=8, all=80, waiting=72)
    asked = len(watched.requests)
    watched.open()
    until(lambda: not watched.now)
    watched.close()  # until all workers have asked: after an answer they ask for more at once
    page.click("#go-on")
    until(lambda: watched.now == WORKERS)
    watched.open()
    wait_until_done(page, 80)
    first = [name for sent in watched.requests[asked : asked + WORKERS] for name in sent]
    assert sorted(first) == sorted(f"{seed}.png" for seed in range(8, 8 + WORKERS * AT_FIRST))
    assert all(watched.answered[f"{seed}.png"] == 1 for seed in range(8))
    expect(page.locator("#go-on")).to_be_hidden()


@ONCE
def test_what_is_cancelled_while_it_is_made_small_is_not_sent(page, watched, service):
    page.add_init_script("""
      const make = window.createImageBitmap;
      const opened = new Promise((open) => (window.open = open));
      window.createImageBitmap = (file) => opened.then(() => make(file));
    """)
    page.goto(service.url)
    choose(page, photo("a.png", encoded(Image.effect_noise((400, 400), 90), "PNG"), "image/png"))
    expect(page.locator('.card[data-state="sending"]')).to_have_count(1)
    page.click("#cancel")
    page.evaluate("window.open()")
    expect(page.locator(WAITING)).to_have_count(1)
    choose(page, *tiny(1))  # which is taken for going on
    wait_until_done(page, 2)
    assert watched.answered == {"a.png": 1, "0.png": 1}
    assert len(watched.requests) == 1 or watched.requests == [["a.png"], ["0.png"]]


@ONCE
def test_trying_again_twice_sends_once(page, watched, service):
    page.goto(service.url)
    choose(page, photo("words.jpg", b"words"))
    wait_until_done(page, 1)
    watched.close()
    page.evaluate("() => { for (let i = 0; i < 3; i++) document.querySelector('.card .retry').click(); }")
    watched.open()
    wait_until_done(page, 1)
    choose(page, *tiny(1))
    wait_until_done(page, 2)
    assert watched.requests == [["words.jpg"], ["words.jpg"], ["0.png"]]


@ONCE
@pytest.mark.parametrize("status", ["503 Service Unavailable", "429 Too Many Requests"])
def test_a_busy_service_is_given_the_time_it_asks_for(page, watched, service, status):
    """From another origin, which must be allowed to read the header. The page's clock is ours: it stands but here."""
    elsewhere = Server(create_page_app(service.url), "127.0.0.1", 0)
    page.complaints = []  # Chromium logs every 503
    page.clock.install()
    page.goto(elsewhere.url)
    expect_connected(page)
    page.clock.pause_at(page.evaluate("Date.now() + 1000"))
    watched.refusals = [busy(40, status)] * WORKERS
    choose(page, *tiny(10))
    while not page.locator('#status[data-code="not-now"]').count() or page.locator(WAITING).count() < 10:
        page.clock.run_for(100)
    expect_data(page.locator("#status"), done=0, all=10)
    asked, left = len(watched.requests), int(page.locator("#status").get_attribute("data-seconds"))
    page.clock.run_for(1000 * (left - 2))
    assert len(watched.requests) == asked
    assert 2 < left <= 40
    page.clock.run_for(3_000)
    page.clock.resume()
    wait_until_done(page, 10)
    assert watched.answered == {f"{seed}.png": 1 for seed in range(10)}
    page.complaints.clear()
    elsewhere.stop()


@ONCE
def test_when_the_link_is_back_it_goes_on_by_itself_and_sends_nothing_twice(page, watched, service, app):
    page.goto(service.url)
    choose(page, *tiny(8))
    wait_until_done(page, 8)
    service.stop()
    choose(page, *tiny(20, 8))
    expect_trouble(page, "unreachable")
    expect(page.locator(WAITING)).to_have_count(20)
    assert set(labels(page)[8:]) == {""}  # once is enough
    again = Server(watched, "127.0.0.1", service.port)
    wait_until_done(page, 28)
    expect(page.locator("#trouble")).to_be_hidden()
    assert watched.answered == {f"{seed}.png": 1 for seed in range(28)}
    page.complaints.clear()
    again.stop()


@ONCE
def test_one_photo_that_breaks_the_service_does_not_spoil_the_others(page, watched, service):
    page.goto(service.url)
    watched.refusals = [("500 Internal Server Error", [], b"3.png")] * 20
    choose(page, *tiny(AT_FIRST))
    wait_until_done(page, AT_FIRST)
    assert [label == "not-now" for label in labels(page)] == [seed == 3 for seed in range(AT_FIRST)]
    expect_data(page.locator("#status"), done=3, all=4, failed=1)
    watched.refusals = []
    page.locator(".card .retry:visible").click()
    expect(page.locator(DONE)).to_have_count(AT_FIRST)
    assert watched.answered == {f"{seed}.png": 1 for seed in range(AT_FIRST)}
    page.complaints.clear()


@ONCE
@pytest.mark.parametrize("status", ["408 Request Timeout", "504 Gateway Timeout"])
def test_what_was_not_answered_in_time_is_asked_again(page, watched, service, status):
    page.goto(service.url)
    watched.refusals = [(status, [], b"3.png")] * 2
    choose(page, *tiny(AT_FIRST))
    expect(page.locator(DONE)).to_have_count(AT_FIRST)
    assert watched.answered == {f"{seed}.png": 1 for seed in range(AT_FIRST)}
    page.complaints.clear()


@ONCE
def test_photos_can_be_added_and_removed_at_any_time(page, watched, service):
    page.goto(service.url)
    watched.close()
    choose(page, *tiny(30))
    expect(page.locator('.card[data-state="sending"]')).to_have_count(WORKERS * AT_FIRST)
    for place in (29, 3):  # one waits, one is under way
        page.locator(".card .remove").nth(place).click()
        expect(page.locator(".card")).to_have_count(29 if place == 29 else 28)
    choose(page, photo("more.jpg", drawing()))
    watched.open()
    wait_until_done(page, 29)
    assert names(page) == [f"{seed}.png" for seed in range(29) if seed != 3] + ["more.jpg"]
    assert not watched.answered["29.png"]
    expect_data(page.locator("#status"), done=29, all=29)


@ONCE
def test_a_file_that_is_gone_is_told_and_the_others_are_answered(page, watched, service, tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(drawing("cat", ord(name[0])))
    page.goto(service.url)
    watched.close()
    choose(page, *tiny(WORKERS * AT_FIRST))
    page.set_input_files("#photos", [tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg")])
    (tmp_path / "b.jpg").unlink()
    watched.open()
    wait_until_done(page, WORKERS * AT_FIRST + 3)
    assert labels(page)[-2] == "file-unreadable"
    assert all(label in ("cat", "dog") for label in labels(page)[:-2] + labels(page)[-1:])
    page.complaints.clear()


@ONCE
def test_what_happens_is_told_to_those_who_listen(page, watched, service):
    page.goto(service.url)
    watched.close()
    choose(page, *tiny(2))
    expect_data(page.locator("#spoken"), code="sending")
    watched.open()
    wait_until_done(page, 2)
    expect_data(page.locator("#spoken[role=status]"), code="done", done=2)
    expect(page.locator("#spoken")).to_contain_text(
        re.compile(r"0.png: (cat|dog), [<> \d]+%.* 1.png: (cat|dog), [<> \d]+%")
    )


@ONCE
def test_what_waits_for_nothing_is_called_not_sent_yet(page, watched, service):
    page.goto(service.url)
    watched.close()
    choose(page, *tiny(20))
    until(lambda: watched.now == WORKERS)
    expect(page.locator(WAITING).first).to_have_text(re.compile("Waiting…"))
    page.click("#cancel")
    expect(page.locator(".card .label")).to_have_text(["Not sent yet"] * 20)
    page.click("#go-on")
    expect(page.locator(WAITING).first).to_have_text(re.compile("Waiting…"))


@ONCE
def test_while_the_link_is_lost_the_page_counts_down_to_the_next_try(page, watched, service):
    """The page's clock is ours: it stands but here."""
    page.clock.install()
    page.goto(service.url)
    choose(page, *tiny(1))
    wait_until_done(page, 1)
    page.clock.pause_at(page.evaluate("Date.now() + 1000"))
    service.stop()
    choose(page, *tiny(3, 1))
    expect_trouble(page, "unreachable")
    page.clock.run_for(200)  # until the next frame
    expect(page.locator(f"{WAITING} .label")).to_have_text(["Not sent yet"] * 3)
    seen = [int(page.locator("#trying").get_attribute("data-seconds"))]
    page.clock.run_for(1_000)
    seen.append(int(page.locator("#trying").get_attribute("data-seconds")))
    assert seen == [2, 1]
    expect(page.locator("#trying")).to_contain_text("3 photos")
    expect(page.locator("[role=alert] #trying")).to_have_count(0)
    again = Server(watched, "127.0.0.1", service.port)
    page.click("#again")
    page.clock.resume()
    wait_until_done(page, 4)
    page.complaints.clear()
    again.stop()


HIDE = """hidden => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@ONCE
def test_what_breaks_off_while_nobody_looks_is_not_a_failed_attempt(page, service):
    page.clock.install()
    page.goto(service.url)
    expect_connected(page)
    broken = []
    page.route("**/predict", lambda route: (broken.append(1), route.abort("connectionreset")))
    page.evaluate(HIDE, True)
    choose(page, *tiny(1))
    for count in range(1, 6):  # more than the attempts that a photo has
        until(lambda count=count: page.evaluate("1") and len(broken) >= count)
        expect_data(page.locator(".card"), state="waiting", code="")
        page.clock.run_for(16_000)
    page.unroute("**/predict")
    page.evaluate(HIDE, False)
    wait_until_done(page, 1)
    assert labels(page)[0] in ("cat", "dog")
    page.complaints.clear()


LOCKS = """
  window.locks = [];
  const request = async () => {
    const lock = Object.assign(new EventTarget(), { released: false, release: async () => { lock.released = true; } });
    window.locks.push(lock);
    return lock;
  };
  Object.defineProperty(navigator, "wakeLock", { value: { request } });
"""


@ONCE
def test_the_screen_stays_on_while_photos_are_sent(page, watched, service):
    def held(count):
        until(lambda: page.evaluate("window.locks.filter((lock) => !lock.released).length") == count)

    page.add_init_script(LOCKS)
    page.goto(service.url)
    expect_connected(page)
    assert page.evaluate("window.locks.length") == 0
    watched.close()
    choose(page, *tiny(20))
    held(1)
    page.evaluate("window.locks[0].release()")  # as the browser does when the page is hidden
    page.evaluate(HIDE, True)
    held(0)
    page.evaluate(HIDE, False)
    held(1)
    page.click("#cancel")
    held(0)
    watched.open()
    watched.close()
    page.click("#go-on")
    held(1)
    watched.open()
    wait_until_done(page, 20)
    held(0)
    service.stop()
    choose(page, *tiny(1, 20))
    expect_trouble(page, "unreachable")
    held(0)
    page.complaints.clear()


@ONCE
def test_without_a_wake_lock_photos_are_sent_all_the_same(page, service):
    page.add_init_script(
        "Object.defineProperty(navigator, 'wakeLock', "
        "{ configurable: true, value: { request: () => Promise.reject(new Error('no')) } })"
    )
    page.goto(service.url)
    choose(page, *tiny(1))
    wait_until_done(page, 1)
    page.add_init_script("Object.defineProperty(navigator, 'wakeLock', { value: undefined })")
    page.reload()
    choose(page, *tiny(1, 1))
    wait_until_done(page, 2)

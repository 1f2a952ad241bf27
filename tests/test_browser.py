"""The page in a real browser, against the real service on another origin and on its own."""

import io
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import ONCE, choose, expect_connected, expect_data, expect_trouble, labels, names, photo, wait_until_done
from browser import browser as browser
from browser import frontend as frontend
from browser import page as page
from browser import service as service
from browser import watched as watched
from catdog.frontend.page import AT_FIRST, create_page_app
from catdog.web.server import Server
from conftest import copy_of_the_page, drawing, encoded, until
from PIL import Image
from playwright.sync_api import expect


@pytest.mark.parametrize("origin", ["backend", "frontend"])
def test_photos_get_labels_and_bars(page, origin, request, client):
    page.goto(request.getfixturevalue(origin).url)
    expect_connected(page)
    photos = [photo(f"{label}{seed}.jpg", drawing(label, seed)) for label in ("cat", "dog") for seed in (1, 2)]
    choose(page, *photos)
    wait_until_done(page, 4)
    answer = client.post(
        "/predict", data={"images": [(io.BytesIO(item["buffer"]), item["name"]) for item in photos]}
    ).json
    assert labels(page) == [item["label"] for item in answer["predictions"]]
    assert page.locator(".card").nth(0).locator(".class").count() == 1  # of two classes
    expect_data(page.locator("#status"), done=4, all=4, failed=0, working=False)
    assert page.locator(".card img").evaluate_all(
        "images => images.every(image => image.complete && image.naturalWidth > 0)"
    )


def test_bad_photos_say_why_and_the_others_are_answered(page, backend):
    page.goto(backend.url)
    choose(
        page,
        photo("a.jpg", drawing()),
        photo("words.jpg", b"words"),
        photo("empty.jpg", b""),
        photo("b.png", drawing("dog", 3, "PNG"), "image/png"),
    )
    wait_until_done(page, 4)
    assert labels(page)[1:3] == ["photo-format", "photo-empty"]
    assert [state in ("cat", "dog") for state in labels(page)] == [True, False, False, True]
    assert page.locator(".card .label").nth(2).text_content() == "This file is empty."
    expect_data(page.locator("#status"), done=2, all=4, failed=2)


@ONCE
def test_more_than_one_request_keeps_every_photo_in_its_place(page, backend):
    page.goto(backend.url)
    sent = []
    page.on("request", lambda request: request.url.endswith("/predict") and sent.append(request))
    first = [
        photo(f"{seed}.png", encoded(Image.new("RGB", (40, 40), (seed * 10, 90, 90)), "PNG"), "image/png")
        for seed in range(11)
    ]
    choose(page, *first)
    choose(page, photo("last.jpg", drawing()))
    wait_until_done(page, 12)
    assert names(page) == [f"{seed}.png" for seed in range(11)] + ["last.jpg"]
    assert len(sent) == 4  # four, four and the rest at the same time, and the last one by itself


def test_photos_can_be_dropped(page, backend):
    page.goto(backend.url)
    page.evaluate("""() => {
      const carried = new DataTransfer();
      carried.items.add(new File(["words"], "dropped.jpg", {type: "image/jpeg"}));
      const drop = new DragEvent("drop", {dataTransfer: carried, bubbles: true, cancelable: true});
      document.querySelector("#drop").dispatchEvent(drop);
    }""")
    wait_until_done(page, 1)
    assert names(page)[0] == "dropped.jpg"


def test_file_names_are_text(page, backend):
    page.goto(backend.url)
    name = "<img src=x onerror=alert(1)>.jpg"
    choose(page, photo(name, drawing()))
    wait_until_done(page, 1)
    assert names(page)[0] == name
    assert page.locator(".card img").count() == 1


def test_without_the_service_the_page_says_so_and_tries_again(browser, app):
    server = Server(app, "127.0.0.1", 0)
    page = browser.new_page()
    page.goto(server.url)
    expect_connected(page)
    choose(page, photo("a.jpg", drawing()))
    wait_until_done(page, 1)
    server.stop()
    choose(page, photo("b.jpg", drawing()))
    expect_trouble(page, "unreachable")
    expect_data(page.locator(".card").last, state="waiting", code="")
    again = Server(app, "127.0.0.1", server.port)
    page.click("#again")
    expect(page.locator('.card[data-state="done"]')).to_have_count(2)
    expect(page.locator("#trouble")).to_be_hidden()
    again.stop()
    page.close()


@ONCE
def test_a_link_that_is_lost_before_the_first_photo_loses_no_photo(page, app):
    """What shows answers comes with the first photo, and some browsers never ask again for what did not come."""
    server = Server(app, "127.0.0.1", 0)
    page.goto(server.url)
    expect_connected(page)
    server.stop()
    choose(page, photo("a.jpg", drawing()))
    expect_data(page.locator("#notice"), code="not-loaded", stored=True)
    expect_trouble(page, "unreachable")
    again = Server(app, "127.0.0.1", server.port)
    wait_until_done(page, 1)
    assert names(page) == ["a.jpg"]
    page.complaints.clear()  # of the link
    again.stop()


@ONCE
def test_a_script_that_never_comes_does_not_reload_the_page_for_ever(page, backend):
    page.route("**/page/answers.js", lambda route: route.abort())
    page.goto(backend.url)
    expect_connected(page)
    choose(page, photo("a.jpg", drawing()))
    with page.expect_navigation():
        pass
    expect_data(page.locator("#notice"), code="not-loaded", stored=True)
    page.unroute_all()
    page.reload()
    wait_until_done(page, 1)
    page.complaints.clear()


def test_something_else_at_the_services_address_is_told_in_words(browser):
    def warning_page(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/html"), ("Access-Control-Allow-Origin", "*"),
                                  ("Access-Control-Allow-Headers", "*")])  # fmt: skip
        return [b"<h1>You are about to visit</h1>"]

    other = Server(warning_page, "127.0.0.1", 0)
    server = Server(create_page_app(other.url), "127.0.0.1", 0)
    page = browser.new_page()
    page.goto(server.url)
    expect_trouble(page, "something-else")
    page.close()
    for running in (server, other):
        running.stop()


def test_without_an_address_the_page_says_what_is_missing(browser, own_places):
    server = Server(create_page_app(), "127.0.0.1", 0)
    page = browser.new_page()
    page.goto(server.url)
    expect_trouble(page, "no-service")
    server.stop()
    page.close()


def tab_to(page, wanted, key="Tab"):
    """Press the key until an element that the selector fits has the focus."""
    for _ in range(40):
        page.keyboard.press(key)
        if page.evaluate("wanted => document.activeElement.matches(wanted)", wanted):
            return
    raise AssertionError(f"{wanted} cannot be reached by Tab")


def test_by_keyboard_alone(page, backend):
    page.goto(backend.url)
    page.keyboard.press("Tab")
    with page.expect_file_chooser() as chosen:
        expect(page.locator("#photos")).to_be_focused()
        page.keyboard.press("Enter")
    chosen.value.set_files([photo("a.jpg", drawing()), photo("b.jpg", drawing("dog", 2))])
    wait_until_done(page, 2)
    tab_to(page, ".card .open")
    page.keyboard.press("Enter")
    expect(page.locator("#detail-name")).to_have_text("a.jpg")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#detail-name")).to_have_text("b.jpg")
    page.keyboard.press("Escape")
    expect(page.locator(".card .open").nth(1)).to_be_focused()
    tab_to(page, ".remove")
    page.keyboard.press("Enter")
    expect(page.locator(".card")).to_have_count(1)
    expect(page.locator(".remove")).to_be_focused()
    tab_to(page, "#clear", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".card")).to_have_count(0)
    expect(page.locator("#photos")).to_be_focused()


@ONCE
def test_clearing_while_photos_are_under_way(page, backend):
    page.goto(backend.url)
    choose(page, *(photo(f"{seed}.jpg", drawing("cat", seed)) for seed in range(10)))
    page.click("#clear")
    choose(page, photo("after.jpg", drawing()))
    wait_until_done(page, 1)
    assert names(page) == ["after.jpg"]
    expect_data(page.locator("#status"), done=1, all=1)


def test_nothing_is_wider_than_the_screen(page, backend):
    page.goto(backend.url)
    choose(page, photo("a-very-long-name-" * 12 + ".jpg", drawing()), photo("x.jpg", b"words"))
    wait_until_done(page, 2)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def look(page):
    """Nothing is wider than the screen, and axe finds nothing, by day and by night."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
        assert found.violations_count == 0, found.generate_report()


def test_axe_finds_nothing_in_any_state(page, watched, service):
    page.goto(service.url)
    expect_connected(page)
    page.click("#drop summary")
    look(page)  # empty
    watched.close()
    choose(page, *(photo(f"cat/{seed}.jpg", drawing("cat", seed)) for seed in range(20)))
    expect(page.locator('.card[data-state="sending"]')).to_have_count(12)
    look(page)  # working
    watched.open()
    choose(page, photo("words.jpg", b"words"), photo("a-very-long-name-" * 12 + ".jpg", drawing("dog", 3)))
    wait_until_done(page, 22)
    choose(page, photo("labels.csv", b"name,label\n0.jpg,cat\n1.jpg,dog\n2.jpg,cat\n", "text/csv"))
    expect(page.locator("#field-test")).to_be_visible()
    expect(page.locator("#mistakes")).to_be_visible()
    if not page.locator("#misses").is_visible():
        page.click("#mistakes > summary")
    page.click("#misses summary")
    if not page.locator("#sort").is_visible():
        page.click("#tools summary")
    look(page)  # done, with failures and the field test
    page.click("#as-table")
    look(page)
    page.locator("#table .open").first.click()
    page.click("#why")
    expect_data(page.locator("#why-words"), state=re.compile("shown|nothing"))
    look(page)  # one photo, large
    page.click("#close")
    service.stop()
    choose(page, photo("late.jpg", drawing()))
    expect(page.locator("#trouble")).to_be_visible()
    look(page)  # the link is lost
    page.complaints.clear()


@ONCE
def test_the_description_can_be_read_by_day_and_by_night(page, backend):
    page.goto(f"{backend.url}/docs")
    expect(page.locator("a").first).to_be_visible()
    look(page)


def test_everything_that_can_be_touched_is_large_enough(page, backend):
    """24 CSS pixels (WCAG 2.2, 2.5.8); fingers like the 44 of what is used most."""
    page.goto(backend.url)
    choose(page, photo("a.jpg", drawing()), photo("words.jpg", b"words"))
    wait_until_done(page, 2)
    expect(page.locator("#cancel")).to_be_hidden()
    for button in page.locator("button:visible, .pickers label:visible, select:visible, summary:visible").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 24, button.inner_text()
    for wanted in ("label[for=photos]", "#clear"):
        assert page.locator(wanted).bounding_box()["height"] >= 44


def test_all_files_are_asked_for_at_once(page, backend):
    """While the script that needs them has not come yet: one round trip after the HTML."""
    asked, held = set(), []
    page.on("request", lambda request: asked.add(request.url.rsplit("/", 1)[-1]))
    page.route("**/page/page.js", lambda route: held.append(route))
    page.goto(backend.url, wait_until="commit")
    wanted = {"old.js", "page.css", *(f"{name}.js" for name in AT_FIRST)}
    until(lambda: page.evaluate("document.readyState") and wanted <= asked and held)
    held[0].continue_()
    expect_connected(page)


def test_motion_is_only_for_those_who_like_it(page, backend):
    page.emulate_media(reduced_motion="reduce")
    page.goto(backend.url)
    choose(page, photo("a.jpg", drawing()))
    wait_until_done(page, 1)
    assert page.locator(".fill").first.evaluate("bar => getComputedStyle(bar).transitionDuration") == "0s"


@ONCE
def test_in_its_notebook_the_page_shows_changes_by_itself(page, tmp_path):
    copy_of_the_page(tmp_path)
    server = Server(create_page_app("", tmp_path), "127.0.0.1", 0)
    page.goto(f"{server.url}/?live")
    html, css = tmp_path / "templates" / "page.html", tmp_path / "static" / "page.css"
    css.write_text(css.read_text() + "h1 { color: rgb(1, 2, 3); }")
    expect(page.locator("h1")).to_have_css("color", "rgb(1, 2, 3)")
    text = html.read_text()
    html.write_text(text.replace("<h1>{{ words.title }}", "<h1>{{ Cat or dog?"))
    expect(page.locator("body")).to_contain_text("page.html cannot be shown")
    html.write_text(text.replace("<h1>{{ words.title }}", "<h1>Cat or dog?"))
    expect(page.locator("h1")).to_have_text("Cat or dog?")
    words = tmp_path / "words" / "en.json"
    words.write_text(words.read_text().replace("Choose photos", "Your photos"))
    expect(page.locator('label[for="photos"]')).to_have_text("Your photos")
    page.complaints.clear()  # the browser logs the page that could not be shown
    server.stop()

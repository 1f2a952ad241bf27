"""What a tester sees first, of one photo alone, and in which language."""

import json

import pytest
from browser import DESK, ONCE, PHONE, choose, complaints_of, expect_connected, expect_data, photo, wait_until_done
from browser import browser as browser
from browser import page as page
from browser import serve as serve
from catdog.backend.app import create_app
from catdog.backend.examples import read_examples
from catdog.data.feedback import Feedback
from catdog.frontend.page import create_page_app
from catdog.frontend.words import languages, read_words
from conftest import copy_of_the_page, drawing, until
from playwright.sync_api import expect
from standins.painted import PaintedClassifier, painted

CODE = "for-testers"


# The first screen


@pytest.mark.parametrize(
    ("classes", "title"),
    [
        (("cat", "dog"), "Cat or dog?"),
        (("the moth", "3 wasps", "Bee"), "The moth, 3 wasps, or Bee?"),
        (("a", "b", "c", "d"), "Which of 4 is it?"),
    ],
)
@ONCE
def test_the_title_asks_what_the_model_can_tell(page, serve, classes, title):
    page.goto(serve(create_app(PaintedClassifier(classes))))
    expect(page.locator("h1")).to_have_text(title)
    expect(page).to_have_title(title)
    expect(page.locator("#model .name")).to_have_text(list(classes))


@ONCE
def test_it_says_what_becomes_of_photos(page, classifier, serve, own_places):
    page.goto(serve(create_app(classifier)))
    expect(page.locator("#privacy")).to_have_text("Photos are not kept.")
    page.goto(serve(create_app(classifier, feedback=Feedback("pets"))))
    expect(page.locator("#privacy")).to_contain_text("unless you tell the author")


@ONCE
def test_a_model_of_drawings_says_so_where_nobody_overlooks_it(page, classifier, serve):
    page.goto(serve(create_app(classifier)))
    expect_connected(page)
    expect(page.locator("#synthetic")).to_be_empty()
    card = classifier.bundle.card.as_json() | {"synthetic": True}
    page.route("**/model", lambda route: route.fulfill(json=card))
    page.reload()
    expect(page.locator("#synthetic")).to_be_visible()
    expect(page.locator("#synthetic")).not_to_be_empty()


def test_choosing_photos_is_all_that_the_first_screen_asks_for(page, backend):
    page.goto(backend.url)
    expect_connected(page)
    height = page.viewport_size["height"]
    box, button = (page.locator(css).bounding_box() for css in ("#drop", 'label[for="photos"]'))
    assert box["height"] >= height / 2
    assert button["y"] + button["height"] < height
    if page.viewport_size == PHONE:
        assert button["width"] > 0.8 * PHONE["width"]
    page.click("#sorted")
    expect(page.locator("#archive")).to_be_focused()


def test_with_photos_there_answers_come_first(page, backend):
    page.goto(backend.url)
    choose(page, photo("a.jpg", drawing("cat", 1)), photo("b.jpg", drawing("dog", 2)))
    wait_until_done(page, 2)
    expect(page.locator('label[for="photos"]')).to_have_text("+ Add photos")
    for css in ("#intro", "#sorted", "#model"):
        expect(page.locator(css)).to_be_hidden()
    if page.viewport_size == PHONE:  # at a desk, the tools stand open above
        assert page.locator(".card").first.bounding_box()["y"] < PHONE["height"] / 2
    page.click("#clear")
    expect(page.locator("#intro")).to_be_visible()
    expect(page.locator('label[for="photos"]')).to_have_text("Choose photos")


def test_one_photo_alone_is_large(page, backend):
    page.goto(backend.url)
    choose(page, photo("a.jpg", drawing("cat", 1)))
    wait_until_done(page, 1)
    alone = page.locator(".card .thumbnail").bounding_box()
    expect(page.locator("#tools")).to_be_hidden()
    expect(page.locator("#totals")).to_be_hidden()
    assert alone["width"] > 0.5 * min(page.viewport_size["width"], 640)
    choose(page, photo("b.jpg", drawing("dog", 2)))
    wait_until_done(page, 2)
    expect(page.locator("#totals")).to_be_visible()
    assert page.locator(".card .thumbnail").first.bounding_box()["width"] < alone["width"] / 2


# Examples


@pytest.fixture
def with_examples(tmp_path, classifier):
    """with_examples(**config): the service with two examples."""
    for name, data in {"a.png": painted(0), "b.png": painted(1)}.items():
        (tmp_path / name).write_bytes(data)
    examples = read_examples(str(tmp_path))
    return lambda **config: create_app(classifier, examples=examples, **config)


@ONCE
def test_who_has_no_photo_at_hand_tries_an_example(page, serve, with_examples):
    page.goto(serve(with_examples()))
    expect(page.locator(".example img")).to_have_count(2)
    assert page.locator(".example img").first.get_attribute("alt") == "Example 1"
    page.locator(".example").nth(1).click()
    wait_until_done(page, 1)
    expect(page.locator("#examples")).to_be_hidden()
    expect(page.locator(".card .filename")).to_have_text(["example-2.jpg"])
    page.click("#clear")
    expect(page.locator("#examples")).to_be_visible()


@ONCE
def test_two_quick_taps_on_an_example_give_one_photo(page, serve, with_examples):
    held = []
    page.route("**/page/answers.js", lambda route: held.append(route), times=1)
    page.goto(serve(with_examples()))
    page.locator(".example").first.dblclick()
    until(lambda: page.title() and held)
    held[0].continue_()
    wait_until_done(page, 1)
    expect(page.locator(".card")).to_have_count(1)
    expect(page.locator("#photos")).to_be_focused()  # where the example was is nothing any more


@ONCE
@pytest.mark.parametrize("broken", [1, 2])
def test_an_example_that_is_broken_leaves_the_others(page, serve, with_examples, broken):
    def spoilt(route):
        answer = route.fetch()
        examples = answer.json()["examples"]
        route.fulfill(
            response=answer, json={"examples": [{**one, "image": "@"} for one in examples[:broken]] + examples[broken:]}
        )

    page.route("**/examples", spoilt)
    with page.expect_response("**/examples"):
        page.goto(serve(with_examples()))
    expect(page.locator(".example")).to_have_count(2 - broken)
    expect(page.locator("#examples")).to_be_visible(visible=broken < 2)


@ONCE
def test_examples_come_once_the_code_is_right(page, serve, with_examples):
    page.goto(serve(with_examples(ACCESS_CODE=CODE)))
    expect(page.locator("#code")).to_be_visible()
    page.fill("#code", CODE)
    page.keyboard.press("Enter")
    expect(page.locator(".example")).to_have_count(2)
    page.complaints.clear()  # of the refusal before


@ONCE
def test_a_service_without_examples_is_not_asked_for_them(page, backend):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(backend.url)
    expect_connected(page)
    choose(page, photo("a.jpg", drawing()))
    wait_until_done(page, 1)
    assert not [url for url in asked if "examples" in url]


# Fingers

SWIPE = """([from, to]) => {
  const stage = document.getElementById("stage");
  const touch = (x) => new Touch({ identifier: 1, target: stage, clientX: x, clientY: 200 });
  const send = (kind, name, x) =>
    stage.dispatchEvent(new TouchEvent(kind, { [name]: [touch(x)], changedTouches: [touch(x)], bubbles: true }));
  send("touchstart", "touches", from);
  send("touchend", "changedTouches", to);
}"""


@pytest.mark.parametrize(("locale", "forward"), [("en", [300, 100]), ("ar", [100, 300])])
def test_a_swipe_and_an_arrow_lead_to_the_next_photo_in_the_direction_of_writing(browser, backend, locale, forward):
    tab = browser.new_context(viewport=PHONE, has_touch=True, locale=locale).new_page()
    tab.goto(backend.url)
    choose(tab, photo("a.jpg", drawing("cat", 1)), photo("b.jpg", drawing("dog", 2)))
    wait_until_done(tab, 2)
    name = tab.locator("#detail-name")
    tab.locator(".card .open").first.click()
    expect(name).to_have_text("a.jpg")
    tab.evaluate(SWIPE, [200, 190])  # a tap
    expect(name).to_have_text("a.jpg")
    tab.evaluate(SWIPE, forward)
    expect(name).to_have_text("b.jpg")
    tab.evaluate(SWIPE, forward[::-1])
    expect(name).to_have_text("a.jpg")
    tab.keyboard.press("ArrowRight" if locale == "en" else "ArrowLeft")
    expect(name).to_have_text("b.jpg")
    tab.context.close()


# Languages


@pytest.mark.parametrize("language", languages())
def test_each_language_is_written_out_and_fits_a_phone(browser, classifier, serve, own_places, language):
    tab = browser.new_context(viewport=PHONE, has_touch=True, locale=language).new_page()
    complaints = complaints_of(tab)
    tab.goto(serve(create_app(classifier, feedback=Feedback("pets"))))
    expect_connected(tab)
    fits_and_is_written_out(tab)
    choose(tab, *(photo(f"{seed}.jpg", drawing("cat", seed)) for seed in range(3)), photo("w.jpg", b"words"))
    wait_until_done(tab, 4)
    words = read_words(language)["script"]
    expect(tab.locator('.card[data-state="failed"] .label')).to_have_text(words["problems"]["photo-format"])
    fits_and_is_written_out(tab)
    tab.locator(".card .open").first.click()
    tab.click("#why")
    expect(tab.locator('#why-words:is([data-state="shown"], [data-state="nothing"])')).to_be_visible()
    tab.click("#no")
    tab.locator("#truths button").last.click()
    expect_data(tab.locator("#correction-words"), code="sent")
    fits_and_is_written_out(tab)
    assert tab.evaluate("document.documentElement.dir") == ("rtl" if language == "ar" else "ltr")
    assert not complaints
    tab.context.close()


@ONCE
def test_words_that_an_author_has_lost_stop_nothing(page, serve, backend, tmp_path):
    copy_of_the_page(tmp_path)
    words = {"page": read_words("en")["page"], "script": {}}
    (tmp_path / "words" / "en.json").write_text(json.dumps(words))
    page.goto(serve(create_page_app(backend.url, tmp_path)))
    expect(page.locator("#model")).to_contain_text("knows")
    choose(page, photo("a.jpg", drawing()), photo("w.jpg", b"words"))
    wait_until_done(page, 2)
    expect(page.locator("#status")).to_have_text("done failed")
    page.locator(".card .open").first.click()
    page.click("#yes")
    expect_data(page.locator("#marked"), right=1)


def fits_and_is_written_out(tab):
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    text = tab.locator("body").inner_text()
    assert not [sign for sign in ("{", "}", "undefined", "NaN", "[object") if sign in text]


def test_numbers_are_written_as_the_language_does(browser, backend):
    tab = browser.new_context(viewport=DESK, locale="de").new_page()
    tab.goto(backend.url)
    choose(tab, *(photo(f"{seed}.jpg", drawing("cat", seed)) for seed in range(2)))
    wait_until_done(tab, 2)
    tab.locator("#as-table").click()
    expect(tab.locator("#table .percent").first).to_contain_text(",")
    tab.context.close()

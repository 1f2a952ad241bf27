"""What is shown of the answers: totals that filter, few and many classes, numbers."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import NONE, ONCE, PHONE, choose, expect_data, photo, say_it_is, show_only, wait_until_done
from browser import browser as browser
from browser import page as page
from catdog.backend.app import create_app
from catdog.data.feedback import Feedback
from catdog.web.server import Server
from playwright.sync_api import expect
from standins.painted import PaintedClassifier, painted

MANY = tuple(f"class {number:04}" for number in range(1000))
SECOND = "#totals button:nth-of-type(2)"


@pytest.fixture
def few(page):
    """cat 2, dog 1, not sure 2 (cat 40, 45), failed 1."""
    server = Server(create_app(PaintedClassifier(("cat", "dog", "owl"))), "127.0.0.1", 0)
    page.goto(server.url)
    answers = [(0, 98), (0, 85), (1, 100), (0, 40), (0, 45)]
    photos = [photo(f"{number}.png", painted(*answer), "image/png") for number, answer in enumerate(answers)]
    choose(page, *photos, photo("words.jpg", b"words"))
    wait_until_done(page, 6)
    expect_data(page.locator("#status"), all=6, done=5)
    if not page.locator("#sort").is_visible():
        page.click("#tools summary")
    yield page
    server.stop()


@pytest.fixture
def serve(page):
    """serve(classes): the page of a service that knows them and keeps corrections where it is given a `feedback`."""
    running = []

    def serve(classes, feedback=None):
        running.append(Server(create_app(PaintedClassifier(classes), feedback=feedback), "127.0.0.1", 0))
        page.goto(running[-1].url)
        expect_data(page.locator("#model"), classes=", ".join(classes))
        return page

    yield serve
    for server in running:
        server.stop()


@pytest.fixture
def many(serve):
    return serve(MANY)


def send_many(page, count=30):
    choose(page, *(photo(f"{number}.png", painted(number), "image/png") for number in range(count)))
    wait_until_done(page, count)
    expect_data(page.locator("#status"), done=count)


def chips(page):
    return page.locator("#totals button").all_text_contents()


# Totals that filter


def test_totals_are_buttons_that_filter(few):
    assert chips(few) == ["All 6", "cat 2", "dog 1", "Not sure 2", "Failed 1"]
    for group, count in {"cat": 2, "dog": 1, "?not sure": 2, "?failed": 1}.items():
        show_only(few, group)
        expect(few.locator(".card")).to_have_count(count)
        expect(few.locator("#totals [aria-pressed=true]")).to_have_count(1)
    few.click('#totals [data-group="?failed"]')  # pressed once more
    expect(few.locator(".card")).to_have_count(6)
    expect_data(few.locator("#totals [aria-pressed=true]"), group="", count=6)


@ONCE
def test_the_keyboard_stays_on_a_total_while_photos_come_in(few):
    few.focus('#totals [data-group="cat"]')
    few.keyboard.press("Enter")
    choose(few, photo("more.png", painted(2), "image/png"))
    expect(few.locator('#totals [data-group="owl"]')).to_be_visible()
    expect(few.locator('#totals [data-group="cat"]')).to_be_focused()
    expect(few.locator(".card")).to_have_count(2)


@ONCE
def test_the_unsure_photos_of_a_class_are_found_by_a_limit_of_confidence(few):
    show_only(few, "cat")
    few.select_option("#confidence", "0-0.9")
    expect(few.locator(".card .filename")).to_have_text(["1.png", "3.png", "4.png"])
    few.select_option("#confidence", "0-0.6")
    expect(few.locator(".card .filename")).to_have_text(["3.png", "4.png"])


def test_where_nothing_fits_the_page_says_so(few):
    show_only(few, "dog")
    few.select_option("#confidence", "0-0.6")
    expect(few.locator(".card")).to_have_count(0)
    expect_data(few.locator("#none[role=status] p"), all=6)
    expect(few.locator("#none p")).to_have_text("None of 6 photos fits.")
    few.click("#as-table")
    expect(few.locator("#table")).to_be_hidden()
    few.click("#as-table")
    few.click("#show-all")
    expect(few.locator(".card")).to_have_count(6)
    expect(few.locator("#none")).to_be_hidden()
    expect(few.locator('#totals [data-group=""]')).to_be_focused()


def test_the_answers_are_saved_without_looking_for_it(few):
    few.locator("#tools").evaluate("tools => (tools.open = false)")
    csv, clear = (few.locator(name).bounding_box() for name in ("#csv", "#clear"))
    assert csv["y"] == clear["y"]
    with few.expect_download() as download:
        few.click("#csv")
    assert download.value.suggested_filename == "answers.csv"
    expect_data(few.locator("#notice"), code="saved", file="answers.csv")


# Numbers


@ONCE
def test_no_answer_is_certain_and_cards_have_whole_percents(few):
    shares = few.locator(".card .class:first-child .percent")
    expect(shares).to_have_text(["98%", "85%", "> 99%", "40%", "45%"])
    expect(few.locator(".card").nth(2).locator(".percent").last).to_have_text("< 1%")
    few.click("#as-table")
    expect(few.locator("#table .percent")).to_have_text(["98.0%", "85.0%", "99.99%", "40.0%", "45.0%", ""])


# Many classes


def test_a_thousand_classes_are_told_in_one_line_and_named_on_demand(many):
    expect(many.locator("h1")).to_have_text("Which of 1,000 is it?")
    expect(many.locator("#model .name")).to_have_count(5)
    expect(many.locator("#model")).to_contain_text("and 995 more")
    assert many.locator("#drop").bounding_box()["y"] < many.viewport_size["height"] / 2
    expect(many.locator("#all-classes")).to_be_hidden()
    many.click("#about summary")
    expect(many.locator("#all-classes")).to_contain_text("class 0999")
    assert many.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@ONCE
def test_of_few_classes_all_are_named(few):
    expect(few.locator("h1")).to_have_text("Cat, dog, or owl?")
    expect(few.locator("#model .name")).to_have_text(["cat", "dog", "owl"])
    few.click("#about summary")
    expect(few.locator("#all-classes")).to_be_empty()


def test_the_most_frequent_classes_have_buttons_and_the_others_are_searched(many):
    send_many(many)
    choose(many, photo("again.png", painted(20), "image/png"))
    wait_until_done(many, 31)
    expect(many.locator('#totals [data-group="class 0020"]')).to_have_text("class 0020 2")
    assert len(chips(many)) == 8
    search = many.locator("#other-search")
    assert many.locator("#other").is_hidden()
    search.fill("0029")
    search.press("Enter")
    expect(many.locator(".card .filename")).to_have_text(["29.png"])
    expect_data(many.locator("#totals [aria-pressed=true]"), group="class 0029", count=1)
    assert len(chips(many)) == 8
    search.fill("class")  # fits several
    search.press("Enter")
    assert search.evaluate("field => field.validationMessage")
    expect(many.locator(".card")).to_have_count(1)
    assert many.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_an_opened_photo_shows_five_answers_and_more_on_demand(many):
    send_many(many, 2)
    expect(many.locator(".card").first.locator(".class")).to_have_count(5)
    many.locator(".card .open").first.click()
    bars = many.locator("#detail .class")
    expect(bars).to_have_count(5)
    expect(bars.first.locator("dt")).to_have_text("class 0000")
    expect_data(many.locator("#all-bars[aria-expanded=false]"), count=1000)
    many.click("#all-bars")
    expect(bars).to_have_count(1000)
    many.click("#next")  # another photo begins with five
    expect(bars).to_have_count(5)
    expect(bars.first.locator("dt")).to_have_text("class 0001")


@ONCE
def test_a_photos_class_is_found_by_a_part_of_its_name(many):
    send_many(many, 1)
    many.locator(".card .open").click()
    many.click("#no")
    likely = ["class 0001", "class 0002", "class 0003", "class 0004", "None of these"]
    expect(many.locator("#truths button")).to_have_text(likely)
    field = many.locator("#truth-search")
    field.focus()
    expect(many.locator("#class-names option")).to_have_count(1000)
    field.fill("0412")
    field.press("Enter")
    expect_data(many.locator("#detail"), truth="class 0412", wrong=True)
    expect(field).to_have_value("class 0412")
    field.fill("giraffe")
    field.press("Enter")
    assert "giraffe" in field.evaluate("field => field.validationMessage")
    expect_data(many.locator("#detail"), truth="class 0412")
    many.click('#truths [aria-pressed="true"]')  # once more takes it back
    expect_data(many.locator("#detail"), truth="", wrong=False)
    expect(field).to_have_value("")


TURN_TO_SOMETHING_ELSE = {
    "Escape": lambda page: page.keyboard.press("Escape"),
    "close": lambda page: page.click("#close"),
    "step on": lambda page: page.click("#next"),
    "yes": lambda page: page.click("#yes"),
    "none of these": lambda page: say_it_is(page, NONE),
    "remove": lambda page: page.click("#detail-remove"),
}


@ONCE
def test_a_class_that_is_half_typed_is_not_said(serve, own_places):
    page = serve(MANY[:13], feedback=Feedback("pets"))
    choose(page, *(photo(f"{number}.png", painted(0, 90 + number), "image/png") for number in range(3)))
    wait_until_done(page, 3)
    sent = []
    page.on("request", lambda request: request.url.endswith("/corrections") and sent.append(request))
    for name, turn in TURN_TO_SOMETHING_ELSE.items():
        page.locator(".card .open").first.click()
        page.click("#no")
        page.locator("#truth-search").press_sequentially("12")
        turn(page)
        right, wrong = {"yes": (1, 0), "none of these": (0, 1)}.get(name, (0, 0))
        expect_data(page.locator("#marked"), right=right, wrong=wrong)
        page.keyboard.press("Escape")
        expect(page.locator("#detail")).to_be_hidden()
    assert [one.label for one in Feedback("pets").all()] == [None]
    assert len(sent) == 1


@ONCE
def test_the_keyboard_stays_in_the_dialog_when_what_it_was_on_goes_away(many):
    send_many(many, 2)
    many.locator(".card .open").first.click()
    many.click("#no")
    searched = many.locator('#truths [data-label="class 0412"]')
    likely = many.locator('#truths [data-label="class 0002"]')
    for other in (likely, searched):  # in the place of what was searched, and that itself, which takes it back
        many.fill("#truth-search", "0412")
        many.press("#truth-search", "Enter")
        expect(searched).to_be_visible()
        other.press("Enter")
        expect(searched).to_have_count(0)
        expect(likely if other is likely else many.locator("#no")).to_be_focused()
        expect_data(many.locator("#detail"), truth="class 0002" if other is likely else "")
    likely.press("Enter")
    likely.press("ArrowRight")
    expect(many.locator("#detail-name")).to_have_text("1.png")
    expect(many.locator("#detail-name")).to_be_focused()


# Names of classes

HEAT = {"heatmap": [[0.0, 1.0, 0.0]] * 3, "fit": "pad", "label": "x"}


ODD = ("cat", "cats", "Glas", "Glass", "__proto__", "constructor")


@ONCE
def test_names_that_are_alike_or_mean_something_to_a_browser_are_like_others(serve):
    page = serve(ODD)
    page.route("**/explain", lambda route: route.fulfill(json=HEAT))
    send_many(page, len(ODD))
    for number, label in enumerate(ODD):
        page.locator(".card .open").nth(number).click()
        page.click("#yes")
        expect_data(page.locator("#detail"), label=label, truth=label, wrong=False)
        other = ODD[number - 1]
        say_it_is(page, other)
        expect_data(page.locator("#detail"), truth=other, wrong=True)
        page.click("#why")
        expect_data(page.locator("#why-words"), state="shown", label=label)
        page.click("#close")
    expect_data(page.locator("#marked"), right=0, wrong=len(ODD))


@pytest.mark.parametrize("page", [PHONE], indirect=True, ids=["phone"])
@pytest.mark.parametrize(("letters", "count"), [(39, 2), (200, 2), (200, 13)])
def test_a_long_name_makes_nothing_wider_than_a_phone(serve, letters, count):
    page = serve(tuple(f"{number:02}" + "b" * letters for number in range(count)))
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    choose(page, photo("a.png", painted(0), "image/png"), photo("b.png", painted(1, 40), "image/png"))
    wait_until_done(page, 2)
    for card in (0, 1):  # sure, and not sure
        page.locator(".card .open").nth(card).click()
        page.click("#no")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert page.locator("#detail").evaluate("dialog => dialog.scrollWidth <= dialog.clientWidth")
        page.click("#close")


COUNT_WHAT_IS_MADE = """() => {
  window.made = 0;
  const create = Document.prototype.createElement, clone = Node.prototype.cloneNode;
  Document.prototype.createElement = function (...given) { made += 1; return create.apply(this, given); };
  Node.prototype.cloneNode = function (...given) { made += 1; return clone.apply(this, given); };
  window.Option = new Proxy(Option, {construct(target, given) { made += 1; return new target(...given); }});
}"""


@ONCE
def test_a_thousand_classes_cost_no_more_elements_than_five(many, tmp_path):
    """Nothing is made for each class, or for each pair of them, while photos come in."""
    for number in range(60):
        (tmp_path / "sorted" / MANY[number]).mkdir(parents=True)
        (tmp_path / "sorted" / MANY[number] / f"{number}.png").write_bytes(painted(number if number % 3 else 999))
    many.evaluate(COUNT_WHAT_IS_MADE)
    many.set_input_files("#folder", tmp_path / "sorted")
    wait_until_done(many, 60)
    expect_data(many.locator("#accuracy"), right=40, known=60)
    expect_data(many.locator("#misses summary"), misses=20)
    made = many.evaluate("made")
    a_card = 1 + 5  # and its bars
    assert made < 60 * a_card + 200


def test_axe_finds_nothing_with_a_thousand_classes(many):
    send_many(many)
    many.locator(".card .open").first.click()
    for state in ("open", "closed"):
        found = Axe().run(many, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
        assert found.violations_count == 0, (state, found.generate_report())
        assert many.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        if state == "open":
            many.click("#close")

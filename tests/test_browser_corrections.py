"""A tester says what a photo really is; the author accepts it and trains again, and the next model knows it."""

import io

import numpy as np
import pytest
from browser import NONE, ONCE, choose, expect_data, photo, say_it_is, wait_until_done
from browser import browser as browser
from browser import page as page
from catdog.backend import hot_reload
from catdog.backend.app import create_app, set_model, start
from catdog.data.feedback import Feedback
from catdog.data.synthetic import draw_folder
from catdog.models import bundle
from catdog.models.classifier import load_classifier
from catdog.web.server import stop
from conftest import drawing, encoded, until
from PIL import Image
from playwright.sync_api import expect
from standins.network import SMALL, save_random
from standins.painted import PaintedClassifier, painted
from test_notebooks import FINE_TUNE, kernel


@pytest.fixture
def serve(own_places):
    """serve(classifier, most=…): the app and its server on a real port, with room for so many corrections."""

    def serve(classifier, most=3):
        app = create_app(feedback=Feedback("pets", most=most))
        set_model(app, classifier)
        return app, start(app, 0)

    yield serve
    hot_reload.stop_watching()
    stop("backend")


@pytest.fixture
def three(serve):
    """A service of three classes that keeps corrections."""
    return serve(PaintedClassifier(("cat", "dog", "owl")))[1]


CORRECTIONS = "**/corrections"


def open_cats(page, server, count=1):
    """Photos that are answered with "cat"; the first is open."""
    page.goto(server.url)
    choose(page, *(photo(f"{number}.png", painted(0, 98 - number), "image/png") for number in range(count)))
    wait_until_done(page, count)
    page.locator(".card .open").first.click()


def refuse(route):
    problem = {"type": "/docs#corrections-full", "title": "Full", "status": 507, "detail": "Full."}
    route.fulfill(status=507, content_type="application/problem+json", json=problem)


def hold_a_correction(page, label):
    """Say so of the photo that is open; gives what lets the correction through."""
    held = []
    page.route(CORRECTIONS, lambda route: held.append(route), times=1)
    say_it_is(page, label)
    until(lambda: page.title() and held)
    return held[0].continue_


def expect_sent(page, label):
    """The author is told so, and nothing else."""
    expect_data(page.locator("#correction-words"), code="sent", label=label)
    assert [one.label for one in Feedback("pets").all()] == [None if label == NONE else label]


def other_than(page):
    """The class that the photo which is open was not answered with."""
    return {"cat": "dog", "dog": "cat"}[page.get_attribute("#detail", "data-label")]


def test_a_correction_is_one_tap_and_says_before_what_is_kept(page, classifier, serve):
    _, server = serve(classifier)
    page.goto(server.url)
    choose(page, photo("a.jpg", drawing("cat", 1)), photo("b.jpg", drawing("cat", 2)))
    wait_until_done(page, 2)
    page.locator(".card .open").first.click()
    expect(page.locator("#correction")).to_be_hidden()
    page.click("#no")
    expect(page.locator("#correction-note")).to_be_visible()  # before anything is sent
    say_it_is(page, other_than(page))
    expect_data(page.locator("#correction-words"), code="sent", label=other_than(page))
    sent = other_than(page)
    page.click("#next")
    expect(page.locator("#correction-words")).to_be_empty()
    expect(page.locator("#correction")).to_be_hidden()
    say_it_is(page, NONE)
    expect_data(page.locator("#correction-words"), code="sent", label=NONE)
    assert [one.label for one in Feedback("pets").all()] == [sent, None]


@ONCE
def test_a_yes_stays_on_the_page_unless_it_takes_back_a_no(page, classifier, serve):
    _, server = serve(classifier)
    page.goto(server.url)
    choose(page, photo("a.jpg", drawing("cat", 1)))
    wait_until_done(page, 1)
    page.locator(".card .open").first.click()
    page.click("#yes")
    expect(page.locator("#yes")).to_have_attribute("aria-pressed", "true")
    expect_data(page.locator("#correction-words"), code="noted")
    expect_data(page.locator("#marked"), right=1, wrong=0)
    page.click("#yes")  # the same once more takes it back
    expect(page.locator("#yes")).to_have_attribute("aria-pressed", "false")
    expect_data(page.locator("#marked"), right=0, wrong=0)
    assert Feedback("pets").all() == []
    say_it_is(page, NONE)
    expect_data(page.locator("#correction-words"), code="sent", label=NONE)
    expect_data(page.locator("#marked"), right=0, wrong=1)
    said = page.get_attribute("#detail", "data-label")
    page.click("#yes")
    expect_data(page.locator("#correction-words"), code="sent", label=said)
    assert [one.label for one in Feedback("pets").all()] == [said]


@ONCE
def test_the_keyboard_stays_in_the_dialog_after_a_correction(page, classifier, serve):
    _, server = serve(classifier)
    page.goto(server.url)
    choose(page, photo("a.jpg", drawing("cat", 1)), photo("b.jpg", drawing("cat", 2)))
    wait_until_done(page, 2)
    page.locator(".card .open").first.click()
    page.click("#no")
    neither = page.locator(f'#truths [data-label="{NONE}"]')
    neither.focus()
    for _ in range(2):  # the second while the first is on its way, or again
        page.keyboard.press("Enter")
    expect_data(page.locator("#correction-words"), code="sent", label=NONE)
    expect(neither).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#detail-name")).to_have_text("b.jpg")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#detail-name")).to_have_text("a.jpg")
    page.keyboard.press("Escape")
    assert {one.label for one in Feedback("pets").all()} == {None}


@ONCE
def test_a_mistake_that_a_folder_tells_can_be_sent_to_the_author(page, classifier, serve, tmp_path):
    _, server = serve(classifier)
    data = drawing("cat", 1)
    page.goto(server.url)
    choose(page, photo("a.jpg", data))
    wait_until_done(page, 1)
    page.locator(".card .open").click()
    other = other_than(page)
    page.click("#close")
    page.set_input_files("#archive", photo("labels.csv", f"name,label\na.jpg,{other}".encode(), "text/csv"))
    expect_data(page.locator("#accuracy"), right=0, known=1)
    page.locator(".card .open").click()
    page.click(f'#truths [data-label="{other}"][aria-pressed="true"]')
    expect_data(page.locator("#correction-words"), code="sent", label=other)
    assert [one.label for one in Feedback("pets").all()] == [other]


@ONCE
def test_why_a_correction_was_not_taken_is_said(page, classifier, serve):
    _, server = serve(classifier, most=0)
    page.goto(server.url)
    choose(page, photo("a.jpg", drawing()))
    wait_until_done(page, 1)
    page.locator(".card .open").click()
    say_it_is(page, NONE)
    expect_data(page.locator("#correction-words"), code="corrections-full")
    say_it_is(page, NONE)  # tries again
    expect_data(page.locator("#correction-words"), code="corrections-full")
    expect_data(page.locator("#detail"), truth=NONE)  # on the page, the word counts all the same
    page.complaints.clear()  # of the refusal itself


@ONCE
def test_after_a_failure_the_same_tap_tries_again(page, three):
    open_cats(page, three)
    page.route(CORRECTIONS, refuse, times=1)
    say_it_is(page, "dog")
    expect_data(page.locator("#correction-words"), code="corrections-full")
    say_it_is(page, "dog")
    expect_sent(page, "dog")
    page.complaints.clear()  # of the refusal


@ONCE
def test_the_last_word_counts_while_another_is_on_its_way(page, three):
    open_cats(page, three)
    let_through = hold_a_correction(page, "dog")
    page.click("#yes")
    say_it_is(page, NONE)
    let_through()
    expect_sent(page, NONE)


@ONCE
def test_a_yes_repairs_what_the_author_was_told_before_a_refusal(page, three):
    open_cats(page, three)
    say_it_is(page, "dog")
    expect_sent(page, "dog")
    page.route(CORRECTIONS, refuse, times=1)
    say_it_is(page, "owl")
    expect_data(page.locator("#correction-words"), code="corrections-full")
    page.click("#yes")
    expect_sent(page, "cat")
    page.complaints.clear()  # of the refusal


@ONCE
@pytest.mark.parametrize("again", ["cat", "dog"])
def test_what_is_cleared_and_undone_while_it_is_sent_can_be_said_again(page, three, again):
    open_cats(page, three)
    let_through = hold_a_correction(page, "dog")
    page.click("#close")
    page.click("#clear")
    page.click("#undo")
    with page.expect_response(CORRECTIONS):
        let_through()
    page.locator(".card .open").click()
    if again == "cat":
        page.click("#yes")
    else:  # nothing is taken back: the author may know it, or not
        say_it_is(page, again)
    expect_sent(page, again)


@ONCE
def test_nothing_is_sent_where_nothing_is_kept(page, backend):
    page.goto(backend.url)
    choose(page, photo("a.jpg", drawing()))
    wait_until_done(page, 1)
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    page.locator(".card .open").click()
    say_it_is(page, NONE)
    expect_data(page.locator("#marked"), wrong=1)
    expect(page.locator("#correction-note")).to_be_hidden()
    assert not [url for url in sent if not url.startswith("blob:")]


@pytest.mark.slow
@ONCE
def test_a_testers_word_goes_into_the_next_model(page, serve, tmp_path, monkeypatch):
    """One photo does not turn the answer of a network at random, but it counts."""
    folder = draw_folder(tmp_path / "pets", per_class=12)
    weights = tmp_path / "random.weights.h5"
    save_random(SMALL, weights)
    settings = {"DATA": str(folder), "MODEL_NAME": "pets", "ENGINE": "tensorflow", "BACKBONE": SMALL}
    for name, value in {**settings, f"{SMALL.upper()}_WEIGHTS": str(weights)}.items():
        monkeypatch.setenv(name, value)
    noise = np.random.default_rng(3).integers(0, 255, (40, 60, 3), np.uint8)
    strange = photo("strange.png", encoded(Image.fromarray(noise).resize((300, 200)), "PNG"), "image/png")
    best = page.locator(".card .class dt").first
    with kernel(FINE_TUNE) as (run, value):
        run()
        first, computed = value("model.id"), int(value("len(cache.digests(engines.chosen.engine_id))"))
        app, server = serve(load_classifier(bundle.read(bundle.find("pets")), "tensorflow"))
        versions = hot_reload.watch(app, "pets", "tensorflow", seconds=0.1)

        page.goto(server.url)
        choose(page, strange)
        wait_until_done(page, 1)
        said = best.text_content()
        really = {"cat": "dog", "dog": "cat"}[said]
        before = probability(app, strange, really)
        page.locator(".card .open").click()
        say_it_is(page, really)
        expect_data(page.locator("#correction-words"), code="sent", label=really)

        fix = "suggestions = review.suggestions"
        assert f"{first} said {said}, a tester said {really} → {really}" in run(fix, until="DECIDE =")
        letters = value("suggestions[0].photo.digest[:8]")
        assert really in run("DECIDE =", until="COMPARE_NETWORKS", DECIDE=f"{letters} {really}")
        run("from catdog.notebook import FeatureCache")
        assert int(value("len(cache.digests(engines.chosen.engine_id))")) == computed + 1
        assert value("[photo.split for photo in dataset.photos if 'corrections' in str(photo.path)]") == "['train']"
        second = value("model.id")
        assert second != first

    until(lambda: versions.serving.id == second)
    page.reload()
    expect_data(page.locator("#notice"), code="restored", photos=1)
    page.click("#clear")
    choose(page, strange)
    wait_until_done(page, 1)
    page.locator(".card .open").click()
    expect_data(page.locator("#detail-model"), model=second)
    assert probability(app, strange, really) > before + 0.05


def probability(app, chosen, label):
    """What the service says of a photo that the page has chosen."""
    images = {"images": (io.BytesIO(chosen["buffer"]), chosen["name"])}
    (prediction,) = app.test_client().post("/predict", data=images).json["predictions"]
    return prediction["probabilities"][label]

"""A tester says what a photo really is; the author accepts it, trains again, and the photo is right."""

import numpy as np
import pytest
from browser import ONCE, choose, expect_data, photo, wait_until_done
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


def test_a_correction_is_sent_once_it_is_clear_what_it_says(page, classifier, serve):
    _, server = serve(classifier)
    page.goto(server.url)
    choose(page, photo("a.jpg", drawing("cat", 1)), photo("b.jpg", drawing("cat", 2)))
    wait_until_done(page, 2)
    page.locator(".card .open").first.click()
    expect(page.locator("#correction")).to_be_visible()
    expect(page.locator("#correct")).to_be_disabled()
    page.select_option("#truth", "dog")
    page.click("#correct")
    expect_data(page.locator("#correction-words"), code="sent", label="dog")
    page.click("#next")
    expect(page.locator("#correction-words")).to_be_empty()
    page.focus("#neither")
    page.keyboard.press("Enter")
    expect_data(page.locator("#correction-words"), code="sent", label="none")
    assert [one.label for one in Feedback("pets").all()] == ["dog", None]


@ONCE
def test_the_keyboard_stays_in_the_dialog_after_a_correction(page, classifier, serve):
    _, server = serve(classifier)
    page.goto(server.url)
    choose(page, photo("a.jpg", drawing("cat", 1)), photo("b.jpg", drawing("cat", 2)))
    wait_until_done(page, 2)
    page.locator(".card .open").first.click()
    page.focus("#neither")
    for _ in range(2):  # the second while the first is on its way, or again
        page.keyboard.press("Enter")
    expect_data(page.locator("#correction-words"), code="sent", label="none")
    expect(page.locator("#neither")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#detail-name")).to_have_text("b.jpg")
    page.focus("#correct")
    page.keyboard.press("Enter")  # nothing is chosen, so nothing is sent
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#detail-name")).to_have_text("a.jpg")
    page.keyboard.press("Escape")
    assert {one.label for one in Feedback("pets").all()} == {None}


@ONCE
def test_why_a_correction_was_not_taken_is_said(page, classifier, serve):
    _, server = serve(classifier, most=0)
    page.goto(server.url)
    choose(page, photo("a.jpg", drawing()))
    wait_until_done(page, 1)
    page.locator(".card .open").click()
    page.click("#neither")
    expect_data(page.locator("#correction-words"), code="corrections-full")
    expect(page.locator("#neither")).to_be_enabled()
    page.complaints.clear()  # of the refusal itself


@ONCE
def test_nothing_is_offered_where_nothing_is_kept(page, backend):
    page.goto(backend.url)
    choose(page, photo("a.jpg", drawing()))
    wait_until_done(page, 1)
    page.locator(".card .open").click()
    expect(page.locator("#detail-label")).not_to_be_empty()
    expect(page.locator("#correction")).to_be_hidden()


@pytest.mark.slow
@ONCE
def test_from_a_wrong_answer_to_a_right_one(page, serve, tmp_path, monkeypatch):
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
        page.locator(".card .open").click()
        page.select_option("#truth", really)
        page.click("#correct")
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
    assert best.text_content() == really
    page.locator(".card .open").click()
    expect_data(page.locator("#detail-model"), model=second)

"""What survives a reload, how it is cleared, and what happens where the browser stores nothing."""

import pytest
from browser import (  # fmt: skip
    NONE,
    ONCE,
    choose,
    expect_connected,
    expect_data,
    labels,
    names,
    photo,
    say_it_is,
    wait_until_done,
)
from browser import browser as browser
from browser import page as page
from browser import service as service
from browser import watched as watched
from catdog.backend.app import create_app
from catdog.data.feedback import Feedback
from catdog.web.server import Server
from conftest import drawing, encoded, until
from PIL import Image
from playwright.sync_api import expect

DONE = '.card[data-state="done"]'
STORED = """() => new Promise((done, failed) => {
  const opened = indexedDB.open("catdog");
  opened.onerror = failed;
  opened.onsuccess = () => {
    const work = opened.result.transaction(["photos", "copies"]);
    const [records, copies] = ["photos", "copies"].map((name) => work.objectStore(name).getAll());
    work.oncomplete = () => { opened.result.close(); done([records.result, copies.result.length]); };
  };
})"""


def tiny(count, first=0):
    """Photos of some hundred bytes each."""
    return [
        photo(f"{seed}.png", encoded(Image.new("RGB", (16, 16), (seed, 9, 9)), "PNG"), "image/png")
        for seed in range(first, first + count)
    ]


def stored(page):
    """The records on the device; each has its copy."""
    records, copies = page.evaluate(STORED)
    assert copies == len(records)
    return records


def wait_until_stored(page, answered, photos=None):
    """So many photos are on the device, and so many of them have an answer or the reason for none."""

    def ready():
        records = stored(page)
        ended = sum(bool(one.get("answer") or one.get("code")) for one in records)
        return ended == answered and len(records) == (answered if photos is None else photos)

    until(ready)


def set_limits(page, **limits):
    page.evaluate(
        "limits => import('/page/store.js').then((store) => { Object.assign(store.limits, limits); })", limits
    )


@ONCE
def test_answers_survive_a_reload_in_their_order_and_are_not_asked_for_again(page, watched, service):
    page.goto(service.url)
    choose(page, *tiny(6), photo("words.jpg", b"words"))
    choose(page, photo("large.jpg", encoded(Image.effect_noise((900, 700), 90).convert("RGB"))))
    wait_until_done(page, 8)
    page.locator(".card .open").nth(2).click()
    truth = {"cat": "dog", "dog": "cat"}[labels(page)[2]]
    say_it_is(page, truth)
    page.click("#close")
    wait_until_stored(page, 8)
    before, asked = (names(page), labels(page)), len(watched.requests)
    page.reload()
    expect_data(page.locator("#notice"), code="restored", photos=8)
    wait_until_done(page, 8)
    assert (names(page), labels(page)) == before
    assert len(watched.requests) == asked
    page.locator(".card .open").nth(2).click()
    expect_data(page.locator("#detail"), truth=truth, wrong=True)
    page.click("#close")
    page.locator(".card .open").last.click()
    assert page.locator("#detail img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 512
    page.click("#close")
    choose(page, *tiny(1, 50))
    wait_until_done(page, 9)
    assert names(page) == [*before[0], "50.png"]


@ONCE
def test_photos_without_an_answer_are_sent_after_a_reload(page, watched, service):
    page.goto(service.url)
    choose(page, *tiny(2))
    wait_until_done(page, 2)
    watched.close()
    choose(page, *tiny(20, 2))
    wait_until_stored(page, 2, photos=22)
    page.reload()
    expect(page.locator(".card")).to_have_count(22)
    watched.open()
    expect(page.locator(DONE)).to_have_count(22)
    assert names(page) == [f"{seed}.png" for seed in range(22)]
    assert watched.answered["0.png"] == watched.answered["1.png"] == 1


@ONCE
def test_a_label_file_survives_a_reload(page, service):
    page.goto(service.url)
    choose(page, *tiny(2))
    wait_until_done(page, 2)
    page.set_input_files("#archive", photo("a.csv", b"name,label\n0.png,cat\n1.png,dog\n", "text/csv"))
    expect_data(page.locator("#accuracy"), known=2)
    until(lambda: [one.get("label") for one in stored(page)] == ["cat", "dog"])
    page.reload()
    expect_data(page.locator("#accuracy"), known=2)


@ONCE
def test_a_restored_answer_names_the_model_that_gave_it(page, service, classifier):
    def earlier(route):
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "model": "pets/earlier"})

    page.goto(service.url)
    page.route("**/predict", earlier)
    choose(page, *tiny(1))
    wait_until_done(page, 1)
    wait_until_stored(page, 1)
    page.unroute("**/predict")
    page.reload()
    expect_connected(page)
    expect_data(page.locator("#model"), model=classifier.bundle.id)
    page.locator(".card .open").click()
    expect_data(page.locator("#detail-model"), model="pets/earlier")


@ONCE
def test_a_second_tab_starts_empty_and_a_new_one_takes_over_from_those_that_are_gone(page, watched, service):
    page.goto(service.url)
    watched.close()
    choose(page, *tiny(3))
    wait_until_stored(page, 0, photos=3)
    second = page.context.new_page()
    second.goto(service.url)
    expect_connected(second)
    choose(second, *tiny(1, 90))
    until(lambda: len(stored(second)) == 4)
    assert names(second) == ["90.png"]
    page.context.new_page()  # or the browser might end with its last tab
    for tab in (page, second):
        tab.close()
    watched.open()
    third = page.context.pages[0]
    third.goto(service.url)
    expect(third.locator(DONE)).to_have_count(4)
    assert names(third) == ["0.png", "1.png", "2.png", "90.png"]


@ONCE
def test_clear_removes_all_from_the_device_and_can_be_undone(page, watched, service):
    page.goto(service.url)
    choose(page, *tiny(3), photo("words.jpg", b"words"))
    wait_until_done(page, 4)
    wait_until_stored(page, 4)
    before = names(page), labels(page)
    page.click("#clear")
    expect_data(page.locator("#cleared p"), photos=4)
    expect(page.locator("#run")).to_be_hidden()
    until(lambda: stored(page) == [])
    page.click("#undo")
    wait_until_done(page, 4)
    assert (names(page), labels(page)) == before
    expect(page.locator("#cleared")).to_be_hidden()
    expect(page.locator("#clear")).to_be_focused()
    wait_until_stored(page, 4)
    page.locator(".card .remove").first.click()
    until(lambda: len(stored(page)) == 3)
    assert watched.answered == {"0.png": 1, "1.png": 1, "2.png": 1, "words.jpg": 1}
    page.click("#clear")
    until(lambda: stored(page) == [])
    page.reload()
    expect_connected(page)
    expect(page.locator(".card")).to_have_count(0)
    expect(page.locator("#notice")).to_be_empty()


@ONCE
def test_photos_that_were_removed_come_back_to_their_places(page, service):
    page.goto(service.url)
    choose(page, *tiny(5))
    wait_until_done(page, 5)
    before = names(page)
    page.locator(".card .open").nth(1).click()
    page.dblclick("#detail-remove")  # or the next photo, which is in the dialog by then, would go, too
    expect(page.locator("#detail-name")).to_have_text("2.png")
    page.click("#close")
    expect_data(page.locator("#cleared p"), photos=1)
    page.locator(".card .remove").nth(2).dblclick()
    expect_data(page.locator("#cleared p"), photos=2)
    expect(page.locator(".card")).to_have_count(3)
    assert names(page) == ["0.png", "2.png", "4.png"]
    page.click("#undo")
    expect(page.locator(".card")).to_have_count(5)
    assert names(page) == before
    with page.expect_download() as download:
        page.click("#csv")
    rows = download.value.path().read_text(encoding="utf-8").splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == before
    wait_until_stored(page, 5)


@ONCE
def test_what_was_under_way_when_it_was_cleared_is_sent_after_undo(page, watched, service):
    page.goto(service.url)
    watched.close()
    choose(page, *tiny(6))
    until(lambda: watched.now)
    page.click("#clear")
    page.click("#undo")
    watched.open()
    expect(page.locator(DONE)).to_have_count(6)
    assert names(page) == [f"{seed}.png" for seed in range(6)]
    wait_until_stored(page, 6)


@ONCE
def test_undo_is_offered_for_ten_seconds(page, service):
    page.clock.install()
    page.goto(service.url)
    choose(page, *tiny(1))
    page.clock.run_for(1_000)
    expect(page.locator(".card")).to_have_count(1)
    page.clock.pause_at(page.evaluate("Date.now() + 1000"))
    page.click("#clear")
    page.clock.run_for(9_000)
    expect(page.locator("#undo")).to_be_visible()
    page.clock.run_for(2_000)
    expect(page.locator("#cleared")).to_be_hidden()


@ONCE
@pytest.mark.parametrize("limits", [{"photos": 3}, {"bytes": 250}], ids=["photos", "bytes"])
def test_the_oldest_photos_go_with_a_word(page, service, limits):
    page.goto(service.url)
    set_limits(page, **limits)
    sizes = {len(item["buffer"]) for item in tiny(5)}
    assert all(3 * size <= 250 < 4 * size for size in sizes), sizes
    choose(page, *tiny(5))
    wait_until_done(page, 5)
    wait_until_stored(page, 3)
    expect_data(page.locator("#kept"), code="newest-kept", photos=3)
    page.reload()
    wait_until_done(page, 3)
    assert names(page) == ["2.png", "3.png", "4.png"]
    expect(page.locator("#kept")).to_be_empty()


REFUSALS = {
    "missing": "Object.defineProperty(window, 'indexedDB', { value: undefined })",
    "forbidden": "Object.defineProperty(window, 'indexedDB', { "
    "get() { throw new DOMException('no', 'SecurityError'); } })",
    "refused": "IDBFactory.prototype.open = () => { const request = {}; "
    "setTimeout(() => request.onerror()); return request; }",
    "full": "IDBObjectStore.prototype.put = () => { throw new DOMException('no', 'QuotaExceededError'); }",
}


@ONCE
@pytest.mark.parametrize("refusal", REFUSALS)
def test_where_nothing_can_be_stored_the_page_works_and_says_so_when_it_matters(page, service, refusal):
    page.add_init_script(REFUSALS[refusal])
    page.goto(service.url)
    choose(page, *tiny(5))
    wait_until_done(page, 5)
    expect_data(page.locator("#status"), done=5, working=False)
    expect(page.locator("#kept")).to_be_empty()
    choose(page, *tiny(1, 5))
    expect_data(page.locator("#kept"), code="not-kept")
    expect(page.locator("#kept")).not_to_be_empty()
    wait_until_done(page, 6)
    page.click("#clear")
    page.click("#undo")
    wait_until_done(page, 6)


@ONCE
def test_a_connection_to_the_device_that_is_closed_is_opened_again(page, service):
    """iOS closes it while the page is in the background."""
    page.add_init_script("""
      const begin = IDBDatabase.prototype.transaction;
      window.closeAll = () => { for (const one of window.opened) one.close(); };
      window.opened = new Set();
      IDBDatabase.prototype.transaction = function (...about) {
        window.opened.add(this);
        return begin.apply(this, about);
      };
    """)
    page.goto(service.url)
    choose(page, *tiny(1))
    wait_until_done(page, 1)
    wait_until_stored(page, 1)
    page.evaluate("closeAll()")
    choose(page, *tiny(1, 1))
    wait_until_done(page, 2)
    wait_until_stored(page, 2)


@pytest.fixture
def corrected(page, classifier, own_places):
    """A service that keeps corrections, with a photo that is open."""
    server = Server(create_app(classifier, feedback=Feedback("pets")), "127.0.0.1", 0)
    page.goto(server.url)
    choose(page, photo("a.jpg", drawing()))
    wait_until_done(page, 1)
    page.locator(".card .open").click()
    yield page
    server.stop()


@ONCE
def test_a_correction_that_was_sent_survives_a_reload(corrected):
    say_it_is(corrected, NONE)
    expect_data(corrected.locator("#correction-words"), code="sent", label=NONE)
    until(lambda: "correction" in stored(corrected)[0])
    corrected.reload()
    corrected.locator(".card .open").click()
    expect_data(corrected.locator("#correction-words"), code="sent", label=NONE)
    assert len(Feedback("pets").all()) == 1


@ONCE
@pytest.mark.parametrize("again", ["yes", NONE])
def test_a_correction_whose_answer_a_reload_did_not_wait_for_is_sent_once_more(corrected, again):
    """The author may know it, or not."""
    held = []
    corrected.route("**/corrections", lambda route: held.append(route), times=1)
    say_it_is(corrected, NONE)
    until(lambda: stored(corrected)[0].get("told") == NONE and held)
    corrected.reload()
    held[0].abort()
    corrected.locator(".card .open").click()
    said = corrected.get_attribute("#detail", "data-label")
    if again == "yes":
        corrected.click("#yes")
    else:
        say_it_is(corrected, NONE)
    expect_data(corrected.locator("#correction-words"), code="sent", label=said if again == "yes" else NONE)
    assert [one.label for one in Feedback("pets").all()] == [said if again == "yes" else None]


# Where what shows the photos does not come

ANSWERS = "**/page/answers.js"
GATE = """() => {
  const read = Blob.prototype.arrayBuffer, later = window.setTimeout;
  const opened = new Promise((open) => (window.openGate = open));
  Blob.prototype.arrayBuffer = function () { return opened.then(() => read.call(this)); };
  window.setTimeout = (act, ...after) => (after[0] === 3000 ? 0 : later(act, ...after)); // to wait as long as it takes
}"""


def look_again(page):
    """See whether the link is back."""
    page.evaluate("import('/page/batch.js').then((batch) => batch.tryAgain())")


@ONCE
def test_photos_that_are_stored_appear_as_soon_as_what_shows_them_comes(page, service):
    page.clock.install()
    page.goto(service.url)
    choose(page, *tiny(1))
    wait_until_done(page, 1)
    wait_until_stored(page, 1)
    page.route(ANSWERS, lambda route: route.abort())
    page.reload()
    expect_data(page.locator("#notice"), code="not-loaded")
    page.evaluate("window.isTheSame = true")
    page.unroute(ANSWERS)
    page.clock.fast_forward(20_000)  # milliseconds: it looks by itself whether they come
    wait_until_done(page, 1)
    expect(page.locator("#notice")).to_be_empty()
    assert page.evaluate("window.isTheSame")
    page.complaints.clear()  # of the script


@ONCE
def test_a_photo_that_is_being_stored_when_the_link_is_back_is_there_after_the_reload(page, service):
    page.goto(service.url)
    expect_connected(page)
    page.route(ANSWERS, lambda route: route.abort())
    page.route("**/model", lambda route: route.abort())
    choose(page, *tiny(1))
    expect_data(page.locator("#notice"), code="not-loaded", stored=True)
    page.evaluate(GATE)
    choose(page, *tiny(1, 1))
    page.unroute("**/model")
    look_again(page)  # nothing is loaded again yet
    with page.expect_navigation():
        page.evaluate("openGate()")
    page.unroute(ANSWERS)
    wait_until_done(page, 2)
    assert names(page) == ["0.png", "1.png"]
    page.complaints.clear()  # of the link


@ONCE
@pytest.mark.parametrize("photos", [0, 1])
def test_a_table_that_comes_too_early_is_named_and_read_later(page, service, photos):
    page.goto(service.url)
    expect_connected(page)
    page.route(ANSWERS, lambda route: route.abort())
    page.evaluate("window.isTheSame = true")
    page.set_input_files("#archive", photo("labels.csv", b"name,label\n0.png,cat\n", "text/csv"))
    expect_data(page.locator("#notice"), code="not-loaded not-loaded", stored=False)
    expect(page.locator("#notice")).to_contain_text("labels.csv")
    if photos:
        choose(page, *tiny(1))
        until(lambda: len(stored(page)) == 1)
    look_again(page)
    assert page.evaluate("window.isTheSame")  # a reload would lose the table
    page.unroute(ANSWERS)
    look_again(page)
    expect_data(page.locator("#notice"), code="labels-read", labels=1)
    choose(page, *tiny(1))
    wait_until_done(page, photos + 1)
    expect_data(page.locator("#accuracy"), known=photos + 1)
    page.complaints.clear()  # of the script

"""The page at the end of a link: the access code, ngrok's own answers, and networks that fail."""

import threading

import pytest
from browser import (  # fmt: skip
    NONE,
    PHONE,
    choose,
    expect_connected,
    expect_data,
    expect_trouble,
    labels,
    load_answers,
    photo,
    say_it_is,
    wait_until_done,
)
from browser import browser as browser
from browser import serve as serve
from catdog.backend.app import create_app
from catdog.data.feedback import Feedback
from catdog.frontend.page import create_page_app
from catdog.frontend.words import read_words
from catdog.web.server import Server
from conftest import drawing, until
from playwright.sync_api import expect

CODE = "right-code_1"
CORS = [("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Headers", "authorization, *")]
VISIT = (
    "<!doctype html><title>ngrok</title><h1>You are about to visit this site</h1>"
    "<button onclick=\"document.cookie = 'visited=1'; location.reload()\">Visit Site</button>"
)

WARNED, OFFLINE, TOO_MANY = "ngrok-6024", "ngrok-3200", "ngrok-734"
_PROBLEMS = read_words("en")["script"]["problems"]
WITH_A_SENTENCE = {int(code.removeprefix("ngrok-")) for code in _PROBLEMS if code.startswith("ngrok-")}


class Gate:
    """Holds the requests that arrive until it is opened."""

    def __init__(self):
        self._arrived, self._opened = threading.Event(), threading.Event()

    def pass_through(self):
        self._arrived.set()
        assert self._opened.wait(30)

    def wait_for_one(self):
        assert self._arrived.wait(30)

    def open(self):
        self._opened.set()


class Link:
    """A link to `app` with ngrok's own answers in between.

    `error` is the number of the one that everything gets; with `warns`, browsers get its warning page until they
    have clicked it away, or bring the header where it `heeds` that. Neither lets other origins read it, unless
    `readable`. `gates` hold the requests to their paths.
    """

    def __init__(self, app):
        self.app, self.error, self.warns, self.heeds, self.readable = app, 0, False, True, False
        self.gates = {}
        self.seen = []  # (method, path and query, what stood in Authorization)

    def __call__(self, environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        query = environ.get("QUERY_STRING", "")
        self.seen.append((method, f"{path}?{query}", environ.get("HTTP_AUTHORIZATION")))
        if path in self.gates and method != "OPTIONS":
            self.gates[path].pass_through()
        if self.error and not (method == "OPTIONS" and self.readable):
            return self._own(start_response, "404 Not Found", self.error, "<h1>ngrok</h1>")
        if self.warns and method != "OPTIONS" and not self._let_through(environ):
            return self._own(start_response, "200 OK", 6024, VISIT)
        return self.app(environ, start_response)

    def _let_through(self, environ):
        asked_to = self.heeds and "HTTP_NGROK_SKIP_BROWSER_WARNING" in environ
        return asked_to or "visited=1" in environ.get("HTTP_COOKIE", "")

    def _own(self, start_response, status, number, body):
        headers = [("Content-Type", "text/html"), ("ngrok-error-code", f"ERR_NGROK_{number}")]
        start_response(status, headers + (CORS if self.readable else []))
        # Only where another origin may read it, so that the header has to do elsewhere.
        return [f"{body}{f'<p>ERR_NGROK_{number}' if self.readable else ''}".encode()]

    def asked(self, path):
        return [seen for seen in self.seen if seen[1] == f"{path}?" and seen[0] != "OPTIONS"]


@pytest.fixture(scope="module")
def locked_app(classifier):
    return create_app(classifier, ACCESS_CODE=CODE)


@pytest.fixture
def link(app):
    return Link(app)


@pytest.fixture
def locked(locked_app):
    return Link(locked_app)


@pytest.fixture
def tab(browser):
    """An empty tab on a phone. That the console stays empty is not asked: failed requests are logged there."""
    context = browser.new_context(viewport=PHONE)
    page = context.new_page()
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    yield page
    assert not page.errors
    context.close()


def one_photo(tab, name="a.jpg"):
    choose(tab, photo(name, drawing()))


def expect_answered(tab, count=1):
    expect(tab.locator('.card[data-state="done"]')).to_have_count(count, timeout=60_000)


def expect_refused(tab, code):
    """The link is in the way: it is said once, and the photo waits."""
    expect(tab.locator(f'#trouble p[data-code="{code}"]')).to_be_visible()
    expect(tab.locator("#again")).to_be_visible()
    expect(tab.locator('.card[data-state="waiting"]')).to_have_count(1)


def enter(tab, text):
    tab.fill("#code", text)
    tab.click("#access button")


def visit_in_a_new_tab(tab):
    """Follow the link to what stands in the way, and click it away."""
    expect(tab.locator("#notice")).to_be_empty()  # what is below moves when "Reading" is gone
    with tab.context.expect_page() as opened:
        tab.click("#open")
    opened.value.click("text=Visit Site")
    expect_connected(opened.value)
    return opened.value


def closed_port():
    server = Server(lambda *_: [], "127.0.0.1", 0)
    server.stop()
    return server.port


# ngrok's own answers


def test_from_another_address_the_warning_page_is_skipped(tab, link, serve):
    link.warns = True
    tab.goto(serve(create_page_app(serve(link))))
    expect_connected(tab)
    one_photo(tab)
    expect_answered(tab)
    assert "OPTIONS" in {method for method, *_ in link.seen}


def test_a_tester_clicks_the_warning_away_and_the_code_is_still_there(tab, locked, serve):
    locked.warns = True
    tab.goto(f"{serve(locked)}/#code={CODE}")
    tab.click("text=Visit Site")
    expect_connected(tab)
    assert tab.url.endswith(f"/#code={CODE}")
    one_photo(tab)
    expect_answered(tab)


def test_a_warning_that_comes_later_is_opened_clicked_away_and_tried_again(tab, locked, serve):
    tab.goto(f"{serve(locked)}/#code={CODE}")
    expect_connected(tab)
    load_answers(tab)
    locked.warns, locked.heeds = True, False
    one_photo(tab)
    expect_refused(tab, WARNED)
    visit_in_a_new_tab(tab)
    tab.click("#again")
    expect_answered(tab)
    expect(tab.locator("#open")).to_be_hidden()


@pytest.mark.parametrize(("readable", "code"), [(True, WARNED), (False, "something-else")])
def test_a_warning_that_cannot_be_skipped_leads_to_the_page_behind_it(tab, locked, serve, readable, code):
    locked.warns, locked.heeds, locked.readable = True, False, readable
    address = serve(locked)
    tab.goto(f"{serve(create_page_app(address))}/#code={CODE}")
    expect_trouble(tab, code)
    one_photo(tab)
    expect_refused(tab, code)
    assert tab.locator("#open").get_attribute("href") == f"{address}/#code={CODE}"
    assert tab.locator("#open").get_attribute("rel") == "noopener"
    there = visit_in_a_new_tab(tab)
    one_photo(there)
    expect_answered(there)


@pytest.mark.parametrize(("readable", "code"), [(True, OFFLINE), (False, "something-else")])
def test_a_link_that_is_offline_from_another_address(tab, link, serve, readable, code):
    link.error, link.readable = 3200, readable
    tab.goto(serve(create_page_app(serve(link))))
    expect_trouble(tab, code)
    one_photo(tab)
    expect_refused(tab, code)
    expect(tab.locator("#open")).to_be_visible(visible=not readable)


@pytest.mark.parametrize("number", [*sorted(WITH_A_SENTENCE), 9999])
def test_each_of_ngroks_codes_has_its_sentence(tab, link, serve, number):
    tab.goto(serve(link))
    expect_connected(tab)
    load_answers(tab)
    link.error = number
    one_photo(tab)
    if number == 734:
        expect_data(tab.locator("#status"), code=TOO_MANY, seconds=60)
    else:
        expect_refused(tab, f"ngrok-{number}")
    if number == 9999:
        expect(tab.locator("#trouble p")).to_contain_text("ERR_NGROK_9999")
    expect(tab.locator("#open")).to_be_visible(visible=number == 6024)


def test_a_photo_that_is_named_like_a_code_is_answered(tab, link, serve):
    tab.goto(serve(link))
    one_photo(tab, "ERR_NGROK_3200.jpg")
    expect_answered(tab)


def test_trouble_at_the_start_can_be_tried_again_without_a_photo(tab, link, serve):
    link.error, link.readable = 734, True
    tab.goto(serve(create_page_app(serve(link))))
    expect_trouble(tab, TOO_MANY)
    link.error = 0
    tab.click("#again")
    expect_connected(tab)
    expect(tab.locator("#again")).to_be_hidden()


# Networks that fail


def test_where_nothing_listens_the_page_says_so_and_recovers(tab, link, serve):
    port = closed_port()
    tab.goto(serve(create_page_app(f"http://127.0.0.1:{port}")))
    expect_trouble(tab, "unreachable")
    one_photo(tab)
    expect_refused(tab, "unreachable")
    expect(tab.locator("#open")).to_be_hidden()
    serve(link, port)
    tab.click("#again")
    expect_answered(tab)
    expect_connected(tab)
    expect(tab.locator("#again")).to_be_hidden()


def test_a_line_that_is_silent_is_given_up_and_looked_at_again(tab, link, serve):
    """The page's clock is ours."""
    address = serve(link)
    tab.clock.install()
    link.gates["/model"] = link.gates["/healthz"] = Gate()
    tab.goto(address)
    link.gates["/model"].wait_for_one()
    tab.clock.run_for(11_000)
    until(lambda: tab.evaluate("1") and link.asked("/healthz"))
    tab.clock.run_for(11_000)
    expect_trouble(tab, "unreachable")
    link.gates["/model"].open()
    tab.clock.run_for(5_000)
    expect(tab.locator("#trouble")).to_be_hidden()
    expect_connected(tab)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_phone_without_a_network(tab, link, serve, elsewhere):
    address = serve(link)
    tab.goto(serve(create_page_app(address)) if elsewhere else address)
    expect_connected(tab)
    load_answers(tab)
    tab.context.set_offline(True)
    one_photo(tab)
    expect_refused(tab, "offline")
    tab.context.set_offline(False)
    expect_answered(tab)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_connection_that_breaks_off_is_not_blamed_on_the_service(tab, link, serve, elsewhere):
    address = serve(link)
    tab.goto(serve(create_page_app(address)) if elsewhere else address)
    tab.route("**/predict", lambda route: route.abort("connectionreset"))
    one_photo(tab)
    wait_until_done(tab, 1)
    assert labels(tab) == ["connection-broken"]
    expect(tab.locator("#trouble")).to_be_hidden()
    tab.unroute("**/predict")
    tab.click("#retry-all")
    expect_answered(tab)


@pytest.mark.parametrize(("script", "file"), [("table", "labels.csv"), ("zip", "photos.zip")])
def test_a_part_of_the_page_that_does_not_come_is_told(tab, link, serve, script, file):
    tab.goto(serve(link))
    one_photo(tab)
    expect_answered(tab)
    tab.route(f"**/page/{script}.js", lambda route: route.abort())
    tab.set_input_files("#archive", photo(file, b"name,label\na.jpg,cat\n", ""))
    expect_data(tab.locator("#notice"), code="not-loaded")
    tab.unroute_all()
    tab.set_input_files("#archive", photo(file, b"name,label\na.jpg,cat\n", ""))
    expect_data(tab.locator("#notice"), code={"table": "labels-read", "zip": "zip-unreadable"}[script])


def test_an_address_that_is_none_is_told_like_a_missing_one(tab, serve):
    tab.goto(serve(create_page_app("https://")))
    expect_trouble(tab, "no-service")


# The access code


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_link_with_the_code_works_and_keeps_it_out_of_every_request(tab, locked, serve, elsewhere):
    address, links = serve(locked), [locked]
    if elsewhere:
        links.append(Link(create_page_app(address)))
        address = serve(links[-1])
    for count in (1, 2):  # and once more after loading it again
        tab.goto(f"{address}/#code={CODE}")
        tab.reload()
        expect_connected(tab)
        one_photo(tab)
        expect_answered(tab, count)
        expect(tab.locator("#access")).to_be_hidden()
        assert tab.url == f"{address}/#code={CODE}"
    for path in ("/model", "/predict"):
        assert {code for *_, code in locked.asked(path)} == {f"Bearer {CODE}"}
    assert not [seen for link in links for seen in link.seen if CODE in seen[1]]


def test_without_a_code_nothing_of_it_is_sent(tab, link, serve):
    tab.goto(serve(link))
    one_photo(tab)
    expect_answered(tab)
    assert {code for *_, code in link.seen} == {None}


@pytest.mark.parametrize("elsewhere", [False, True])
def test_photos_wait_for_the_code_and_are_then_answered(tab, locked, serve, elsewhere):
    address = serve(locked)
    tab.goto(serve(create_page_app(address)) if elsewhere else address)
    expect(tab.locator("#code")).to_be_focused()
    choose(tab, *(photo(f"{seed}.jpg", drawing("cat", seed)) for seed in range(9)))
    expect(tab.locator('.card[data-state="waiting"][data-code="code-missing"]')).to_have_count(9)
    enter(tab, "wrong-code")
    expect_data(tab.locator("#refusal[role=status]"), code="code-wrong")
    expect(tab.locator("#code")).to_be_focused()
    expect(tab.locator("#code")).to_have_attribute("aria-invalid", "true")
    assert not locked.asked("/predict")
    enter(tab, CODE)
    expect_answered(tab, 9)
    expect(tab.locator("#access")).to_be_hidden()
    expect_connected(tab)
    expect(tab.locator("#photos")).to_be_focused()
    assert tab.locator(".filename").all_inner_texts() == [f"{seed}.jpg" for seed in range(9)]
    tab.reload()
    expect_connected(tab)


def test_a_service_that_starts_to_ask_for_a_code(tab, link, locked_app, serve):
    tab.goto(serve(link))
    expect_connected(tab)
    link.app = locked_app
    choose(tab, *(photo(f"{seed}.jpg", drawing("dog", seed)) for seed in range(9)))
    expect(tab.locator("#code")).to_be_focused()
    expect(tab.locator('.card[data-state="waiting"]')).to_have_count(9)
    enter(tab, CODE)
    expect_answered(tab, 9)


def test_a_correction_asks_for_the_code_and_can_be_sent_with_it(tab, classifier, serve, own_places):
    link, feedback = Link(create_app(classifier, feedback=Feedback("pets"))), Feedback("pets")
    tab.goto(serve(link))
    one_photo(tab)
    expect_answered(tab)
    tab.locator(".card .open").click()
    link.app = create_app(classifier, feedback=feedback, ACCESS_CODE=CODE)
    say_it_is(tab, NONE)
    expect(tab.locator("#code")).to_be_focused()
    expect(tab.locator("#detail")).to_be_hidden()
    enter(tab, CODE)
    expect(tab.locator("#access")).to_be_hidden()
    tab.locator(".card .open").click()
    expect_data(tab.locator("#correction-words"), code="code-missing")
    say_it_is(tab, NONE)
    expect_data(tab.locator("#correction-words"), code="sent")
    assert [one.label for one in feedback.all()] == [None]


def test_requests_that_are_refused_at_once_ask_once(tab, locked, serve):
    locked.gates = {"/model": Gate(), "/predict": Gate()}
    tab.goto(serve(locked))
    one_photo(tab)
    locked.gates["/predict"].wait_for_one()
    locked.gates["/model"].open()
    expect(tab.locator("#code")).to_be_focused()
    tab.fill("#code", CODE)
    tab.focus("#access button")
    locked.gates["/predict"].open()
    expect_data(tab.locator(".card"), state="waiting", code="code-missing")
    assert len(locked.asked("/model")) == len(locked.asked("/predict")) == 1
    expect(tab.locator("form:visible")).to_have_count(1)
    expect(tab.locator("#refusal")).to_be_empty()
    expect(tab.locator("#access button")).to_be_focused()
    tab.keyboard.press("Enter")
    expect_answered(tab)


def test_a_refusal_that_comes_after_the_code_does_not_ask_again(tab, locked, serve):
    locked.gates = {"/model": Gate(), "/predict": Gate()}
    tab.goto(serve(locked))
    one_photo(tab)
    locked.gates["/predict"].wait_for_one()  # under way without a code
    locked.gates["/model"].open()
    expect(tab.locator("#access")).to_be_visible()
    enter(tab, CODE)
    expect(tab.locator("#access")).to_be_hidden()
    tab.evaluate(
        "new MutationObserver(() => document.body.dataset.asked = 'again')"
        ".observe(document.getElementById('access'), {attributeFilter: ['hidden']})"
    )
    locked.gates["/predict"].open()
    expect_answered(tab)
    assert [code for *_, code in locked.asked("/predict")] == [None, f"Bearer {CODE}"]
    assert tab.locator("body").get_attribute("data-asked") is None


def test_the_code_follows_the_link_in_the_address_bar(tab, locked, serve):
    tab.goto(f"{serve(locked)}/#code=old-code")
    expect_data(tab.locator("#refusal"), code="code-wrong")
    one_photo(tab)
    tab.evaluate(f"location.hash = '#code={CODE}'")
    expect_answered(tab)
    expect(tab.locator("#access")).to_be_hidden()


def test_what_an_old_code_is_answered_too_late_changes_nothing(tab, locked, serve):
    first, second = Gate(), Gate()
    locked.gates["/model"] = first
    tab.goto(f"{serve(locked)}/#code=old-code")
    first.wait_for_one()
    locked.gates["/model"] = second
    tab.evaluate(f"location.hash = '#code={CODE}'")
    second.open()
    expect_connected(tab)
    with tab.expect_response("**/model"):
        first.open()
    one_photo(tab)
    expect_answered(tab)
    expect(tab.locator("#access")).to_be_hidden()
    expect_connected(tab)


def test_a_code_typed_in_place_of_a_wrong_one_also_mends_the_link(tab, locked, serve):
    address = serve(locked)
    tab.goto(f"{address}/#code=old-code")
    expect_data(tab.locator("#refusal"), code="code-wrong")
    enter(tab, CODE)
    expect_connected(tab)
    assert tab.url == f"{address}/#code={CODE}"
    tab.reload()
    expect_connected(tab)


@pytest.mark.parametrize("typed", [f"  {CODE} ", f"https://a-b.example/#code={CODE}", f"#code={CODE}"])
def test_a_code_may_be_pasted_as_it_comes(tab, locked, serve, typed):
    tab.goto(serve(locked))
    enter(tab, typed)
    expect_connected(tab)


def test_what_cannot_be_a_code_is_said_without_asking_the_service(tab, locked, serve):
    tab.goto(serve(locked))
    expect(tab.locator("#code")).to_be_focused()
    enter(tab, "ключ …")
    expect_data(tab.locator("#refusal"), code="code-characters")
    expect(tab.locator("#refusal")).not_to_be_empty()
    assert len(locked.asked("/model")) == 1


def test_trouble_while_the_code_is_checked_is_said_beside_it(tab, locked, serve):
    tab.goto(serve(locked))
    expect(tab.locator("#code")).to_be_focused()
    locked.error = 734
    enter(tab, CODE)
    expect_data(tab.locator("#refusal"), code=TOO_MANY)
    locked.error = 0
    tab.click("#access button")
    expect_connected(tab)
    expect(tab.locator("#again")).to_be_hidden()


def test_where_nothing_can_be_stored_the_code_works_all_the_same(tab, locked, serve):
    tab.add_init_script(
        "Object.defineProperty(window, 'sessionStorage', {get() { throw new DOMException('no', 'SecurityError'); }})"
    )
    address = serve(locked)
    tab.goto(address)
    enter(tab, CODE)
    expect_connected(tab)
    tab.goto(f"{address}/#code={CODE}")
    tab.reload()
    expect_connected(tab)


def test_the_code_by_keyboard_alone(tab, locked, serve):
    tab.goto(serve(locked))
    expect(tab.locator("#code")).to_be_focused()
    tab.keyboard.press("Enter")  # nothing is typed yet, and the browser says so
    tab.keyboard.type("wrong-code")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Continue"
    tab.keyboard.press("Enter")
    expect_data(tab.locator("#refusal"), code="code-wrong")
    expect(tab.locator("#code")).to_be_focused()
    tab.keyboard.press("Control+A")
    tab.keyboard.type(CODE)
    tab.keyboard.press("Enter")
    expect(tab.locator("#photos")).to_be_focused()


def test_axe_finds_nothing_and_nothing_is_too_wide_with_the_form_and_the_link_shown(tab, locked, serve):
    from axe_playwright_python.sync_playwright import Axe

    def look():
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        for scheme in ("light", "dark"):
            tab.emulate_media(color_scheme=scheme)
            found = Axe().run(tab, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
            assert found.violations_count == 0, found.generate_report()

    tab.goto(serve(locked))
    expect(tab.locator("#code")).to_be_focused()
    look()
    enter(tab, "wrong-code" * 20)
    expect_data(tab.locator("#refusal"), code="code-wrong")
    look()
    enter(tab, CODE)
    expect_connected(tab)
    load_answers(tab)
    locked.error = 6024
    one_photo(tab)
    expect_refused(tab, WARNED)
    expect(tab.locator("#open")).to_be_visible()
    look()

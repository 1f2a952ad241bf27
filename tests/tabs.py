"""A tab of Chromium, Firefox or WebKit, which the tests of every browser use without knowing which one it is.

Playwright drives Chromium and Firefox. It cannot drive the WebKit that Debian has; Selenium can.
"""

import os
import subprocess
import time
from contextlib import contextmanager
from functools import partial

import get_browser
import pytest
from browser import DESK, chromium, complaints_of
from playwright.sync_api import sync_playwright
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import WebKitGTK
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select
from selenium.webdriver.webkitgtk.options import Options
from selenium.webdriver.webkitgtk.service import Service
from werkzeug import Response

SECONDS, BETWEEN_LOOKS = 60, 0.05  # what is late on a slow machine is not wrong
PHONE_WIDTH = 390

# Headless Firefox has no mouse, if nobody says that it has, and then the page is one for fingers.
_MOUSE = {"ui.primaryPointerCapabilities": 6, "ui.allPointerCapabilities": 6}
_HARMLESS_IN_FIREFOX = "Image corrupt or truncated"  # of every picture that it cannot show


class Tab:
    """What a test does in a tab and sees there.

    Elements are named by their CSS selectors. A script is a JavaScript function of the arguments that follow it.
    Whatever a test expects, it waits for.
    """

    def __init__(self, *harmless):
        self._harmless = list(harmless)

    def show(self, server, phone=False):
        """Load the server's page, as wide as on a desk or on a phone."""
        raise NotImplementedError

    def choose(self, css, *photos):
        raise NotImplementedError

    def click(self, css):
        raise NotImplementedError

    def enter(self, css, text):
        raise NotImplementedError

    def select(self, css, value):
        raise NotImplementedError

    def run(self, script, *arguments):
        """What the script returns."""
        raise NotImplementedError

    def all_complaints(self):
        """Errors and warnings, refusals of the Content Security Policy, promises that nobody caught."""
        raise NotImplementedError

    def close(self):
        raise NotImplementedError

    def forgive(self, words):
        """Complaints with these words in them are what the test brings about."""
        self._harmless.append(words)

    def complaints(self):
        """What the browser complained of and should not have."""
        return [said for said in self.all_complaints() if not any(words in said for words in self._harmless)]

    def expect(self, wanted, script, *arguments):
        """Wait until the script returns what is wanted."""
        deadline = time.monotonic() + SECONDS
        while (found := self.run(script, *arguments)) != wanted:
            assert time.monotonic() < deadline, f"{found}, not {wanted}: {script} {arguments}"
            time.sleep(BETWEEN_LOOKS)

    def expect_data(self, css, **facts):
        """What stands in the data- attributes of the one element, whatever it says."""
        texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in facts.items()}
        self.expect(texts, _DATA, css, list(texts))

    def expect_count(self, count, css):
        self.expect(count, "css => document.querySelectorAll(css).length", css)

    def expect_visible(self, css, visible=True):
        self.expect(visible, "css => document.querySelector(css).checkVisibility()", css)

    def texts(self, css):
        return self.run("css => Array.from(document.querySelectorAll(css), (one) => one.textContent)", css)


_DATA = """(css, names) => {
  const element = document.querySelector(css);
  const attribute = (name) => element?.getAttribute(`data-${name.replaceAll("_", "-")}`) ?? null;
  return Object.fromEntries(names.map((name) => [name, attribute(name)]));
}"""


class PlaywrightTab(Tab):
    def __init__(self, browser, folder, *, harmless=()):
        super().__init__(*harmless)
        self.page = browser.new_context(viewport=DESK).new_page()
        self.page.set_default_timeout(1000 * SECONDS)
        self._complaints = complaints_of(self.page)

    def show(self, server, phone=False):
        if phone:
            self.page.set_viewport_size({"width": PHONE_WIDTH, "height": 844})
        self.page.goto(server.url)

    def choose(self, css, *photos):
        self.page.set_input_files(css, list(photos))

    def click(self, css):
        self.page.click(css)

    def enter(self, css, text):
        self.page.fill(css, text)

    def select(self, css, value):
        self.page.select_option(css, value)

    def run(self, script, *arguments):
        return self.page.evaluate(f"(all) => ({script})(...all)", list(arguments))

    def all_complaints(self):
        self.run("() => 0")  # until then Playwright tells nothing
        return list(self._complaints)

    def close(self):
        self.page.context.close()


class WebKitTab(Tab):
    """The one window of WebKit. Apps must be `Listening`. Files are chosen by their paths: they go to `folder`."""

    def __init__(self, driver, folder):
        super().__init__()
        self._driver, self._folder = driver, folder

    def show(self, server, phone=False):
        self._driver.get(server.url + (_IN_A_FRAME if phone else ""))
        if phone:
            self._driver.switch_to.frame(0)

    def choose(self, css, *photos):
        folder = self._folder / str(len(list(self._folder.iterdir())))
        folder.mkdir()
        for item in photos:
            (folder / item["name"]).write_bytes(item["buffer"])
        self._find(css).send_keys("\n".join(str(folder / item["name"]) for item in photos))

    def click(self, css):
        self._when_possible(lambda: self._click(f"{css}:not(:disabled)"))

    def enter(self, css, text):
        self._when_possible(lambda: self._find(css).clear())
        self._find(css).send_keys(text)

    def select(self, css, value):
        self._when_possible(lambda: Select(self._find(css)).select_by_value(value))

    def run(self, script, *arguments):
        return self._driver.execute_script(f"return ({script})(...arguments)", *arguments)

    def all_complaints(self):
        return self.run("() => window.complaints ?? ['nobody listened']")

    def close(self):
        self._driver.get("about:blank")

    def _click(self, css):
        """Raise WebDriverException if the click missed: the page may move the element after the driver has found it."""
        self.run(_NOTE_CLICK, css)
        self._find(css).click()
        if not self.run(_CLICK_ARRIVED):
            raise WebDriverException(f"{css} moved before it was clicked")

    def _find(self, css):
        return self._driver.find_element(By.CSS_SELECTOR, css)

    @staticmethod
    def _when_possible(act):
        """As soon as the element is there and not hidden, disabled or covered."""
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                return act()
            except WebDriverException:
                if time.monotonic() > deadline:
                    raise
            time.sleep(BETWEEN_LOOKS)


_NOTE_CLICK = """css => {
  window.clickArrived = false;
  const note = ({ target }) => target.closest(css) && (window.clickArrived = true);
  addEventListener("click", note, { capture: true, once: true });
}"""
_CLICK_ARRIVED = "() => window.clickArrived ?? true"  # a new page does not know

_LISTEN, _IN_A_FRAME = "/listen.js", "/in-a-frame"  # of the tests alone
LISTENER = """{
  const complain = (...words) => complaints.push(words.join(" "));
  window.complaints = [];
  addEventListener("error", ({message}) => complain(message));
  addEventListener("unhandledrejection", ({reason}) => complain(reason));
  addEventListener("securitypolicyviolation", (refused) =>
    complain(refused.violatedDirective, refused.blockedURI));
  for (const level of ["error", "warn"]) {
    const log = console[level].bind(console);
    console[level] = (...words) => (complain(...words), log(...words));
  }
}"""
_FRAME = f'<!doctype html><iframe src="/" width="{PHONE_WIDTH}" height="844" style="border: 0"></iframe>'


class Listening:
    """The app, and what WebKit needs.

    Its driver does not tell what the browser complains of: a script in the page keeps it. Its window does not become as
    narrow as a phone: a frame does.
    """

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        answer = {"/": self._page, _LISTEN: self._listener, _IN_A_FRAME: self._frame}.get(environ["PATH_INFO"])
        return (answer(environ) if answer else self.app)(environ, start_response)

    def _page(self, environ):
        page = Response.from_app(self.app, {**environ, "HTTP_ACCEPT_ENCODING": ""})
        script = f'<script src="{_LISTEN}"></script>'
        page.set_data(page.get_data(as_text=True).replace("<head>", f"<head>{script}"))
        return page

    def _listener(self, environ):
        return Response(LISTENER, mimetype="text/javascript")

    def _frame(self, environ):
        return Response(_FRAME, mimetype="text/html")


# Each opens a browser, and gives what opens a tab in it.


@contextmanager
def _chromium(home):
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        yield partial(PlaywrightTab, browser)
        browser.close()


@contextmanager
def _firefox(home):
    path = get_browser.firefox() or pytest.skip(get_browser.how_to_get("Firefox"))
    with sync_playwright() as playwright:
        # The channel of WebDriver BiDi, which Firefox speaks as it comes from Debian.
        browser = playwright.firefox.launch(channel="moz-firefox", executable_path=path, firefox_user_prefs=_MOUSE)
        yield partial(PlaywrightTab, browser, harmless=[_HARMLESS_IN_FIREFOX])
        browser.close()


@contextmanager
def _webkit(home):
    service, browser, screen = get_browser.webkit() or pytest.skip(get_browser.how_to_get("WebKit"))
    options = Options()
    options.binary_location = browser
    options.add_argument("--automation")
    with _screen(screen) as display:
        environment = {**os.environ, "DISPLAY": display, "HOME": str(home)}
        driver = WebKitGTK(options=options, service=Service(service, env=environment))
        try:
            yield partial(WebKitTab, driver)
        finally:
            driver.quit()


@contextmanager
def _screen(program):
    """The name of a display of its own: WebKitGTK opens a window, and a person may sit at the machine's."""
    read, write = os.pipe()
    command = [program, "-displayfd", str(write), "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL) as running:
        os.close(write)
        with open(read) as number:
            name = number.readline().strip()
        assert name, "Xvfb did not start"
        try:
            yield f":{name}"
        finally:
            running.terminate()


BROWSERS = {"chromium": _chromium, "firefox": _firefox, "webkit": _webkit}

"""The tester's page with hundreds of classes against the same page with two: photos sorted into folders, so that it
makes a field test of them, and a model that costs nothing."""

import shutil
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from catdog.progress import bar
from load import as_parts
from page import send, watch
from playwright.sync_api import sync_playwright
from processes import HERE, Server

sys.path.append(str(HERE.parent))
import get_browser

COUNTS = (2, 120, 300, 1000)

_LONGEST = """() => {
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const {duration} of list.getEntries()) window.longest = Math.max(window.longest, duration);
  }).observe({type: "longtask"});
}"""


@dataclass(frozen=True)
class Visit:
    """Seconds until all was answered, of the page and of a plain program; milliseconds of the page's longest task."""

    page: float
    bare: float
    longest: float


def measure_classes(report, material, options) -> None:
    photos = material.files("train")[: options.photos]
    visits: dict[int, list[Visit]] = {count: [] for count in COUNTS}
    with ExitStack() as stack:
        folders = {count: _sorted(photos, count, material.folder) for count in COUNTS}
        servers = {count: _serve(count, photos, material.folder, stack) for count in COUNTS}
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=get_browser.on_path(), args=["--no-sandbox"]
        )
        _visit(browser, servers[COUNTS[0]], folders[COUNTS[0]], photos)  # warms up
        for _ in bar(range(options.rounds), what="Classes", unit="rounds"):
            for count in COUNTS:
                visits[count].append(_visit(browser, servers[count], folders[count], photos))
        browser.close()
    _report(report, visits, len(photos))


def _report(report, visits: dict[int, list[Visit]], photos: int) -> None:
    pages = {count: [visit.page for visit in found] for count, found in visits.items()}
    for count, found in visits.items():
        report.row(
            f"the page, {photos} photos, {count} classes",
            seconds=pages[count],
            plain_program_s=[visit.bare for visit in found],
            longest_task_ms=[visit.longest for visit in found],
        )
    for count in COUNTS[1:]:
        report.ratio(f"page_{count}_classes_vs_{COUNTS[0]}", pages[count], pages[COUNTS[0]])
    longest = [visit.longest for visit in visits[COUNTS[-1]]]
    report.ratio("page_longest_task_vs_200_ms", longest, [200.0] * len(longest))


def _sorted(photos: list[Path], count: int, place: Path) -> Path:
    """Copies in folders that are called like the classes, in turn."""
    folder = place / f"sorted-{count}"
    for number, photo in enumerate(photos):
        label = folder / f"class {number % count:04}"
        label.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, label / f"{number:04}{photo.suffix}")
    return folder


def _serve(count: int, photos: list[Path], place: Path, stack: ExitStack) -> Server:
    server = Server("any_classes.py", str(count), log=place / f"classes-{count}.log")
    stack.callback(server.stop)
    server.wait(as_parts([photos[0].read_bytes()]))
    server.sleep()
    return server


def _visit(browser, server: Server, folder: Path, photos: list[Path]) -> Visit:
    with server.turn():
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"http://127.0.0.1:{server.port}")
        page.locator("#model[data-classes]").wait_for()
        page.evaluate(_LONGEST)
        watch(page, "folder", len(photos))
        page.set_input_files("#folder", folder)
        seconds = page.evaluate("took")
        page.locator("#mistakes").wait_for()  # which is made at the end
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))")
        longest = page.evaluate("longest")
        page.close()
        return Visit(seconds, send(server.port, photos), longest)

"""The tester's page with 500 photos, against a plain program that sends the same photos in as many requests."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
from catdog.progress import bar
from load import as_parts, ask
from playwright.sync_api import sync_playwright
from processes import HERE, Server

sys.path.append(str(HERE.parent))
import get_browser

ALONE = 20
REQUESTS_AT_A_TIME, PHOTOS_EACH = 3, 16  # as the page sends them

# In the page itself, since asking it from outside while it works would take from its time.
_WATCH = """async ([chooser, count]) => {
  const [input, status] = [chooser, "status"].map((id) => document.getElementById(id));
  const began = new Promise((done) =>
    input.addEventListener("change", () => done(performance.now()), {capture: true, once: true}));
  window.took = new Promise((done) => new MutationObserver(async (_, watcher) => {
    if (status.textContent !== `${count} of ${count} photos done.`) return;
    watcher.disconnect();
    done((performance.now() - await began) / 1000);
  }).observe(status, {childList: true}));
}"""


def watch(page, chooser: str, count: int) -> None:
    """Have the page note in `took` how many seconds pass from the choice of photos to their last answer."""
    page.evaluate(_WATCH, [chooser, count])


def measure_page(report, material, options) -> None:
    photos = material.files("train")[: options.photos]
    server = Server("ours.py", options.engine, log=material.folder / "page.log")
    try:
        server.wait(as_parts([photos[0].read_bytes()]))
        explain, predict = _first_explanation(server.port, photos)
        page, bare, heaps = _rounds(server.port, photos, options.rounds)
    finally:
        server.stop()
    report.row("one photo", first_explain_ms=1000 * explain, predict_ms=1000 * predict)
    report.ratio("explain_first_vs_predict", [explain], [predict])
    report.row(f"the page, {len(photos)} photos", photos_per_s=[len(photos) / seconds for seconds in page])
    report.row("a plain program, as many at a time", photos_per_s=[len(photos) / seconds for seconds in bare])
    report.row("the page's memory after each", heap_MB=[heap / 1e6 for heap in heaps])
    report.ratio("page500_vs_bare_service", page, bare)
    report.ratio("page_memory_last_vs_first", heaps[-1:], heaps[:1])


def _first_explanation(port: int, photos: list[Path]) -> tuple[float, float]:
    """Seconds of the first /explain in the service's life, and of a /predict for one photo (median)."""
    requests = [as_parts([path.read_bytes()]) for path in photos[:ALONE]]
    connection = HTTPConnection("127.0.0.1", port, timeout=120)

    def seconds(request: tuple[str, bytes, str]) -> float:
        began = time.perf_counter()
        ask(connection, request)
        return time.perf_counter() - began

    predict = float(np.median([seconds(request) for request in requests]))
    explain = seconds(("/explain", *requests[0][1:]))
    connection.close()
    return explain, predict


def _rounds(port: int, photos: list[Path], rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Seconds of the page and of the plain program, and bytes that the page holds after each run and "Clear"."""
    page_seconds, bare_seconds, heaps = [], [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=get_browser.on_path(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"http://127.0.0.1:{port}")
        for _ in bar(range(rounds + 1), what="Page", unit="rounds"):  # the first warms up
            watch(page, "photos", len(photos))
            page.set_input_files("#photos", photos)
            page_seconds.append(page.evaluate("took"))
            page.click("#clear")
            heaps.append(_heap(page))
            bare_seconds.append(send(port, photos))
        browser.close()
    return page_seconds[1:], bare_seconds[1:], heaps[1:]


def _heap(page) -> float:
    devtools = page.context.new_cdp_session(page)
    devtools.send("HeapProfiler.collectGarbage")
    return devtools.send("Runtime.getHeapUsage")["usedSize"]


def send(port: int, photos: list[Path]) -> float:
    """Seconds until all are answered."""
    chunks = [photos[start : start + PHOTOS_EACH] for start in range(0, len(photos), PHOTOS_EACH)]

    def answered(chunk: list[Path]) -> int:
        connection = HTTPConnection("127.0.0.1", port, timeout=120)
        try:
            return len(json.loads(ask(connection, as_parts([path.read_bytes() for path in chunk])))["predictions"])
        finally:
            connection.close()

    began = time.perf_counter()
    with ThreadPoolExecutor(REQUESTS_AT_A_TIME) as clients:
        assert sum(clients.map(answered, chunks)) == len(photos)
    return time.perf_counter() - began

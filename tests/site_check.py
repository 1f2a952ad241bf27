"""The site in real browsers, on real photos, against the service: what a tester waits for, and whether it is as right.

    make site-check                                      300 photos of shared/photos in each browser
    make site-check CHECK="--photos 40 --browsers chromium --model pets"

For each browser: seconds until the first visit and a later one are ready; seconds a photo of the page, and of the bare
runtime's own loop on prepared pixels, in turn; how many answers are the service's, and how far probabilities differ on
average; the longest time for which the page did not react, and its longest task, where the browser tells; memory of the
browser, all of its processes together.
Nothing else should be at work.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

PLACES = {name: os.environ.get(name) for name in ("MODELS_DIR", "DATA_DIR", "CATDOG_CACHE")}  # the tests take others

import numpy as np
import psutil
from catdog.data.images import read_photo
from catdog.models import bundle
from catdog.models.classifier import load_classifier
from catdog.site.export import export_site
from standins.site import Host, with_service_worker, write
from tabs import BROWSERS

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("TEST_PHOTOS", ROOT.parent / "shared" / "photos"))
ROUND = 20  # photos of the page, then of the bare loop
READY = "() => Boolean(document.querySelector('#model').dataset.model)"
ANSWERS = """() => Array.from(document.querySelectorAll('.card'), ({dataset, photo}) =>
  dataset.state === "done" ? photo.answer : null)"""
WATCH = """() => {
  let last = performance.now();
  [window.longest, window.task] = [0, 0];
  const note = (list) => (window.task = Math.max(window.task, ...list.getEntries().map(({ duration }) => duration)));
  const isTold = PerformanceObserver.supportedEntryTypes.includes("longtask");
  if (isTold) new PerformanceObserver(note).observe({ entryTypes: ["longtask"] });
  else window.task = null;
  const look = () => {
    const now = performance.now();
    window.longest = Math.max(window.longest, now - last);
    last = now;
    setTimeout(look, 0);
  };
  look();
}"""
# The bare runtime: one session in a worker of its own, on random pixels.
BARE = """
import * as ort from "./runtime/ort.js";
import { fetched } from "./page/site_files.js";
let session = null; // a promise
onmessage = async ({ data: { pixels, photos, threads } }) => {
  session ??= open(threads);
  const rgb = Uint8Array.from({ length: pixels * pixels * 3 }, () => 255 * Math.random());
  const photo = new ort.Tensor("uint8", rgb, [1, pixels, pixels, 3]);
  await (await session).run({ photo });
  const began = performance.now();
  for (let i = 0; i < photos; i++) await (await session).run({ photo });
  postMessage((performance.now() - began) / 1000 / photos);
};
async function open(threads) {
  const wasmPaths = { mjs: new URL("./runtime/ort-wasm.js", import.meta.url).href };
  const wasmBinary = await fetched("../runtime/ort-wasm.bin");
  Object.assign(ort.env.wasm, { wasmBinary, wasmPaths, numThreads: threads });
  const network = new Uint8Array(await fetched("../model/network.bin"));
  return ort.InferenceSession.create(network, { executionProviders: ["wasm"] });
}
"""
RUN_BARE = """about => {
  window.bare = null;
  const policy = window.trustedTypes?.createPolicy("site" + Math.random(), { createScriptURL: String });
  const url = new URL("bare.js", location.href).href;
  const worker = (window.bareWorker ??= new Worker(policy ? policy.createScriptURL(url) : url, { type: "module" }));
  worker.onmessage = ({ data }) => (window.bare = data);
  worker.postMessage(about);
}"""


def wait_for(tab, script, seconds=600):
    """Return what the script gives, as soon as it is something."""
    deadline = time.monotonic() + seconds
    while not (found := tab.run(script)):
        assert time.monotonic() < deadline, script
        time.sleep(0.05)
    return found


def ready(tab, host) -> float:
    began = time.perf_counter()
    tab.show(host)
    wait_for(tab, READY)
    return time.perf_counter() - began


def answered(tab, photos) -> float:
    """Choose photos; return the seconds a photo until all are answered."""
    before = len(tab.run(ANSWERS))
    began = time.perf_counter()
    tab.choose("#photos", *({"name": f"{number}-{path.name}", "mimeType": "image/jpeg", "buffer": path.read_bytes()}
                            for number, path in enumerate(photos, before)))  # fmt: skip
    wait_for(tab, f"() => (({ANSWERS})().filter(Boolean).length === {before + len(photos)}) || "
                  "document.querySelector('#status').dataset.failed > 0")  # fmt: skip
    return (time.perf_counter() - began) / len(photos)


def bare(tab, pixels: int) -> float:
    threads = tab.run("() => crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1")
    tab.run(RUN_BARE, {"pixels": pixels, "photos": ROUND, "threads": threads})
    return wait_for(tab, "() => window.bare")


def megabytes(before: set[int]) -> float:
    """Memory of what was started since: unique to it."""
    sizes = []
    for process in psutil.process_iter():
        try:
            if process.pid not in before:
                sizes.append(process.memory_full_info().uss)
        except psutil.Error:
            continue
    return sum(sizes) / 1e6


def look(name: str, folder: Path, photos: list[Path], model, service) -> None:
    before = set(psutil.pids())
    with tempfile.TemporaryDirectory() as home, BROWSERS[name](Path(home)) as open_tab:
        chosen = Path(home) / "chosen"
        chosen.mkdir()
        tab, host = open_tab(chosen), Host(folder)
        first = ready(tab, host)
        wait_for(tab, "() => document.querySelector('#offline').dataset.offline")
        again = ready(tab, host)
        isolated = tab.run("() => crossOriginIsolated && typeof SharedArrayBuffer !== 'undefined'")
        tab.run(WATCH)
        seconds, loops = [], []
        for start in range(0, len(photos), ROUND):
            part = photos[start : start + ROUND]
            seconds.append(answered(tab, part))
            if len(part) == ROUND and len(loops) < 5:
                longest = tab.run("() => [window.longest, window.task]")
                loops.append(bare(tab, model.preprocessing.pixels))
        memory = megabytes(before)
        found = tab.run(ANSWERS)
        tab.close()
        host.stop()
    report(name, first, again, isolated, seconds, loops, longest, memory, agreement(found, photos, model, service))


def agreement(found, photos, model, service) -> str:
    pixels = np.stack([read_photo(path, preprocessing=model.preprocessing) for path in photos])
    wanted = service.predict(pixels)
    told = np.array([[answer["probabilities"][label] for label in model.classes] for answer in found])
    same = (told.argmax(axis=1) == wanted.argmax(axis=1)).mean()
    sure = np.mean([a["confident"] == b.confident for a, b in zip(found, service.answer(pixels))])
    off = np.abs(told - wanted).max(axis=1)
    return f"{same:.2%} ({sure:.2%} confident alike), {off.mean():.4f} apart on average, {off.max():.3f} at most"


def report(name, first, again, isolated, seconds, loops, longest, memory, agrees) -> None:
    def spread(values):
        return f"{statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"

    ratio = statistics.median(seconds[: len(loops)]) / statistics.median(loops)
    print(
        f"{name}: first visit ready in {first:.1f} s, later ones in {again:.1f} s; "
        f"{'several threads' if isolated else 'one thread'}\n"
        f"  a photo: {spread(seconds)}; bare loop {spread(loops)}: {ratio:.2f} times as long\n"
        f"  answers: {agrees}\n"
        f"  the page did not react for {longest[0]:.0f} ms at most; its longest task took "
        f"{'less than 50' if longest[1] == 0 else longest[1] or '?'} ms; browser {memory:.0f} MB",
        flush=True,
    )


def add(folder: Path, name: str, content: str) -> None:
    """Add a script to a site, and to what its service worker knows: others may not run beside it."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    write(folder, with_service_worker({**found, name: content.encode()}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--browsers", nargs="+", choices=BROWSERS, default=list(BROWSERS))
    parser.add_argument("--model", default="")
    asked = parser.parse_args()
    for name, value in PLACES.items():
        os.environ.pop(name, None)
        os.environ.update({name: value} if value else {})
    model = bundle.read(bundle.find(asked.model))
    photos = sorted(path for split in ("test", "valid") for path in (SHARED / split).rglob("*.jpg"))[: asked.photos]
    service = load_classifier(model)
    with tempfile.TemporaryDirectory() as home:
        site = export_site(model, Path(home) / "site", language="en")
        print(site, flush=True)
        add(site.folder, "bare.js", BARE)
        for name in asked.browsers:
            look(name, site.folder, photos, model, service)


if __name__ == "__main__":
    main()

"""Serving, side by side: all servers are up, and in each round each has its turn."""

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from catdog import paths
from catdog.models import bundle
from catdog.models.classifier import load_classifier
from catdog.progress import bar
from load import Load, as_base64, as_gradio, as_litserve, as_parts, measure
from processes import HERE, PEERS, ROOT, Server

ORIGINAL, OURS, LITSERVE, GRADIO = "the original's way", "ours", "LitServe", "Gradio"
SCRIPTS = {
    ORIGINAL: ("original.py", as_base64),
    OURS: ("ours.py", as_parts),
    LITSERVE: ("with_litserve.py", as_litserve),
    GRADIO: ("with_gradio.py", as_gradio),
}
PEER_NAMES = (LITSERVE, GRADIO)
ONE, SIXTEEN = (1, 1), (16, 1)  # clients, photos in each request; fewer where --most says so
LOADS = {OURS: (ONE, (1, 16), (4, 1), (32, 1), SIXTEEN)}  # the last is next to the bare engine, its comparison


class Measured:
    """What the rounds gave, a value each: `loads` by server and (clients, photos a request), `cpu` seconds per photo
    by server with 16 clients, and `limits`, photos per second of the bare engine."""

    def __init__(self):
        self.loads: dict[tuple[str, tuple[int, int]], list[Load]] = defaultdict(list)
        self.cpu: dict[str, list[float]] = defaultdict(list)
        self.limits: list[float] = []

    def of(self, who: str, load: tuple[int, int], name: str) -> list[float]:
        """`name`: rate, p50 or p95."""
        return [getattr(found, name) for found in self.loads[who, load]]


def measure_serving(report, material, options) -> None:
    wanted = options.engine
    engine = load_classifier(bundle.read(paths.SHIPPED_MODEL)).engine.name if wanted == "auto" else wanted
    report.note(f"serving on {engine}, photos: {material.what}")
    if options.most < max(max(load) for load in LOADS[OURS]):
        report.note(f"at most {options.most} clients, or photos a request, whatever a row says")
    photos = material.to_serve()
    with ExitStack() as stack:
        up = dict(_servers(stack, report, photos, engine, material.folder))
        bare = stack.enter_context(_bare_engine(engine, material.ready(), options))
        measured = _rounds(options, up, photos, bare)
        _rows(report, up, measured)
        _figures(report, up, measured)


def _servers(stack: ExitStack, report, photos: list[bytes], engine: str, logs: Path) -> Iterator[tuple[str, Server]]:
    """All that start, asleep."""
    for who, (script, form) in SCRIPTS.items():
        if who in PEER_NAMES and not PEERS.is_dir():
            report.note(f"{who} is left out: `make bench` installs it, into {PEERS.relative_to(ROOT)}")
            continue
        server = Server(script, *([engine] if who == OURS else []), log=logs / f"{script}.log")
        stack.callback(server.stop)
        try:
            server.wait(form(photos[:1]))
        except RuntimeError as error:
            if who not in PEER_NAMES:
                raise
            report.note(f"{who} is left out: {str(error).splitlines()[-1][:200]}")
            continue
        server.sleep()
        yield who, server


@contextmanager
def _bare_engine(engine: str, ready: Path, options) -> Iterator[Callable[[float], float]]:
    """A function: seconds to run → photos per second."""
    with subprocess.Popen(
        [sys.executable, str(HERE / "bare_engine.py"), engine, str(ready), str(options.trials), str(options.most)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "notebooks")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def run(seconds: float) -> float:
            process.stdin.write(f"{seconds}\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        run(options.seconds)  # so that it has found its best batch size before any server is measured
        yield run
        process.stdin.close()


def _rounds(options, up: dict[str, Server], photos: list[bytes], bare: Callable[[float], float]) -> Measured:
    measured = Measured()
    for _ in bar(range(options.rounds), what="Serving", unit="rounds"):
        for who, server in up.items():
            with server.turn():
                for load in LOADS.get(who, (ONE, SIXTEEN)):
                    clients, each = (min(number, options.most) for number in load)
                    before = server.cpu_seconds()
                    found = measure(server.port, clients, options.seconds, _requests(who, photos, each), each)
                    measured.loads[who, load].append(found)
                measured.cpu[who].append((server.cpu_seconds() - before) / found.photos)
            if who == OURS:
                measured.limits.append(bare(options.seconds))
    return measured


def _requests(who: str, photos: list[bytes], each: int) -> list:
    form = SCRIPTS[who][1]
    return [form(photos[start : start + each]) for start in range(0, len(photos) - each + 1, each)]


def _rows(report, up: dict[str, Server], measured: Measured) -> None:
    for (who, (clients, each)), loads in measured.loads.items():
        report.row(
            f"{who}, {clients} client{'s' * (clients > 1)}" + (f", {each} photos a request" if each > 1 else ""),
            photos_per_s=[load.rate for load in loads],
            p50_ms=[1000 * load.p50 for load in loads],
            p95_ms=[1000 * load.p95 for load in loads],
        )
    report.row("the bare engine, best batch size", photos_per_s=measured.limits)
    for who, server in up.items():
        report.row(f"{who}, process", peak_MB=server.peak_bytes() / 1e6, cpu_s_per_photo=measured.cpu[who])


def _figures(report, up: dict[str, Server], measured: Measured) -> None:
    ours = measured.of(OURS, SIXTEEN, "rate")
    report.ratio("serve16_vs_original", ours, measured.of(ORIGINAL, SIXTEEN, "rate"))
    report.ratio("serve16_vs_engine", ours, measured.limits)
    report.ratio("latency1_vs_original", *(measured.of(who, ONE, "p50") for who in (ORIGINAL, OURS)))
    report.ratio("p95_over_p50_16", *(measured.of(OURS, SIXTEEN, name) for name in ("p95", "p50")))
    report.ratio("memory_vs_original", *([up[who].peak_bytes()] for who in (OURS, ORIGINAL)))
    for peer in PEER_NAMES:
        if peer in up:
            report.ratio(f"serve16_vs_{peer.lower()}", ours, measured.of(peer, SIXTEEN, "rate"))

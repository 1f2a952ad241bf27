"""How soon is our backend alive and ready, and what does it weigh, on int8 and on TensorFlow?"""

import time

from catdog.engines.base import OPENVINO_INT8, TENSORFLOW
from catdog.progress import bar
from load import as_parts
from processes import Server

ALIVE, READY = ("/healthz", b"", ""), ("/readyz", b"", "")


def measure_startup(report, material, options) -> None:
    """Seconds from the start of the Python process, so that what it imports counts."""
    photo = as_parts(material.to_serve()[:1])
    found = {OPENVINO_INT8: [], TENSORFLOW: []}
    for _ in bar(range(options.rounds), what="Start-up", unit="rounds"):
        for engine, starts in found.items():
            starts.append(_start(engine, photo, material.folder / "startup.log"))
    for engine, starts in found.items():
        alive, ready, peak = zip(*starts)
        report.row(f"ours on {engine}, start", alive_s=alive, ready_s=ready, peak_MB=[size / 1e6 for size in peak])
    for name, place in {"ready": 1, "memory": 2}.items():
        ours, tensorflow = ([start[place] for start in starts] for starts in found.values())
        report.ratio(f"{name}_int8_vs_tensorflow", ours, tensorflow)


def _start(engine: str, photo, log) -> tuple[float, float, float]:
    """Seconds until it is alive and until it is ready; bytes held at most after the first photo."""
    began = time.perf_counter()
    server = Server("ours.py", engine, log=log)
    try:
        server.wait(ALIVE)
        alive = time.perf_counter() - began
        server.wait(READY)
        ready = time.perf_counter() - began
        server.wait(photo)
        return alive, ready, server.peak_bytes()
    finally:
        server.stop()

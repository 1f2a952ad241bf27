"""Serving, side by side: all servers are up, and in each round each has its turn."""

import os
import subprocess
import sys
from collections import defaultdict
from contextlib import ExitStack

import numpy as np
from catdog import bundle, places
from catdog.backbone import load_backbone
from catdog.classifier import load_classifier
from catdog.engines import OPENVINO_FP32, OPENVINO_INT8, EngineUnavailable, open_engine
from catdog.images import read_photo
from load import Load, as_base64, as_gradio, as_litserve, as_parts, measure
from processes import HERE, PEERS, ROOT, Server

ORIGINAL, OURS = "the original's way", "ours"
PEER_SCRIPTS = {"LitServe": ("with_litserve.py", as_litserve), "Gradio": ("with_gradio.py", as_gradio)}
CLIENTS = (1, 4, 16, 32)


def measure_serving(report, material, options) -> None:
    name = _engine_name(options.engine)
    report.note(f"serving on {name}, photos: {material.what}")
    photos = material.to_serve()
    with ExitStack() as stack:
        up = {ORIGINAL: _started(stack, material, "original.py"), OURS: _started(stack, material, "ours.py", name)}
        forms = {ORIGINAL: as_base64, OURS: as_parts}
        for who, form in forms.items():
            up[who].wait(form(photos[:1]))
            up[who].sleep()
        for peer, (script, form) in PEER_SCRIPTS.items():
            try:
                if not PEERS.is_dir():
                    raise RuntimeError(f"{PEERS.relative_to(ROOT)} is not there; `make bench` installs it")
                server = _started(stack, material, script)
                server.wait(form(photos[:1]))
                server.sleep()
                up[peer], forms[peer] = server, form
            except RuntimeError as error:
                report.note(f"{peer} is left out: {str(error).splitlines()[-1][:200]}")
        bare = stack.enter_context(_bare_engine(name, material.ready()))
        _rounds(report, options, up, {who: [form([photo]) for photo in photos] for who, form in forms.items()},
                _batches(photos), bare)  # fmt: skip
    _accuracy(report, material)


def _engine_name(wanted: str) -> str:
    return load_classifier(bundle.read(places.SHIPPED_MODEL)).engine.name if wanted == "auto" else wanted


def _started(stack: ExitStack, material, script: str, *arguments: str) -> Server:
    server = Server(script, *arguments, log=material.ready().with_name(f"{script}.log"))
    stack.callback(server.stop)
    return server


def _batches(photos: list[bytes]) -> list:
    return [as_parts(photos[start : start + 16]) for start in range(0, len(photos) - 15, 16)]


def _bare_engine(name: str, ready) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(HERE / "bare_engine.py"), name, str(ready)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "notebooks")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _rounds(report, options, up: dict[str, Server], requests: dict, batches: list, bare) -> None:
    loads: dict[tuple[str, object], list[Load]] = defaultdict(list)
    cpu, limits = defaultdict(list), []
    for _ in range(options.rounds):
        for who, server in up.items():
            with server.turn():
                for clients in CLIENTS if who == OURS else (1, 16):
                    before = server.cpu_seconds()
                    load = measure(server.port, clients, options.seconds, requests[who], 1)
                    loads[who, clients].append(load)
                    if clients == 16:
                        cpu[who].append((server.cpu_seconds() - before) / (load.rate * options.seconds))
                if who == OURS:
                    loads[who, "16 photos"].append(measure(server.port, 1, options.seconds, batches, 16))
        bare.stdin.write("\n")
        bare.stdin.flush()
        limits.append(float(bare.stdout.readline()))
    bare.stdin.close()

    for (who, clients), found in loads.items():
        kind = f"{who}, {clients} client" + ("s" if clients != 1 else "") if isinstance(clients, int) else None
        report.row(
            kind or f"{who}, 1 client, 16 photos a request",
            photos_per_s=[load.rate for load in found],
            p50_ms=[1000 * load.p50 for load in found],
            p95_ms=[1000 * load.p95 for load in found],
        )
    for who, server in up.items():
        report.row(f"{who}, process", peak_MB=server.peak_bytes() / 1e6, cpu_s_per_photo=cpu[who])
    report.row("the bare engine, best batch size", photos_per_s=limits)

    def ratio(name, ours, other):
        report.figure(name, [a / b for a, b in zip(ours, other)])

    ratio("serve16_vs_original", _rates(loads[OURS, 16]), _rates(loads[ORIGINAL, 16]))
    ratio("serve16_vs_engine", _rates(loads[OURS, 16]), limits)
    ratio("latency1_vs_original", [x.p50 for x in loads[ORIGINAL, 1]], [x.p50 for x in loads[OURS, 1]])
    ratio("p95_over_p50_16", [x.p95 for x in loads[OURS, 16]], [x.p50 for x in loads[OURS, 16]])
    report.figure("memory_vs_original", [up[OURS].peak_bytes() / up[ORIGINAL].peak_bytes()])
    for peer in PEER_SCRIPTS:
        if peer in up:
            ratio(f"serve16_vs_{peer.lower()}", _rates(loads[OURS, 16]), _rates(loads[peer, 16]))


def _rates(loads: list[Load]) -> list[float]:
    return [load.rate for load in loads]


def _accuracy(report, material) -> None:
    """Points by which the shipped model is righter on int8 than on float32, with the 95 % interval of that."""
    if not material.real:
        report.note("accuracy_int8_minus_fp32 needs real photos: left out")
        return
    model, backbone, files = bundle.read(places.SHIPPED_MODEL), load_backbone(), material.files("test", "valid")
    photos = np.stack([read_photo(path) for path in files])
    targets = np.array([model.classes.index(path.parent.name) for path in files])
    try:
        right = [
            model.head.probabilities(open_engine(name, backbone, model.twin).features(photos)).argmax(axis=1) == targets
            for name in (OPENVINO_INT8, OPENVINO_FP32)
        ]
    except EngineUnavailable as reason:
        report.note(f"accuracy_int8_minus_fp32 is left out: {reason}")
        return
    difference = 100 * (right[0].astype(float) - right[1])
    value, half = difference.mean(), 1.96 * difference.std() / np.sqrt(len(files))
    report.exact_figure("accuracy_int8_minus_fp32", value, value - half, value + half)

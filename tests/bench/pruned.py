"""Pruned models: the trade-off between accuracy and speed, and that of "auto" served beside the original.

For the trade-off, the seed chooses from which of the 1,000 training photos networks are made; the 300 others judge.
It is by far the longest part.
"""

import time
from collections import defaultdict
from contextlib import ExitStack

import numpy as np
from catdog.backbones.architectures import VGG16, Backbone, load_backbone
from catdog.backbones.vgg16_weights import fingerprint
from catdog.data.dataset import Dataset, check
from catdog.data.folders import TRAIN, VALID
from catdog.data.images import read_photo
from catdog.data.sources import PhotoFolder
from catdog.engines import open_engine
from catdog.engines.base import OPENVINO_FP32, OPENVINO_INT8, OPENVINO_PRUNED, TENSORFLOW
from catdog.engines.pruned import quantize_pruned
from catdog.engines.quantization import CALIBRATION_PHOTOS, quantize
from catdog.engines.selection import seconds_per_photo
from catdog.progress import bar
from catdog.pruning import Pruner, gmacs
from catdog.training.features import FeatureCache, compute_features
from catdog.training.linear_head import fit_head
from catdog.training.pruned_models import PHOTOS, TIMES
from load import as_base64, as_parts, measure
from processes import Server
from serving import ONE, ORIGINAL, OURS, SIXTEEN
from training import run_script

WHOLE = "the whole network"


def measure_trade_off(report, material, options) -> None:
    """A row for each budget and one for all rounds, each of which is another seed. Shares are means."""
    if not material.real:
        report.note("the trade-off of pruned models needs real photos: left out")
        return
    backbone = load_backbone()
    store, dataset = FeatureCache(backbone), check(PhotoFolder(material.root, "trade-off"))
    exact = compute_features(dataset.photos, open_engine(TENSORFLOW, backbone), store, "Whole network in float32")
    found = defaultdict(lambda: defaultdict(list))
    for seed in range(options.rounds):
        said, right = _judged(dataset, exact, seed)
        pixels = _pixels(dataset, seed)
        began = time.perf_counter()
        pruner = Pruner(backbone.weights, pixels, seed)
        _add(found[WHOLE], right=right, look_s=time.perf_counter() - began)
        for times in TIMES:
            began = time.perf_counter()
            narrow = pruner.narrowed(1 / float(times))
            network = quantize_pruned(narrow, pixels[:CALIBRATION_PHOTOS])
            made = time.perf_counter() - began
            engine = open_engine(OPENVINO_PRUNED, backbone, network)
            said_now, right_now = _judged(dataset, compute_features(dataset.photos, engine, store), seed)
            small = open_engine(OPENVINO_FP32, Backbone(VGG16, narrow, fingerprint(narrow)))
            _add(
                found[times], made_s=made, gmacs=gmacs(narrow), right=right_now, lost_points=100 * (right - right_now),
                agrees=float((said == said_now).mean()), **_milliseconds(small, engine),
            )  # fmt: skip
            point = ", ".join(f"{name} {values[-1]:.4g}" for name, values in found[times].items())
            report.note(f"seed {seed}, {times} times less: {point}")
    int8 = quantize(backbone, pixels[:CALIBRATION_PHOTOS])
    engines = (open_engine(name, backbone, int8) for name in (OPENVINO_FP32, OPENVINO_INT8))
    _add(found[WHOLE], gmacs=gmacs(backbone.weights), **_milliseconds(*engines))
    for times, values in found.items():
        means = {name: float(np.mean(of)) for name, of in values.items()}
        report.row(times if times == WHOLE else f"{times} times less arithmetic", **means)
        if times != WHOLE:
            report.figure(f"pruned_{times}_lost_points", values["lost_points"])


def _add(found: dict[str, list], **values: float) -> None:
    for name, value in values.items():
        found[name].append(value)


def _milliseconds(fp32, int8) -> dict[str, float]:
    return {"fp32_ms": 1000 * seconds_per_photo(fp32), "int8_ms": 1000 * seconds_per_photo(int8)}


def _pixels(dataset: Dataset, seed: int) -> np.ndarray:
    photos = dataset.of(TRAIN)
    drawn = np.random.default_rng(seed).permutation(len(photos))[:PHOTOS]
    return np.stack([read_photo(photos[place].path) for place in drawn])


def _judged(dataset: Dataset, features: np.ndarray, seed: int) -> tuple[np.ndarray, float]:
    """What a last layer on these features says of the photos that are not for training, and the share that is right."""
    targets, train = dataset.targets(dataset.photos), np.array([photo.split == TRAIN for photo in dataset.photos])
    data = {TRAIN: (features[train], targets[train]), VALID: (features[:0], targets[:0])}
    said = fit_head(data, 2, seed=seed).head.logits(features[~train]).argmax(axis=1)
    return said, float((said == targets[~train]).mean())


def measure_pruned_model_of_auto(report, material, options) -> None:
    """Notebook 1 with PRUNE=auto, and the model that it saves, served: next to the original's way."""
    folder, _ = material.to_train("pruned")
    made = run_script("training_pruned.py", [str(folder)], {})
    report.row("making pruned models until auto has its own", seconds=made["seconds"])
    report.note(f"auto: {made['said']}")
    if not made["taken"]:
        return
    photos = material.to_serve()
    scripts = {ORIGINAL: (["original.py"], as_base64), OURS: (["ours.py", "auto", made["model"]], as_parts)}
    with ExitStack() as stack:
        up, found = {}, defaultdict(list)
        for who, (script, form) in scripts.items():
            server = Server(*script, log=material.folder / f"{script[0]}-pruned.log")
            stack.callback(server.stop)
            server.wait(form(photos[:1]))
            server.sleep()
            up[who] = server, [form([photo]) for photo in photos]
        for _ in bar(range(options.rounds), what="Serving the pruned model", unit="rounds"):
            for who, (server, requests) in up.items():
                with server.turn():
                    for clients, each in (ONE, SIXTEEN):
                        found[who, clients].append(measure(server.port, clients, options.seconds, requests, each))
    for (who, clients), loads in found.items():
        report.row(
            f"{who}, {clients}{', the pruned model of auto' * (who == OURS)}",
            photos_per_s=[load.rate for load in loads], p50_ms=[1000 * load.p50 for load in loads],
        )  # fmt: skip
    rates = ([load.rate for load in found[who, SIXTEEN[0]]] for who in (OURS, ORIGINAL))
    latencies = ([load.p50 for load in found[who, ONE[0]]] for who in (ORIGINAL, OURS))
    report.ratio("serve16_pruned_vs_original", *rates)
    report.ratio("latency1_pruned_vs_original", *latencies)

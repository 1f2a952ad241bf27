"""The backbone as a Keras model: the reference for the other engines, and the source of exports."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ..quiet_keras import keras
from . import keras_applications, lite0
from .architectures import RGB_MEAN, Architecture, Backbone
from .vgg16_weights import LAYERS


def build_network(backbone: Backbone, mixed: bool = False) -> keras.Model:
    """Build the model: raw RGB 0–255 (n, pixels, pixels, 3) in, features float32 (n, size) out, preprocessing included.

    Args:
        mixed: compute the convolutions in float16, which is several times faster on GPUs.
    """
    with _policy("mixed_float16" if mixed else "float32"):
        model = _vgg16(backbone) if backbone.architecture.is_vgg16 else _other(backbone)
    model.trainable = False
    return model


def _vgg16(backbone: Backbone) -> keras.Model:
    """Build keras.applications.VGG16 without its dense layers, as wide as the arrays are.

    The graph is flat: a nested model hides its last convolution from Grad-CAM (tensorflow #44462). It has plain layers
    only, with preprocessing as a 1×1 convolution, since Keras' .h5 files cannot hold `keras.ops`.
    """
    pixels = backbone.architecture.pixels
    photos = keras.Input((pixels, pixels, 3), name="photo")
    to_centred_bgr = keras.layers.Conv2D(3, 1, name="to_centred_bgr", dtype="float32")
    values = to_centred_bgr(photos)
    to_centred_bgr.set_weights([np.eye(3)[::-1].reshape(1, 1, 3, 3), -np.array(RGB_MEAN[::-1])])
    for layer, following in itertools.zip_longest(LAYERS, LAYERS[1:], fillvalue=""):
        arrays = [backbone.weights[f"{layer}/{part}"] for part in ("kernel", "bias")]
        convolution = keras.layers.Conv2D(arrays[1].size, 3, padding="same", activation="relu", name=layer)
        values = convolution(values)
        convolution.set_weights(arrays)
        block = layer.split("_")[0]
        if following and not following.startswith(block):
            values = keras.layers.MaxPooling2D(name=f"{block}_pool")(values)
    return keras.Model(photos, pooled(values, backbone.architecture), name="vgg16_features")


def _other(backbone: Backbone) -> keras.Model:
    architecture = backbone.architecture
    if architecture.name == lite0.NAME:
        base = lite0.build(backbone.weights, architecture.pixels)
    else:
        base = keras_applications.build(architecture.name, pixels=architecture.pixels)
        keras_applications.set_weights(base, backbone.weights)
    activations = keras.layers.Identity(dtype="float32", name=backbone.architecture.activations)(base.output)
    features = pooled(activations, backbone.architecture)
    return keras.Model(base.input, features, name=f"{backbone.architecture.name.lower()}_features")


def pooled(activations, architecture: Architecture):
    """Apply `architecture.pool` as Keras layers: (n, cells, cells, channels) → (n, size), in float32."""
    pools = {"max": keras.layers.GlobalMaxPooling2D, "mean": keras.layers.GlobalAveragePooling2D}
    parts = [pools[part](dtype="float32", name=f"{part}_pool")(activations) for part in architecture.pooling]
    if architecture.unit_length:
        parts = [keras.layers.UnitNormalization(dtype="float32", name=f"{part.name}_unit")(part) for part in parts]
    return keras.layers.Concatenate(dtype="float32", name="features")(parts) if len(parts) > 1 else parts[0]


@contextmanager
def _policy(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)

"""VGG16's base as a Keras network: the reference that other engines are held against, and what is exported."""

import numpy as np

from .backbone import RGB_MEAN, Backbone
from .frameworks import keras
from .images import SIDE
from .weights import LAYERS


def build_network(backbone: Backbone, mixed: bool = False) -> keras.Model:
    """Raw RGB 0–255 (n, 224, 224, 3) in, features float32 (n, 512) out, preprocessing inside.

    One flat graph: a nested VGG16 hides its last convolution from Grad-CAM (tensorflow #44462).
    Of plain layers only, preprocessing as a 1×1 convolution: Keras' .h5 files cannot hold `keras.ops`.

    Args:
        mixed: compute the convolutions in float16, as GPUs do several times faster.
    """
    photos = keras.Input((SIDE, SIDE, 3), name="photo")
    to_centred_bgr = keras.layers.Conv2D(3, 1, name="to_centred_bgr", dtype="float32")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16" if mixed else "float32")
    try:
        base = keras.applications.VGG16(
            include_top=False, weights=None, input_tensor=to_centred_bgr(photos), pooling="max"
        )
    finally:
        keras.config.set_dtype_policy(before)
    features = keras.layers.Identity(dtype="float32", name="features")(base.output) if mixed else base.output
    model = keras.Model(photos, features, name="vgg16_features")
    to_centred_bgr.set_weights([np.eye(3)[::-1].reshape(1, 1, 3, 3), -np.array(RGB_MEAN[::-1])])
    for layer in LAYERS:
        model.get_layer(layer).set_weights([backbone.weights[f"{layer}/kernel"], backbone.weights[f"{layer}/bias"]])
    model.trainable = False
    return model

"""VGG16's frozen convolutional base: how a batch of photos becomes features."""

import functools

import numpy as np

from .frameworks import keras, tf
from .images import SIDE
from .weights import LAYERS, Weights, fingerprint, load_weights

NAME = "VGG16"
FEATURES = "max(block5_pool)"
FEATURE_SIZE = 512
BATCH = 16

# BGR means of ImageNet's training photos, as in keras.applications.vgg16.preprocess_input.
_BGR_MEAN = (103.939, 116.779, 123.68)


class Backbone:
    """The frozen base with its weights in place.

    Attributes:
        fingerprint: identifies the weights (see `weights.fingerprint`).
        model: Keras model, raw RGB 0–255 (n, 224, 224, 3) in, features (n, 512) out, preprocessing inside.
    """

    def __init__(self, weights: Weights):
        self.fingerprint = fingerprint(weights)
        self.model = _build(weights)
        self._compiled = tf.function(
            lambda photos: self.model(tf.cast(photos, tf.float32), training=False),
            input_signature=[tf.TensorSpec((None, SIDE, SIDE, 3), tf.uint8)],
        )

    def features(self, photos: np.ndarray) -> np.ndarray:
        """uint8 RGB (n, 224, 224, 3) → float32 (n, 512), at most `BATCH` photos at a time through the network.

        The features are block5_pool's maximum over the picture, channel by channel. On 1,300 photos of cats and dogs
        (five-fold cross-validation, three seeds) a last layer on them is right on 98.2 %, on the mean on 97.7 %.
        """
        batches = [self._compiled(photos[i : i + BATCH]).numpy() for i in range(0, len(photos), BATCH)]
        return np.concatenate(batches) if batches else np.empty((0, FEATURE_SIZE), np.float32)


@functools.cache
def load_backbone() -> Backbone:
    """The base with ImageNet's weights, loaded once a process. Raises SuiteError (see `weights.load_weights`)."""
    return Backbone(load_weights())


def _build(weights: Weights) -> keras.Model:
    """One flat graph: a nested VGG16 hides its last convolution from Grad-CAM (tensorflow #44462).

    Of plain layers only, preprocessing as a 1×1 convolution: Keras' .h5 files cannot hold `keras.ops`.
    """
    photos = keras.Input((SIDE, SIDE, 3), name="photo")
    to_centred_bgr = keras.layers.Conv2D(3, 1, name="to_centred_bgr")
    base = keras.applications.VGG16(include_top=False, weights=None, input_tensor=to_centred_bgr(photos), pooling="max")
    model = keras.Model(photos, base.output, name="vgg16_features")
    to_centred_bgr.set_weights([np.eye(3)[::-1].reshape(1, 1, 3, 3), -np.array(_BGR_MEAN)])
    for layer in LAYERS:
        model.get_layer(layer).set_weights([weights[f"{layer}/kernel"], weights[f"{layer}/bias"]])
    model.trainable = False
    return model

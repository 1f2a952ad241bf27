"""TensorFlow, compiled once: in float32 the reference, in mixed precision for GPUs."""

import numpy as np

from ..backbones.architectures import Backbone
from ..backbones.keras_model import build_network
from ..quiet_keras import keras, tf
from .base import TENSORFLOW, TENSORFLOW_MIXED, in_batches


class TensorFlowEngine:
    """An engine on TensorFlow, see `base.Engine`. `model` is the Keras network; `compiled` computes features and
    activations. Its signature leaves the number of photos open, so no batch size is traced or compiled again.
    """

    def __init__(self, backbone: Backbone, mixed: bool = False):
        self.name = TENSORFLOW_MIXED if mixed else TENSORFLOW
        self.engine_id = "fp16 tensorflow" if mixed else "fp32 tensorflow"
        self.fingerprint, self.architecture = backbone.fingerprint, backbone.architecture
        self.model = build_network(backbone, mixed)
        pixels = self.architecture.pixels
        last = self.model.get_layer(self.architecture.activations).output
        both = keras.Model(self.model.input, [self.model.output, last])
        self.compiled = tf.function(
            lambda photos: both(tf.cast(photos, tf.float32), training=False),
            input_signature=[tf.TensorSpec((None, pixels, pixels, 3), tf.uint8)],
        )

    def features(self, photos: np.ndarray) -> np.ndarray:
        return in_batches(lambda batch: self.compiled(batch)[0].numpy(), photos, self.architecture.size)

    def activations(self, photos: np.ndarray) -> np.ndarray:
        shape = self.architecture.grid_size, self.architecture.grid_size, self.architecture.channels
        found = in_batches(lambda batch: self.compiled(batch)[1].numpy(), photos, *shape)
        return found.astype(np.float32, copy=False)

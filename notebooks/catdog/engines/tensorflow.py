"""TensorFlow: compiled once, in float32 the reference, in mixed precision for GPUs."""

import numpy as np

from ..backbone import FEATURE_SIZE, Backbone
from ..frameworks import tf
from ..images import SIDE
from ..network import build_network
from . import TENSORFLOW, TENSORFLOW_MIXED, in_batches


class TensorFlowEngine:
    """See `engines.Engine`. `model` is the Keras network that it runs.

    The signature leaves the number of photos open, so that no batch is traced or compiled a second time.
    """

    def __init__(self, backbone: Backbone, mixed: bool = False):
        self.name = TENSORFLOW_MIXED if mixed else TENSORFLOW
        self.recipe = "fp16 tensorflow" if mixed else "fp32 tensorflow"
        self.fingerprint = backbone.fingerprint
        self.model = build_network(backbone, mixed)
        self.compiled = tf.function(
            lambda photos: self.model(tf.cast(photos, tf.float32), training=False),
            input_signature=[tf.TensorSpec((None, SIDE, SIDE, 3), tf.uint8)],
        )

    def features(self, photos: np.ndarray) -> np.ndarray:
        return in_batches(lambda batch: self.compiled(batch).numpy(), photos, FEATURE_SIZE)

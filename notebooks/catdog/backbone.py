"""VGG16's frozen convolutional base as arrays: what every engine computes, and what identifies it."""

from dataclasses import dataclass

from .weights import Weights, fingerprint, load_weights

NAME = "VGG16"
FEATURES = "max(block5_pool)"
FEATURE_SIZE = 512
LAST_CONVOLUTION, CELLS = "block5_conv3", 14  # cells a side of its activations

# Means of ImageNet's training photos that keras.applications.vgg16.preprocess_input takes off, here in RGB order.
RGB_MEAN = (123.68, 116.779, 103.939)


@dataclass(frozen=True)
class Backbone:
    """The frozen base.

    Its features are block5_pool's maximum over the picture, channel by channel. On 1,300 photos of cats and dogs
    (five-fold cross-validation, three seeds) a last layer on them is right on 98.2 %, on the mean on 97.7 %.

    Attributes:
        weights: see `weights.load_weights`.
        fingerprint: identifies the weights (see `weights.fingerprint`).
    """

    weights: Weights
    fingerprint: str


def load_backbone() -> Backbone:
    """The base with ImageNet's weights. Raises SuiteError (see `weights.load_weights`)."""
    weights = load_weights()
    return Backbone(weights, fingerprint(weights))

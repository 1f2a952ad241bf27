"""A network for tests that need one, whichever it is: without TensorFlow, OpenVINO or weights, in milliseconds.

It is an `engines.Engine` of VGG16's shape, so everything above the engines runs as it is: heads, classifiers, saved
models, hot swap, heat maps, the service and the page. Its activations are fixed random projections of a thumbnail, and
its features are what VGG16 pools of them. Its model tells drawings of cats from drawings of dogs, and gets some
of them wrong, as a real one does.
"""

import dataclasses
from pathlib import Path

import numpy as np
from catdog.backbones import lite0
from catdog.backbones.architectures import ARCHITECTURES, VGG16, Backbone
from catdog.backbones.vgg16_weights import LAYERS, fingerprint
from catdog.data.images import read_photo
from catdog.data.synthetic import CLASSES
from catdog.engines.base import Engine
from catdog.models.bundle import Bundle
from catdog.models.card import Thresholds
from catdog.models.head import Head
from conftest import drawing

NAME = "stand-in"
SMALL = "MobileNetV3Large"  # the smallest backbone that notebook 1 offers
_THUMBNAIL = 28  # pixels a side: two by two of them for each cell of the activations
_DRAWINGS = 16  # of each class, that its last layer is fitted to
_WIDTHS = {"block1": 16, "block2": 32, "block3": 64, "block4": 128, "block5": 128}
_RIDGE = 0.03  # of the largest singular value: probabilities are neither all near a half nor all near one


class StandInNetwork:
    """See `engines.Engine`. It computes in float32, the same on every machine."""

    name, engine_id, fingerprint, architecture = NAME, f"fp32 {NAME}", f"sha256:{NAME}", VGG16

    def __init__(self):
        cells, values = VGG16.grid_size**2, 3 * (_THUMBNAIL // VGG16.grid_size) ** 2
        chance = np.random.default_rng(16)
        self._projections = chance.normal(size=(cells, values, VGG16.channels)).astype(np.float32)

    @property
    def backbone(self) -> Backbone:
        """What a feature store or a bundle asks of a backbone; it has no arrays."""
        return Backbone(VGG16, {}, self.fingerprint)

    def features(self, photos: np.ndarray) -> np.ndarray:
        return VGG16.pool(self.activations(photos))

    def activations(self, photos: np.ndarray) -> np.ndarray:
        side, number = VGG16.grid_size, len(photos)
        edges = np.arange(0, VGG16.pixels, VGG16.pixels // _THUMBNAIL)
        sums = np.add.reduceat(np.add.reduceat(photos.astype(np.float32), edges, axis=1), edges, axis=2)
        centered = sums / (127.5 * (VGG16.pixels / _THUMBNAIL) ** 2) - 1
        cells = centered.reshape(number, side, 2, side, 2, 3).transpose(1, 3, 0, 2, 4, 5).reshape(side**2, number, -1)
        found = np.maximum(cells @ self._projections, 0)
        return found.transpose(1, 0, 2).reshape(number, side, side, VGG16.channels)


def slim_backbone() -> Backbone:
    """VGG16 with a quarter of its channels, all of its features, and weights at random that let signals through."""
    chance, weights, entering = np.random.default_rng(4), {}, 3
    for layer in LAYERS:
        width = VGG16.channels if layer == LAYERS[-1] else _WIDTHS[layer.split("_")[0]]
        kernel = chance.normal(0, np.sqrt(2 / (9 * entering)), (3, 3, entering, width))
        weights |= {f"{layer}/kernel": kernel.astype(np.float32), f"{layer}/bias": np.zeros(width, np.float32)}
        entering = width
    return Backbone(VGG16, weights, fingerprint(weights))


def random_lite0() -> Backbone:
    """EfficientNet-Lite0 with weights at random that let signals through."""
    chance, weights = np.random.default_rng(4), {}
    for layer in lite0.LAYERS:
        fan_in = layer.side**2 * (1 if layer.depthwise else layer.entering)
        kernel = chance.normal(0, np.sqrt((2 if layer.clipped else 1) / fan_in), layer.shape)
        bias = chance.normal(0, 0.1, layer.leaving)
        weights |= {f"{layer.name}/kernel": kernel.astype(np.float32), f"{layer.name}/bias": bias.astype(np.float32)}
    return Backbone(ARCHITECTURES[lite0.NAME], weights, fingerprint(weights))


def save_random(name: str, path: Path, seed: int = 0):
    """A network of keras.applications with weights at random that let signals through, and a file of them: for
    `<NAME>_WEIGHTS`, where ImageNet's may be out of reach."""
    from catdog.quiet_keras import keras

    chance = np.random.default_rng(seed)
    base = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(224, 224, 3))
    for weight in base.trainable_weights:
        if weight.path.endswith("kernel"):
            fan_in = np.prod(weight.shape[:-1] if weight.shape[-1] > 1 else weight.shape[:2])
            weight.assign(chance.normal(size=weight.shape, scale=np.sqrt(2 / fan_in)))
    base.save_weights(path)
    return base


def model_on(network: Engine, shipped: Bundle) -> Bundle:
    """A model on `network` as `bundle.read` would give it: the shipped one's card and golden photos, with a last layer
    that tells drawings apart, without thresholds."""
    head = _fitted(network)
    backbone = dataclasses.replace(shipped.card.backbone, fingerprint=network.fingerprint)
    card = dataclasses.replace(shipped.card, backbone=backbone, thresholds=Thresholds())
    probabilities = head.probabilities(network.features(shipped.golden_photos))
    return dataclasses.replace(shipped, card=card, head=head, golden_probabilities=probabilities, ood_detector=None)


def _fitted(network: Engine) -> Head:
    """By least squares on drawings that no test uses."""
    labels = [label for label in CLASSES for _ in range(_DRAWINGS)]
    photos = [read_photo(drawing(label, 10_000 + number, "PNG")) for number, label in enumerate(labels)]
    features = network.features(np.stack(photos))
    targets = np.where(np.array(labels) == CLASSES[1], 2.0, -2.0)
    middle = features.mean(axis=0)
    left, strengths, right = np.linalg.svd(features - middle, full_matrices=False)
    damped = strengths / (strengths**2 + (_RIDGE * strengths[0]) ** 2)
    direction = (right.T @ (damped * (left.T @ targets)) / 2).astype(np.float32)
    kernel = np.stack([-direction, direction], axis=1)
    return Head(kernel, -(middle @ kernel).astype(np.float32))

"""The frozen backbone as arrays: which ones there are, what every engine computes, and what identifies it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..data.preprocessing import CROP, PREPROCESSING, Preprocessing, require_preprocessing
from ..errors import UserError
from . import lite0, lite0_weights
from .vgg16_weights import Weights, fingerprint, load_weights

# Means of ImageNet's training photos that keras.applications.vgg16.preprocess_input takes off, here in RGB order.
RGB_MEAN = (123.68, 116.779, 103.939)


@dataclass(frozen=True)
class Architecture:
    """What is known of a backbone before it has weights.

    VGG16's features are the maximum and the mean of its last activations over the picture, each scaled to length 1 (see
    docs/accuracy.md for what was measured). Those of the others are the mean that their authors take.

    Attributes:
        name: as keras.applications calls it, where it has it.
        activations: the layer of the Keras network whose output is pooled to features.
        channels: of the activations.
        stride: pixels a side for each cell of the activations.
        pooling: how the activations are pooled over the picture, "max" or "mean" for each part of the features.
        unit_length: whether each part is scaled to length 1.
        preprocessing: of the photos.
    """

    name: str
    activations: str
    channels: int
    stride: int
    pooling: tuple[str, ...] = ("mean",)
    unit_length: bool = False
    preprocessing: Preprocessing = PREPROCESSING

    @property
    def features(self) -> str:
        """What they are, in words."""
        unit = " at length 1" if self.unit_length else ""
        return ", ".join(f"{part}({self.activations}){unit}" for part in self.pooling)

    @property
    def size(self) -> int:
        """How many features there are."""
        return self.channels * len(self.pooling)

    @property
    def pixels(self) -> int:
        """A side of the square that the network sees."""
        return self.preprocessing.pixels

    @property
    def grid_size(self) -> int:
        """A side of the activations."""
        return -(-self.pixels // self.stride)

    @property
    def is_vgg16(self) -> bool:
        """Whether it is VGG16, of whatever size and pooling: only that is pruned and unfrozen."""
        return self.name == VGG16.name

    def pool(self, activations: np.ndarray) -> np.ndarray:
        """Activations (n, grid_size, grid_size, channels) → features (n, size)."""
        parts = [getattr(activations, part)(axis=(1, 2)) for part in self.pooling]
        return np.concatenate([at_length_1(part) for part in parts] if self.unit_length else parts, axis=1)

    def at(self, pixels: int, fit: str = CROP) -> "Architecture":
        """The same on photos of so many pixels a side. Raises UserError for a preprocessing that is not offered."""
        return dataclasses.replace(self, preprocessing=require_preprocessing(pixels, fit))


def at_length_1(rows: np.ndarray) -> np.ndarray:
    """Float (n, size), each row scaled to length 1; rows of zeros stay so."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


VGG16 = Architecture("VGG16", "block5_conv3", 512, 16, ("max", "mean"), unit_length=True)
ARCHITECTURES = {
    one.name: one
    for one in (
        VGG16,
        Architecture(lite0.NAME, "activations", lite0.CHANNELS, 32),
        Architecture("MobileNetV3Large", "activations", 960, 32),
        Architecture("EfficientNetV2B0", "activations", 1280, 32),
        Architecture("ConvNeXtTiny", "activations", 768, 32),
    )
}
# By what a saved model tells of its own: those above, and what models up to 2026-11 were trained on.
_SAVED = {(one.name, one.features): one for one in ARCHITECTURES.values()} | {
    (VGG16.name, "max(block5_pool)"): dataclasses.replace(VGG16, pooling=("max",), unit_length=False)
}


def architecture_of(name: str, features: str, preprocessing: str) -> Architecture:
    """The architecture that a saved model names, including one that new models no longer use.

    Raises ValueError for a name, features or a preprocessing that are unknown here.
    """
    if (name, features) not in _SAVED:
        raise ValueError(f'the backbone "{name}" with the features "{features}" is unknown')
    return dataclasses.replace(_SAVED[name, features], preprocessing=Preprocessing.of(preprocessing))


@dataclass(frozen=True)
class Backbone:
    """A network without its last layer.

    Attributes:
        architecture: see there.
        weights: arrays by name, see `load_weights` of vgg16_weights.py, lite0_weights.py and keras_applications.py.
        fingerprint: identifies them (see `vgg16_weights.fingerprint`).
        fine_tuned: those of them that were trained on photos of yours (see fine_tuning.py) and are not ImageNet's.
    """

    architecture: Architecture
    weights: Weights
    fingerprint: str
    fine_tuned: Weights = field(default_factory=dict)

    def with_fine_tuned(self, fine_tuned: Mapping[str, np.ndarray]) -> "Backbone":
        """The same with other arrays in the place of some. Raises ValueError where they do not fit."""
        for name, array in fine_tuned.items():
            public = self.weights.get(name, np.empty(0))
            if array.shape != public.shape or array.dtype != public.dtype or not np.isfinite(array).all():
                raise ValueError(f"the fine-tuned array {name} makes no sense")
        weights = {**self.weights, **fine_tuned}
        return dataclasses.replace(self, weights=weights, fingerprint=fingerprint(weights), fine_tuned=dict(fine_tuned))


def require_backbone(name: str) -> None:
    """Raises UserError where there is no backbone of this name."""
    if name not in ARCHITECTURES:
        raise UserError(
            "backbone-unknown", f'There is no backbone "{name}": set BACKBONE to one of {", ".join(ARCHITECTURES)}.'
        )


def load_backbone(name: str = VGG16.name, pixels: int = PREPROCESSING.pixels, fit: str = CROP) -> Backbone:
    """A backbone with ImageNet's weights, for photos of `pixels` a side that are brought to a square by `fit`.

    Raises UserError: there is none of this name or for this preprocessing, or its weights cannot be had (see
    `vgg16_weights.load_weights`).
    """
    require_backbone(name)
    architecture = ARCHITECTURES[name].at(pixels, fit)
    if architecture.is_vgg16:
        weights = load_weights()
    elif name == lite0.NAME:
        weights = lite0_weights.load_weights()
    else:
        from . import keras_applications

        weights = keras_applications.load_weights(name)
    return Backbone(architecture, weights, fingerprint(weights))

"""The frozen backbones as arrays: their architectures, features and fingerprints."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..data.preprocessing import CROP, PREPROCESSING, Preprocessing, require_preprocessing
from ..errors import UserError
from . import lite0, lite0_weights
from .vgg16_weights import Weights, fingerprint, load_weights

# ImageNet means that keras.applications.vgg16.preprocess_input subtracts, here in RGB order.
RGB_MEAN = (123.68, 116.779, 103.939)


@dataclass(frozen=True)
class Architecture:
    """A backbone without its weights.

    VGG16's features are the maximum and the mean of its last activations over the image, each scaled to length 1 (for
    measurements see docs/accuracy.md). The others use the mean, as their authors do.

    Attributes:
        name: as in keras.applications, if it is there.
        activations: the layer of the Keras model whose output is pooled to features.
        channels: of the activations.
        stride: pixels per cell of the activations, in each direction.
        pooling: how the activations are pooled over the image, "max" or "mean" for each part of the features.
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
        """Description of the features, which identifies them in saved models."""
        unit = " at length 1" if self.unit_length else ""
        return ", ".join(f"{part}({self.activations}){unit}" for part in self.pooling)

    @property
    def size(self) -> int:
        """Number of features."""
        return self.channels * len(self.pooling)

    @property
    def pixels(self) -> int:
        """Side of the square input image."""
        return self.preprocessing.pixels

    @property
    def grid_size(self) -> int:
        """Side of the grid of activations."""
        return -(-self.pixels // self.stride)

    @property
    def is_vgg16(self) -> bool:
        """True for VGG16 of any size and pooling, the only backbone that can be pruned and fine-tuned."""
        return self.name == VGG16.name

    def pool(self, activations: np.ndarray) -> np.ndarray:
        """Pool activations (n, grid_size, grid_size, channels) to features (n, size)."""
        parts = [getattr(activations, part)(axis=(1, 2)) for part in self.pooling]
        return np.concatenate([at_length_1(part) for part in parts] if self.unit_length else parts, axis=1)

    def at(self, pixels: int, fit: str = CROP) -> "Architecture":
        """Return the same architecture for photos of other preprocessing. Raises UserError if it is not offered."""
        return dataclasses.replace(self, preprocessing=require_preprocessing(pixels, fit))


def at_length_1(rows: np.ndarray) -> np.ndarray:
    """Scale each row of a float array (n, size) to length 1; rows of zeros stay zero."""
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
# By the name and features in saved models: the architectures above, and the one of models until 2026-11.
_SAVED = {(one.name, one.features): one for one in ARCHITECTURES.values()} | {
    (VGG16.name, "max(block5_pool)"): dataclasses.replace(VGG16, pooling=("max",), unit_length=False)
}


def architecture_of(name: str, features: str, preprocessing: str) -> Architecture:
    """Return the architecture that a saved model names, also one that new models no longer use.

    Raises ValueError if the name, the features or the preprocessing are unknown.
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
        fingerprint: identifies the weights (see `vgg16_weights.fingerprint`).
        fine_tuned: the weights that were trained on the user's photos (see fine_tuning.py) and are not ImageNet's.
    """

    architecture: Architecture
    weights: Weights
    fingerprint: str
    fine_tuned: Weights = field(default_factory=dict)

    def with_fine_tuned(self, fine_tuned: Mapping[str, np.ndarray]) -> "Backbone":
        """Return the backbone with some arrays replaced by `fine_tuned` ones. Raises ValueError if they do not fit."""
        for name, array in fine_tuned.items():
            public = self.weights.get(name, np.empty(0))
            if array.shape != public.shape or array.dtype != public.dtype or not np.isfinite(array).all():
                raise ValueError(f"the fine-tuned array {name} is not valid")
        weights = {**self.weights, **fine_tuned}
        return dataclasses.replace(self, weights=weights, fingerprint=fingerprint(weights), fine_tuned=dict(fine_tuned))


def require_backbone(name: str) -> None:
    """Raise UserError if there is no backbone of this name."""
    if name not in ARCHITECTURES:
        raise UserError(
            "backbone-unknown", f'There is no backbone "{name}": set BACKBONE to one of {", ".join(ARCHITECTURES)}.'
        )


def load_backbone(name: str = VGG16.name, pixels: int = PREPROCESSING.pixels, fit: str = CROP) -> Backbone:
    """Load a backbone with ImageNet weights, for photos of `pixels` per side that are made square by `fit`.

    Raises UserError if the name or the preprocessing is unknown, or the weights cannot be loaded (see
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

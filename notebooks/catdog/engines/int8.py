"""Parameters that quantize a backbone to int8: a few plain arrays. The weights stay the public ones."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..backbones import lite0
from ..backbones.architectures import VGG16
from ..backbones.vgg16_weights import LAYERS

# The convolutions of each backbone that can be quantized.
QUANTIZABLE = {VGG16.name: LAYERS, lite0.NAME: lite0.NAMES}


@dataclass(frozen=True)
class Int8Params:
    """Three arrays for each convolution: `<layer>/range` float32 (2,), the lowest and highest value of its inputs;
    `<layer>/scale` float32 (out,), the size of one int8 step of its kernel; `<layer>/bias` float32 (out,).

    Raises ValueError for any other arrays.
    """

    arrays: dict[str, np.ndarray]

    def __post_init__(self):
        for layer in self.layers:
            span, scale, bias = (self.arrays.get(f"{layer}/{part}", np.empty(0)) for part in ("range", "scale", "bias"))
            fits = span.shape == (2,) and scale.ndim == 1 and scale.shape == bias.shape and scale.size
            if not fits or not np.isfinite([*span, *scale, *bias]).all() or span[0] >= span[1] or scale.min() <= 0:
                raise ValueError(f"the int8 parameters for {layer} are invalid")

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the backbone's convolutions. The arrays' first layer tells the backbone; VGG16 by default."""
        return next((layers for layers in QUANTIZABLE.values() if f"{layers[0]}/range" in self.arrays), LAYERS)

    def steps(self, layer: str, weights: Mapping[str, np.ndarray]) -> np.ndarray:
        """Round the kernel of `layer` to steps of its scale: int8, in the kernel's shape."""
        kernel, scale = weights[f"{layer}/kernel"], self.arrays[f"{layer}/scale"]
        depthwise = kernel.shape[-1] != scale.size  # its channels are the last axis but one
        scaled = kernel / (scale[:, None] if depthwise else scale)
        return np.clip(np.floor(scaled + 0.5), -127, 127).astype(np.int8)

    @property
    def digest(self) -> str:
        """SHA-256 of the arrays, hex; identifies the parameters."""
        digest = hashlib.sha256()
        for name in sorted(self.arrays):
            digest.update(name.encode() + np.ascontiguousarray(self.arrays[name], dtype="<f4").tobytes())
        return digest.hexdigest()

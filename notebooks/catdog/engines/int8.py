"""Parameters of an int8 network: how to quantize a backbone, in a few plain arrays. Its weights stay public."""

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
    """For each convolution `<layer>/range` float32 (2,), lowest and highest value that enters it; `<layer>/scale`
    float32 (out,), the size of one int8 step of its kernel; `<layer>/bias` float32 (out,).

    Raises ValueError when the arrays are not these.
    """

    arrays: dict[str, np.ndarray]

    def __post_init__(self):
        for layer in self.layers:
            span, scale, bias = (self.arrays.get(f"{layer}/{part}", np.empty(0)) for part in ("range", "scale", "bias"))
            fits = span.shape == (2,) and scale.ndim == 1 and scale.shape == bias.shape and scale.size
            if not fits or not np.isfinite([*span, *scale, *bias]).all() or span[0] >= span[1] or scale.min() <= 0:
                raise ValueError(f"the int8 parameters for {layer} make no sense")

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the convolutions: of the backbone whose first one the arrays have, or of VGG16."""
        return next((layers for layers in QUANTIZABLE.values() if f"{layers[0]}/range" in self.arrays), LAYERS)

    def steps(self, layer: str, weights: Mapping[str, np.ndarray]) -> np.ndarray:
        """The kernel of `layer` in whole steps of its scale, int8 in the shape of the kernel."""
        kernel, scale = weights[f"{layer}/kernel"], self.arrays[f"{layer}/scale"]
        depthwise = kernel.shape[-1] != scale.size  # its channels come last but one
        scaled = kernel / (scale[:, None] if depthwise else scale)
        return np.clip(np.floor(scaled + 0.5), -127, 127).astype(np.int8)

    @property
    def digest(self) -> str:
        """Identifies the parameters: sha256 over its arrays, hex."""
        digest = hashlib.sha256()
        for name in sorted(self.arrays):
            digest.update(name.encode() + np.ascontiguousarray(self.arrays[name], dtype="<f4").tobytes())
        return digest.hexdigest()

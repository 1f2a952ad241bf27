"""A pruned network: VGG16 with fewer channels (see pruning/), in int8, as plain arrays."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ..backbones.architectures import VGG16, Architecture, Backbone
from ..backbones.vgg16_weights import LAYERS, Weights, fingerprint
from .int8 import Int8Params
from .quantization import quantize


@dataclass(frozen=True)
class PrunedNetwork(Int8Params):
    """The arrays of `Int8Params`, and for each convolution `<layer>/kernel`: int8 (3, 3, in, out), in steps of its
    scale.

    Raises ValueError for any other arrays.
    """

    def __post_init__(self):
        super().__post_init__()
        kernels = [self.arrays.get(f"{layer}/kernel", np.empty(0)) for layer in LAYERS]
        scales = [self.arrays[f"{layer}/scale"] for layer in LAYERS]
        fits = all(
            kernel.dtype == np.int8 and kernel.shape == (3, 3, entering, len(scale))
            for kernel, scale, entering in zip(kernels, scales, [3, *map(len, scales)])
        )
        if not fits or self.widths[-1] != VGG16.channels:
            raise ValueError("the pruned network's arrays are invalid")

    @property
    def widths(self) -> tuple[int, ...]:
        """Output channels of each layer."""
        return tuple(len(self.arrays[f"{layer}/bias"]) for layer in LAYERS)

    def steps(self, layer: str, weights: Mapping[str, np.ndarray]) -> np.ndarray:
        return self.arrays[f"{layer}/kernel"]


def quantize_pruned(narrow: Weights, photos: Iterable[np.ndarray], architecture: Architecture = VGG16) -> PrunedNetwork:
    """Quantize a pruned network as `quantize` does the whole one (post-training quantization: Nagel et al. 2021,
    https://arxiv.org/abs/2106.08295).

    Raises EngineUnavailable: see `quantize`.
    """
    params = quantize(Backbone(architecture, narrow, fingerprint(narrow)), photos)
    kernels = {f"{layer}/kernel": params.steps(layer, narrow) for layer in LAYERS}
    return PrunedNetwork({**params.arrays, **kernels})

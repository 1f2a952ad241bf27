"""The compact twin's network: VGG16 with fewer channels (see pruning/), in int8, as plain arrays."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..backbones.architectures import VGG16, Architecture, Backbone
from ..backbones.vgg16_weights import LAYERS, Weights, fingerprint
from .int8 import Twin
from .quantization import make_twin


@dataclass(frozen=True)
class Compact(Twin):
    """For each convolution what a `Twin` has, and `<layer>/kernel` int8 (3, 3, in, out), in steps of its scale.

    Raises ValueError when the arrays are not these.
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
            raise ValueError("the compact twin's arrays make no sense")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels that each layer gives."""
        return tuple(len(self.arrays[f"{layer}/bias"]) for layer in LAYERS)

    def steps(self, layer: str, weights: Weights) -> np.ndarray:
        return self.arrays[f"{layer}/kernel"]


def make_compact(narrow: Weights, photos: Iterable[np.ndarray], architecture: Architecture = VGG16) -> Compact:
    """Quantise a narrow network, as `make_twin` does the whole one (post-training quantisation: Nagel et al. 2021,
    https://arxiv.org/abs/2106.08295).

    Raises EngineUnavailable: see `make_twin`.
    """
    twin = make_twin(Backbone(architecture, narrow, fingerprint(narrow)), photos)
    kernels = {f"{layer}/kernel": twin.steps(layer, narrow) for layer in LAYERS}
    return Compact({**twin.arrays, **kernels})

"""Measure how much each layer's loss affects the features."""

import numpy as np

from ..backbones.vgg16_weights import Weights
from ..progress import bar
from .elimination import Elimination
from .statistics import Moments
from .vgg16_layers import CHAIN, as_kernel, stage

_ROUNDING = 1e-3  # of a variance; below that a layer's own loss is only rounding


def importance(
    weights: Weights, entering: np.ndarray, moments: list[Moments], eliminations: list[Elimination]
) -> list[float]:
    """Measure for every layer but the last the ratio of the features' loss of variance to the next layer's own loss.

    Half of the layer's channels are removed and the next layer is refitted; all others stay as they are.

    Args:
        weights: of the full network.
        entering: a few photos, from `vgg16_layers.centered`.
        moments, eliminations: of each layer but the first.
    """
    stages = [stage(layer, *layer.of(weights)) for layer in CHAIN]
    passing = [entering]
    for through in stages:
        passing.append(through(passing[-1]))
    features = passing[-1].max(axis=(2, 3))
    variance = ((features - features.mean(axis=0)) ** 2).sum()
    found = []
    layers = list(zip(CHAIN, moments, eliminations))
    for place, (layer, gathered, one) in enumerate(bar(layers, what="Measuring sensitivity", unit="layers")):
        half = one.channels // 2
        kept = one.kept(half)
        kernel, bias = layer.of(weights)
        rows, fitted_bias = gathered.fitted(kept)
        values = stage(layer, kernel[..., kept], bias[kept])(passing[place])
        for through in [stage(CHAIN[place + 1], as_kernel(rows), fitted_bias), *stages[place + 2 :]]:
            values = through(values)
        lost = ((values.max(axis=(2, 3)) - features) ** 2).sum() / max(variance, 1e-12)
        found.append(float(lost / max(one.error(half), _ROUNDING)))
    return found

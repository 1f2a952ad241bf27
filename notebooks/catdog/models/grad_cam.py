"""Why a class? The places of a photo that speak for it: Grad-CAM on what is pooled to features, in closed form."""

import numpy as np

from ..backbones.architectures import Architecture
from .head import Head


def grad_cam(activations: np.ndarray, head: Head, number: int, architecture: Architecture) -> np.ndarray:
    """Where the evidence for a class lies (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391).

    Each part of the features is the maximum or the mean of the activations, channel by channel, and the last layer is
    linear. So the gradient of a class's logit is the channel's weight at the place of that maximum and 0 elsewhere, or
    a part of the weight everywhere, and Grad-CAM's factor, its mean over the places, is the weight divided by their
    number either way: no backward pass is needed. Where a part is scaled to length 1, the gradient by what was pooled
    is the weight less its share along that part, divided by the part's length.

    Args:
        activations: float32 (cells, cells, channels).
        number: of the class.
        architecture: how activations become features.

    Returns:
        float32 (cells, cells) from 0 to 1, the strongest place 1; all 0 where nothing speaks for the class.
    """
    weights = head.kernel[:, number].reshape(len(architecture.pooling), -1)
    if architecture.unit_length:
        pooled = np.stack([getattr(activations, part)(axis=(0, 1)) for part in architecture.pooling])
        weights = _through_unit_length(weights, pooled)
    heat = np.maximum(activations @ weights.sum(axis=0), 0)
    strongest = heat.max()
    return heat / strongest if strongest > 0 else heat


def _through_unit_length(weights: np.ndarray, pooled: np.ndarray) -> np.ndarray:
    """Gradients by `pooled` (parts, channels) of what has the gradients `weights` by it at length 1."""
    lengths = np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
    units = pooled / lengths
    return (weights - (weights * units).sum(axis=1, keepdims=True) * units) / lengths

"""The evidence for a class in a photo: Grad-CAM on the activations before pooling, in closed form."""

import numpy as np

from ..backbones.architectures import Architecture
from .head import Head


def grad_cam(activations: np.ndarray, head: Head, number: int, architecture: Architecture) -> np.ndarray:
    """Return a heat map of the evidence for a class (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391).

    Each part of the features is the maximum or the mean of the activations per channel, and the last layer is linear.
    So the gradient of a class's logit is the channel's weight at the maximum and 0 elsewhere, or an equal share of the
    weight in every cell. Grad-CAM's factor, the mean of the gradient over the cells, is in both cases the weight
    divided by their number, so no backward pass is needed. If a part is scaled to length 1, the gradient with respect
    to the pooled values is the weight minus its projection on that part, divided by the part's length.

    Args:
        activations: float32 (cells, cells, channels).
        number: of the class.
        architecture: how activations become features.

    Returns:
        float32 (cells, cells) from 0 to 1, with 1 in the strongest cell; all 0 if there is no evidence for the class.
    """
    weights = head.kernel[:, number].reshape(len(architecture.pooling), -1)
    if architecture.unit_length:
        pooled = np.stack([getattr(activations, part)(axis=(0, 1)) for part in architecture.pooling])
        weights = _through_unit_length(weights, pooled)
    heat = np.maximum(activations @ weights.sum(axis=0), 0)
    strongest = heat.max()
    return heat / strongest if strongest > 0 else heat


def _through_unit_length(weights: np.ndarray, pooled: np.ndarray) -> np.ndarray:
    """Return the gradients with respect to `pooled` (parts, channels), given those with respect to `pooled` at length
    1."""
    lengths = np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
    units = pooled / lengths
    return (weights - (weights * units).sum(axis=1, keepdims=True) * units) / lengths

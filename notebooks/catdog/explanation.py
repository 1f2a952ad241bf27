"""Why a class? The places of a photo that speak for it: Grad-CAM on what is pooled to features, in closed form."""

import numpy as np

from .head import Head


def grad_cam(activations: np.ndarray, head: Head, number: int) -> np.ndarray:
    """Where the evidence for a class lies (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391).

    A feature is the maximum of one channel of the activations, or their mean, and the last layer is linear. So the
    gradient of a class's logit is the channel's weight at the place of that maximum and 0 elsewhere, or a part of the
    weight everywhere, and Grad-CAM's factor, its mean over the places, is the weight divided by their number either
    way: no backward pass is needed.

    Args:
        activations: float32 (cells, cells, size).
        number: of the class.

    Returns:
        float32 (cells, cells) from 0 to 1, the strongest place 1; all 0 where nothing speaks for the class.
    """
    heat = np.maximum(activations @ head.kernel[:, number], 0)
    strongest = heat.max()
    return heat / strongest if strongest > 0 else heat

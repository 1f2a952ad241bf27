"""The last layer, all that training produces: a matrix and a vector."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Head:
    """The last layer: logits = features @ kernel + bias. `kernel` float32 (512, classes), `bias` float32 (classes,)."""

    kernel: np.ndarray
    bias: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Features (n, 512) → float32 (n, classes)."""
        return features @ self.kernel + self.bias

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Features (n, 512) → softmax probabilities, float32 (n, classes)."""
        logits = self.logits(features)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shifted / shifted.sum(axis=1, keepdims=True)

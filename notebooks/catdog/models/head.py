"""The last layer, the only thing that training produces: a matrix and a vector."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Head:
    """The last layer: logits = features @ kernel + bias, float32 (size, classes) and (classes,)."""

    kernel: np.ndarray
    bias: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Map features (n, size) to logits, float32 (n, classes)."""
        return features @ self.kernel + self.bias

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Map features (n, size) to softmax probabilities, float32 (n, classes)."""
        logits = self.logits(features)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shifted / shifted.sum(axis=1, keepdims=True)

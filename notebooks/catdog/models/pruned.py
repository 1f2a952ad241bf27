"""A pruned model: a network with fewer channels, and its own last layer, thresholds and golden answers."""

from dataclasses import dataclass

import numpy as np

from ..engines.pruned import PrunedNetwork
from .card import Card
from .head import Head
from .ood import OODDetector


@dataclass(frozen=True)
class PrunedModel:
    """A replacement for the full model, for a fraction of the arithmetic.

    Attributes:
        network: its convolutions in int8.
        head: the last layer, fitted on the features of that network.
        ood_detector: recognizes photos unlike all training photos.
        confidence_threshold: the probability from which it is confident of a class.
        golden_probabilities: expected probabilities of the model's golden photos, float32 (n, classes).

    Raises ValueError if these do not fit together.
    """

    network: PrunedNetwork
    head: Head
    ood_detector: OODDetector
    confidence_threshold: float
    golden_probabilities: np.ndarray

    def __post_init__(self):
        (size, classes), channels = self.head.kernel.shape, self.network.widths[-1]
        centers, golden = self.ood_detector.centers, self.golden_probabilities
        numbers = (self.head.kernel, self.head.bias, centers, golden)
        shapes = [(size, classes), (classes,), (classes, size), (len(golden), classes)]
        if (
            [array.shape for array in numbers] != shapes
            or not all(array.dtype == np.float32 and np.isfinite(array).all() for array in numbers)
            or size % channels
            or not (0 <= self.confidence_threshold <= 1 and self.ood_detector.limit > 0)
        ):
            raise ValueError("the parts of the pruned model do not fit together")

    @classmethod
    def of(cls, arrays: dict[str, np.ndarray], card: Card) -> "PrunedModel":
        """Create a pruned model from its `arrays` and the card of the full model.

        Raises ValueError or KeyError if it does not belong to this model.
        """
        if card.pruned is None:
            raise ValueError("the card has no pruned model")
        thresholds = card.pruned.thresholds
        network = {name: array for name, array in arrays.items() if name.split("/")[0] not in ("head", "model")}
        means = {name.split("/")[1]: array for name, array in arrays.items() if name.startswith("model/")}
        model = cls(
            PrunedNetwork(network),
            Head(arrays["head/kernel"], arrays["head/bias"]),
            OODDetector.of(means, thresholds.ood_distance),
            thresholds.confidence,
            arrays["model/golden"],
        )
        if model.head.kernel.shape != (card.architecture.size, len(card.classes)):
            raise ValueError("the pruned model has other classes, or other features")
        return model

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays to save; the thresholds are in the card."""
        return {
            **self.network.arrays,
            "head/kernel": self.head.kernel,
            "head/bias": self.head.bias,
            **{f"model/{name}": array for name, array in self.ood_detector.arrays.items()},
            "model/golden": self.golden_probabilities,
        }

"""The compact twin of a model: a narrow network with a last layer, thresholds and golden answers of its own."""

from dataclasses import dataclass

import numpy as np

from ..engines.pruned import Compact
from .card import architecture_of_card
from .head import Head
from .ood import OODDetector


@dataclass(frozen=True)
class CompactTwin:
    """What answers instead of the whole model, for a fraction of the arithmetic.

    Attributes:
        network: its convolutions in int8.
        head: the last layer, fitted on what that network sees.
        familiarity: tells photos that are unlike all that it was trained on.
        sure_from: the probability from which on it counts as sure of a class.
        golden_probabilities: what it must say of the model's golden photos, float32 (n, classes).

    Raises ValueError when these do not fit together.
    """

    network: Compact
    head: Head
    familiarity: OODDetector
    sure_from: float
    golden_probabilities: np.ndarray

    def __post_init__(self):
        (size, classes), channels = self.head.kernel.shape, self.network.widths[-1]
        centers, golden = self.familiarity.centers, self.golden_probabilities
        numbers = (self.head.kernel, self.head.bias, centers, golden)
        shapes = [(size, classes), (classes,), (classes, size), (len(golden), classes)]
        if (
            [array.shape for array in numbers] != shapes
            or not all(array.dtype == np.float32 and np.isfinite(array).all() for array in numbers)
            or size % channels
            or not (0 <= self.sure_from <= 1 and self.familiarity.limit > 0)
        ):
            raise ValueError("the parts of the compact twin do not fit together")

    @classmethod
    def of(cls, arrays: dict[str, np.ndarray], card: dict) -> "CompactTwin":
        """From what `arrays` gave, and the card of the model that it is the twin of.

        Raises ValueError, KeyError or TypeError when it is none for this model.
        """
        thresholds = card["compact"]["thresholds"]
        network = {name: array for name, array in arrays.items() if name.split("/")[0] not in ("head", "model")}
        familiar = {name.split("/")[1]: array for name, array in arrays.items() if name.startswith("model/")}
        twin = cls(
            Compact(network),
            Head(arrays["head/kernel"], arrays["head/bias"]),
            OODDetector.of(familiar, float(thresholds["far"])),
            float(thresholds["sure"]),
            arrays["model/golden"],
        )
        if twin.head.kernel.shape != (architecture_of_card(card).size, len(card["classes"])):
            raise ValueError("the compact twin knows other classes, or other features")
        return twin

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """All but the thresholds, which stand in the card."""
        return {
            **self.network.arrays,
            "head/kernel": self.head.kernel,
            "head/bias": self.head.bias,
            **{f"model/{name}": array for name, array in self.familiarity.arrays.items()},
            "model/golden": self.golden_probabilities,
        }

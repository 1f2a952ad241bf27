"""Does an engine answer as float32 TensorFlow does?"""

from dataclasses import asdict, dataclass

import numpy as np

AGREEMENT = 0.995
MEAN_DIFFERENCE = 0.03


@dataclass(frozen=True)
class Proof:
    """How an engine's answers compare with the reference's on the same photos.

    Attributes:
        agreement: share of photos with the same top-1.
        mean_difference: mean over the photos of the largest difference of a probability.
        photos: how many there were.
    """

    agreement: float
    mean_difference: float
    photos: int

    @property
    def objection(self) -> str:
        """Why the engine is not to be trusted; nothing when it is."""
        if self.photos and self.agreement >= AGREEMENT and self.mean_difference <= MEAN_DIFFERENCE:
            return ""
        return (
            f"on {self.photos:,} photos it agrees with float32 TensorFlow on {self.agreement:.1%} "
            f"({AGREEMENT:.1%} are needed), and probabilities differ by {self.mean_difference:.3f} "
            f"(at most {MEAN_DIFFERENCE})."
        )

    def as_card(self) -> dict:
        return asdict(self)


def compare(probabilities: np.ndarray, reference: np.ndarray) -> Proof:
    """Two arrays of probabilities (n, classes) for the same photos."""
    if not len(reference):
        return Proof(0.0, 0.0, 0)
    agreement = (probabilities.argmax(axis=1) == reference.argmax(axis=1)).mean()
    difference = np.abs(probabilities - reference).max(axis=1).mean()
    return Proof(float(agreement), float(difference), len(reference))

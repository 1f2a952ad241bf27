"""Parity checks: does an engine answer as float32 TensorFlow does, and a pruned model as the whole one?"""

from dataclasses import asdict, dataclass

import numpy as np

AGREEMENT = 0.995
MEAN_DIFFERENCE = 0.03
PRUNED_AGREEMENT = 0.99
FEW = 30  # photos, below which they say too little


@dataclass(frozen=True)
class ParityCheck:
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
    def failure(self) -> str:
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


def compare(probabilities: np.ndarray, reference: np.ndarray) -> ParityCheck:
    """Two arrays of probabilities (n, classes) for the same photos."""
    if not len(reference):
        return ParityCheck(0.0, 0.0, 0)
    agreement = (probabilities.argmax(axis=1) == reference.argmax(axis=1)).mean()
    difference = np.abs(probabilities - reference).max(axis=1).mean()
    return ParityCheck(float(agreement), float(difference), len(reference))


@dataclass(frozen=True)
class PrunedParityCheck:
    """How a pruned model, which has a last layer of its own, compares with the whole model on photos that neither
    was trained on (see `pruned_models.prune`).

    Attributes:
        agreement: share of photos with the same top-1.
        accuracy_drop: by how many points fewer photos are right; below 0 it is the better one.
        low, high: 95 % interval of that.
        max_drop: how many points it may be.
        photos: how many there were.
    """

    agreement: float
    accuracy_drop: float
    low: float
    high: float
    max_drop: float
    photos: int

    @property
    def failure(self) -> str:
        """Why it is not to be trusted; nothing when it is."""
        if self.photos < FEW:
            return f"{self.photos} photos are too few to check it by: it takes {FEW}."
        if self.agreement >= PRUNED_AGREEMENT and self.accuracy_drop <= self.max_drop:
            return ""
        return f"{self} At least {PRUNED_AGREEMENT:.0%} and at most {self.max_drop:.1f} points are wanted."

    def __str__(self) -> str:
        change = f"{abs(self.accuracy_drop):.1f} points {'fewer' if self.accuracy_drop >= 0 else 'more'} are right"
        return (
            f"on {self.photos:,} photos that neither was trained on it agrees with the whole model on "
            f"{self.agreement:.1%}, and {change} (95 % interval of what is lost: {self.low:+.1f} to {self.high:+.1f})."
        )

    def as_card(self) -> dict:
        return asdict(self)


def compare_pruned(
    logits: np.ndarray, reference: np.ndarray, targets: np.ndarray, max_drop: float
) -> PrunedParityCheck:
    """The pruned model's logits (n, classes) against the whole model's, for photos of the classes `targets`.

    The interval is that for matched pairs with half a photo added to each of the four kinds (Agresti & Min 2005,
    https://doi.org/10.1002/sim.1781): it stays honest where hardly any photo is judged differently.
    """
    if not len(targets):
        return PrunedParityCheck(0.0, 0.0, -100.0, 100.0, max_drop, 0)
    now, before = (found.argmax(axis=1) == targets for found in (logits, reference))
    regressed, fixed, photos = (before & ~now).sum(), (now & ~before).sum(), len(targets)
    middle = (regressed - fixed) / (photos + 2)
    half = 1.96 * np.sqrt((regressed + fixed + 1) / (photos + 2) - middle**2) / np.sqrt(photos + 2)
    agreement = (logits.argmax(axis=1) == reference.argmax(axis=1)).mean()
    shares = (regressed - fixed) / photos, middle - half, middle + half
    lost, low, high = (100 * float(share) for share in shares)
    return PrunedParityCheck(float(agreement), lost, low, high, max_drop, photos)

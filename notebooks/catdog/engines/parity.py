"""Parity checks: does an engine answer like float32 TensorFlow, and a pruned model like the whole one?"""

from dataclasses import asdict, dataclass

import numpy as np

AGREEMENT = 0.995
MEAN_DIFFERENCE = 0.03
PRUNED_AGREEMENT = 0.99
FEW = 30  # photos: a check on fewer says too little


@dataclass(frozen=True)
class ParityCheck:
    """How an engine's answers compare with the reference's on the same photos.

    Attributes:
        agreement: share of photos with the same top-1.
        mean_difference: mean over the photos of the largest difference between probabilities.
        photos: number of photos.
    """

    agreement: float
    mean_difference: float
    photos: int

    @property
    def failure(self) -> str:
        """Reason not to trust the engine; empty if it passed."""
        if self.photos and self.agreement >= AGREEMENT and self.mean_difference <= MEAN_DIFFERENCE:
            return ""
        return (
            f"on {self.photos:,} photos it agrees with float32 TensorFlow on {self.agreement:.1%} "
            f"(at least {AGREEMENT:.1%} is required), and probabilities differ by {self.mean_difference:.3f} "
            f"(at most {MEAN_DIFFERENCE} is allowed)."
        )

    def as_card(self) -> dict:
        return asdict(self)


def compare(probabilities: np.ndarray, reference: np.ndarray) -> ParityCheck:
    """Compare two arrays of probabilities (n, classes) for the same photos."""
    if not len(reference):
        return ParityCheck(0.0, 0.0, 0)
    agreement = (probabilities.argmax(axis=1) == reference.argmax(axis=1)).mean()
    difference = np.abs(probabilities - reference).max(axis=1).mean()
    return ParityCheck(float(agreement), float(difference), len(reference))


@dataclass(frozen=True)
class PrunedParityCheck:
    """How a pruned model, which has its own last layer, compares with the whole model on photos that neither was
    trained on (see `pruned_models.prune`).

    Attributes:
        agreement: share of photos with the same top-1.
        accuracy_drop: loss of accuracy in points; below 0 if the pruned model is better.
        low, high: 95 % interval of `accuracy_drop`.
        max_drop: largest allowed `accuracy_drop`.
        photos: number of photos.
    """

    agreement: float
    accuracy_drop: float
    low: float
    high: float
    max_drop: float
    photos: int

    @property
    def failure(self) -> str:
        """Reason not to trust the pruned model; empty if it passed."""
        if self.photos < FEW:
            return f"{self.photos} photos are too few for a parity check: {FEW} are needed."
        if self.agreement >= PRUNED_AGREEMENT and self.accuracy_drop <= self.max_drop:
            return ""
        return (
            f"{self} At least {PRUNED_AGREEMENT:.0%} agreement is required, and at most {self.max_drop:.1f} points may "
            "be lost."
        )

    def __str__(self) -> str:
        change = f"{abs(self.accuracy_drop):.1f} points {'lower' if self.accuracy_drop >= 0 else 'higher'}"
        return (
            f"on {self.photos:,} photos that neither was trained on, it agrees with the whole model on "
            f"{self.agreement:.1%}, and accuracy is {change} (95 % interval of the loss: {self.low:+.1f} to "
            f"{self.high:+.1f})."
        )

    def as_card(self) -> dict:
        return asdict(self)


def compare_pruned(
    logits: np.ndarray, reference: np.ndarray, targets: np.ndarray, max_drop: float
) -> PrunedParityCheck:
    """Compare the pruned model's logits (n, classes) with the whole model's, for photos of the classes `targets`.

    The interval is for matched pairs, with half a photo added to each of the four cells of the table (Agresti & Min
    2005, https://doi.org/10.1002/sim.1781): it holds even if the two disagree on hardly any photo.
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

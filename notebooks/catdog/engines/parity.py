"""Parity checks: does an engine answer like float32 TensorFlow, and a pruned model like the whole one?"""

import math
from dataclasses import asdict, dataclass

import numpy as np

AGREEMENT = 0.995
MEAN_DIFFERENCE = 0.03
FEW = 30  # photos: a check on fewer says too little

# What a pruned model must keep, on photos that neither it nor the whole model has seen. Its last layer is fitted anew,
# so some answers change whatever pruning did. Six last layers of the whole network, fitted to different deals of the
# same photos and judged on 772, agree on 99.6 to 100 %, and differ by up to 0.3 points of calibration error.
ONE_SIDED = 1.645  # standard errors: a larger loss would look like this one in less than 5 % of such checks
MOST_LOST = 1.0  # points that may be lost at that bound: the setting allows a loss in sight, chance may hide no more
CALIBRATION_MARGIN = 0.5  # points of calibration error: more than those differ by
AGREEMENT_MARGIN = 0.3  # points: what is asked for differs by 0.4 from one deal to the next
_EARLIER_AGREEMENT = 0.99
_ROUNDING = 1e-9  # 0.985 - 0.003 must pass for 0.982


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
        accuracy_drop: loss of accuracy in points; below 0 if the pruned model is better.
        low, high: 95 % interval of `accuracy_drop`; `upper_bound`: its one-sided 95 % bound.
        calibration_error: expected calibration error, 0 to 1; `reference_calibration_error`: the whole model's.
        agreement: share of photos with the same top-1 as the whole model.
        reference_agreement: the same for two last layers of the whole network, fitted to different deals of the photos.
        max_drop: largest allowed `accuracy_drop`.
        photos: number of photos.

    Raises ValueError for figures that no check can have.
    """

    accuracy_drop: float
    low: float
    high: float
    upper_bound: float
    calibration_error: float
    reference_calibration_error: float
    agreement: float
    reference_agreement: float
    max_drop: float
    photos: int

    def __post_init__(self):
        shares = self.calibration_error, self.reference_calibration_error, self.agreement, self.reference_agreement
        ordered = self.low <= self.upper_bound <= self.high
        points = abs(self.accuracy_drop) <= 100 and 0 <= self.max_drop <= 100
        if not (ordered and points and all(0 <= share <= 1 for share in shares)):
            raise ValueError("the figures of the parity check are invalid")

    @property
    def failure(self) -> str:
        """Reason not to trust the pruned model; empty if it passed."""
        if self.photos < FEW:
            return _too_few(self.photos)
        missed = [sentence for fails, sentence in self._conditions() if fails]
        return " ".join([str(self), *missed]) if missed else ""

    def _conditions(self) -> list[tuple[bool, str]]:
        """Return (whether it is missed, what was found and what is required) for each condition."""
        most_lost, most_off = _most_lost(self.max_drop), self.reference_calibration_error + CALIBRATION_MARGIN / 100
        least = max(0.0, self.reference_agreement - AGREEMENT_MARGIN / 100)
        return [
            (
                self.accuracy_drop > self.max_drop + _ROUNDING,
                f"Accuracy is {self.accuracy_drop:.2f} points lower: at most {self.max_drop:.2f} are allowed.",
            ),
            (
                self.upper_bound > most_lost + _ROUNDING,
                f"The loss may be up to {self.upper_bound:.2f} points: at most {most_lost:.2f} are allowed.",
            ),
            (
                self.calibration_error > most_off + _ROUNDING,
                f"The calibration error is {self.calibration_error:.2%}: at most {most_off:.2%} is allowed.",
            ),
            (
                self.agreement < least - _ROUNDING,
                f"The agreement is {self.agreement:.2%}: at least {least:.2%} is required.",
            ),
        ]

    def __str__(self) -> str:
        change = _change(self.accuracy_drop)
        return (
            f"on {self.photos:,} photos that neither was trained on, accuracy is {change} than the whole model's (95 % "
            f"interval of the loss: {self.low:+.1f} to {self.high:+.1f}; with 95 % certainty at most "
            f"{self.upper_bound:+.1f}). The calibration error is {self.calibration_error:.1%}, the whole model's "
            f"{self.reference_calibration_error:.1%}. It agrees with the whole model on {self.agreement:.1%}; two last "
            f"layers of the whole model agree on {self.reference_agreement:.1%}."
        )

    def as_card(self) -> dict:
        return asdict(self)


def _too_few(photos: int) -> str:
    return f"{photos} photos are too few for a parity check: {FEW} are needed."


def _change(accuracy_drop: float) -> str:
    return f"{abs(accuracy_drop):.1f} points {'lower' if accuracy_drop >= 0 else 'higher'}"


def _most_lost(max_drop: float) -> float:
    """Return the points that may be lost at the upper bound."""
    return max(MOST_LOST, max_drop)


def fewest_photos(max_drop: float) -> int:
    """Return the number of photos below which no pruned model can pass, even if it answers all as the whole one."""
    return max(FEW, math.ceil(100 * ONE_SIDED / _most_lost(max_drop)) - 2)


@dataclass(frozen=True)
class EarlierPrunedParityCheck:
    """The check that a pruned model passed in an earlier release, with that release's rule. Only read from cards.

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
            return _too_few(self.photos)
        if self.agreement >= _EARLIER_AGREEMENT and self.accuracy_drop <= self.max_drop:
            return ""
        return (
            f"{self} At least {_EARLIER_AGREEMENT:.0%} agreement is required, and at most {self.max_drop:.1f} points "
            "may be lost."
        )

    def __str__(self) -> str:
        return (
            f"on {self.photos:,} photos that neither was trained on, it agrees with the whole model on "
            f"{self.agreement:.1%}, and accuracy is {_change(self.accuracy_drop)} (95 % interval of the loss: "
            f"{self.low:+.1f} to {self.high:+.1f})."
        )

    def as_card(self) -> dict:
        return asdict(self)

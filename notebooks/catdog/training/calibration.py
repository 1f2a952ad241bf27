"""Calibration: how confident is the model, and how often is it right?"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from scipy.stats import binomtest

from ..data.folders import NONE_OF_THESE
from ..errors import UserError
from ..models.card import Thresholds
from ..models.head import Head
from ..models.ood import OODDetector, centers_of, distance_limit, out_of_fold_distances
from ..statistics import wilson
from .linear_head import Features, FitResult, out_of_fold, regression, train_and_valid

BINS = 15
_SPREAD = 0.4  # prior standard deviation of the temperature's logarithm
_AGAINST = 1.0  # C of the classifier that tells photos of the classes from those in `none-of-these`
_ANY_DISTANCE = 4.0  # the largest possible
_UNLIKELY = 0.05
_FEWEST_NEGATIVES = 2


@dataclass(frozen=True)
class CalibratedHead:
    """A head with calibrated probabilities, and the threshold from which its answers count as confident.

    Attributes:
        head: the fitted head, its logits divided by `temperature`.
        ood_detector: detects photos that are unlike the training data.
        temperature: above 1 if the model was overconfident, below 1 if it was underconfident.
        confidence_threshold: lowest probability that counts as confident.
        target: share of right answers that `confidence_threshold` was chosen for, 0 to 1.
        coverage: share of confident answers on held-out photos.
        selective_accuracy: share of these that are right; `low`, `high`: its 95 % interval.
        photos: number of held-out photos.
        enough: whether these were enough to choose `confidence_threshold`.
        negatives: number of photos in `none-of-these`; `negatives_found`: how many of them are detected as unlike when
            held out; `negatives_far`: how many are detected by their distance alone.
    """

    head: Head
    ood_detector: OODDetector
    temperature: float
    confidence_threshold: float
    target: float
    coverage: float
    selective_accuracy: float
    low: float
    high: float
    photos: int
    enough: bool
    negatives: int = 0
    negatives_found: int = 0
    negatives_far: int = 0

    def is_confident(self, features: np.ndarray) -> np.ndarray:
        """Tell which answers are confident: features (n, size) → bool (n,)."""
        return (
            self.head.probabilities(features).max(axis=1) >= self.confidence_threshold
        ) & self.ood_detector.in_distribution(features)

    def summary(self) -> str:
        """Describe the calibration in a few sentences."""
        lines = [f"Calibrated with temperature {self.temperature:.2f}."]
        if self.enough:
            lines.append(f"Answers count as confident from {self.confidence_threshold:.1%}.")
        else:
            lines.append(
                f"{self.photos:,} held-out photos do not give a threshold for {self.target:.1%}: there are too few, or "
                "one of the most confident answers is wrong (see the worst mistakes). Answers count as confident "
                f"from {self.confidence_threshold:.1%}."
            )
        if self.photos:
            lines.append(
                f"On {self.photos:,} held-out photos that covers {self.coverage:.1%}, and "
                f"{self.selective_accuracy:.1%} of those are right (95 % interval {self.low:.1%} to {self.high:.1%}, "
                f"target {self.target:.1%})."
                if self.coverage
                else f"None of the answers on {self.photos:,} held-out photos is confident."
            )
        return "\n".join([*lines, *self._of_something_else()])

    def _of_something_else(self) -> list[str]:
        if not self.negatives:
            return []
        if self.negatives < _FEWEST_NEGATIVES:
            return [f"{self.negatives} photo in {NONE_OF_THESE} is not enough to learn from."]
        return [
            f"Of {self.negatives:,} photos in {NONE_OF_THESE}, a model that was not trained on them rejects "
            f"{self.negatives_found:,}; without that folder it would reject {self.negatives_far:,}."
        ]

    def as_card(self) -> dict:
        """Return the numbers as plain JSON values."""
        names = ["temperature", "target", "coverage", "selective_accuracy", "low", "high", "photos", "enough"]
        names += ["negatives", "negatives_found", "negatives_far"] if self.negatives >= _FEWEST_NEGATIVES else []
        return {name: getattr(self, name) for name in names}

    @property
    def thresholds(self) -> Thresholds:
        """Thresholds as stored in the card."""
        return Thresholds(self.confidence_threshold, self.ood_detector.limit)


def calibrate(
    fit: FitResult, data: Features, *, target: float = 0.99, negatives: np.ndarray | None = None
) -> CalibratedHead:
    """Calibrate a head on its out-of-fold answers: temperature scaling (Guo et al. 2017,
    https://arxiv.org/abs/1706.04599), the confidence threshold and the out-of-distribution limit.

    Args:
        fit: from `linear_head.fit_head`.
        data: what `fit` was fitted on.
        target: share of the confident answers that must be right.
        negatives: features (n, size) of photos of none of the classes, if any.

    Raises UserError if `target` is not a share.
    """
    require_target(target)
    features, targets = train_and_valid(data)
    judged = np.flatnonzero(fit.judged)
    logits, truth = fit.out_of_fold[judged], targets[judged]
    ood_detector, known, found = _ood_detector(fit, features, targets, judged, negatives)
    temperature = temperature_of(logits, truth)
    confidences = softmax(logits / temperature, axis=1).max(axis=1)
    right = logits.argmax(axis=1) == truth
    confidence_threshold, enough = _threshold(confidences[known], right[known], target)
    confident = known & (confidences >= confidence_threshold)
    low, high = wilson(int(right[confident].sum()), int(confident.sum())) if confident.any() else (0.0, 1.0)
    return CalibratedHead(
        Head(fit.head.kernel / np.float32(temperature), fit.head.bias / np.float32(temperature)),
        ood_detector, temperature, confidence_threshold, target,
        float(confident.mean()) if len(judged) else 0.0,
        float(right[confident].mean()) if confident.any() else 0.0, low, high,
        len(judged), enough, *found,
    )  # fmt: skip


def _ood_detector(
    fit: FitResult, features: np.ndarray, targets: np.ndarray, judged: np.ndarray, negatives: np.ndarray | None
) -> tuple[OODDetector, np.ndarray, tuple[int, int, int]]:
    """Fit the out-of-distribution detector. Also return which of the rows `judged` are in distribution when held out,
    bool; and the numbers of negatives: all, detected, and detected by their distance alone."""
    classes = len(fit.head.bias)
    trained = np.unique(np.concatenate([seen for seen, _ in fit.folds])) if fit.folds else np.arange(len(targets))
    centers = centers_of(features[trained], targets[trained], classes)
    distances = out_of_fold_distances(features, targets, classes, fit.folds)[judged]
    limit = distance_limit(distances) if len(judged) > 1 else _ANY_DISTANCE
    by_distance, known = OODDetector(centers, limit), distances < limit
    if negatives is None or not len(negatives):
        return by_distance, known, (0, 0, 0)
    far = by_distance.distances(negatives) >= limit
    if min(len(negatives), len(judged)) < _FEWEST_NEGATIVES:
        return by_distance, known, (len(negatives), int(far.sum()), int(far.sum()))
    kernel, bias, unlike = _against(features[judged], negatives, fit.seed)
    found = far | unlike[len(judged) :]
    counts = len(negatives), int(found.sum()), int(far.sum())
    return OODDetector(centers, limit, kernel, bias), known & ~unlike[: len(judged)], counts


def _against(known: np.ndarray, negatives: np.ndarray, seed: int) -> tuple[np.ndarray, float, np.ndarray]:
    """Fit a classifier of negatives against photos of the classes. Return kernel, bias, and which photos, known ones
    first, it takes for negatives when they are held out. The bias limits these to about 2 % of the known ones."""
    features = np.concatenate([known, negatives])
    is_other = np.r_[np.zeros(len(known), np.int64), np.ones(len(negatives), np.int64)]
    said = out_of_fold(features, is_other, 2, _AGAINST, seed)
    scores = np.nan_to_num(said[:, 1] - said[:, 0], nan=-np.inf)
    judged = scores[: len(known)][np.isfinite(scores[: len(known)])]
    least = max(0.0, distance_limit(judged)) if len(judged) > 1 else 0.0
    head = regression(features, is_other, 2, _AGAINST)
    kernel, bias = head.kernel[:, 1] - head.kernel[:, 0], float(head.bias[1] - head.bias[0])
    return kernel, bias - least, scores >= least


def require_target(target: float) -> None:
    """Raise UserError if `target` is not a share."""
    if not 0 < target <= 1:
        raise UserError(
            "setting-target-accuracy",
            "TARGET_ACCURACY must be above 0 and at most 1, such as 0.99: change it in the settings cell.",
        )


def temperature_of(logits: np.ndarray, targets: np.ndarray) -> float:
    """Estimate the temperature with the largest posterior: the likelihood of the photos times a normal prior on its
    logarithm, so that a few photos hardly move it. Logits float (n, classes), class numbers int (n,).

    A regularized head at its optimum is nearly calibrated, and without the prior, photos that are all right would ask
    for unlimited confidence. Platt's smoothed targets (1999) prevent that, too, but on 20 photos they raise the
    calibration error from 2.8 % to 7.5 %, and on 100 from 0.8 % to 1.9 % (docs/accuracy.md).
    """
    scaled = logits.astype(np.float64)
    rows = np.arange(len(targets))

    def loss(log_temperature: float) -> float:
        likely = log_softmax(scaled / np.exp(log_temperature), axis=1)[rows, targets].sum()
        return float((log_temperature / _SPREAD) ** 2 / 2 - likely)

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def _threshold(confidences: np.ndarray, right: np.ndarray, target: float) -> tuple[float, bool]:
    """Return the lowest confidence above which `target` of the answers are right, and whether the photos determine it.
    Jeffreys' prior adds half a wrong answer, so that a few photos that are all right do not promise too much.

    If they do not determine it, because they are few or one of the most confident has a wrong label, return `target`
    itself, since confidences are calibrated. If answers above `target` are right significantly less often, no answer
    can be trusted: return a threshold just below 1.
    """
    order = np.argsort(-confidences, kind="stable")
    wrong = np.cumsum(~right[order])
    shares = 1 - (wrong + 0.5) / (np.arange(len(order)) + 2)
    last_of_equals = np.append(np.diff(confidences[order]) != 0, True)[: len(order)]
    enough = np.flatnonzero((shares >= target) & last_of_equals)
    if len(enough):
        return float(confidences[order][enough[-1]]), True
    above = right[confidences >= target]
    if len(above) and binomtest(int(above.sum()), len(above), target, "less").pvalue < _UNLIKELY:
        return float(np.nextafter(np.float32(1), 0)), True
    return target, False


@dataclass(frozen=True)
class Bin:
    """Photos of similar confidence: how many, their mean confidence, and the share of right answers."""

    photos: int
    confidence: float
    right: float


def reliability(probabilities: np.ndarray, targets: np.ndarray) -> list[Bin]:
    """Group photos by confidence into `BINS` bins of equal width, without the empty ones.

    Args:
        probabilities: float (n, classes); `targets`: class numbers, int (n,).
    """
    confidences, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    numbers = np.minimum((confidences * BINS).astype(int), BINS - 1)
    return [
        Bin(int(inside.sum()), float(confidences[inside].mean()), float(right[inside].mean()))
        for inside in (numbers == number for number in range(BINS))
        if inside.any()
    ]


def calibration_error(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Return the expected calibration error, 0 to 1 (Naeini et al. 2015, as in Guo et al. 2017): the mean difference
    between confidence and share of right answers. NaN without photos."""
    bins = reliability(probabilities, targets)
    return sum(one.photos * abs(one.confidence - one.right) for one in bins) / len(targets) if bins else float("nan")

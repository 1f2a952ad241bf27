"""How sure is the model, and is it right to be?"""

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
_SPREAD = 0.4  # of the temperature's logarithm, before any photo was seen
_AGAINST = 1.0  # strength of what tells photos of the classes from those in `none-of-these`
_ANY_DISTANCE = 4.0  # the largest there is
_UNLIKELY = 0.05
_FEWEST_NEGATIVES = 2


@dataclass(frozen=True)
class CalibratedHead:
    """A head whose probabilities are meant, and from when on its answer counts.

    Attributes:
        head: as it was fitted, its logits divided by `temperature`.
        ood_detector: tells photos that are unlike all that it was trained on.
        temperature: over 1 where the model was too sure of itself, under 1 where it was not sure enough.
        confidence_threshold: the probability from which on it is confident.
        target: the share of right answers that `confidence_threshold` was chosen for, 0 to 1.
        coverage: the share of photos that it is confident of, among those that judged it, which it was not trained on.
        selective_accuracy: the share of these that are right; `low` and `high`: the 95 % interval of that.
        photos: how many judged.
        enough: whether these were enough to choose `confidence_threshold` by.
        negatives: photos in `none-of-these`; `negatives_found`: that are called unlike without having been learned
            from; `negatives_far`: that lie far enough from all classes for that.
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
        """Features (n, size) → bool (n,)."""
        return (
            self.head.probabilities(features).max(axis=1) >= self.confidence_threshold
        ) & self.ood_detector.in_distribution(features)

    def summary(self) -> str:
        """In a few sentences for a person."""
        lines = [f"Calibrated with temperature {self.temperature:.2f}."]
        if self.enough:
            lines.append(f"Answers count as confident from {self.confidence_threshold:.1%}.")
        else:
            lines.append(
                f"{self.photos:,} held-out photos do not show a threshold for {self.target:.1%}: there are too few, or "
                "one of the most confident answers was wrong (see the worst mistakes). So answers count as confident "
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
            return [f"{self.negatives} photo in {NONE_OF_THESE} is too few to learn from."]
        return [
            f"A model that was trained without them tells {self.negatives_found:,} of {self.negatives:,} photos in "
            f"{NONE_OF_THESE} from the classes; without that folder it would tell {self.negatives_far:,}."
        ]

    def as_card(self) -> dict:
        """The numbers as plain JSON values."""
        names = ["temperature", "target", "coverage", "selective_accuracy", "low", "high", "photos", "enough"]
        names += ["negatives", "negatives_found", "negatives_far"] if self.negatives >= _FEWEST_NEGATIVES else []
        return {name: getattr(self, name) for name in names}

    @property
    def thresholds(self) -> Thresholds:
        """As a card holds them."""
        return Thresholds(self.confidence_threshold, self.ood_detector.limit)


def calibrate(
    fit: FitResult, data: Features, *, target: float = 0.99, negatives: np.ndarray | None = None
) -> CalibratedHead:
    """Temperature scaling (Guo et al. 2017, https://arxiv.org/abs/1706.04599), the threshold of "not sure" and the
    limit of "unlike", all by what was said out of fold.

    Args:
        fit: from `linear_head.fit_head`.
        data: what `fit` was fitted on.
        target: of the answers that it is sure of, this share shall be right.
        negatives: features (n, size) of photos that are none of the classes, if there are any.

    Raises UserError when `target` is no share.
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
    """And which of the rows `judged` it knows, bool, as if it had not seen them; and how many photos of something else
    there are, are found, and would be found by their distance alone."""
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
    """What tells photos of the classes from others: kernel, bias, and which photos, known ones first, would be taken
    for others by one that had not seen them. Where those were over 2 % of the known ones, it is asked for more."""
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
    """Raises UserError for what is not a share."""
    if not 0 < target <= 1:
        raise UserError(
            "setting-target-accuracy",
            "TARGET_ACCURACY must be over 0 and at most 1, such as 0.99: change it in the settings cell.",
        )


def temperature_of(logits: np.ndarray, targets: np.ndarray) -> float:
    """That of the largest posterior: the likelihood of the photos, and a normal prior on the temperature's logarithm,
    by which few photos hardly move it. Logits float (n, classes), class numbers int (n,).

    A head that is regularised and solved to the end is nearly calibrated, and photos that are all right would ask for
    a model that is sure beyond measure. Platt's smoothed targets (1999) keep it from that, too, but on 20 photos they
    turn an error of calibration of 2.8 % into 7.5 %, and on 100 one of 0.8 % into 1.9 % (docs/accuracy.md).
    """
    scaled = logits.astype(np.float64)
    rows = np.arange(len(targets))

    def loss(log_temperature: float) -> float:
        likely = log_softmax(scaled / np.exp(log_temperature), axis=1)[rows, targets].sum()
        return float((log_temperature / _SPREAD) ** 2 / 2 - likely)

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def _threshold(confidences: np.ndarray, right: np.ndarray, target: float) -> tuple[float, bool]:
    """The lowest confidence from which on `target` of the answers are right, and whether the photos show one. One more
    half is taken for wrong (Jeffreys' prior), or a few photos that are all right would promise what they cannot.

    Where they show none, for they are few or one of the surest has a wrong label, it is `target` itself, since
    confidences are calibrated; unless those above it are right less often by more than chance explains: then it is of
    no use to anybody, just above all.
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
    """Photos of about the same confidence: how many, their mean confidence, and the share that is right."""

    photos: int
    confidence: float
    right: float


def reliability(probabilities: np.ndarray, targets: np.ndarray) -> list[Bin]:
    """Photos by the probability of their class, in `BINS` bins of the same width, without the empty ones.

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
    """Expected calibration error, 0 to 1 (Naeini et al. 2015, as in Guo et al. 2017): by how much confidence and share
    of right answers differ, on average. NaN without photos."""
    bins = reliability(probabilities, targets)
    return sum(one.photos * abs(one.confidence - one.right) for one in bins) / len(targets) if bins else float("nan")

"""How good is the new model? Test photos tell; where a class has few of them, all photos do, by cross-validation."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from .confidence import Confidence
from .dataset import Dataset, Photo
from .evaluation import Report, evaluate
from .folders import SPLITS, TEST, VALID
from .known_sets import short
from .names import listed
from .progress import bar
from .training import Fit, heads_of_others

CROSS_VALIDATION = "cross-validation"
ENOUGH = 25  # test photos of a class: of so many, one more wrong is four points
_REPEATS = 3  # of dealing the photos into folds
_MOST_PHOTOS = 20_000  # that cross-validation takes seconds for
_REMEMBERED = 5_000  # photos whose answers a card holds


@dataclass(frozen=True)
class Judgement:
    """Answers of a model, or of ones like it, to photos that it was not trained on.

    Attributes:
        by: `TEST` or `CROSS_VALIDATION`.
        photos: that were judged.
        targets: their class numbers, int (n,).
        as_trained: probabilities before they were corrected by the temperature, float (n, classes); `probabilities`:
            after that.
        reports: split → report, and that of cross-validation under its name.
        accuracies: of each repeat, dealt into folds anew.
        halved: accuracy with half of the training photos; NaN where that was not tried.
        unjudged: classes of which no photo was judged.
    """

    by: str
    photos: tuple[Photo, ...]
    targets: np.ndarray
    as_trained: np.ndarray
    probabilities: np.ndarray
    reports: dict[str, Report]
    accuracies: tuple[float, ...] = ()
    halved: float = math.nan
    unjudged: tuple[str, ...] = ()

    @property
    def report(self) -> Report:
        """That of the photos that were judged."""
        return self.reports[self.by]

    @property
    def right(self) -> np.ndarray:
        """Whether each photo got its class, bool (n,)."""
        return self.probabilities.argmax(axis=1) == self.targets

    def summary(self) -> str:
        """How it was judged, how good it is, and what would help."""
        lines = [self._how(), self.report.summary()]
        if len(self.accuracies) > 1:
            low, high = min(self.accuracies), max(self.accuracies)
            lines.append(f"Dealt into other folds, {low:.1%} to {high:.1%} are right.")
        lines += [self._what_would_help()] if math.isfinite(self.halved) else []
        if self.unjudged:
            lines.append(f"Too small to be judged, with one photo each: {listed(self.unjudged)}.")
        return "\n".join(lines)

    def as_card(self) -> dict:
        """Which photos were right and which wrong, by what they are recognised by, for the next version to be
        compared with; nothing where there are very many."""
        if self.by != CROSS_VALIDATION or len(self.photos) > _REMEMBERED:
            return {}
        named = {True: [], False: []}
        for photo, right in zip(self.photos, self.right):
            named[bool(right)].append(short(photo.identity))
        return {"by": self.by, "right": named[True], "wrong": named[False]}

    def _how(self) -> str:
        if self.by == TEST:
            return f"Judged by {len(self.photos):,} test photos, which took no part in training."
        return (
            f"Some class has fewer than {ENOUGH} test photos, so all {len(self.photos):,} photos judge, by five-fold "
            "cross-validation: each is answered by a model like yours that was trained without it."
        )

    def _what_would_help(self) -> str:
        wrong, wrong_before = 1 - self.report.accuracy, 1 - self.halved
        told = f"With half of the photos to train on {self.halved:.1%} were right, with all {self.report.accuracy:.1%}"
        if wrong <= 0 or wrong >= wrong_before:
            return f"{told}: more photos of the same kind would hardly help, other ones may."
        return f"{told}: with twice as many photos it may be about {1 - wrong**2 / wrong_before:.0%}."


def judge(
    dataset: Dataset,
    data: dict[str, tuple[np.ndarray, np.ndarray]],
    fit: Fit,
    confidence: Confidence,
    *,
    frozen: bool = True,
) -> Judgement:
    """Judge a model by test photos where each class has `ENOUGH`, else by repeated cross-validation.

    Args:
        data: split → (features, float32 (n, size); class numbers, int (n,)), from `features.features_by_split`.
        fit, confidence: of the model.
        frozen: False for a backbone that was tuned on these photos: then only test photos can judge.
    """
    reports = {
        split: evaluate(confidence.head.probabilities(data[split][0]), data[split][1], dataset.classes)
        for split in (VALID, TEST)
    }
    fewest = np.bincount(data[TEST][1], minlength=len(dataset.classes)).min()
    if fewest >= ENOUGH or not frozen or len(dataset.photos) > _MOST_PHOTOS:
        logits = [head.probabilities(data[TEST][0]) for head in (fit.head, confidence.head)]
        return Judgement(TEST, tuple(dataset.of(TEST)), data[TEST][1], *logits, reports)
    return _cross_validated(dataset, data, fit, confidence.temperature, reports)


def _cross_validated(dataset: Dataset, data, fit: Fit, temperature: float, reports: dict[str, Report]) -> Judgement:
    photos = [photo for split in SPLITS for photo in dataset.of(split)]
    features, targets = (np.concatenate(parts) for parts in zip(*(data[split] for split in SPLITS)))
    deals = bar(range(_REPEATS), what="Cross-validation", unit="deals")
    answers = [_out_of_fold(features, targets, len(dataset.classes), fit, seed) for seed in deals]
    judged = np.isfinite(answers[0]).all(axis=1)
    targets_judged, first = targets[judged], answers[0][judged]
    accuracies = tuple(float((one[judged].argmax(axis=1) == targets_judged).mean()) for one in answers if judged.any())
    corrected = softmax(first / temperature, axis=1)
    return Judgement(
        CROSS_VALIDATION,
        tuple(photo for photo, one in zip(photos, judged) if one),
        targets_judged, softmax(first, axis=1), corrected,
        {**reports, CROSS_VALIDATION: evaluate(corrected, targets_judged, dataset.classes)},
        accuracies, _with_half(features, targets, len(dataset.classes), fit),
        tuple(label for number, label in enumerate(dataset.classes) if number not in set(targets_judged)),
    )  # fmt: skip


def _out_of_fold(features: np.ndarray, targets: np.ndarray, classes: int, fit: Fit, seed: int) -> np.ndarray:
    """Logits (n, classes) of heads that were not trained on the photo; NaN for a class's only one."""
    logits = np.full((len(targets), classes), np.nan, np.float32)
    nothing = np.empty((0, features.shape[1]), np.float32), np.empty(0, np.int64)
    l2, epochs = fit.settings["l2"], fit.settings["best_epoch"]
    for unseen, head in heads_of_others(features, targets, nothing, l2, epochs, seed, shown=False):
        logits[unseen] = head.logits(features[unseen])
    return logits


def _with_half(features: np.ndarray, targets: np.ndarray, classes: int, fit: Fit) -> float:
    """Accuracy when half of each class's photos train and the other half judges, both ways round."""
    halves = np.zeros(len(targets), bool)
    for number in range(classes):
        halves[np.flatnonzero(targets == number)[::2]] = True
    right = judged = 0
    for seen in (halves, ~halves):
        if np.bincount(targets[seen], minlength=classes).min() < 2:
            return math.nan
        logits = _out_of_fold(features[seen], targets[seen], classes, fit, 0)
        right += int((logits.argmax(axis=1) == targets[seen]).sum())
        judged += int(seen.sum())
    return right / judged

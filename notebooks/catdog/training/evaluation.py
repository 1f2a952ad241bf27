"""How good is the new model? Judged on test photos, or by cross-validation if a class has few of them."""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from ..data.dataset import Dataset, Photo
from ..data.folders import SPLITS, TEST
from ..data.known_sets import short
from ..names import listed
from ..progress import bar
from .linear_head import MOST_CROSS_VALIDATED, Features, out_of_fold
from .metrics import Metrics, evaluate
from .trained_head import CROSS_VALIDATION, TrainedHead

ENOUGH = 25  # test photos per class: one wrong answer more then costs four points
_FEW = 10  # photos per class
_REPEATS = 3  # of cross-validation, with different folds
_REMEMBERED = 5_000  # photos at most whose answers a card stores


@dataclass(frozen=True)
class Judgement:
    """Answers of a model, or of models like it, to photos that they were not trained on.

    Attributes:
        by: `TEST` or `CROSS_VALIDATION`.
        photos: the photos that were judged.
        targets: their class numbers, int (n,).
        as_trained: probabilities before temperature scaling, float (n, classes); `probabilities`: after it.
        reports: split → report, and the report by cross-validation under `CROSS_VALIDATION`. Validation photos have one
            only if they trained nothing.
        accuracies: one per repeat, each with different folds.
        unjudged: classes without a judged photo.
    """

    by: str
    photos: tuple[Photo, ...]
    targets: np.ndarray
    as_trained: np.ndarray
    probabilities: np.ndarray
    reports: dict[str, Metrics]
    accuracies: tuple[float, ...] = ()
    unjudged: tuple[str, ...] = ()

    @property
    def report(self) -> Metrics:
        """Report on the photos that were judged."""
        return self.reports[self.by]

    @property
    def right(self) -> np.ndarray:
        """Whether each photo got its class, bool (n,)."""
        return self.probabilities.argmax(axis=1) == self.targets

    def summary(self) -> str:
        """Describe how good the model is, how that was judged, and what would help."""
        lines = [self.report.headline(), self._how(), *self.report.details(), *self._few()]
        if len(set(self.accuracies)) > 1:
            low, high = min(self.accuracies), max(self.accuracies)
            lines.append(f"With other folds, {low:.1%} to {high:.1%} are right.")
        if self.by == TEST and CROSS_VALIDATION in self.reports:
            lines.append(f"By cross-validation: {self.reports[CROSS_VALIDATION].headline()}")
        if self.unjudged:
            lines.append(f"Classes with too few photos to be judged: {listed(self.unjudged)}.")
        return "\n".join(lines)

    def as_card(self) -> dict:
        """Return the answer to each photo by its identity, to compare the next version with; empty for very many
        photos. Stores class numbers instead of right or wrong, since labels may be corrected later."""
        if self.by != CROSS_VALIDATION or len(self.photos) > _REMEMBERED:
            return {}
        answers = self.probabilities.argmax(axis=1).tolist()
        return {"by": self.by, "answers": {short(one.identity): said for one, said in zip(self.photos, answers)}}

    def _few(self) -> list[str]:
        counts = self.report.confusion.sum(axis=1)
        if (counts > 0).sum() == 1:
            (only,) = np.flatnonzero(counts)
            return [
                f"Only photos of {self.report.classes[only]} could be judged, so it is unknown whether the model can "
                "tell the classes apart."
            ]
        few = [f"{label} ({count})" for label, count in zip(self.report.classes, counts) if 0 < count < _FEW]
        return [f"Only a few photos were judged of {listed(few)}: do not rely on these figures."] if few else []

    def _how(self) -> str:
        if self.by == TEST:
            return f"Judged on {len(self.photos):,} test photos, which took no part in training."
        return (
            f"A class has fewer than {ENOUGH} test photos, so all {len(self.photos):,} photos are used, by five-fold "
            "cross-validation: each is classified by a model like yours that was trained without it."
        )


def judge(dataset: Dataset, data: Features, trained: TrainedHead) -> Judgement:
    """Judge a model on test photos if each class has `ENOUGH`, else by repeated cross-validation.

    If the backbone was fine-tuned on these photos, only test photos can judge.

    Args:
        data: split → (features, float32 (n, size); class numbers, int (n,)), from `features.features_by_split`.
        trained: the head trained on `data`.
    """
    fewest = np.bincount(data[TEST][1], minlength=len(dataset.classes)).min()
    if fewest < ENOUGH and trained.frozen and len(dataset.photos) <= MOST_CROSS_VALIDATED:
        return _cross_validated(dataset, data, trained)
    features, targets = data[TEST]
    as_trained, probabilities = (head.probabilities(features) for head in (trained.fit.head, trained.calibrated.head))
    return Judgement(TEST, tuple(dataset.of(TEST)), targets, as_trained, probabilities, trained.reports)


def _cross_validated(dataset: Dataset, data: Features, trained: TrainedHead) -> Judgement:
    photos = [photo for split in SPLITS for photo in dataset.of(split)]
    features, targets = (np.concatenate(parts) for parts in zip(*(data[split] for split in SPLITS)))
    deals = bar(range(_REPEATS), what="Cross-validation", unit="repeats")
    answers = [out_of_fold(features, targets, len(dataset.classes), trained.fit.strength, seed) for seed in deals]
    judged = np.isfinite(answers[0]).all(axis=1)
    targets_judged, first = targets[judged], answers[0][judged]
    accuracies = tuple(float((one[judged].argmax(axis=1) == targets_judged).mean()) for one in answers if judged.any())
    corrected = softmax(first / trained.calibrated.temperature, axis=1)
    return Judgement(
        CROSS_VALIDATION,
        tuple(photo for photo, one in zip(photos, judged) if one),
        targets_judged, softmax(first, axis=1), corrected,
        {TEST: trained.reports[TEST], CROSS_VALIDATION: evaluate(corrected, targets_judged, dataset.classes)},
        accuracies,
        tuple(label for number, label in enumerate(dataset.classes) if number not in set(targets_judged)),
    )  # fmt: skip

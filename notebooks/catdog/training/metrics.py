"""Metrics of a trained model: how often it is right, how certain that figure is, and where it fails."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from ..data.dataset import Photo
from ..statistics import wilson

_MOST_CLASSES = 30  # in a table


@dataclass(frozen=True)
class Metrics:
    """Metrics of a model on one set of labelled photos.

    Attributes:
        classes: class names.
        confusion: int (classes, classes), true class by row, predicted class by column.
        precision, recall: float (classes,), 0 for a class without predictions or without photos.
        low, high: 95 % interval of the accuracy (Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953).
    """

    classes: tuple[str, ...]
    confusion: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    low: float
    high: float

    @property
    def total(self) -> int:
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        return int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        """Share of photos whose most probable class is the true one (top-1), 0 to 1; NaN without photos."""
        return self.correct / self.total if self.total else float("nan")

    @property
    def commonest(self) -> tuple[str, float]:
        """(the class with most photos, the accuracy of always answering it)."""
        counts = self.confusion.sum(axis=1)
        return self.classes[int(counts.argmax())], float(counts.max() / max(1, self.total))

    def summary(self) -> str:
        """Describe the accuracy with its interval, the accuracy of always the same answer, and precision and recall by
        class."""
        return "\n".join([self.headline(), *self.details()])

    def details(self) -> list[str]:
        """Return the lines below the headline."""
        if not self.total:
            return []
        label, share = self.commonest
        lines = [f"Always answering {label} would be right on {share:.1%}."]
        if self.low <= share:
            lines.append("The model is not significantly better than that. Check the labels, or add photos.")
        return [*lines, *self._by_class()]

    def headline(self) -> str:
        """Format the accuracy with its interval in one line."""
        if not self.total:
            return "There are no photos to judge the model on: add some."
        interval = f"95 % interval {self.low:.1%} to {self.high:.1%}"
        return f"Right on {self.correct:,} of {self.total:,} photos: {self.accuracy:.1%} ({interval})."

    def _by_class(self) -> list[str]:
        """Format one line per class; if there are many, only the worst."""
        shown: Sequence[int] = range(len(self.classes))
        if len(self.classes) > _MOST_CLASSES:
            shown = sorted((number for number in shown if self.confusion[number].any()), key=lambda n: self.recall[n])
        width = max(len(label) for label in (*self.classes, "class"))
        lines = [f"{'class'.ljust(width)} precision   recall   photos"]
        for number in shown[:_MOST_CLASSES]:
            photos, answers = self.confusion[number].sum(), self.confusion[:, number].sum()
            precision = f"{self.precision[number]:.1%}" if answers else "–"
            recall = f"{self.recall[number]:.1%}" if photos else "–"
            lines.append(f"{self.classes[number].ljust(width)} {precision:>9} {recall:>8} {photos:8,}")
        more = len(self.classes) - _MOST_CLASSES
        return [*lines, *([f"… and {more:,} more classes, none of them worse"] if more > 0 else [])]

    def as_card(self) -> dict:
        """Return the numbers as plain JSON values."""
        by_class = {
            label: {"precision": float(precision), "recall": float(recall), "photos": int(row.sum())}
            for label, precision, recall, row in zip(self.classes, self.precision, self.recall, self.confusion)
        }
        measured = {"accuracy": self.accuracy, "low": self.low, "high": self.high} if self.total else {}
        return {"photos": self.total, "correct": self.correct, **measured, "classes": by_class}


def evaluate(probabilities: np.ndarray, targets: np.ndarray, classes: Sequence[str]) -> Metrics:
    """Compute the metrics of probabilities (n, classes) against class numbers, int (n,); n may be 0."""
    predicted, numbers = probabilities.argmax(axis=1), np.arange(len(classes))
    if not len(targets):
        nothing = np.zeros(len(classes))
        return Metrics(tuple(classes), np.zeros((len(classes),) * 2, int), nothing, nothing, float("nan"), float("nan"))
    confusion = confusion_matrix(targets, predicted, labels=numbers)
    precision, recall, _, _ = precision_recall_fscore_support(targets, predicted, labels=numbers, zero_division=0)
    return Metrics(tuple(classes), confusion, precision, recall, *wilson(int(np.trace(confusion)), len(targets)))


@dataclass(frozen=True)
class Misclassification:
    """A misclassified photo; `probability` is that of the wrong class."""

    photo: Photo
    predicted: str
    probability: float


def worst_mistakes(
    photos: Sequence[Photo], probabilities: np.ndarray, classes: Sequence[str], most: int = 8
) -> list[Misclassification]:
    """Return the wrong predictions, the most confident first; `probabilities` (n, classes) in the order of `photos`."""
    mistakes = [
        Misclassification(photo, classes[row.argmax()], float(row.max()))
        for photo, row in zip(photos, probabilities)
        if classes[row.argmax()] != photo.label
    ]
    return sorted(mistakes, key=lambda mistake: -mistake.probability)[:most]

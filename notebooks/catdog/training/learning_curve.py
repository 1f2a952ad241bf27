"""Would more photos help, and how many? Accuracy against the number of training photos."""

from dataclasses import dataclass

import numpy as np

from ..progress import bar
from ..statistics import wilson
from .linear_head import Features, FitResult, regression, train_and_valid

_FEWEST = 3  # photos per class in the smallest part
_MOST_POINTS = 6
_ALL_FOLDS = 5_000  # photos up to which all folds are used; above, only the first
_UNEVEN = 3  # largest class to smallest
_FLAT = 0.05  # lowest slope at which more photos help


@dataclass(frozen=True)
class Point:
    """A head trained on `photos` per class on average, which got `right` of the `judged` photos right."""

    photos: float
    right: int
    judged: int

    @property
    def accuracy(self) -> float:
        return self.right / self.judged

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy, see `statistics.wilson`."""
        return wilson(self.right, self.judged)


@dataclass(frozen=True)
class LearningCurve:
    """Points from few training photos to all, judged on held-out photos; whether classes are `uneven`."""

    points: tuple[Point, ...]
    uneven: bool = False

    @property
    def slope(self) -> float:
        """Exponent of the power law by which errors fall with the number of photos: errors ~ photos ** -slope (Cortes
        et al. 1993, https://proceedings.neurips.cc/paper/1993/hash/1aa48fc4880bb0c9b8a3bf979d3b917e-Abstract.html).
        Half an error is added to each point, so that none has zero. NaN for a single point."""
        if len(self.points) < 2:
            return float("nan")
        photos = np.log([point.photos for point in self.points])
        errors = np.log([(point.judged - point.right + 0.5) / (point.judged + 1) for point in self.points])
        return -float(np.polyfit(photos, errors, 1)[0])

    def expected(self, photos: float) -> float:
        """Extrapolate the accuracy to `photos` per class."""
        last = self.points[-1]
        return 1 - (1 - last.accuracy) * (photos / last.photos) ** -max(0.0, self.slope)

    def advice(self) -> str:
        """Say in a sentence or two whether more photos would help."""
        if len(self.points) < 2:
            return "There are too few photos to tell how much more of them would help."
        before, last = self.points[-2:]
        told = (
            f"With {before.photos:.0f} photos per class, {before.accuracy:.1%} of the answers are right; with "
            f"{last.photos:.0f}, {last.accuracy:.1%}."
        )
        if self.uneven:
            return f"{told} Add photos of the smaller classes first: they help most."
        if self.slope < _FLAT or last.right == last.judged or last.accuracy <= before.accuracy:
            return f"{told} More photos of the same kind would hardly help; different ones may."
        return (
            f"{told} With twice as many, expect about {self.expected(2 * last.photos):.1%}; with four times as many, "
            f"about {self.expected(4 * last.photos):.1%}."
        )


def learning_curve(data: Features, fit: FitResult) -> LearningCurve:
    """Fit heads on a half, a quarter, … of each fold's training photos, stratified by class, and judge them on
    the fold.

    Args:
        data: what `fit` was fitted on.
        fit: from `linear_head.fit_head`.
    """
    features, targets = train_and_valid(data)
    folds = fit.folds if len(targets) <= _ALL_FOLDS else fit.folds[:1]
    if not folds:
        return LearningCurve(())
    classes = len(fit.head.bias)
    most = np.bincount(targets[folds[0][0]], minlength=classes).mean()
    shares = [2.0**-power for power in range(_MOST_POINTS - 1, -1, -1) if most * 2.0**-power >= _FEWEST]
    tried = [(share, fold) for share in shares or [1.0] for fold in folds]
    counts: dict[float, list[tuple[float, int, int]]] = {share: [] for share in shares or [1.0]}
    for share, (seen, unseen) in bar(tried, what="Learning curve", unit="fits"):
        some = _part(seen, targets, share, fit.seed)
        said = fit.out_of_fold[unseen]
        if share < 1:
            said = regression(features[some], targets[some], classes, fit.strength).logits(features[unseen])
        counts[share].append((len(some) / classes, int((said.argmax(axis=1) == targets[unseen]).sum()), len(unseen)))
    by_class = np.bincount(targets, minlength=classes)
    return LearningCurve(tuple(_point(found) for found in counts.values()), by_class.max() >= _UNEVEN * by_class.min())


def _part(rows: np.ndarray, targets: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Draw a `share` of `rows`, at least one of each class."""
    shuffled = np.random.default_rng(seed).permutation(rows)
    by_class = [shuffled[targets[shuffled] == number] for number in np.unique(targets[rows])]
    return np.sort(np.concatenate([some[: -int(-share * len(some) // 1)] for some in by_class]))


def _point(found: list[tuple[float, int, int]]) -> Point:
    photos, right, judged = zip(*found)
    return Point(float(np.mean(photos)), sum(right), sum(judged))

"""Figures of photos and results. Each function returns a figure, which a notebook shows as the cell's result, or None
if there is nothing to show."""

import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ..curation.decisions import names
from ..data.images import PhotoRefused, read_photo
from ..data.preprocessing import PREPROCESSING, Preprocessing
from ..names import counted
from .lettering import drawable, with_names

if TYPE_CHECKING:  # notebook 2 shows figures, too, but does not need scikit-learn
    from ..curation.decisions import Suggestion
    from ..training.backbone_comparison import Tried
    from ..training.comparison import Comparison
    from ..training.learning_curve import LearningCurve
    from ..training.metrics import Metrics, Misclassification
    from ..training.pruned_models import TradeOff

_COLUMNS = 8
_MOST_ROWS = 12
_MOST_LETTERS = 24
_MOST_COUNTS = 25  # classes up to which the numbers in a confusion matrix can be read


@with_names
def photo_grid(
    photos: Sequence[tuple[Path, str]],
    per_class: int = _COLUMNS,
    seed: int = 0,
    preprocessing: Preprocessing = PREPROCESSING,
) -> Figure:
    """Draw a row of random photos for each of the first twelve classes, as the network will see them.

    Files that cannot be read are skipped.

    Args:
        photos: (path, class) pairs.
        per_class: photos in a row; `seed`: change it to see other photos.
    """
    by_class = defaultdict(list)
    for path, label in photos:
        by_class[label].append(path)
    chance = random.Random(seed)
    shown = sorted(by_class.items())[:_MOST_ROWS]
    figure, rows = plt.subplots(len(shown), per_class, figsize=(1.5 * per_class, 1.7 * len(shown)), squeeze=False)
    for row, (label, paths) in zip(rows, shown):
        row[0].set_title(f"{_cut(drawable(label))} ({counted(len(paths), 'file')})", loc="left", fontsize=10)
        _fill(row, _readable(chance.sample(paths, len(paths)), per_class, preprocessing))
    return _finished(figure)


def learning_curve(curve: "LearningCurve") -> Figure | None:
    """Plot accuracy against the number of training photos, with 95 % intervals, and the accuracy expected from more."""
    if len(curve.points) < 2:
        return None
    photos = [point.photos for point in curve.points]
    accuracies = [point.accuracy for point in curve.points]
    ends = [(point.accuracy - point.interval[0], point.interval[1] - point.accuracy) for point in curve.points]
    figure, axis = plt.subplots(figsize=(6, 3.2))
    axis.errorbar(photos, accuracies, list(zip(*ends)), marker="o", capsize=3, label="cross-validated")
    more = [photos[-1] * times for times in (1, 2, 4)]
    axis.plot(more, [curve.expected(number) for number in more], linestyle=":", color="grey", label="expected")
    axis.set(xscale="log", xlabel="training photos a class", ylabel="share that is right")
    ticks = [*photos, *more[1:]]
    axis.set_xticks(ticks, [f"{number:,.0f}" for number in ticks])
    axis.minorticks_off()
    axis.legend(loc="lower right")
    return _finished(figure)


@with_names
def reliability(probabilities: dict[str, np.ndarray], targets: np.ndarray) -> Figure:
    """Plot the share of right answers against confidence, one line per model, with its calibration error.

    Args:
        probabilities: float (n, classes) by name; `targets`: class numbers, int (n,).
    """
    from ..training.calibration import (  # notebook 2 shows figures, too, but does not need SciPy
        calibration_error,
        reliability,
    )

    figure, axis = plt.subplots(figsize=(4.5, 4))
    axis.plot([0, 1], [0, 1], color="grey", linestyle=":")
    for name, found in probabilities.items():
        bins = reliability(found, targets)
        label = f"{name}: {calibration_error(found, targets):.1%}"
        (line,) = axis.plot([one.confidence for one in bins], [one.right for one in bins], label=label)
        sizes = [10 + 150 * one.photos / len(targets) for one in bins]
        axis.scatter([one.confidence for one in bins], [one.right for one in bins], sizes, color=line.get_color())
    axis.set(xlabel="how sure the model is", ylabel="share that is right", xlim=(0, 1.03), ylim=(0, 1.03))
    axis.legend(loc="upper left")
    return _finished(figure)


@with_names
def trade_off(found: "TradeOff") -> Figure | None:
    """Plot accuracy against speed for the full network and pruned ones, each with its 95 % interval."""
    if not found.points:
        return None
    figure, axis = plt.subplots(figsize=(6, 3.6))
    chosen = found.chosen.macs_reduction if found.chosen else ""
    for point in found.points:
        report, whole = point.report, point.macs_reduction == "1"
        ends = [[report.accuracy - report.low], [report.high - report.accuracy]]
        color = "C0" if whole else "C2" if point.macs_reduction == chosen else "C7"
        axis.errorbar(point.rate, report.accuracy, ends, marker="o", capsize=3, color=color)
        taken = ", taken" if point.macs_reduction == chosen else ""
        name = "whole network" if whole else f"{point.macs_reduction} times less{taken}"
        axis.annotate(name, (point.rate, report.accuracy), (6, 6), textcoords="offset points", fontsize=8)
    axis.set(xlabel="photos a second on this machine", ylabel="share that is right, cross-validated")
    axis.margins(x=0.25)
    return _finished(figure)


@with_names
def networks(tried: "Sequence[Tried]") -> Figure | None:
    """Plot accuracy against speed for backbones at their sizes, each with its 95 % interval."""
    if not tried:
        return None
    figure, axis = plt.subplots(figsize=(7, 3.6))
    for number, backbone in enumerate(dict.fromkeys(one.backbone for one in tried)):
        of_this = [one for one in tried if one.backbone == backbone]
        rates, shares = [one.rate for one in of_this], [one.report.accuracy for one in of_this]
        ends = [(one.report.accuracy - one.report.low, one.report.high - one.report.accuracy) for one in of_this]
        axis.errorbar(
            rates, shares, list(zip(*ends)), marker="o", capsize=3, linestyle="", color=f"C{number}", label=backbone
        )
        for one in of_this:
            name = f"{one.pixels}" if one.fit == "crop" else f"{one.pixels}, {one.fit}"
            axis.annotate(name, (one.rate, one.report.accuracy), (6, 6), textcoords="offset points")
    axis.set(xscale="log", xlabel="photos a second on this machine", ylabel="share that is right, cross-validated")
    axis.legend(loc="lower right")
    return _finished(figure)


@with_names
def confusion_matrix(report: "Metrics") -> Figure:
    """Draw how often each class (row) was taken for which (column)."""
    few = len(report.classes) <= _MOST_COUNTS
    size = 1.6 + 0.7 * min(len(report.classes), _MOST_COUNTS)
    figure, axis = plt.subplots(figsize=(size + 0.8, size))
    axis.imshow(report.confusion, cmap="Blues")
    for row, counts in enumerate(report.confusion):
        for column, count in enumerate(counts if few else ()):
            dark = count > report.confusion.max() / 2
            axis.text(column, row, f"{count:,}", ha="center", va="center", color="white" if dark else "black")
    if few:
        places = range(len(report.classes))
        labels = [_cut(drawable(label)) for label in report.classes]
        axis.set_xticks(places, labels, rotation=45 if len(places) > 4 else 0)
        axis.set_yticks(places, labels)
    axis.set(xlabel="predicted", ylabel="true")
    return _finished(figure)


@with_names
def mistakes(worst: "Sequence[Misclassification]", judged: int = 1) -> Figure | None:
    """Draw the photos of `worst`, each with its class and the predicted one. If there are none, print a sentence, which
    depends on whether any photo was `judged`."""
    if not worst:
        print("No mistakes." if judged else "No photo was judged.")
    titles = [f"{_cut(one.photo.label)}, taken for\n{_cut(one.predicted)} ({one.probability:.0%})" for one in worst]
    return _titled([one.photo.path for one in worst], titles)


@with_names
def suggestions(found: "Sequence[Suggestion]", most: int = 5 * _COLUMNS) -> Figure | None:
    """Draw photos with suggestions: the id of each, its class, and what is suggested. A near-duplicate is drawn beside
    its original."""
    paths, titles, named = [], [], names(found)
    for one in found[:most]:
        paths.append(one.photo.path)
        titles.append(f"{named[one.photo.digest]}: {_cut(one.photo.label)}\n→ {one.suggested}")
        if one.duplicate_of:
            paths.append(one.duplicate_of.path)
            titles.append(f"like this {_cut(one.duplicate_of.label)}\nin {one.duplicate_of.split}")
    return _titled(paths, titles)


@with_names
def changed(comparison: "Comparison | None") -> Figure | None:
    """Draw the photos on which two versions differ in being right."""
    regressed, fixed = (comparison.regressed, comparison.fixed) if comparison else ((), ())
    titles = [f"{_cut(photo.label)}:\nno longer right" for photo in regressed] + [
        f"{_cut(photo.label)}:\nright now" for photo in fixed
    ]
    return _titled([photo.path for photo in (*regressed, *fixed)], titles)


def _titled(paths: Sequence[Path], titles: Sequence[str]) -> Figure | None:
    if not paths:
        return None
    lines = -(-len(paths) // _COLUMNS)
    figure, rows = plt.subplots(lines, _COLUMNS, figsize=(1.5 * _COLUMNS, 2.0 * lines), squeeze=False)
    _fill(rows.flat, [read_photo(path) for path in paths])
    for axis, title in zip(rows.flat, titles):
        axis.set_title(drawable(title), fontsize=8)
    return _finished(figure)


@with_names
def answer(photo: bytes, prediction: dict) -> Figure:
    """Draw a photo beside the service's prediction for it (an item of `predictions` in the answer of `/predict`)."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.8), width_ratios=(1, 1.4))
    _fill([left], [read_photo(photo)])
    labels = [_cut(drawable(label)) for label in prediction["probabilities"]]
    values = list(prediction["probabilities"].values())
    right.bar_label(right.barh(labels, values), labels=[f"{value:.1%}" for value in values], padding=3)
    right.invert_yaxis()
    title = prediction["label"] if prediction["confident"] else f"not sure, perhaps {prediction['label']}"
    right.set(xlim=(0, 1.2), title=_cut(drawable(title)), xticks=[])
    right.spines[["top", "right", "bottom"]].set_visible(False)
    return _finished(figure)


def _cut(name: str) -> str:
    """Shorten a name to leave room for the photo."""
    return name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"


def _readable(paths: Sequence[Path], most: int, preprocessing: Preprocessing) -> list:
    found = []
    for path in paths:
        try:
            found.append(read_photo(path, preprocessing=preprocessing))
        except PhotoRefused:
            continue
        if len(found) == most:
            break
    return found


def _fill(axes, photos: Sequence) -> None:
    for number, axis in enumerate(axes):
        axis.axis("off")
        if number < len(photos):
            axis.imshow(photos[number])


def _finished(figure: Figure) -> Figure:
    """Close the figure in pyplot, or Jupyter would show it twice: once as open, once as the cell's result."""
    figure.tight_layout()
    plt.close(figure)
    return figure

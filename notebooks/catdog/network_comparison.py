"""Which backbone, and at which size? Each is tried on your photos by cross-validation."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from . import lite0
from .backbone import VGG16, load_backbone
from .dataset import Dataset, Photo
from .engines.choice import seconds_per_photo
from .errors import SuiteError
from .evaluation import Report, evaluate
from .features import FeatureStore, features_by_split
from .folders import TRAIN, VALID
from .preprocessing import CROP, PIXELS, SQUEEZE
from .proving import Engines
from .training import cross_entropy, fit_head, train_and_valid

CANDIDATES = (
    *((VGG16.name, pixels, CROP) for pixels in PIXELS),
    (VGG16.name, 224, SQUEEZE),
    (lite0.NAME, 224, CROP),
    (lite0.NAME, 288, CROP),
)
_MOST_PHOTOS = 2_000  # that each candidate looks at


@dataclass(frozen=True)
class Tried:
    """A backbone at one size, and what a last layer on it says of photos that it was not trained on.

    Attributes:
        backbone, pixels, fit: as the settings call them.
        rate: photos a second on this machine.
        report: by cross-validation; `log_loss`: the mean cross-entropy of these answers.
        right: whether each photo is right, bool (n,).
    """

    backbone: str
    pixels: int
    fit: str
    rate: float
    report: Report
    log_loss: float
    right: np.ndarray

    def p_against(self, other: "Tried") -> float:
        """How likely chance alone makes so large a difference (McNemar 1947, exact)."""
        lost, won = int((other.right & ~self.right).sum()), int((self.right & ~other.right).sum())
        return float(binomtest(lost, lost + won).pvalue) if lost + won else 1.0


def compare_networks(
    dataset: Dataset, wanted: str, *, seed: int = 0, candidates: Sequence[tuple[str, int, str]] = CANDIDATES
) -> list[Tried]:
    """Try each of `candidates`, (backbone, pixels, fit). Their features are kept, so a network that you then choose
    starts from these. At most 2,000 photos are looked at, classes evenly. One whose weights cannot be had is left out.

    Args:
        wanted: the engine, as for `proving.Engines`.
    """
    some = _some(dataset)
    found = []
    for name, pixels, how in candidates:
        print(f"{name}, {pixels} pixels, {how}", flush=True)
        try:
            backbone = load_backbone(name, pixels, how)
        except SuiteError as error:
            print(f"Left out: {error} [{error.code}]")
            continue
        engines = Engines(some, backbone, FeatureStore(backbone), wanted)
        data = features_by_split(some, engines.chosen, engines.store)
        fit, targets = fit_head(data, len(some.classes), seed=seed), train_and_valid(data)[1]
        judged = np.isfinite(fit.out_of_fold).all(axis=1)
        said = fit.out_of_fold[judged]
        report = evaluate(said, targets[judged], some.classes)
        right = said.argmax(axis=1) == targets[judged]
        rate = 1 / seconds_per_photo(engines.chosen)
        found.append(Tried(name, pixels, how, rate, report, cross_entropy(said, targets[judged]), right))
    return found


def table(tried: Sequence[Tried]) -> str:
    """A line for each: how many are right, how sure that is, how fast; and whether it differs from the first by more
    than chance explains. Nothing for none."""
    if not tried:
        return ""
    width = max(len(one.backbone) for one in tried)
    lines = [
        f"{'backbone'.ljust(width)} pixels fit       right   95 % interval   log loss   photos/s   p, against the first"
    ]
    for one in tried:
        interval = f"{one.report.low:.1%} to {one.report.high:.1%}"
        against = "" if one is tried[0] else f"{one.p_against(tried[0]):.2f}"
        lines.append(
            f"{one.backbone.ljust(width)} {one.pixels:6} {one.fit:7} {one.report.accuracy:>7.1%} "
            f"{interval:>15} {one.log_loss:10.4f} {one.rate:10.0f}   {against}"
        )
    return "\n".join(
        [*lines, "Below p = 0.05 chance hardly explains the difference. Set BACKBONE, PIXELS and FIT to choose."]
    )


def _some(dataset: Dataset) -> Dataset:
    """With at most `_MOST_PHOTOS` photos for training and validation, classes evenly, and none for the test."""
    photos = sorted((*dataset.of(TRAIN), *dataset.of(VALID)), key=lambda photo: photo.digest)
    each = max(2, _MOST_PHOTOS // len(dataset.classes))
    chosen: dict[str, list[Photo]] = {label: [] for label in dataset.classes}
    for photo in photos:
        if len(chosen[photo.label]) < each:
            chosen[photo.label].append(photo)
    return dataclasses.replace(dataset, photos=tuple(photo for some in chosen.values() for photo in some))

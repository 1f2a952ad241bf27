"""Which backbone, and at which size? Cross-validation on your photos compares them."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..backbones import lite0
from ..backbones.architectures import VGG16, load_backbone
from ..data.dataset import Dataset, Photo
from ..data.folders import TRAIN, VALID
from ..data.preprocessing import CROP, PIXELS, SQUEEZE
from ..engines.base import Engine
from ..engines.selection import seconds_per_photo
from ..errors import UserError
from ..statistics import mcnemar
from .engine_selection import EngineSelection
from .features import FeatureCache, features_by_split
from .linear_head import cross_entropy, fit_head, train_and_valid
from .metrics import Metrics, evaluate

CANDIDATES = (
    *((VGG16.name, pixels, CROP) for pixels in PIXELS),
    (VGG16.name, 224, SQUEEZE),
    (lite0.NAME, 224, CROP),
    (lite0.NAME, 288, CROP),
)
_MOST_PHOTOS = 2_000  # per candidate
_FEWEST_JUDGED = 10  # photos: with fewer, a single photo decides
_ROUNDS = 3


@dataclass(frozen=True)
class Tried:
    """A backbone at one size, and its cross-validated results.

    Attributes:
        backbone, pixels, fit: as in the settings.
        engine: name of the engine that ran it.
        rate: photos per second on this machine, measured in alternation with the other candidates.
        report: metrics by cross-validation; `log_loss`: mean cross-entropy of the same answers.
        judged, right: for each photo, whether it was judged and whether the answer is right, bool (n,).
    """

    backbone: str
    pixels: int
    fit: str
    engine: str
    rate: float
    report: Metrics
    log_loss: float
    judged: np.ndarray
    right: np.ndarray

    def p_against(self, other: "Tried") -> float:
        """Return the p-value of the difference (see `mcnemar`) on the photos that were judged for both. Which photos
        are judged depends on the backbone: its features decide which are near copies, and so the folds."""
        both = self.judged & other.judged
        lost, won = int((both & other.right & ~self.right).sum()), int((both & self.right & ~other.right).sum())
        return mcnemar(lost, won)


def compare_networks(
    dataset: Dataset, wanted: str, *, seed: int = 0, candidates: Sequence[tuple[str, int, str]] = CANDIDATES
) -> list[Tried]:
    """Cross-validate each of `candidates`, (backbone, pixels, fit), on at most 2,000 photos, balanced by class.

    Keeps their features, so training with the backbone that you choose starts from them. Skips a candidate whose
    weights are unavailable, and all candidates if there are too few photos to judge by; says so.

    Args:
        wanted: the engine, as for `engine_selection.EngineSelection`.
    """
    some = _some(dataset)
    if failure := _too_few(sum(count for count in Counter(photo.label for photo in some.photos).values() if count > 1)):
        print(failure)
        return []
    found, engines_used = [], []
    for name, pixels, how in candidates:
        print(f"{name}, {pixels} pixels, {how}", flush=True)
        try:
            backbone = load_backbone(name, pixels, how)
        except UserError as error:
            print(f"Skipped: {error} [{error.code}]")
            continue
        engines = EngineSelection(some, backbone, FeatureCache(backbone), wanted)
        data = features_by_split(some, engines.chosen, engines.store)
        fit, targets = fit_head(data, len(some.classes), seed=seed), train_and_valid(data)[1]
        judged = fit.judged
        if failure := _too_few(int(judged.sum())):
            print(f"Skipped: {failure}")
            continue
        said = fit.out_of_fold[judged]
        right = judged.copy()
        right[judged] = said.argmax(axis=1) == targets[judged]
        report, loss = evaluate(said, targets[judged], some.classes), cross_entropy(said, targets[judged])
        found.append(Tried(name, pixels, how, engines.chosen.name, float("nan"), report, loss, judged, right))
        engines_used.append(engines.chosen)
    return [dataclasses.replace(one, rate=rate) for one, rate in zip(found, _rates(engines_used))]


def _too_few(judged: int) -> str:
    if judged >= _FEWEST_JUDGED:
        return ""
    return (
        f"Cross-validation can judge only {judged} photos, which is too few to compare networks: add photos until "
        f"there are {_FEWEST_JUDGED} or more."
    )


def _rates(engines: Sequence[Engine]) -> list[float]:
    """Measure photos per second of each engine, in alternation, so that other load slows all of them alike."""
    rounds = [[seconds_per_photo(engine) for engine in engines] for _ in range(_ROUNDS)]
    return [1 / seconds for seconds in np.median(rounds, axis=0).tolist()]


def table(tried: Sequence[Tried]) -> str:
    """Format one line per candidate: accuracy and its interval, speed, and the p-value against the first. Empty for no
    candidates."""
    if not tried:
        return ""
    wide = max(len(name) for name in ("backbone", *(one.backbone for one in tried)))
    of_engine = max(len(name) for name in ("engine", *(one.engine for one in tried)))
    lines = [
        f"{'backbone'.ljust(wide)} pixels fit     {'engine'.ljust(of_engine)}   right   95 % interval   log loss   "
        "photos/s   p vs. the first"
    ]
    for one in tried:
        interval = f"{one.report.low:.1%} to {one.report.high:.1%}"
        against = "" if one is tried[0] else f"{one.p_against(tried[0]):.2f}"
        lines.append(
            f"{one.backbone.ljust(wide)} {one.pixels:6} {one.fit:7} {one.engine.ljust(of_engine)} "
            f"{one.report.accuracy:>7.1%} {interval:>15} {one.log_loss:10.4f} {one.rate:10,.1f}   {against}"
        )
    return "\n".join(
        [
            *lines,
            "Compare photos/s within this table only: other runs find the machine under a different load.",
            "Differences with p below 0.05 are unlikely to be chance. Set BACKBONE, PIXELS and FIT to choose.",
        ]
    )


def _some(dataset: Dataset) -> Dataset:
    """Return a subset of at most `_MOST_PHOTOS` training and validation photos, balanced by class, without test
    photos."""
    photos = sorted((*dataset.of(TRAIN), *dataset.of(VALID)), key=lambda photo: photo.digest)
    each = max(2, _MOST_PHOTOS // len(dataset.classes))
    chosen: dict[str, list[Photo]] = {label: [] for label in dataset.classes}
    for photo in photos:
        if len(chosen[photo.label]) < each:
            chosen[photo.label].append(photo)
    return dataclasses.replace(dataset, photos=tuple(photo for some in chosen.values() for photo in some))

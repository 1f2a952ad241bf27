"""Which backbone, and at which size? Each is tried on your photos by cross-validation."""

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
_MOST_PHOTOS = 2_000  # that each candidate looks at
_FEWEST_JUDGED = 10  # photos: with fewer, one photo decides
_ROUNDS = 3


@dataclass(frozen=True)
class Tried:
    """A backbone at one size, and what a last layer on it says of photos that it was not trained on.

    Attributes:
        backbone, pixels, fit: as the settings call them.
        engine: what ran it, by name.
        rate: photos a second on this machine, measured in turn with the others of the same comparison.
        report: by cross-validation; `log_loss`: the mean cross-entropy of these answers.
        judged, right: of each photo that was looked at, bool (n,).
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
        """How likely chance alone makes so large a difference (see `mcnemar`), on photos that both were judged
        by: what counts as a near copy, and with whom a photo is dealt, depends on the network."""
        both = self.judged & other.judged
        lost, won = int((both & other.right & ~self.right).sum()), int((both & self.right & ~other.right).sum())
        return mcnemar(lost, won)


def compare_networks(
    dataset: Dataset, wanted: str, *, seed: int = 0, candidates: Sequence[tuple[str, int, str]] = CANDIDATES
) -> list[Tried]:
    """Try each of `candidates`, (backbone, pixels, fit). Their features are kept, so a network that you then choose
    starts from these. At most 2,000 photos are looked at, classes evenly. One whose weights cannot be had is left out;
    with too few photos to judge by, all are, and that is said.

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
            print(f"Left out: {error} [{error.code}]")
            continue
        engines = EngineSelection(some, backbone, FeatureCache(backbone), wanted)
        data = features_by_split(some, engines.chosen, engines.store)
        fit, targets = fit_head(data, len(some.classes), seed=seed), train_and_valid(data)[1]
        judged = fit.judged
        if failure := _too_few(int(judged.sum())):
            print(f"Left out: {failure}")
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
        f"Only {judged} photos can be judged by cross-validation, which is too few to compare networks: add photos, "
        f"until there are {_FEWEST_JUDGED} or more."
    )


def _rates(engines: Sequence[Engine]) -> list[float]:
    """Photos a second of each, at the end and in turn: what else keeps the machine busy then slows all of them."""
    rounds = [[seconds_per_photo(engine) for engine in engines] for _ in range(_ROUNDS)]
    return [1 / seconds for seconds in np.median(rounds, axis=0).tolist()]


def table(tried: Sequence[Tried]) -> str:
    """A line for each: how many are right, how sure that is, how fast; and whether it differs from the first by more
    than chance explains. Nothing for none."""
    if not tried:
        return ""
    wide = max(len(name) for name in ("backbone", *(one.backbone for one in tried)))
    of_engine = max(len(name) for name in ("engine", *(one.engine for one in tried)))
    lines = [
        f"{'backbone'.ljust(wide)} pixels fit     {'engine'.ljust(of_engine)}   right   95 % interval   log loss   "
        "photos/s   p, against the first"
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
            "Photos a second were measured in turn: compare them with each other, not with another run's.",
            "Below p = 0.05 chance hardly explains the difference. Set BACKBONE, PIXELS and FIT to choose.",
        ]
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

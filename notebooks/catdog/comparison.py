"""A new version beside the one before it, on the same test photos."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from . import bundle
from .backbone import Backbone
from .bundle import Bundle
from .dataset import Dataset, Photo
from .engines import TENSORFLOW, EngineUnavailable, open_engine
from .errors import SuiteError
from .features import FeatureStore, compute_features
from .folders import TEST, TRAIN
from .head import Head
from .judging import CROSS_VALIDATION, Judgement
from .known_sets import short
from .names import listed

_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Comparison:
    """Which test photos two versions judge differently.

    Attributes:
        before: the id of the version before.
        photos: how many test photos there are.
        right_before, right_now: how many of them each version is right on.
        lost: photos that were right and no longer are; `won`: the other way round.
        added: class → how many training photos more than before.
        by: what the photos are.
    """

    before: str
    photos: int
    right_before: int
    right_now: int
    lost: tuple[Photo, ...]
    won: tuple[Photo, ...]
    added: dict[str, int]
    by: str = "test photos"

    @property
    def p(self) -> float:
        """How likely chance alone makes so large a difference (McNemar 1947, exact)."""
        changed = len(self.lost) + len(self.won)
        return float(binomtest(len(self.lost), changed).pvalue) if changed else 1.0

    @property
    def is_worse(self) -> bool:
        """Whether it is right on fewer photos, by more than chance explains."""
        return self.right_now < self.right_before and self.p < _SIGNIFICANT

    def __str__(self) -> str:
        added = ", ".join(f"{label} {number:+,}" for label, number in self.added.items() if number)
        return "\n".join([
            f"Right on {self.right_now:,} of {self.photos:,} {self.by}; {self.before} on {self.right_before:,}.",
            f"{len(self.won):,} photos are right now that were not, {len(self.lost):,} no longer are "
            f"(McNemar: p = {self.p:.2f}).",
            f"Training photos: {added or 'as many as before'}.",
        ])  # fmt: skip


def compare(
    name: str,
    dataset: Dataset,
    head: Head,
    features: np.ndarray,
    backbone: Backbone,
    judgement: Judgement | None = None,
) -> Comparison | None:
    """Hold `head` against the newest version of the model `name`; None where there is none to compare with, because it
    is the first or knows other classes. The reason is printed.

    Args:
        features: float32 (n, size) of the test photos, in the order of `dataset.of("test")`.
        backbone: that gave them. For a version with another one, or that sees photos in another way, they are computed
            by that.
        judgement: of the new version. Where that is by cross-validation, both are compared by the photos that each
            answered without having been trained on them.
    """
    newest, photos = bundle.newest(name), dataset.of(TEST)
    if reason := _incomparable(newest, dataset):
        print(reason)
        return None
    if judgement is not None and judgement.by == CROSS_VALIDATION:
        return _by_cross_validation(newest, dataset, judgement)
    try:
        same = newest.card["backbone"]["fingerprint"] == backbone.fingerprint
        same = same and newest.architecture == backbone.architecture
        features_before = features if same else _features(newest, photos)
    except SuiteError as error:
        print(f"{newest.id} cannot be compared with: {error} [{error.code}]")
        return None
    targets = dataset.targets(photos)
    before = newest.head.logits(features_before).argmax(axis=1) == targets
    now = head.logits(features).argmax(axis=1) == targets
    return _compared(newest, dataset, photos, before, now)


def _incomparable(newest: Bundle | None, dataset: Dataset) -> str:
    if newest is None:
        return "There is no earlier version to compare with."
    if newest.classes != dataset.classes:
        return f"{newest.id} knows other classes ({listed(newest.classes)}): it cannot be compared with."
    return ""


def _by_cross_validation(newest: Bundle, dataset: Dataset, judgement: Judgement) -> Comparison | None:
    judged = newest.card.get("judged", {})
    said = dict.fromkeys(judged.get("wrong", ()), False) | dict.fromkeys(judged.get("right", ()), True)
    both = np.array([short(photo.identity) in said for photo in judgement.photos], bool)
    if not both.any():
        print(f"{newest.id} was not judged by these photos: it cannot be compared with.")
        return None
    photos = [photo for photo, one in zip(judgement.photos, both) if one]
    before = np.array([said[short(photo.identity)] for photo in photos])
    return _compared(newest, dataset, photos, before, judgement.right[both], "photos that both were judged by")


def _compared(
    newest: Bundle, dataset: Dataset, photos: Sequence[Photo], before: np.ndarray, now: np.ndarray, by="test photos"
) -> Comparison:
    counts = newest.card.get("data", {}).get("photos", {}).get(TRAIN, {})
    return Comparison(
        newest.id, len(photos), int(before.sum()), int(now.sum()),
        tuple(photo for photo, lost in zip(photos, before & ~now) if lost),
        tuple(photo for photo, won in zip(photos, now & ~before) if won),
        {label: number - counts.get(label, 0) for label, number in dataset.counts()[TRAIN].items()},
        by,
    )  # fmt: skip


def _features(newest: Bundle, photos: list[Photo]) -> np.ndarray:
    backbone = newest.backbone()
    try:
        engine = open_engine(newest.card["backbone"].get("engine", TENSORFLOW), backbone, newest.twin)
    except EngineUnavailable:
        engine = open_engine(TENSORFLOW, backbone)
    return compute_features(photos, engine, FeatureStore(backbone), f"Test photos by {newest.id}")

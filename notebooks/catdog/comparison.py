"""A new version beside the one before it, on the same test photos."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from . import bundle
from .backbone import Backbone
from .bundle import Bundle
from .dataset import TEST, TRAIN, Dataset, Photo
from .errors import SuiteError
from .head import Head
from .images import DOOR

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
    """

    before: str
    photos: int
    right_before: int
    right_now: int
    lost: tuple[Photo, ...]
    won: tuple[Photo, ...]
    added: dict[str, int]

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
            f"Right on {self.right_now:,} of {self.photos:,} test photos; {self.before} on {self.right_before:,}.",
            f"{len(self.won):,} photos are right now that were not, {len(self.lost):,} no longer are "
            f"(McNemar: p = {self.p:.2f}).",
            f"Training photos: {added or 'as many as before'}.",
        ])  # fmt: skip


def compare(name: str, dataset: Dataset, head: Head, features: np.ndarray, backbone: Backbone) -> Comparison | None:
    """Hold `head` against the newest version of the model `name`; None where there is none to compare with, because it
    is the first, knows other classes, or looks at photos in another way.

    Args:
        features: float32 (n, 512) of the test photos, in the order of `dataset.of("test")`.
    """
    newest = _newest(name)
    if newest is None or not _comparable(newest, dataset, backbone):
        return None
    photos = dataset.of(TEST)
    targets = dataset.targets(photos)
    before, now = (one.logits(features).argmax(axis=1) == targets for one in (newest.head, head))
    counts = newest.card.get("data", {}).get("photos", {}).get(TRAIN, {})
    return Comparison(
        newest.id, len(photos), int(before.sum()), int(now.sum()),
        tuple(photo for photo, lost in zip(photos, before & ~now) if lost),
        tuple(photo for photo, won in zip(photos, now & ~before) if won),
        {label: number - counts.get(label, 0) for label, number in dataset.counts()[TRAIN].items()},
    )  # fmt: skip


def _newest(name: str) -> Bundle | None:
    try:
        return bundle.read(bundle.find(name))
    except SuiteError:
        return None


def _comparable(newest: Bundle, dataset: Dataset, backbone: Backbone) -> bool:
    return (
        newest.classes == dataset.classes
        and newest.card["backbone"]["fingerprint"] == backbone.fingerprint
        and newest.card["image_door"] == DOOR
    )

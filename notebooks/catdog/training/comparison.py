"""A new version beside the one before it, on the same test photos."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..backbones.architectures import Backbone
from ..data.dataset import Dataset, Photo
from ..data.folders import TEST, TRAIN, VALID
from ..data.known_sets import short
from ..engines import open_engine
from ..engines.base import TENSORFLOW, EngineUnavailable
from ..errors import UserError
from ..models import bundle
from ..models.bundle import Bundle
from ..models.head import Head
from ..names import counted, listed
from ..statistics import mcnemar
from .evaluation import CROSS_VALIDATION, Judgement
from .features import FeatureCache, compute_features

_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Comparison:
    """Which test photos two versions judge differently.

    Attributes:
        before: the id of the version before.
        photos: how many test photos there are.
        right_before, right_now: how many of them each version is right on.
        regressed: photos that were right and no longer are; `fixed`: the other way round.
        added: class → how many photos more than before train, those for validation among them.
        by: what the photos are.
        is_unseen: whether no photo is among them that trained the version before, which may know those by heart.
        trained_before: how many test photos are left out because they trained the version before.
        differences: in what else the two differ, such as ("pixels", "224", "288").
    """

    before: str
    photos: int
    right_before: int
    right_now: int
    regressed: tuple[Photo, ...]
    fixed: tuple[Photo, ...]
    added: dict[str, int]
    by: str = "test photos"
    is_unseen: bool = True
    trained_before: int = 0
    differences: tuple[tuple[str, str, str], ...] = ()

    @property
    def p(self) -> float:
        """How likely chance alone makes so large a difference, see `statistics.mcnemar`."""
        return mcnemar(len(self.regressed), len(self.fixed))

    @property
    def is_worse(self) -> bool:
        """Whether it is right on fewer photos, by more than chance explains. See `is_unseen`, too."""
        return self.right_now < self.right_before and self.p < _SIGNIFICANT

    def __str__(self) -> str:
        added = ", ".join(f"{label} {number:+,}" for label, number in self.added.items() if number)
        lines = [
            f"Right on {self.right_now:,} of {self.photos:,} {self.by}; {self.before} on {self.right_before:,}.",
            f"Newly right: {counted(len(self.fixed), 'photo')}. Newly wrong: {counted(len(self.regressed), 'photo')} "
            f"(McNemar: p = {self.p:.2f}).",
        ]
        if self.trained_before:
            photos = counted(self.trained_before, "other test photo")
            lines.append(f"Left out: {photos}, because {self.before} was trained on them.")
        if not self.is_unseen:
            lines.append(
                f"{self.before} does not record its training photos, and may have been trained on some of these. So "
                "this comparison never keeps the new version from being saved."
            )
        lines.append(f"Training photos: {added or 'as many as before'}.")
        if self.differences:
            changed = "; ".join(f"{what} {now}, before {before}" for what, before, now in self.differences)
            lines.append(f"The two versions also differ in: {changed}.")
        return "\n".join(lines)


def compare(
    name: str,
    dataset: Dataset,
    head: Head,
    features: np.ndarray,
    backbone: Backbone | None,
    judgement: Judgement | None = None,
) -> Comparison | None:
    """Hold `head` against the newest version of the model `name`; None where there is none to compare with, because it
    is the first, knows other classes or was trained on all test photos. The reason is printed.

    Test photos that trained that version are left out, or a better one would be called worse than what knows them by
    heart. Where its card does not tell, all are compared by, and the result is not `is_unseen`.

    Args:
        features: float32 (n, size) of the test photos, in the order of `dataset.of("test")`.
        backbone: that gave them. For a version with another one, or that sees photos in another way, they are computed
            by that. None only where `judgement` is by cross-validation and it is not known.
        judgement: of the new version. Where that is by cross-validation, both are compared by the photos that each
            answered without having been trained on them.
    """
    newest = bundle.newest(name)
    if newest is None or newest.classes != dataset.classes:
        print(_incomparable(newest))
        return None
    if judgement is not None and judgement.by == CROSS_VALIDATION:
        return _by_cross_validation(newest, dataset, judgement, backbone)
    unseen, is_known = unseen_by(newest, dataset)
    photos = [photo for photo, one in zip(dataset.of(TEST), unseen) if one]
    trained_before = len(unseen) - len(photos)
    if trained_before and not photos:
        print(f"{newest.id} was trained on all {trained_before:,} test photos, so it cannot be compared.")
        return None
    features = features[unseen]
    try:
        same = backbone is not None and newest.is_on(backbone.fingerprint, backbone.architecture)
        features_before = features if same else features_by(newest, photos)
    except UserError as error:
        print(f"{newest.id} cannot be compared: {error} [{error.code}]")
        return None
    targets = dataset.targets(photos)
    before = newest.head.logits(features_before).argmax(axis=1) == targets
    now = head.logits(features).argmax(axis=1) == targets
    return dataclasses.replace(
        _compared(newest, dataset, photos, before, now, backbone),
        is_unseen=is_known,
        trained_before=trained_before,
    )


def _incomparable(newest: Bundle | None) -> str:
    if newest is None:
        return "There is no earlier version to compare with."
    return f"{newest.id} has other classes ({listed(newest.classes)}), so it cannot be compared."


def unseen_by(version: Bundle, dataset: Dataset) -> tuple[np.ndarray, bool]:
    """(which test photos did not train a saved version, bool (n,); whether its card tells). Where it does not, all."""
    trained_on = _trained_on(version, dataset)
    unseen = [short(photo.identity) not in (trained_on or ()) for photo in dataset.of(TEST)]
    return np.array(unseen, bool), trained_on is not None


def _trained_on(newest: Bundle, dataset: Dataset) -> frozenset[str] | None:
    """What trained a saved version, by `short`; None where that is not known."""
    if newest.card.trained_on is not None:
        return frozenset(newest.card.trained_on)
    if newest.card.data.digest == dataset.digest():
        return frozenset()  # the same photos in the same splits: none that tests now trained then
    return None


def _by_cross_validation(
    newest: Bundle, dataset: Dataset, judgement: Judgement, backbone: Backbone | None
) -> Comparison | None:
    judged = newest.card.judged
    answers = judged.get("answers", {})
    # Cards of before tell only who was right, by the labels of that time.
    right = dict.fromkeys(judged.get("wrong", ()), False) | dict.fromkeys(judged.get("right", ()), True)
    names = [short(photo.identity) for photo in judgement.photos]
    right |= {name: answers[name] == target for name, target in zip(names, judgement.targets) if name in answers}
    both = np.array([name in right for name in names], bool)
    if not both.any():
        print(f"{newest.id} was not judged by these photos, so it cannot be compared.")
        return None
    photos = [photo for photo, one in zip(judgement.photos, both) if one]
    before = np.array([right[name] for name in names if name in right], bool)
    now = judgement.right[both]
    return _compared(newest, dataset, photos, before, now, backbone, "photos that both were judged by")


def _compared(
    newest: Bundle, dataset: Dataset, photos: Sequence[Photo], before: np.ndarray, now: np.ndarray,
    backbone: Backbone | None, by: str = "test photos",
) -> Comparison:  # fmt: skip
    trained_before, trained_now = (
        {label: sum(counts.get(split, {}).get(label, 0) for split in (TRAIN, VALID)) for label in dataset.classes}
        for counts in (newest.card.data.photos, dataset.counts())
    )
    return Comparison(
        newest.id, len(photos), int(before.sum()), int(now.sum()),
        tuple(photo for photo, regressed in zip(photos, before & ~now) if regressed),
        tuple(photo for photo, fixed in zip(photos, now & ~before) if fixed),
        {label: number - trained_before[label] for label, number in trained_now.items()},
        by,
        differences=_differences(newest, backbone) if backbone else (),
    )  # fmt: skip


def _differences(newest: Bundle, backbone: Backbone) -> tuple[tuple[str, str, str], ...]:
    """(what, before, now) of what a person sets beside the photos."""
    before, now = (
        {
            "backbone": architecture.name + (", unfrozen" if fine_tuned else ""),
            "pixels": str(architecture.pixels),
            "fit": architecture.preprocessing.fit,
        }
        for architecture, fine_tuned in (
            (newest.architecture, newest.card.backbone.fine_tuned),
            (backbone.architecture, backbone.fine_tuned),
        )
    )
    return tuple((what, before[what], now[what]) for what in now if before[what] != now[what])


def features_by(version: Bundle, photos: list[Photo]) -> np.ndarray:
    """What a saved version sees in `photos`, float32 (n, size): by the engine that trained it, or else by TensorFlow.

    Raises UserError where it cannot run here.
    """
    backbone = version.backbone()
    try:
        engine = open_engine(version.card.backbone.engine or TENSORFLOW, backbone, version.int8)
    except EngineUnavailable:
        engine = open_engine(TENSORFLOW, backbone)
    return compute_features(photos, engine, FeatureCache(backbone), f"Test photos by {version.id}")

"""Comparison of a new version with the previous one, on the same test photos."""

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
    """The test photos that two versions classify differently.

    Attributes:
        before: the id of the previous version.
        photos: number of test photos.
        right_before, right_now: number of photos that each version classifies correctly.
        regressed: photos that were right and are now wrong; `fixed`: the reverse.
        added: class → number of added training photos, including validation photos.
        by: what the photos are.
        is_unseen: whether none of the photos trained the previous version, which may have memorized those.
        trained_before: number of test photos excluded because they trained the previous version.
        differences: other differences of the two, such as ("pixels", "224", "288").
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
        """Probability of so large a difference by chance alone, see `statistics.mcnemar`."""
        return mcnemar(len(self.regressed), len(self.fixed))

    @property
    def is_worse(self) -> bool:
        """Whether it is right on fewer photos, by more than chance explains. See also `is_unseen`."""
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
            lines.append(f"Excluded: {photos}, because {self.before} was trained on them.")
        if not self.is_unseen:
            lines.append(
                f"{self.before} does not record its training photos, and may have been trained on some of these. So "
                "the new version is saved whatever this comparison says."
            )
        lines.append(f"Training photos: {added or 'same numbers as before'}.")
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
    """Compare `head` with the newest version of the model `name`. Return None, and print the reason, if there is no
    earlier version, it has other classes, or it was trained on all test photos.

    Excludes test photos that trained that version, since it may have memorized them, and a better model would seem
    worse. If its card does not name its training photos, uses all test photos, and the result is not `is_unseen`.

    Args:
        features: float32 (n, size) of the test photos, in the order of `dataset.of("test")`.
        backbone: the one that computed them. For a version with another backbone or preprocessing, features are
            computed with that. None only if `judgement` is by cross-validation and the backbone is unknown.
        judgement: of the new version. If it is by cross-validation, both are compared on photos that each classified
            without having been trained on them.
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
    """Return (which test photos did not train a saved version, bool (n,); whether that is known). If it is unknown, all
    are True."""
    trained_on = _trained_on(version, dataset)
    unseen = [short(photo.identity) not in (trained_on or ()) for photo in dataset.of(TEST)]
    return np.array(unseen, bool), trained_on is not None


def _trained_on(newest: Bundle, dataset: Dataset) -> frozenset[str] | None:
    """Return the `short` identities of a saved version's training photos; None if unknown."""
    if newest.card.trained_on is not None:
        return frozenset(newest.card.trained_on)
    if newest.card.data.digest == dataset.digest():
        return frozenset()  # same photos in the same splits, so no test photo was a training photo
    return None


def _by_cross_validation(
    newest: Bundle, dataset: Dataset, judgement: Judgement, backbone: Backbone | None
) -> Comparison | None:
    judged = newest.card.judged
    answers = judged.get("answers", {})
    # Older cards record only which photos were right, by the labels of that time.
    right = dict.fromkeys(judged.get("wrong", ()), False) | dict.fromkeys(judged.get("right", ()), True)
    names = [short(photo.identity) for photo in judgement.photos]
    right |= {name: answers[name] == target for name, target in zip(names, judgement.targets) if name in answers}
    both = np.array([name in right for name in names], bool)
    if not both.any():
        print(f"{newest.id} was not evaluated on these photos, so it cannot be compared.")
        return None
    photos = [photo for photo, one in zip(judgement.photos, both) if one]
    before = np.array([right[name] for name in names if name in right], bool)
    now = judgement.right[both]
    return _compared(newest, dataset, photos, before, now, backbone, "photos that both were evaluated on")


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
    """Return (what, before, now) for each setting that differs."""
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
    """Compute a saved version's features of `photos`, float32 (n, size), with the engine of its training, or else with
    TensorFlow.

    Raises UserError if its backbone cannot run here.
    """
    backbone = version.backbone()
    try:
        engine = open_engine(version.card.backbone.engine or TENSORFLOW, backbone, version.int8)
    except EngineUnavailable:
        engine = open_engine(TENSORFLOW, backbone)
    return compute_features(photos, engine, FeatureCache(backbone), f"Test photos by {version.id}")

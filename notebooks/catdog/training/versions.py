"""The saved versions of a model, each judged by the test photos of today."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from ..backbones.architectures import Architecture, Backbone
from ..data.dataset import Dataset, Photo
from ..data.folders import TEST
from ..errors import UserError, first_line
from ..models import bundle, listing
from ..models.bundle import Bundle, BundleRefused
from ..models.card import read_card
from ..statistics import wilson
from .comparison import features_by, unseen_by

_MOST = 10
_MOST_LETTERS = 300  # of a reason


def versions_on(
    dataset: Dataset, name: str = "", features: np.ndarray | None = None, backbone: Backbone | None = None
) -> str:
    """Judge the newest ten versions of the model `name` by the test photos of `dataset`, so that they can be compared.

    The table has the columns of `listing.versions_table`. How right a version is, with the 95 % interval, is said for
    those test photos of today that did not train it. A version with other classes is left out. One that cannot be
    judged has a line, too, and the reason stands below.

    Args:
        name: the model's; with nothing, the dataset's.
        features: float32 (n, size) of the test photos, in the order of `dataset.of("test")`, by `backbone`. Versions
            with that backbone need no others; for each other backbone, they are computed once and kept.
    """
    photos = dataset.of(TEST)
    if not photos:
        return "There are no test photos to judge by: add more."
    seen = _Seen(photos)
    if features is not None and backbone is not None:
        seen.add(features, backbone.fingerprint, backbone.architecture)
    rows, reasons = [], []
    for folder in islice(_with_classes(name or dataset.name, dataset.classes), _MOST):
        right, by, reason = _judged(folder, dataset, seen)
        rows.append(listing.row(folder, right, by))
        reasons += [reason] if reason else []
    return "\n".join([listing.table(rows), *reasons]) if rows else "There is no version with these classes."


class _Seen:
    """What backbones see in the same photos, computed once for each."""

    def __init__(self, photos: list[Photo]):
        self._photos = photos
        self._known: dict[tuple[str, Architecture], np.ndarray | UserError] = {}

    def add(self, features: np.ndarray | UserError, fingerprint: str, architecture: Architecture) -> None:
        self._known[fingerprint, architecture] = features

    def by(self, version: Bundle) -> np.ndarray:
        """Float32 (n, size). Raises UserError where the version's backbone cannot run here: not tried a second time."""
        key = version.card.backbone.fingerprint, version.architecture
        if key not in self._known:
            try:
                self.add(features_by(version, self._photos), *key)
            except BundleRefused:  # of this version alone
                raise
            except UserError as error:
                self.add(error, *key)
        found = self._known[key]
        if isinstance(found, UserError):
            raise found
        return found


def _with_classes(name: str, classes: tuple[str, ...]) -> Iterator[Path]:
    """Versions with these classes, the newest first, and those whose card cannot be read."""
    for folder in bundle.versions(name):
        try:
            is_comparable = read_card(folder).classes == classes
        except BundleRefused:
            is_comparable = True
        if is_comparable:
            yield folder


def _judged(folder: Path, dataset: Dataset, seen: _Seen) -> tuple[str, str, str]:
    """(how right a version is, by what that was judged, why that cannot be said)."""
    try:
        version = bundle.read(folder)
        unseen, is_known = unseen_by(version, dataset)
        if not unseen.any():
            return "", "none: all test photos trained it", ""
        answers = version.head.logits(seen.by(version)[unseen]).argmax(axis=1)
    except Exception as error:  # of one version, which must not hide the others
        code = f" [{error.code}]" if isinstance(error, UserError) else ""
        reason = f"{folder.parent.name}/{folder.name} cannot be judged: {first_line(error, _MOST_LETTERS)}{code}"
        return "", f"cannot be judged{code}", reason
    right = int((answers == dataset.targets(dataset.of(TEST))[unseen]).sum())
    return *_share(right, int(unseen.sum()), len(unseen), is_known), ""


def _share(right: int, judged: int, photos: int, is_known: bool) -> tuple[str, str]:
    low, high = wilson(right, judged)
    by = f"{judged:,} test photos" if judged == photos else f"{judged:,} of {photos:,} test photos"
    doubt = "" if is_known else ", which may have trained it"
    return f"{right / judged:.1%} ({low:.1%} to {high:.1%})", f"{by}{doubt}"

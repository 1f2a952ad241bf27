"""The saved versions of a model, each evaluated on the current test photos."""

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
    """Return a table of the newest ten versions of the model `name`, evaluated on the test photos of `dataset`.

    The table has the columns of `listing.versions_table`. Accuracy, with its 95 % interval, is for the current test
    photos that did not train the version. Versions with other classes are skipped. A version that cannot be evaluated
    has a line, too, with the reason below the table.

    Args:
        name: the model's; empty for the dataset's.
        features: float32 (n, size) of the test photos, in the order of `dataset.of("test")`, computed by `backbone`.
            Versions with that backbone reuse them; for each other backbone, features are computed once and cached.
    """
    photos = dataset.of(TEST)
    if not photos:
        return "There are no test photos, so versions cannot be judged: add more photos."
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
    """Features of the same photos by several backbones, computed once for each."""

    def __init__(self, photos: list[Photo]):
        self._photos = photos
        self._known: dict[tuple[str, Architecture], np.ndarray | UserError] = {}

    def add(self, features: np.ndarray | UserError, fingerprint: str, architecture: Architecture) -> None:
        self._known[fingerprint, architecture] = features

    def by(self, version: Bundle) -> np.ndarray:
        """Return the features for a version, float32 (n, size). Raises UserError if its backbone cannot run here, and
        does not try that again."""
        key = version.card.backbone.fingerprint, version.architecture
        if key not in self._known:
            try:
                self.add(features_by(version, self._photos), *key)
            except BundleRefused:  # concerns this version only
                raise
            except UserError as error:
                self.add(error, *key)
        found = self._known[key]
        if isinstance(found, UserError):
            raise found
        return found


def _with_classes(name: str, classes: tuple[str, ...]) -> Iterator[Path]:
    """Yield versions with these classes, and those whose card cannot be read, newest first."""
    for folder in bundle.versions(name):
        try:
            is_comparable = read_card(folder).classes == classes
        except BundleRefused:
            is_comparable = True
        if is_comparable:
            yield folder


def _judged(folder: Path, dataset: Dataset, seen: _Seen) -> tuple[str, str, str]:
    """Return (a version's accuracy, the photos that it was measured on, why it could not be measured)."""
    try:
        version = bundle.read(folder)
        unseen, is_known = unseen_by(version, dataset)
        if not unseen.any():
            return "", "none: it was trained on all test photos", ""
        answers = version.head.logits(seen.by(version)[unseen]).argmax(axis=1)
    except Exception as error:  # one bad version must not hide the others
        code = f" [{error.code}]" if isinstance(error, UserError) else ""
        reason = f"{folder.parent.name}/{folder.name} cannot be judged: {first_line(error, _MOST_LETTERS)}{code}"
        return "", f"cannot be judged{code}", reason
    right = int((answers == dataset.targets(dataset.of(TEST))[unseen]).sum())
    return *_share(right, int(unseen.sum()), len(unseen), is_known), ""


def _share(right: int, judged: int, photos: int, is_known: bool) -> tuple[str, str]:
    low, high = wilson(right, judged)
    by = f"{judged:,} test photos" if judged == photos else f"{judged:,} of {photos:,} test photos"
    doubt = "" if is_known else ", perhaps trained on them"
    return f"{right / judged:.1%} ({low:.1%} to {high:.1%})", f"{by}{doubt}"

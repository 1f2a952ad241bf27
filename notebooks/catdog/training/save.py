"""How training results become a saved model: its card, its golden photos, its files."""

import io
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Protocol

import numpy as np

from ..data.dataset import Photo
from ..data.folders import TEST, TRAIN, VALID
from ..data.images import read_photo
from ..data.known_sets import short
from ..data.preprocessing import PREPROCESSING, Preprocessing
from ..data.synthetic import CLASSES, draw
from ..errors import UserError
from ..models import bundle
from ..models.bundle import Bundle
from ..models.card import BackboneOfCard, Card, DataOfCard
from ..models.export_metadata import H5, KERAS, LOADS_IN
from ..models.head import Head
from ..models.writer import publish
from .calibration import CalibratedHead
from .comparison import Comparison
from .engine_selection import EngineSelection
from .evaluation import Judgement
from .pruned_models import Candidate
from .trained_head import TrainedHead

_GOLDEN_SEEDS = range(1000, 1012)  # of drawings that are in no training set of drawings
_GOLDEN = 6
_CLEAR = 0.3  # the smallest lead of the most probable class
_LIBRARIES = ("tensorflow", "keras", "numpy", "pillow")
_REMEMBERED = 5_000  # the most training photos that a card names: about 130 KB


class TrainingPhotos(Protocol):
    """What a card needs to know about a model's photos. Implemented by `Dataset`, and by counts of photos too numerous
    for one.

    Attributes:
        name, classes, synthetic: as in a `Dataset`.
        n_excluded: number of files that are not used.
    """

    @property
    def name(self) -> str: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def synthetic(self) -> bool: ...
    @property
    def n_excluded(self) -> int: ...

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """Return split → class → number of photos."""
        ...

    def digest(self) -> str:
        """Return the SHA-256 of the photos with their classes and splits, hex."""
        ...

    def of(self, split: str) -> Sequence[Photo]:
        """Return the photos of one split; none if there are too many to name each."""
        ...


def save_model(
    name: str,
    dataset: TrainingPhotos,
    trained: TrainedHead,
    engines: EngineSelection,
    pruned: Candidate | None = None,
    *,
    save_keras: bool = False,
    save_h5: bool = False,
    unless_worse: Comparison | None = None,
    judgement: Judgement | None = None,
) -> Bundle:
    """Save a trained head as a new version of `name`.

    If the newest version has the same data and the same last layer, return that version instead, and add only files of
    the complete network that are requested and missing.

    Args:
        name: the model's name; empty for the dataset's.
        engines: compute the golden photos, and are checked again with the new last layer.
        pruned: the pruned model to save with it, if any.
        save_keras: write the complete network for other tools, as `model.keras`; `save_h5`: as `model.h5`.
        unless_worse: a comparison with the newest version. If the new model is worse, print that, and keep the newest
            version. Ignored if its photos may have trained that version.
        judgement: answers that the next version can be compared with. If given, the card also names the training
            photos, so that the next comparison can exclude them.

    Raises:
        UserError: models trained on drawings and on photos cannot share a name; or a file cannot be written.
    """
    name = name or dataset.name
    newest = bundle.newest(name)
    complete = [file for file, is_wanted in ((KERAS, save_keras), (H5, save_h5)) if is_wanted]
    if newest and newest.card.synthetic != dataset.synthetic:
        kinds = ("photos", "drawings") if dataset.synthetic else ("drawings", "photos")
        raise UserError(
            "model-name-taken",
            "The model {} was trained on {}, but these are {}: set MODEL_NAME to another name.".format(name, *kinds),
        )
    if newest and _is_the_same(newest, dataset, trained.calibrated, engines, pruned) and _may_hold(newest, complete):
        print(f"Nothing has changed since {newest.id}: it stays the newest version.")
        return _with_files(newest, engines, complete)
    if newest and unless_worse and unless_worse.is_worse and unless_worse.is_unseen:
        print(
            f"Not saved: it is worse than {newest.id} by more than chance explains. Set SAVE_WHEN to always to save it."
        )
        return newest
    head = trained.calibrated.head
    photos, probabilities = _golden(engines, head)
    card = _card(dataset, trained, engines, pruned, judgement)
    model = publish(
        name, card, head, photos, probabilities, engines.int8, trained.calibrated.ood_detector,
        engines.backbone.fine_tuned, pruned.model(photos) if pruned else None,
    )  # fmt: skip
    return _with_files(model, engines, complete)


def _may_hold(version: Bundle, files: Sequence[str]) -> bool:
    """Tell whether `files` can be added. The card of another release may name other tools that can load them."""
    return not files or version.card.loads_in == LOADS_IN


def _with_files(version: Bundle, engines: EngineSelection, files: Sequence[str]) -> Bundle:
    """Return `version` after adding the complete network as each of `files` that is missing."""
    if not all((version.folder / file).exists() for file in files):
        from ..models.keras_export import add_keras_files  # loads Keras, which takes seconds

        add_keras_files(version, engines.reference.model, files)
    return version


def golden_photos(preprocessing: Preprocessing = PREPROCESSING) -> np.ndarray:
    """Return drawings, uint8 (24, pixels, pixels, 3), which can be published whatever a model was trained on."""
    return np.stack([_prepared(label, seed, preprocessing) for seed in _GOLDEN_SEEDS for label in CLASSES])


def _golden(engines: EngineSelection, head: Head) -> tuple[np.ndarray, np.ndarray]:
    """Return a few drawings and the model's probabilities for them.

    They cover every class that the model sees in drawings, with more and less certain answers, so an engine that always
    gives one answer does not pass. None is near a tie, where a correct engine may differ."""
    photos = golden_photos(engines.backbone.architecture.preprocessing)
    probabilities = head.probabilities(engines.exact_features(photos))
    second, first = np.sort(probabilities, axis=1)[:, -2:].T
    lead = first - second
    by_class = np.lexsort((lead, probabilities.argmax(axis=1)))
    clear = by_class[lead[by_class] >= _CLEAR]
    if len(clear) < _GOLDEN:
        clear = np.argsort(-lead, kind="stable")[:_GOLDEN]
    spread = clear[np.linspace(0, len(clear) - 1, _GOLDEN).round().astype(int)]
    return photos[spread], probabilities[spread]


def _prepared(label: str, seed: int, preprocessing: Preprocessing) -> np.ndarray:
    file = io.BytesIO()
    draw(label, seed).save(file, "PNG")
    return read_photo(file.getvalue(), preprocessing=preprocessing)


def _is_the_same(
    newest: Bundle,
    dataset: TrainingPhotos,
    calibrated: CalibratedHead,
    engines: EngineSelection,
    pruned: Candidate | None,
) -> bool:
    return (
        newest.card.data.digest == dataset.digest()
        and newest.classes == dataset.classes
        and newest.is_on(engines.backbone.fingerprint, engines.backbone.architecture)
        and (newest.int8 and newest.int8.digest) == (engines.int8 and engines.int8.digest)
        and (newest.pruned and newest.pruned.network.digest) == (pruned and pruned.network.digest)
        and newest.ood_detector is not None
        and _nearly_equal(newest.head.kernel, calibrated.head.kernel)
        and _nearly_equal(newest.head.bias, calibrated.head.bias)
        and abs(newest.confidence_threshold - calibrated.confidence_threshold) <= 1e-3
    )


def _nearly_equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Tell whether arrays are equal but for another order of summation. The tolerance is relative to the largest value,
    since a kernel's values are small."""
    return a.shape == b.shape and float(np.abs(a - b).max()) <= 1e-3 * float(np.abs(a).max())


def _trained_on(dataset: TrainingPhotos) -> tuple[str, ...] | None:
    """Return the short identities of the training photos; None if there are too many. They include validation photos,
    since those train the last layer, or choose what block 5 learns."""
    photos = [*dataset.of(TRAIN), *dataset.of(VALID)]
    return tuple(short(photo.identity) for photo in photos) if len(photos) <= _REMEMBERED else None


def _card(
    dataset: TrainingPhotos,
    trained: TrainedHead,
    engines: EngineSelection,
    pruned: Candidate | None,
    judgement: Judgement | None,
) -> Card:
    backbone, architecture, calibrated = engines.backbone, engines.backbone.architecture, trained.calibrated
    reports = judgement.reports if judgement else trained.reports
    return Card(
        dataset.classes,
        BackboneOfCard(
            architecture.name, backbone.fingerprint, architecture.features, tuple(sorted(backbone.fine_tuned)),
            engines.chosen.name,
        ),
        architecture.preprocessing.version,
        synthetic=dataset.synthetic,
        parity=engines.parity_checks(calibrated.head),
        data=DataOfCard(dataset.name, dataset.digest(), dataset.counts(), dataset.n_excluded),
        training=trained.fit.settings,
        calibration=calibrated.as_card(),
        thresholds=calibrated.thresholds,
        loads_in=LOADS_IN,
        metrics={split: report.as_card() for split, report in reports.items()},
        judged_by=judgement.by if judgement else TEST,
        judged=judgement.as_card() if judgement else {},
        trained_on=_trained_on(dataset) if judgement else None,
        pruned=pruned.as_card() if pruned else None,
        libraries={"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
    )  # fmt: skip

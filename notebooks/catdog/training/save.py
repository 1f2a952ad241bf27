"""From the results of training to a saved model: its card, its golden photos, its files."""

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

_GOLDEN_SEEDS = range(1000, 1012)  # drawings that no training set of drawings holds
_GOLDEN = 6
_CLEAR = 0.3  # by how much the first class must lead
_LIBRARIES = ("tensorflow", "keras", "numpy", "pillow")
_REMEMBERED = 5_000  # photos that trained a model and that its card names: some 130 KB


class TrainingPhotos(Protocol):
    """What a card says of the photos of a model; a `Dataset` says it, and what was counted without holding all of them.

    Attributes:
        name, classes, synthetic: as a `Dataset` has them.
        n_excluded: how many files are not used.
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
        """Split → class → number of photos."""
        ...

    def digest(self) -> str:
        """Identifies the photos with their classes and splits, sha256, hex."""
        ...

    def of(self, split: str) -> Sequence[Photo]:
        """The photos of one split; none where there are too many to name each."""
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

    Where the newest version has the same data and the same last layer, that one is returned, and gets no more than the
    complete network that is asked for and that it lacks.

    Args:
        name: the model's name; with nothing, the dataset's.
        engines: they compute the golden photos, and are checked once more as seen through the new last layer.
        pruned: the pruned model to save with it, if any.
        save_keras: write the complete network for other tools, as `model.keras`; `save_h5`: as `model.h5`.
        unless_worse: than the version before it; then that one stays the newest, and it is said. A comparison by photos
            that may have trained that version keeps nothing from being saved.
        judgement: whose answers the next version may be compared with. With one, the card also names the photos that
            trained, so that the next comparison can leave them out.

    Raises:
        UserError: a model trained on drawings was to be saved under the name of a model of photos; or something cannot
            be written.
    """
    name = name or dataset.name
    newest = bundle.newest(name)
    complete = [file for file, is_wanted in ((KERAS, save_keras), (H5, save_h5)) if is_wanted]
    if newest and newest.card.synthetic != dataset.synthetic:
        kinds = ("photos", "drawings") if dataset.synthetic else ("drawings", "photos")
        raise UserError(
            "model-name-taken",
            "The model {} was trained on {}, these are {}: set MODEL_NAME to another name.".format(name, *kinds),
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
    """Whether `files` may be added: the card says what can load them, and that of another release may say otherwise."""
    return not files or version.card.loads_in == LOADS_IN


def _with_files(version: Bundle, engines: EngineSelection, files: Sequence[str]) -> Bundle:
    """`version`, with the complete network as those of `files` that it lacks."""
    if not all((version.folder / file).exists() for file in files):
        from ..models.keras_export import add_keras_files  # which takes Keras along, seconds that nothing else needs

        add_keras_files(version, engines.reference.model, files)
    return version


def golden_photos(preprocessing: Preprocessing = PREPROCESSING) -> np.ndarray:
    """Drawings, uint8 (24, pixels, pixels, 3): ours to publish, whatever a model was trained on."""
    return np.stack([_prepared(label, seed, preprocessing) for seed in _GOLDEN_SEEDS for label in CLASSES])


def _golden(engines: EngineSelection, head: Head) -> tuple[np.ndarray, np.ndarray]:
    """A few drawings and the model's probabilities: of every class that it sees in drawings, some of which it is sure
    and some less, since what always gives one answer must not pass. None near a tie, where a correct engine may differ.
    """
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
    """Up to what another order of summing does, relative to the largest value: a kernel's values are small."""
    return a.shape == b.shape and float(np.abs(a - b).max()) <= 1e-3 * float(np.abs(a).max())


def _trained_on(dataset: TrainingPhotos) -> tuple[str, ...] | None:
    """The photos that trained, by what they are recognised by; None where there are very many. Those for validation are
    among them: they train the last layer, or choose what block 5 learns."""
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

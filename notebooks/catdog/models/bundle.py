"""A trained model as a folder `models/<name>/<version>/`: find it, read it, refuse it. `writer.py` writes it.

    card.json      what the model is: classes, backbone, preprocessing, training data, metrics, digests of the files
    head.npz       the last layer: kernel float32 (size, classes) and bias float32 (classes,)
    golden.npz     a few drawings, uint8 (n, pixels, pixels, 3), and what they must give, float32 (n, classes)
    fine_tuned.npz arrays of the backbone that are not ImageNet's (see fine_tuning.py); most models have none
    class_means.npz  centers float32 (classes, size) and perhaps kernel float32 (size,), see ood.py
    int8.npz       how to run the backbone in int8 (see engines/int8.py); where it is missing or damaged, it cannot be
    pruned.npz     the pruned model (see pruned.py); where it is missing or damaged, there is none
    model.keras    the complete network for other tools, where it was asked for (see keras_export.py); never read here
    kept.json      where the version is kept: that, and its label (see kept.py)

Only plain arrays are loaded, never anything that a file could have executed.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from .. import paths
from ..backbones.architectures import Architecture, Backbone, load_backbone
from ..data.preprocessing import Preprocessing
from ..engines.base import OPENVINO_INT8, OPENVINO_PRUNED
from ..engines.int8 import Int8Params
from ..engines.parity import ParityCheck, PrunedParityCheck
from ..errors import UserError
from ..names import listed
from .arrays import INSTEAD, BundleRefused, read_arrays, refused_if_damaged
from .card import CARD, CLASS_MEANS, FINE_TUNED, GOLDEN, HEAD, INT8, PRUNED, Card, read_card
from .head import Head
from .kept import is_labelled
from .ood import OODDetector
from .pruned import PrunedModel

TOLERANCE = 1e-3  # how far a probability may be from the one that was saved, whoever computes it
_ARRAYS = {HEAD: ("kernel", "bias"), GOLDEN: ("photos", "probabilities")}
_OTHER_TOOLS = (".keras", ".h5", ".hdf5", ".pkl", ".pickle", ".pt", ".pth", ".joblib", ".onnx", ".pb", ".npz", ".npy")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Bundle:
    """A saved model, read and checked against its own digests.

    Attributes:
        folder: where it lies.
        card: what is known of it.
        head: the last layer.
        golden_photos: uint8 (n, pixels, pixels, 3); `golden_probabilities`: float32 (n, classes).
        int8: how to run the base in int8, if that came with the model.
        ood_detector: tells photos that are unlike all that it was trained on, if that came with the model.
        fine_tuned: arrays of the backbone that are not ImageNet's, by name.
        pruned: the pruned model, if one came with the model.
    """

    folder: Path
    card: Card
    head: Head
    golden_photos: np.ndarray
    golden_probabilities: np.ndarray
    int8: Int8Params | None = None
    ood_detector: OODDetector | None = None
    fine_tuned: dict[str, np.ndarray] = field(default_factory=dict)
    pruned: PrunedModel | None = None

    @property
    def id(self) -> str:
        """ "<name>/<version>", the name by which answers say which model gave them."""
        return self.card.id

    @property
    def classes(self) -> tuple[str, ...]:
        return self.card.classes

    @property
    def architecture(self) -> Architecture:
        return self.card.architecture

    @property
    def preprocessing(self) -> Preprocessing:
        """By which `images.read_photo` must read the photos."""
        return self.architecture.preprocessing

    def backbone(self, public: Backbone | None = None) -> Backbone:
        """With ImageNet's weights, `public` or as they are here, and the fine-tuned ones. Raises BundleRefused where
        these do not fit, UserError where those cannot be had."""
        backbone = replace(public or load_backbone(self.architecture.name), architecture=self.architecture)
        try:
            return backbone.with_fine_tuned(self.fine_tuned) if self.fine_tuned else backbone
        except ValueError as error:
            raise BundleRefused("model-damaged", f"{self.folder} cannot be used ({error}): train again.") from error

    def is_on(self, fingerprint: str, architecture: Architecture) -> bool:
        """Whether a backbone with these weights and this preprocessing gives the features that it takes: then it can
        be compared by them, and share an engine."""
        return self.card.backbone.fingerprint == fingerprint and self.architecture == architecture

    @property
    def parity_checks(self) -> Mapping[str, ParityCheck | PrunedParityCheck]:
        """Engines by name, with what notebook 1 found out about them."""
        return {**self.card.parity, **({OPENVINO_PRUNED: self.card.pruned.parity} if self.card.pruned else {})}

    @property
    def engine_params(self) -> dict[str, Int8Params]:
        """How to run the engines that are made for this model, by name."""
        pruned = {OPENVINO_PRUNED: self.pruned.network} if self.pruned else {}
        return ({OPENVINO_INT8: self.int8} if self.int8 else {}) | pruned

    @property
    def confidence_threshold(self) -> float:
        """The probability from which on the model is confident of a class; 0 where its card holds no threshold."""
        return self.card.thresholds.confidence

    def describe(self) -> str:
        """What the model is, in a few sentences for a person."""
        by, judged = self.card.judged_on
        by = "test photos" if by == "test" else "photos, by cross-validation"
        lines = [f"{self.id} tells apart: {listed(self.classes, 20)}."]
        right, low, high = (f"{judged.get(name, 0):.1%}" for name in ("accuracy", "low", "high"))
        how = f"It was right on {right} of {judged.get('photos', 0):,} {by} ({low} to {high})."
        lines.append(how if judged.get("photos") else "It was never judged by photos that it was not trained on.")
        if self.pruned:
            lines.append(f"Its pruned model: {self.parity_checks[OPENVINO_PRUNED]}")
        if self.card.synthetic:
            lines.append("It was trained on drawings: it knows nothing of real photos.")
        return "\n".join(lines)


def read(folder: Path) -> Bundle:
    """Read a saved model and check that its files are those that were saved. Raises BundleRefused."""
    with refused_if_damaged(f"The files in {folder} do not fit together"):
        return _read(folder)


def _read(folder: Path) -> Bundle:
    card = read_card(folder)
    arrays = {file: _stored(folder, card, file, names) for file, names in _ARRAYS.items()}
    golden = arrays[GOLDEN]
    bundle = Bundle(
        folder,
        card,
        Head(**arrays[HEAD]),
        golden["photos"],
        golden["probabilities"],
        _if_whole(Int8Params, folder, card, INT8),
        _ood_detector(folder, card) if card.find_file(CLASS_MEANS) else None,
        _stored(folder, card, FINE_TUNED) if card.find_file(FINE_TUNED) else {},
        _if_whole(lambda found: PrunedModel.of(found, card), folder, card, PRUNED),
    )
    _check_shapes(bundle)
    return bundle


def _ood_detector(folder: Path, card: Card) -> OODDetector:
    try:
        return OODDetector.of(_stored(folder, card, CLASS_MEANS), card.thresholds.ood_distance)
    except (KeyError, TypeError):
        raise BundleRefused("model-damaged", f"{folder / CLASS_MEANS} is damaged: {INSTEAD}") from None


def find(model: str = "") -> Path:
    """The folder of the model that `model` names.

    Args:
        model: "<name>" for its newest version, "<name>/<version>" or "<name>/<label>", the path of a version's
            folder, or nothing: the newest version of any model that was trained on photos (one trained on drawings must
            be named).

    Raises UserError where there is no such model; the message lists those that are there.
    """
    if model and (Path(model).expanduser() / CARD).is_file():
        return Path(model).expanduser()
    if model.lower().endswith(_OTHER_TOOLS):
        raise UserError(
            "model-unsafe",
            f"{model} is never loaded: such files can run code. Set MODEL to a model that notebook 1 saved, or to the "
            f"folder that holds its {CARD}.",
        )
    newest = next(versions(model), None)
    if newest is None:
        wanted = f'model "{model}"' if model else "model trained on photos"
        there = ", ".join(sorted({folder.parent.name for folder in saved_versions()})) or "none"
        raise UserError(
            "model-missing",
            f"There is no {wanted} in {paths.models_dir()} (there: {there}). Run notebook 1, or name one of these.",
        )
    return newest


def read_newest(model: str = "", say: Callable[[str], object] = print) -> Bundle:
    """Read the model that `find` finds; where its newest version is damaged and none is named, the newest that is not.

    Args:
        model: as for `find`.
        say: told which versions are passed over, and why.

    Raises UserError where there is no such model, or none that can be read.
    """
    first = find(model)
    if model and first.parent.name != model:
        return read(first)
    refusals = []
    for folder in versions(first.parent.name):  # no other model takes its place
        try:
            found = read(folder)
        except BundleRefused as refusal:
            refusals.append(refusal)
            continue
        if not model and found.card.synthetic:
            continue
        for reason in refusals:
            say(f"Skipped: {reason}")
        return found
    raise refusals[0]


def newest(name: str) -> Bundle | None:
    """The newest version of the model `name`; None where there is none that can be read."""
    try:
        return read(find(name))
    except UserError:
        return None


def age(version: Path) -> tuple:
    """What sorts versions' folders from old to new; the model that comes with the suite is older than any other."""
    numbers = re.findall(r"\d+", version.name) if is_version(version) else []
    return version != paths.SHIPPED_MODEL, [int(number) for number in numbers], version.name


def is_version(folder: Path) -> bool:
    """Whether a folder is called as `writer.py` calls one, and not as a copy is that somebody made."""
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\d-\d{6}(-\d+)?", folder.name))


def earlier(version: Path) -> list[Path]:
    """Other versions of the same model that are older than the one in the folder `version`, the newest first."""
    return [folder for folder in versions(version.parent.name) if age(folder) < age(version)]


def versions(model: str = "") -> Iterator[Path]:
    """All that `find` chooses from, the newest first; without a name, each one's card is read when its turn comes."""
    return (folder for folder in sorted(saved_versions(), key=age, reverse=True) if _fits(folder, model))


def _fits(folder: Path, model: str) -> bool:
    if model:
        name, slash, version = model.partition("/")
        is_named = not slash or version == folder.name or is_labelled(folder, version)
        return name == folder.parent.name and is_named
    try:
        return not read_card(folder).synthetic
    except BundleRefused:
        return False


def saved_versions() -> Iterable[Path]:
    """Every version in the models' folder, and the one that comes with the suite wherever that folder is."""
    found = (card.parent for card in paths.models_dir().glob(f"*/[!.]*/{CARD}"))
    return dict.fromkeys([*found, *([paths.SHIPPED_MODEL] if (paths.SHIPPED_MODEL / CARD).is_file() else [])])


def _stored(folder: Path, card: Card, file: str, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    found = card.find_file(file) or file
    return read_arrays(folder / found, card.files.get(found, ""), names)


def _if_whole(make: Callable[[dict], Made], folder: Path, card: Card, file: str) -> Made | None:
    """A model serves without these, too, so one that is missing or damaged is not a reason to refuse the model."""
    try:
        return make(_stored(folder, card, file)) if card.find_file(file) else None
    except Exception:  # see `read`
        return None


def _check_shapes(bundle: Bundle) -> None:
    number, size = len(bundle.classes), bundle.architecture.size
    head, photos = bundle.head, bundle.golden_photos
    nothing = OODDetector(np.zeros((number, size), np.float32), 0)
    known, pixels = bundle.ood_detector or nothing, bundle.architecture.pixels
    against = known.kernel if known.kernel is not None else np.zeros(size, np.float32)
    numbers = (head.kernel, head.bias, bundle.golden_probabilities, known.centers, against)
    shapes = [(size, number), (number,), (len(photos), number), (number, size), (size,)]
    fits = (
        [array.shape for array in numbers] == shapes
        and photos.shape == (len(photos), pixels, pixels, 3)
        and photos.dtype == np.uint8
        and all(array.dtype == np.float32 and np.isfinite(array).all() for array in numbers)
    )
    if not fits or not len(photos) or len(set(bundle.classes)) != number:
        raise BundleRefused("model-damaged", f"Arrays in {bundle.folder} do not fit its {number} classes: {INSTEAD}")

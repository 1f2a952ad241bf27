"""A trained model as a folder `models/<name>/<version>/`: how to find, read and check it. `writer.py` writes it.

    card.json      what the model is: classes, backbone, preprocessing, training data, metrics, digests of the files
    head.npz       the last layer: kernel float32 (size, classes) and bias float32 (classes,)
    golden.npz     a few drawings, uint8 (n, pixels, pixels, 3), and the expected probabilities, float32 (n, classes)
    fine_tuned.npz arrays of the backbone that differ from ImageNet's (see fine_tuning.py); most models have none
    class_means.npz  centers float32 (classes, size) and optionally kernel float32 (size,), see ood.py
    int8.npz       parameters for running the backbone in int8 (see engines/int8.py); not possible without a valid file
    pruned.npz     the pruned model (see pruned.py); ignored if damaged
    model.keras    the complete network for other tools, if requested (see keras_export.py); never read here
    kept.json      marks a version as kept, and holds its label (see kept.py)

Only plain arrays are loaded, so no file can execute code.
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
from ..engines.parity import EarlierPrunedParityCheck, ParityCheck, PrunedParityCheck
from ..errors import UserError
from ..names import listed
from .arrays import INSTEAD, BundleRefused, read_arrays, refused_if_damaged
from .card import CARD, CLASS_MEANS, FINE_TUNED, GOLDEN, HEAD, INT8, PRUNED, Card, read_card
from .head import Head
from .kept import is_labelled
from .ood import OODDetector
from .pruned import PrunedModel

TOLERANCE = 1e-3  # the largest allowed difference from a saved probability, on any exact engine
_ARRAYS = {HEAD: ("kernel", "bias"), GOLDEN: ("photos", "probabilities")}
_OTHER_TOOLS = (".keras", ".h5", ".hdf5", ".pkl", ".pickle", ".pt", ".pth", ".joblib", ".onnx", ".pb", ".npz", ".npy")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Bundle:
    """A saved model, read and checked against its own digests.

    Attributes:
        folder: its path.
        card: its metadata.
        head: the last layer.
        golden_photos: uint8 (n, pixels, pixels, 3); `golden_probabilities`: float32 (n, classes).
        int8: parameters for running the backbone in int8, if the model has them.
        ood_detector: recognizes photos unlike all training photos, if the model has one.
        fine_tuned: arrays of the backbone that differ from ImageNet's, by name.
        pruned: the pruned model, if there is one.
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
        """ "<name>/<version>", by which answers name their model."""
        return self.card.id

    @property
    def classes(self) -> tuple[str, ...]:
        return self.card.classes

    @property
    def architecture(self) -> Architecture:
        return self.card.architecture

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing that `images.read_photo` must apply to the photos."""
        return self.architecture.preprocessing

    def backbone(self, public: Backbone | None = None) -> Backbone:
        """Return the backbone: ImageNet's weights (`public`, or loaded here) with the fine-tuned arrays. Raises
        BundleRefused if the fine-tuned arrays do not fit, UserError if ImageNet's weights are not available."""
        backbone = replace(public or load_backbone(self.architecture.name), architecture=self.architecture)
        try:
            return backbone.with_fine_tuned(self.fine_tuned) if self.fine_tuned else backbone
        except ValueError as error:
            raise BundleRefused("model-damaged", f"{self.folder} cannot be used ({error}): train again.") from error

    def is_on(self, fingerprint: str, architecture: Architecture) -> bool:
        """Tell whether the model takes the features of a backbone with these weights and this preprocessing. If so, it
        can be compared on those features, and can share an engine."""
        return self.card.backbone.fingerprint == fingerprint and self.architecture == architecture

    @property
    def parity_checks(self) -> Mapping[str, ParityCheck | PrunedParityCheck | EarlierPrunedParityCheck]:
        """Engine name → result of its parity check in notebook 1."""
        return {**self.card.parity, **({OPENVINO_PRUNED: self.card.pruned.parity} if self.card.pruned else {})}

    @property
    def engine_params(self) -> dict[str, Int8Params]:
        """Engine name → parameters, for the engines that are specific to this model."""
        pruned = {OPENVINO_PRUNED: self.pruned.network} if self.pruned else {}
        return ({OPENVINO_INT8: self.int8} if self.int8 else {}) | pruned

    @property
    def confidence_threshold(self) -> float:
        """Probability from which the model is confident of a class; 0 if its card has no threshold."""
        return self.card.thresholds.confidence

    def describe(self) -> str:
        """Describe the model in a few sentences for a person."""
        by, judged = self.card.judged_on
        by = "test photos" if by == "test" else "photos, by cross-validation"
        lines = [f"{self.id} has the classes {listed(self.classes, 20)}."]
        right, low, high = (f"{judged.get(name, 0):.1%}" for name in ("accuracy", "low", "high"))
        how = f"It was right on {right} of {judged.get('photos', 0):,} {by} ({low} to {high})."
        lines.append(how if judged.get("photos") else "It was never tested on photos outside its training data.")
        if self.pruned:
            lines.append(f"Its pruned model: {self.parity_checks[OPENVINO_PRUNED]}")
        if self.card.synthetic:
            lines.append("It was trained on drawings and knows nothing about real photos.")
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
    """Return the folder of the version that `model` names.

    Args:
        model: "<name>" for its newest version, "<name>/<version>", "<name>/<label>", or the path of a version's folder.
            Empty for the newest version of any model trained on photos; one trained on drawings must be named.

    Raises UserError if there is no such model; the message lists the models that exist.
    """
    if model and (Path(model).expanduser() / CARD).is_file():
        return Path(model).expanduser()
    if model.lower().endswith(_OTHER_TOOLS):
        raise UserError(
            "model-unsafe",
            f"{model} was not loaded: files of this type can run code. Set MODEL to a model that notebook 1 saved, or "
            f"to the folder that holds its {CARD}.",
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
    """Read the model that `find` finds. If its newest version is damaged and none is named, read the newest intact one.

    Args:
        model: as for `find`.
        say: called with each version that is skipped, and the reason.

    Raises UserError if there is no such model, or no version of it can be read.
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
    """Return the newest version of the model `name`; None if there is none that can be read."""
    try:
        return read(find(name))
    except UserError:
        return None


def age(version: Path) -> tuple:
    """Return a key that sorts version folders from old to new. The model shipped with the suite is the oldest."""
    numbers = re.findall(r"\d+", version.name) if is_version(version) else []
    return version != paths.SHIPPED_MODEL, [int(number) for number in numbers], version.name


def is_version(folder: Path) -> bool:
    """Tell whether a folder has a name from `writer.py`, unlike a copy that somebody made."""
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\d-\d{6}(-\d+)?", folder.name))


def earlier(version: Path) -> list[Path]:
    """Return the versions of the same model that are older than the one in the folder `version`, newest first."""
    return [folder for folder in versions(version.parent.name) if age(folder) < age(version)]


def versions(model: str = "") -> Iterator[Path]:
    """Return all versions that `find` chooses from, newest first. Without a name, reads each card only when reached."""
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
    """Return every version in the models folder, and always the one shipped with the suite."""
    found = (card.parent for card in paths.models_dir().glob(f"*/[!.]*/{CARD}"))
    return dict.fromkeys([*found, *([paths.SHIPPED_MODEL] if (paths.SHIPPED_MODEL / CARD).is_file() else [])])


def _stored(folder: Path, card: Card, file: str, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    found = card.find_file(file) or file
    return read_arrays(folder / found, card.files.get(found, ""), names)


def _if_whole(make: Callable[[dict], Made], folder: Path, card: Card, file: str) -> Made | None:
    """Read an optional part of a model; None if it is missing or damaged, since the model can serve without it."""
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

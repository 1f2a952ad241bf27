"""From the results of training to a saved model: its card, its golden photos, its files."""

import io
import platform
from importlib.metadata import version

import numpy as np

from . import backbone as base
from . import bundle
from .backbone import Backbone
from .bundle import Bundle
from .dataset import Dataset
from .drawings import CLASSES, draw
from .errors import SuiteError
from .evaluation import Report
from .export import save_complete
from .images import DOOR, read_photo
from .training import Fit

_GOLDEN_SEEDS = range(1000, 1003)  # drawings that no training set of drawings holds
_LIBRARIES = ("tensorflow", "keras", "numpy", "pillow")


def save_model(
    name: str, dataset: Dataset, fit: Fit, reports: dict[str, Report], backbone: Backbone, save_h5: bool = False
) -> Bundle:
    """Save a fitted head as a new version of `name`, with the complete network beside it.

    Where the newest version has the same data and the same last layer, that one is returned and nothing is written.

    Args:
        name: the model's name; with nothing, the dataset's.
        reports: by split ("valid", "test"), for the card.
        save_h5: write the complete network as `model.h5`, too.

    Raises:
        SuiteError: a model trained on drawings was to be saved under the name of a model of photos.
    """
    name = name or dataset.name
    newest = _newest(name)
    if newest and newest.card["drawings"] != dataset.drawings:
        kinds = ("photos", "drawings") if dataset.drawings else ("drawings", "photos")
        raise SuiteError(
            "The model {} was trained on {}, these are {}: set MODEL_NAME to another name.".format(name, *kinds)
        )
    if newest and _is_the_same(newest, dataset, fit) and (not save_h5 or (newest.folder / "model.h5").exists()):
        print(f"Nothing has changed since {newest.id}: it stays the newest version.")
        return newest
    photos = golden_photos()
    probabilities = fit.head.probabilities(backbone.features(photos))
    card = _card(dataset, fit, reports, backbone)
    return bundle.write(
        name, card, fit.head, photos, probabilities,
        add_files=lambda folder: save_complete(folder, backbone, fit.head, photos, probabilities, save_h5),
    )  # fmt: skip


def golden_photos() -> np.ndarray:
    """Six drawings through the door, uint8 (6, 224, 224, 3): ours to publish, whatever a model was trained on."""
    return np.stack([_through_the_door(label, seed) for seed in _GOLDEN_SEEDS for label in CLASSES])


def _through_the_door(label: str, seed: int) -> np.ndarray:
    file = io.BytesIO()
    draw(label, seed).save(file, "PNG")
    return read_photo(file.getvalue())


def _newest(name: str) -> Bundle | None:
    try:
        return bundle.read(bundle.find(name))
    except SuiteError:
        return None


def _is_the_same(newest: Bundle, dataset: Dataset, fit: Fit) -> bool:
    return (
        newest.card["data"]["digest"] == dataset.digest()
        and newest.card["image_door"] == DOOR
        and newest.classes == dataset.classes
        and (newest.folder / "model.keras").exists()
        and _nearly_equal(newest.head.kernel, fit.head.kernel)
        and _nearly_equal(newest.head.bias, fit.head.bias)
    )


def _nearly_equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Up to what another order of summing does, relative to the largest value: a kernel's values are small."""
    return a.shape == b.shape and float(np.abs(a - b).max()) <= 1e-3 * float(np.abs(a).max())


def _card(dataset: Dataset, fit: Fit, reports: dict[str, Report], backbone: Backbone) -> dict:
    return {
        "classes": list(dataset.classes),
        "drawings": dataset.drawings,
        "backbone": {"name": base.NAME, "fingerprint": backbone.fingerprint, "features": base.FEATURES},
        "image_door": DOOR,
        "data": {
            "name": dataset.name,
            "digest": dataset.digest(),
            "photos": dataset.counts(),
            "left_out": len(dataset.left_out),
        },
        "training": fit.settings,
        "metrics": {split: report.as_card() for split, report in reports.items()},
        "libraries": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
    }

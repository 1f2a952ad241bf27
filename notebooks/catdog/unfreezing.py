"""For those with a GPU: VGG16's last block is trained on your photos, too, before the last layer is."""

import numpy as np

from . import places
from .dataset import Dataset
from .errors import SuiteError
from .features import FeatureStore
from .proving import Engines
from .stored import kept_arrays
from .weights import Weights

NOTHING, BLOCK5 = "nothing", "block5"
_EPOCHS = 10
_RECIPE = "block5 3"  # changes when tuning.py gives other weights


def unfrozen(
    frozen: Engines, what: str, dataset: Dataset, wanted: str, seed: int = 0, epochs: int = _EPOCHS
) -> Engines:
    """Engines for the backbone with `what` of it trained on the dataset's training photos; for "nothing", `frozen`.

    What comes before is still frozen and sees each photo once. The same photos with the same seed give the same
    weights; they are kept, and not trained again.

    Args:
        frozen: the engines of the backbone as it is.
        what: "nothing" or "block5".
        wanted: the engine, as for `Engines`.
        epochs: at most this many.

    Raises SuiteError for another `what`, and for another backbone than VGG16.
    """
    if what not in (NOTHING, BLOCK5):
        raise SuiteError(
            "setting-unfreeze",
            f'UNFREEZE must be "{NOTHING}" or "{BLOCK5}", not "{what}": change it in the settings cell.',
        )
    if what == NOTHING:
        return frozen
    if epochs < 1:
        raise SuiteError("setting-training", "EPOCHS must be 1 or more: change it in the settings cell.")
    if not frozen.backbone.architecture.is_vgg16:
        raise SuiteError(
            "setting-unfreeze", "Only VGG16 can be unfrozen: set BACKBONE to VGG16, or UNFREEZE to nothing."
        )
    tuned = frozen.backbone.with_tuned(_kept_or_trained(frozen, dataset, seed, epochs))
    return Engines(dataset, tuned, FeatureStore(tuned), wanted)


def _kept_or_trained(frozen: Engines, dataset: Dataset, seed: int, epochs: int) -> Weights:
    prepared = frozen.backbone.architecture.preprocessing.version
    made_for = f"{_RECIPE} {prepared} {frozen.backbone.fingerprint} {dataset.digest()} {seed}"
    made_for += f" {epochs} epochs" if epochs != _EPOCHS else ""  # names that earlier releases gave stay
    path = places.cache_file("unfrozen", made_for, ".npz")
    if kept := kept_arrays(path):
        return kept
    from .tuning import train_block5  # loads TensorFlow

    found = train_block5(frozen, dataset, seed, epochs)
    places.write_if_possible(path, lambda file: np.savez(file, **found))
    return found

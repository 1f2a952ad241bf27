"""Fine-tuning, on a GPU: VGG16's last block is trained on your photos before the last layer."""

import numpy as np

from .. import files, paths
from ..backbones.vgg16_weights import Weights
from ..data.dataset import Dataset
from ..errors import UserError
from ..models.arrays import load_cached_arrays
from .engine_selection import EngineSelection
from .features import FeatureCache

NOTHING, BLOCK5 = "nothing", "block5"
_EPOCHS = 10
_METHOD = "block5 3"  # to change whenever last_block.py computes different weights


def fine_tuned(
    frozen: EngineSelection, what: str, dataset: Dataset, wanted: str, seed: int = 0, epochs: int = _EPOCHS
) -> EngineSelection:
    """Train `what` of the backbone on the dataset's training photos, and return engines for it; for "nothing",
    `frozen`.

    The layers before stay frozen and see each photo once. The same photos and seed give the same weights, which are
    kept and not trained again.

    Args:
        frozen: the engines of the frozen backbone.
        what: "nothing" or "block5".
        wanted: the engine, as for `EngineSelection`.
        epochs: at most this many.

    Raises UserError for any other `what`, and for any backbone but VGG16.
    """
    require_unfreeze(what)
    if what == NOTHING:
        return frozen
    require_epochs(epochs)
    if not frozen.backbone.architecture.is_vgg16:
        raise UserError(
            "setting-unfreeze", "Only VGG16 can be unfrozen: set BACKBONE to VGG16, or UNFREEZE to nothing."
        )
    fine_tuned = frozen.backbone.with_fine_tuned(_kept_or_trained(frozen, dataset, seed, epochs))
    return EngineSelection(dataset, fine_tuned, FeatureCache(fine_tuned), wanted)


def require_unfreeze(what: str) -> None:
    """Raise UserError unless `what` can be trained."""
    if what not in (NOTHING, BLOCK5):
        raise UserError(
            "setting-unfreeze",
            f'UNFREEZE must be "{NOTHING}" or "{BLOCK5}", not "{what}": change it in the settings cell.',
        )


def require_epochs(epochs: int) -> None:
    """Raise UserError for fewer than one epoch."""
    if epochs < 1:
        raise UserError("setting-training", "EPOCHS must be 1 or more: change it in the settings cell.")


def _kept_or_trained(frozen: EngineSelection, dataset: Dataset, seed: int, epochs: int) -> Weights:
    prepared = frozen.backbone.architecture.preprocessing.version
    made_for = f"{_METHOD} {prepared} {frozen.backbone.fingerprint} {dataset.digest()} {seed}"
    made_for += f" {epochs} epochs" if epochs != _EPOCHS else ""  # else the name of earlier releases
    path = paths.cache_file("unfrozen", made_for, ".npz")
    if kept := load_cached_arrays(path):
        return kept
    from .last_block import train_block5  # loads TensorFlow

    found = train_block5(frozen, dataset, seed, epochs)
    files.write_if_possible(path, lambda file: np.savez(file, **found))
    return found

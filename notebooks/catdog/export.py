"""The complete network in one file, for tools that know nothing of this package."""

from pathlib import Path

import numpy as np

from .bundle import TOLERANCE
from .errors import SuiteError
from .frameworks import keras
from .head import Head

KERAS, H5 = "model.keras", "model.h5"


def complete_model(network: keras.Model, head: Head) -> keras.Model:
    """Raw RGB 0–255, float32 (n, 224, 224, 3) in, softmax probabilities (n, classes) out; preprocessing inside."""
    last = keras.layers.Dense(len(head.bias), activation="softmax", name="head")
    model = keras.Model(network.input, last(network.output), name="vgg16_classifier")
    last.set_weights([head.kernel, head.bias])
    return model


def save_complete(
    folder: Path, network: keras.Model, head: Head, photos: np.ndarray, probabilities: np.ndarray, h5: bool = False
) -> None:
    """Write `model.keras` (and `model.h5`) into `folder`, and read each back.

    Raises SuiteError when a file read back gives `photos` (uint8) other `probabilities` than the model that was saved.
    """
    model = complete_model(network, head)
    for name in (KERAS, H5) if h5 else (KERAS,):
        model.save(folder / name)
        read_back = keras.models.load_model(folder / name, compile=False)
        off = float(np.abs(read_back.predict_on_batch(photos.astype(np.float32)) - probabilities).max())
        if off > TOLERANCE:
            raise SuiteError(
                "export-answers-differ",
                f"{name} answers {off:.4f} away from the model it was saved from, and is not kept.",
            )

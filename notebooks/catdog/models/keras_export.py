"""The complete network in one file, for tools that know nothing of this package."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError, first_line
from ..quiet_keras import keras
from .bundle import TOLERANCE
from .head import Head
from .keras_files import rewrite

KERAS, H5 = "model.keras", "model.h5"


def complete_model(network: keras.Model, head: Head) -> keras.Model:
    """Raw RGB 0–255, float32 (n, pixels, pixels, 3) in, softmax probabilities (n, classes) out."""
    last = keras.layers.Dense(len(head.bias), activation="softmax", name="head")
    model = keras.Model(network.input, last(network.output), name="classifier")
    last.set_weights([head.kernel, head.bias])
    return model


def save_complete(
    folder: Path,
    network: keras.Model,
    head: Head,
    photos: np.ndarray,
    probabilities: np.ndarray,
    about: Mapping[str, Any],
    h5: bool = False,
) -> None:
    """Write `model.keras` (and `model.h5`) into `folder` so that older versions of Keras load them, too, and read each
    back. An `.h5` that cannot hold the network is left out, which is said.

    Args:
        photos: uint8 (n, pixels, pixels, 3); `probabilities`: what the model gives for them, float32 (n, classes).
        about: from `export_metadata.described`; it goes into the files.

    Raises UserError when a file read back gives `photos` other `probabilities` than the model that was saved.
    """
    model = complete_model(network, head)
    for name in (KERAS, H5) if h5 else (KERAS,):
        model.save(folder / name)
        rewrite(folder / name, about)
        try:
            read_back = keras.models.load_model(folder / name, compile=False)
        except (
            Exception
        ) as error:  # of many kinds: such files cannot hold ConvNeXt's own layers, nor numbers in a graph
            if name != H5:
                raise
            (folder / name).unlink()
            print(f"{H5} is left out: this format cannot hold the network ({first_line(error)}). {KERAS} holds it.")
            continue
        off = float(np.abs(read_back.predict_on_batch(photos.astype(np.float32)) - probabilities).max())
        if off > TOLERANCE:
            raise UserError(
                "export-answers-differ",
                f"{name} answers {off:.4f} away from the model it was saved from, and is not kept.",
            )

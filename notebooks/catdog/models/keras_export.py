"""The complete network in one file, for tools that do not know this package."""

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError, first_line
from ..names import listed
from ..quiet_keras import keras
from .bundle import TOLERANCE, Bundle
from .export_metadata import H5, KERAS, described
from .head import Head
from .keras_files import rewrite

_PART = ".keras-being-written"  # hidden; only complete files are moved out of it


def complete_model(network: keras.Model, head: Head) -> keras.Model:
    """Return a network from raw RGB 0–255, float32 (n, pixels, pixels, 3), to softmax probabilities (n, classes)."""
    last = keras.layers.Dense(len(head.bias), activation="softmax", name="head")
    model = keras.Model(network.input, last(network.output), name="classifier")
    last.set_weights([head.kernel, head.bias])
    return model


def add_keras_files(model: Bundle, network: keras.Model, files: Sequence[str] = (KERAS,)) -> None:
    """Write the complete network into a saved version's folder. Does not replace an existing file.

    Each file appears whole or not at all. Its metadata name the model without its version.

    Args:
        network: the backbone as a Keras model, `engine_selection.EngineSelection.reference.model`.
        files: of `KERAS` and `H5`.

    Raises UserError if a file cannot be written, or answers differently from the model; the version stays unchanged.
    """
    missing = [file for file in files if not (model.folder / file).exists()]
    if not missing:
        return
    part = model.folder / _PART
    shutil.rmtree(part, ignore_errors=True)  # left by a killed process
    about = described(dataclasses.replace(model.card, version=""))
    try:
        part.mkdir()
        save_complete(part, network, model.head, model.golden_photos, model.golden_probabilities, about, missing)
        for path in part.iterdir():
            path.replace(model.folder / path.name)
    except OSError as error:
        raise UserError(
            "model-file-not-written",
            f"{listed(missing)} could not be written: {error.strerror or error} ({model.folder}). The version itself "
            "is saved; free some disk space, and run this cell again.",
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def save_complete(
    folder: Path,
    network: keras.Model,
    head: Head,
    photos: np.ndarray,
    probabilities: np.ndarray,
    about: Mapping[str, Any],
    files: Sequence[str] = (KERAS,),
) -> None:
    """Write `files` into `folder` so that older versions of Keras can load them, and read each back. Skips the `.h5` if
    it cannot hold the network, and prints that.

    Args:
        photos: uint8 (n, pixels, pixels, 3); `probabilities`: the model's for them, float32 (n, classes).
        about: metadata from `export_metadata.described`, to be stored in the files.
        files: of `KERAS` and `H5`.

    Raises UserError if a file that is read back does not give `probabilities` for `photos`.
    """
    model = complete_model(network, head)
    for name in files:
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
            print(f"{H5} was skipped: this format cannot hold the network ({first_line(error)}), but {KERAS} can.")
            continue
        off = float(np.abs(read_back.predict_on_batch(photos.astype(np.float32)) - probabilities).max())
        if off > TOLERANCE:
            raise UserError(
                "export-answers-differ",
                f"{name} was not kept: its probabilities differ by {off:.4f} from the model's.",
            )

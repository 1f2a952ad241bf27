"""The complete network in one file, for tools that know nothing of this package."""

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

_PART = ".keras-being-written"  # hidden; files are complete when they leave it


def complete_model(network: keras.Model, head: Head) -> keras.Model:
    """Raw RGB 0–255, float32 (n, pixels, pixels, 3) in, softmax probabilities (n, classes) out."""
    last = keras.layers.Dense(len(head.bias), activation="softmax", name="head")
    model = keras.Model(network.input, last(network.output), name="classifier")
    last.set_weights([head.kernel, head.bias])
    return model


def add_keras_files(model: Bundle, network: keras.Model, files: Sequence[str] = (KERAS,)) -> None:
    """Write the complete network into a saved version's folder; a file that is there stays as it is.

    Each file appears whole or not at all. It names the model without its version.

    Args:
        network: the backbone as a Keras model, `engine_selection.EngineSelection.reference.model`.
        files: of `KERAS` and `H5`.

    Raises UserError where a file cannot be written, or answers otherwise than the model; the version stays as it is.
    """
    missing = [file for file in files if not (model.folder / file).exists()]
    if not missing:
        return
    part = model.folder / _PART
    shutil.rmtree(part, ignore_errors=True)  # what a process left that was killed
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
            "is saved; make room, and run this cell again.",
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
    """Write `files` into `folder` so that older versions of Keras load them, too, and read each back. An `.h5` that
    cannot hold the network is left out, which is said.

    Args:
        photos: uint8 (n, pixels, pixels, 3); `probabilities`: what the model gives for them, float32 (n, classes).
        about: from `export_metadata.described`; it goes into the files.
        files: of `KERAS` and `H5`.

    Raises UserError when a file read back gives `photos` other `probabilities` than the model that was saved.
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
            print(f"{H5} is left out: this format cannot hold the network ({first_line(error)}). {KERAS} can hold it.")
            continue
        off = float(np.abs(read_back.predict_on_batch(photos.astype(np.float32)) - probabilities).max())
        if off > TOLERANCE:
            raise UserError(
                "export-answers-differ",
                f"{name} answers {off:.4f} away from the model it was saved from, and is not kept.",
            )

"""Backbones of keras.applications other than VGG16, with their own preprocessing inside, and where their weights come
from. Raw RGB 0–255 goes in, as it does into ours."""

import os
from pathlib import Path

from ..data.preprocessing import PREPROCESSING
from ..errors import UserError, first_line
from ..quiet_keras import keras
from .vgg16_weights import Weights


def load_weights(name: str) -> Weights:
    """All arrays of `name` in Keras' order, `<name>/<number>`, float32.

    From the path in `<NAME>_WEIGHTS` where that is set (such as `CONVNEXTTINY_WEIGHTS`: Keras' file without the last
    layer), else from Keras' cache or its server.

    Raises UserError with the reason when they cannot be had.
    """
    variable = f"{name.upper()}_WEIGHTS"
    chosen = os.environ.get(variable)
    try:
        base = build(name, str(Path(chosen).expanduser()) if chosen else "imagenet")
    except Exception as error:  # Keras raises plain ones where its server is out of reach
        raise UserError(
            "weights-missing",
            f"The weights of {name} could not be had ({first_line(error, 200)}). Connect to the internet once, put the "
            f"path of Keras' 'notop' file into {variable}, or set BACKBONE to VGG16.",
        ) from error
    return {f"{name}/{number:03}": array for number, array in enumerate(base.get_weights())}


def build(name: str, weights: str | None = None, pixels: int = PREPROCESSING.pixels) -> keras.Model:
    """The network without its last layer: raw RGB (n, pixels, pixels, 3) → activations (n, cells, cells, channels)."""
    make = getattr(keras.applications, name)
    return make(include_top=False, weights=weights, input_tensor=keras.Input((pixels, pixels, 3), name="photo"))


def set_weights(base: keras.Model, weights: Weights) -> None:
    """Put the arrays of `load_weights` into a network of `build`."""
    base.set_weights([weights[key] for key in sorted(weights)])

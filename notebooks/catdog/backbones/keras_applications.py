"""Backbones of keras.applications other than VGG16, and the sources of their weights. They include their own
preprocessing, so their input is raw RGB 0–255, as for our networks."""

import os
from pathlib import Path

from ..data.preprocessing import PREPROCESSING
from ..errors import UserError, first_line
from ..quiet_keras import keras
from .vgg16_weights import Weights


def load_weights(name: str) -> Weights:
    """Load all arrays of `name` in Keras' order, as `<name>/<number>`, float32.

    They come from the path in `<NAME>_WEIGHTS` if that is set (such as `CONVNEXTTINY_WEIGHTS`: Keras' file without the
    last layer), else from Keras' cache or its server.

    Raises UserError with the reason if they cannot be loaded.
    """
    variable = f"{name.upper()}_WEIGHTS"
    chosen = os.environ.get(variable)
    try:
        base = build(name, str(Path(chosen).expanduser()) if chosen else "imagenet")
    except Exception as error:  # Keras raises a plain Exception if it cannot reach its server
        raise UserError(
            "weights-missing",
            f"The weights of {name} could not be loaded ({first_line(error, 200)}). Connect to the internet once, put "
            f"the path of Keras' 'notop' file into {variable}, or set BACKBONE to VGG16.",
        ) from error
    return {f"{name}/{number:03}": array for number, array in enumerate(base.get_weights())}


def build(name: str, weights: str | None = None, pixels: int = PREPROCESSING.pixels) -> keras.Model:
    """Build the network without its top: raw RGB (n, pixels, pixels, 3) → activations (n, cells, cells, channels)."""
    make = getattr(keras.applications, name)
    return make(include_top=False, weights=weights, input_tensor=keras.Input((pixels, pixels, 3), name="photo"))


def set_weights(base: keras.Model, weights: Weights) -> None:
    """Set the weights of a network from `build` to the arrays from `load_weights`."""
    base.set_weights([weights[key] for key in sorted(weights)])

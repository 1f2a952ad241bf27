"""Keras and TensorFlow, loaded without the notes that TensorFlow writes at start-up: they would fill the notebook.

Import both from here. What fails to load still raises.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import UserError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "keras" not in sys.modules:
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever else a person's Keras is set to


@contextmanager
def _without_standard_error() -> Iterator[None]:
    """On the level of the file descriptor: the notes come from C++, before its logging can be told to be quiet."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


with _without_standard_error():
    import keras
    import tensorflow as tf

    tf.config.list_physical_devices()  # where there is no GPU, looking for one is the loudest of all

if keras.backend.backend() != "tensorflow":
    raise UserError(
        "keras-backend",
        f"Keras runs on {keras.backend.backend()} in this notebook: restart the runtime, and run the suite's cells "
        "before others that import Keras.",
    )
keras.config.set_image_data_format("channels_last")  # as the photos are
keras.config.set_floatx("float32")

__all__ = ["keras", "tf"]

"""The metadata in an exported network: its classes in order, its thresholds, and how to prepare photos."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..data.preprocessing import CROP, SQUEEZE, Preprocessing
from .card import Card

LABELS, METADATA = "labels.txt", "model.json"
KERAS, H5, EXPORTS, SITE = "model.keras", "model.h5", "exports", "site"
# Tested with real versions: tests/test_older_keras.py, docs/exports.md.
LOADS_IN = {
    KERAS: "Keras 3.6 and newer",
    H5: "Keras 3.6 and newer",
    f"{EXPORTS}/saved_model": "TensorFlow 2.15 and newer",
}
_FITTED_IN_WORDS = {
    SQUEEZE: "Resize it to {0}×{0} pixels; the aspect ratio is not kept.",
    CROP: "Scale it so that the shorter side has {0} pixels, and cut the middle {0}×{0} out.",
}


def described(card: Card) -> dict[str, Any]:
    """Return the metadata that other tools need, as plain JSON values.

    Args:
        card: of a saved model, or of one about to be saved: `name` and `version` may be empty.

    Returns:
        model: "<name>/<version>", or the part of it that is known.
        class_names: in the order of the probabilities.
        thresholds: the card's; compare `confidence` with the highest probability.
        preprocessing: see `described_preprocessing`.
    """
    return {
        "model": card.id,
        "class_names": list(card.classes),
        "thresholds": asdict(card.thresholds),
        "preprocessing": described_preprocessing(card.preprocessing),
    }


def described_preprocessing(version: str) -> dict[str, Any]:
    """Describe how to turn a photo into the network's input, float32 (n, pixels, pixels, 3), RGB 0–255, in numbers and
    in words."""
    preprocessing = Preprocessing.of(version)
    pixels, fit = preprocessing.pixels, preprocessing.fit
    return {
        "version": version,
        "pixels": pixels,
        "fit": fit,
        "resampling": "bilinear, antialiased",
        "colors": "RGB",
        "range": [0, 255],
        "dtype": "float32",
        "layout": "NHWC",
        "in_words": " ".join([
            "Turn the photo upright by its EXIF orientation, and convert it to RGB in sRGB, transparency on white.",
            _FITTED_IN_WORDS[fit].format(pixels),
            "Resize with an antialiased bilinear filter, such as Pillow's.",
            'Greys of more than 8 bits must be scaled to 8 bits first: convert("RGB") of Pillow cuts them off at 255.',
            f"The input is float32 (n, {pixels}, {pixels}, 3) with values from 0 to 255, neither scaled nor centered.",
        ]),
    }  # fmt: skip


def as_texts(about: Mapping[str, Any]) -> dict[str, str]:
    """Return the metadata as key → JSON text, for formats whose metadata are texts."""
    return {key: json.dumps(value, ensure_ascii=False) for key, value in about.items()}


def as_files(about: Mapping[str, Any]) -> dict[str, str]:
    """Return the metadata as file name → content: the class names one per line, and everything as JSON."""
    return {
        LABELS: "".join(f"{name}\n" for name in about["class_names"]),
        METADATA: json.dumps(about, indent=2, ensure_ascii=False) + "\n",
    }

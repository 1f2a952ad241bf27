"""A loaded model: photos in, probabilities out, after proof that it still answers as when it was saved."""

import threading
from typing import Protocol

import numpy as np

from .bundle import TOLERANCE, Bundle, BundleRefused
from .images import DOOR


class FeatureEngine(Protocol):
    """What a classifier needs to know of a backbone."""

    fingerprint: str

    def features(self, photos: np.ndarray) -> np.ndarray: ...


class Classifier:
    """A verified bundle on its backbone. Safe to call from several threads; one at a time computes.

    Raises BundleRefused when the bundle was trained on another backbone or behind another image door, or when its
    golden photos no longer give the probabilities that were saved with them (within `TOLERANCE`).
    """

    def __init__(self, bundle: Bundle, backbone: FeatureEngine):
        self.bundle = bundle
        self._backbone = backbone
        self._one_at_a_time = threading.Lock()
        self._verify()

    def predict(self, photos: np.ndarray) -> np.ndarray:
        """uint8 RGB (n, 224, 224, 3) from `images.read_photo` → probabilities, float32 (n, classes)."""
        with self._one_at_a_time:
            features = self._backbone.features(photos)
        return self.bundle.head.probabilities(features)

    def describe(self) -> str:
        """What the model is, in a few sentences for a person."""
        card, test = self.bundle.card, self.bundle.card.get("metrics", {}).get("test", {})
        lines = [
            f"{self.bundle.id} tells apart: {', '.join(self.bundle.classes)}. Its golden photos give the saved answers."
        ]
        if test.get("photos"):
            interval = f"{test['low']:.1%} to {test['high']:.1%}"
            lines.append(f"It was right on {test['accuracy']:.1%} of {test['photos']:,} test photos ({interval}).")
        if card.get("drawings"):
            lines.append("It was trained on drawings: it knows nothing of real photos.")
        return "\n".join(lines)

    def _verify(self) -> None:
        card, where = self.bundle.card, f"{self.bundle.folder} "
        if card["backbone"]["fingerprint"] != self._backbone.fingerprint:
            raise BundleRefused(
                where + "was trained on a backbone with other weights: train again, or get those weights."
            )
        if card["image_door"] != DOOR:
            raise BundleRefused(
                where
                + f"was trained on photos prepared in another way ({card['image_door']}, here {DOOR}): train again."
            )
        off = float(np.abs(self.predict(self.bundle.golden_photos) - self.bundle.golden_probabilities).max())
        if off > TOLERANCE:
            raise BundleRefused(where + f"answers its golden photos {off:.4f} away from what was saved: train again.")

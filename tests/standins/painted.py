"""A classifier that answers what a photo's color tells it to: for tests of what the page makes of answers."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
from catdog.models.classifier import Answer
from conftest import encoded
from PIL import Image

SURE_FROM = 50  # percent


@dataclass(frozen=True)
class PaintedCard:
    """What the page reads of a card."""

    classes: tuple[str, ...]
    version: str
    name: str = "painted"

    def as_json(self) -> dict:
        return {"name": self.name, "version": self.version, "classes": list(self.classes), "metrics": {}}


@dataclass(frozen=True)
class PaintedClassifier:
    """Answers photos that `painted` made. It is not sure of a class below `SURE_FROM` percent."""

    classes: tuple[str, ...]
    version: str = "1"
    engine: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(name="painted"))

    @property
    def bundle(self) -> SimpleNamespace:
        card = PaintedCard(self.classes, self.version)
        return SimpleNamespace(id=f"{card.name}/{card.version}", classes=self.classes, card=card)

    def answer(self, photos: np.ndarray) -> list[Answer]:
        return [self._answer(*map(int, photo[len(photo) // 2, len(photo) // 2])) for photo in photos]

    def _answer(self, low: int, high: int, percent: int) -> Answer:
        share = percent / 100
        probabilities = np.full(len(self.classes), (1 - share) / max(1, len(self.classes) - 1), np.float32)
        probabilities[(low + 256 * high) % len(self.classes)] = share
        return Answer(probabilities, percent >= SURE_FROM, True)


def painted(answer: int, percent: int = 98) -> bytes:
    """A PNG that is answered with the class at this place, with this probability."""
    return encoded(Image.new("RGB", (16, 16), (answer % 256, answer // 256, percent)), "PNG")

"""Our backend with a model that answers at once, at random, with as many classes as the second argument says."""

import sys
import threading
from types import SimpleNamespace

import numpy as np
from catdog.backend.app import create_app, start
from catdog.models.classifier import Answer


class AtRandom:
    """A classifier without a network."""

    engine = SimpleNamespace(name="none")

    def __init__(self, count: int):
        self._classes = tuple(f"class {number:04}" for number in range(count))
        card = {"name": "random", "version": str(count), "classes": list(self._classes), "metrics": {}}
        self.bundle = SimpleNamespace(
            id=f"random/{count}", classes=self._classes, card=SimpleNamespace(as_json=lambda: card)
        )

    def answer(self, photos: np.ndarray) -> list[Answer]:
        chance = np.random.default_rng(int(photos.sum(dtype=np.int64)))
        drawn = chance.dirichlet(np.full(len(self._classes), 0.3), len(photos)).astype(np.float32)
        return [Answer(probabilities, True, True) for probabilities in drawn]


if __name__ == "__main__":  # the processes that decode import this file
    start(create_app(AtRandom(int(sys.argv[2]))), int(sys.argv[1]))
    threading.Event().wait()

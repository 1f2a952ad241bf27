"""The limit: OpenVINO's own loop over ready arrays, no HTTP, no decoding, at its best batch size.

For each number of seconds on standard input runs that long and prints photos per second.
usage: bare_engine.py ENGINE PHOTOS.npy TRIALS MOST: of each batch size, and the largest one
"""

import itertools
import statistics
import sys
import time

import numpy as np
from catdog import paths
from catdog.backbones.architectures import load_backbone
from catdog.engines import open_engine
from catdog.models import bundle

BATCHES = (1, 4, 8, 16)


def rate(engine, photos: np.ndarray, batch: int, seconds: float) -> float:
    began = time.perf_counter()
    for turn in itertools.count(1):
        engine.features(photos[:batch])
        if (spent := time.perf_counter() - began) >= seconds:
            return turn * batch / spent


def best_batch(engine, photos: np.ndarray, seconds: float, number: int) -> int:
    batches = [batch for batch in BATCHES if batch <= len(photos)]
    trials = [{batch: rate(engine, photos, batch, seconds) for batch in batches} for _ in range(number)]
    return max(batches, key=lambda batch: statistics.median(trial[batch] for trial in trials))


def main(name: str, path: str, trials: int, most: int) -> None:
    engine = open_engine(name, load_backbone(), bundle.read(paths.SHIPPED_MODEL).int8)
    photos = np.resize(np.load(path), (min(most, max(BATCHES)), 224, 224, 3))
    engine.features(photos)
    best = None
    for seconds in map(float, sys.stdin):
        best = best or best_batch(engine, photos, seconds / trials, trials)
        print(rate(engine, photos, best, seconds), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:]))

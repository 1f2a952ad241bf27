"""The limit: OpenVINO's own loop over ready arrays, no HTTP, no decoding, at its best batch size.

For each number of seconds on standard input runs that long and prints photos per second.
usage: bare_engine.py ENGINE PHOTOS.npy
"""

import itertools
import statistics
import sys
import time

import numpy as np
from catdog import bundle, places
from catdog.backbone import load_backbone
from catdog.engines import open_engine

BATCHES = (1, 4, 8, 16)
TRIALS, TRIAL_SECONDS = 3, 1.0


def rate(engine, photos: np.ndarray, batch: int, seconds: float) -> float:
    began = time.perf_counter()
    for turn in itertools.count(1):
        engine.features(photos[:batch])
        if (spent := time.perf_counter() - began) >= seconds:
            return turn * batch / spent


def main(name: str, path: str) -> None:
    engine = open_engine(name, load_backbone(), bundle.read(places.SHIPPED_MODEL).twin)
    photos = np.resize(np.load(path), (max(BATCHES), 224, 224, 3))
    engine.features(photos)
    trials = [{batch: rate(engine, photos, batch, TRIAL_SECONDS) for batch in BATCHES} for _ in range(TRIALS)]
    best = max(BATCHES, key=lambda batch: statistics.median(trial[batch] for trial in trials))
    for line in sys.stdin:
        print(rate(engine, photos, best, float(line)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

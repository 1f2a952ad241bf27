"""The limit: OpenVINO's own loop over ready arrays, no HTTP, no decoding, at its best batch size.

For each line on standard input measures once and prints photos per second. usage: bare_engine.py ENGINE PHOTOS.npy
"""

import sys
import time

import numpy as np
from catdog import bundle, places
from catdog.backbone import load_backbone
from catdog.engines import open_engine

BATCHES = (1, 4, 8, 16)
PHOTOS = 64


def rate(run, photos: np.ndarray, batch: int) -> float:
    began = time.perf_counter()
    for start in range(0, len(photos), batch):
        run(photos[start : start + batch])
    return len(photos) / (time.perf_counter() - began)


def main(name: str, path: str) -> None:
    engine = open_engine(name, load_backbone(), bundle.read(places.SHIPPED_MODEL).twin)
    photos = np.resize(np.load(path), (PHOTOS, 224, 224, 3))
    for batch in BATCHES:
        engine.features(photos[:batch])
    for _ in sys.stdin:
        print(max(rate(engine.features, photos, batch) for batch in BATCHES), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

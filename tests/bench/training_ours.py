"""Our training as notebook 1 does it, from photos to a saved model: first, again, and with 10 and 100 new photos.

Prints a JSON object of seconds. Libraries are loaded before the clock starts, as for the original.
usage: training_ours.py FOLDER NEW_PHOTOS   (which are moved into the folder; MODELS_DIR and CATDOG_CACHE are empty)
"""

import itertools
import json
import shutil
import sys
import time
from pathlib import Path

import nncf  # noqa: F401
import numpy as np
import openvino  # noqa: F401
from catdog.backbones.architectures import load_backbone
from catdog.data.dataset import check
from catdog.data.images import read_photo
from catdog.data.sources import PhotoFolder
from catdog.quiet_keras import tf  # noqa: F401
from catdog.training.engine_selection import EngineSelection
from catdog.training.evaluation import judge
from catdog.training.features import FeatureCache, compute_features, features_by_split
from catdog.training.pruned_models import NO, prune
from catdog.training.save import save_model
from catdog.training.trained_head import train_head


def fine_tune(folder: Path, wanted: str = NO):
    backbone = load_backbone()
    store = FeatureCache(backbone)
    dataset = check(PhotoFolder(folder, "bench"), known=store.digests())
    engines = EngineSelection(dataset, backbone, store)
    data = features_by_split(dataset, engines.chosen, store)
    trained = train_head(data, dataset.classes)
    trade_off = prune(wanted, dataset, engines, trained)
    judgement = judge(dataset, data, trained)
    model = save_model("bench", dataset, trained, engines, trade_off.chosen, judgement=judgement)
    return engines.chosen, dataset, trade_off, model


def timed(folder: Path) -> float:
    began = time.perf_counter()
    fine_tune(folder)
    return time.perf_counter() - began


def features_against_bare(folder: Path) -> dict[str, float]:
    """Photos per second of the features (files in, vectors out) and of the engine alone (arrays in)."""
    engine, dataset, *_ = fine_tune(folder)
    some = dataset.photos[:128]
    pixels = np.stack([read_photo(photo.path) for photo in some])
    apart, rates = folder.with_name(f"{folder.name}-apart"), {}
    apart.mkdir()
    empty_store = FeatureCache(load_backbone(), apart)
    for name, work in {
        "bare": lambda: engine.features(pixels),
        "features": lambda: compute_features(some, engine, empty_store, "Features"),
    }.items():
        began = time.perf_counter()
        work()
        rates[name] = len(some) / (time.perf_counter() - began)
    return {"engine": engine.name, **rates}


def main(folder: Path, new: Path) -> None:
    sys.stdout, out = sys.stderr, sys.stdout
    found = {"first": timed(folder), "again": timed(folder)}
    waiting = iter(sorted(new.iterdir()))
    for count in (10, 100):
        for path in itertools.islice(waiting, count):
            shutil.move(path, folder / "train" / path.name.split("-")[0] / path.name)
        found[f"new {count}"] = timed(folder)
    found.update(features_against_bare(folder))
    print(json.dumps(found), file=out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""Fine-tune on more photos than fit in memory: features in a table, and a last layer fitted in batches."""

import hashlib
import heapq
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..backbones.architectures import VGG16, load_backbone
from ..data.dataset import Dataset, Photo, require_classes
from ..data.folders import TEST, TRAIN
from ..data.images import PhotoRefused
from ..data.inspection import read_training_photo
from ..data.layout import AUTO as AUTO_LABELS
from ..data.layout import Layout
from ..data.layout_reader import read_layout
from ..data.preprocessing import PREPROCESSING
from ..data.splitting import split_of
from ..engines.base import TENSORFLOW_MIXED
from ..engines.selection import AUTO
from ..models import bundle
from ..models.bundle import Bundle
from ..names import model_name
from ..paths import SHIPPED_MODEL, cache_dir
from ..training.engine_selection import SAMPLES, EngineSelection
from ..training.features import FeatureCache
from ..training.linear_head import MOST_CROSS_VALIDATED
from ..training.save import save_model
from ..training.trained_head import train_head
from .cluster import connect, has_gpus
from .features import FeatureColumns, StoredFeatures
from .parquet_table import Reader, in_subprocess, make_table
from .storage import StorageFolder


def fine_tune(
    photos: str,
    features: str,
    name: str = "",
    *,
    labels: str = AUTO_LABELS,
    backbone: str = VGG16.name,
    engine: str = AUTO,
    pixels: int = PREPROCESSING.pixels,
    how: str = PREPROCESSING.fit,
    seed: int = 0,
    target: float = 0.99,
    save_keras: bool = False,
) -> Bundle:
    """Do what notebook 1 does, without its pictures, for photos in storage: compute features that the table lacks, fit
    the last layer, and save a new version of the model. The last layer is the same as in notebook 1; in both, 20,000
    photos at most are used to choose C and to calibrate.

    Leaves out notebook 1's data doctor, corrections, unfreezing, pruned models, and the comparison with the version
    before.

    Args:
        photos: a folder or a URI with one sub-folder per class, inside train, valid and test or without them.
        features: a folder or a URI for the table. Features in it are not computed again.
        name: of the model; by default, that of the folder of photos.
        labels: how classes are given, as in notebook 1; see `layout_reader.read_layout`.
        backbone, pixels, how, seed, target: as in notebook 1 (`how` is its FIT, `target` its TARGET_ACCURACY).
        save_keras: write the complete network, too, as `model.keras`.
        engine: as in notebook 1; "auto" is `tensorflow-mixed` if the cluster has GPUs.

    Raises UserError for what the user can fix.
    """
    source, table = StorageFolder.of(photos), StorageFolder.of(features)
    paths = source.files(but=table)
    layout = find_layout(source, paths, labels)
    print(layout.describe(layout.counted(source.relative(paths))))
    paths = [path for path in paths if layout.class_of(source.inside(path))]
    connect()
    with tempfile.TemporaryDirectory(dir=cache_dir()) as scratch:
        seen = _sample(source, paths, layout, Path(scratch))
        base = load_backbone(backbone, pixels, how)
        int8 = bundle.read(SHIPPED_MODEL).int8 if base.architecture == VGG16 else None
        wanted = TENSORFLOW_MIXED if engine == AUTO and has_gpus() else engine
        engines = EngineSelection(seen, base, FeatureCache(base), wanted, int8)
        columns = FeatureColumns(base, engines.chosen, engines.int8)
        print(make_table(source, table, paths, columns, "Features"))
        stored = StoredFeatures(table, source, paths, layout, Path(scratch), base.architecture.size)
        counted = CountedPhotos.of_table(seen.name, seen.classes, stored)
        data = {**stored.for_training, TEST: _some(*stored.by_split[TEST])}
        trained = train_head(data, layout.classes, target=target, seed=seed)
        print(trained.reports[TEST].summary())
        return save_model(name, counted, trained, engines, save_keras=save_keras)


def find_layout(source: StorageFolder, paths: Collection[str], labels: str = AUTO_LABELS) -> Layout:
    """Find the layout of `paths`, the files of `source`, as `dataset.find_layout` does for a folder on a disk. Raises
    UserError if it is not clear."""
    root = source.path.rstrip("/")
    return read_layout(source.relative(paths), labels, lambda path: source.read(f"{root}/{path}"), source.name)


@dataclass(frozen=True)
class CountedPhotos:
    """Counts of photos for a card, without the photos. See `save.TrainingPhotos`."""

    name: str
    classes: tuple[str, ...]
    numbers: Mapping[str, Mapping[str, int]]
    n_excluded: int
    fingerprint: str
    synthetic: bool = False

    @classmethod
    def of_table(cls, name: str, classes: tuple[str, ...], stored: StoredFeatures) -> "CountedPhotos":
        """Count the photos of a table. Raises UserError if a class has no photo to learn from."""
        numbers = {
            split: dict(zip(classes, np.bincount(targets, minlength=len(classes)).tolist()))
            for split, (_, targets) in stored.by_split.items()
        }
        require_classes(classes, (label for label, number in numbers[TRAIN].items() if number), name)
        return cls(name, classes, numbers, stored.n_excluded, stored.digest)

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        return self.numbers

    def digest(self) -> str:
        return self.fingerprint

    def of(self, split: str) -> Sequence[Photo]:
        return ()


def _sample(source: StorageFolder, paths: list[str], layout: Layout, folder: Path) -> Dataset:
    """Copy some training photos here: the same ones each time, except for photos added or removed."""
    chosen = heapq.nsmallest(4 * SAMPLES[-1], paths, key=lambda path: hashlib.sha256(path.encode()).digest())
    found: dict[str, Photo] = {}
    with in_subprocess(read_training_photo) as read:
        for path in chosen:
            photo = _copied(source, path, layout, folder, read)
            if photo and photo.split == TRAIN:
                found[photo.digest] = photo
            if len(found) == SAMPLES[-1]:
                break
    return Dataset(model_name(Path(source.path).name), layout.classes, tuple(found.values()), ())


def _copied(source: StorageFolder, path: str, layout: Layout, folder: Path, read: Reader) -> Photo | None:
    inside = source.inside(path)
    label = layout.class_of(inside)
    if label is None:
        return None
    try:
        data = source.read(path)
        read(data)
    except (OSError, PhotoRefused):
        return None
    digest = hashlib.sha256(data).hexdigest()
    (folder / digest).write_bytes(data)
    split = split_of(digest, layout.split(inside), layout.splits)
    return Photo(folder / digest, label, split, digest)


def _some(features, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return at most `MOST_CROSS_VALIDATED` rows, evenly spread."""
    rows = np.linspace(0, len(targets) - 1, min(len(targets), MOST_CROSS_VALIDATED)).astype(int)
    return features[rows], targets[rows]

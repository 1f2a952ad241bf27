"""Features of very many photos as a table, and from the table to rows in a file that training reads in batches."""

import functools
import hashlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
import pyarrow

from ..backbones.architectures import Backbone, load_backbone
from ..data.folders import SPLITS, TRAIN, VALID
from ..data.inspection import read_training_photo
from ..data.splitting import CHANCE_SUFFICES, Given, deal
from ..engines import open_engine
from ..engines.base import Engine
from ..engines.int8 import Int8Params
from .folder_layout import Layout
from .parquet_table import Looked
from .storage import Place


class FeatureColumns:
    """A photo's features, and by which arithmetic. See `tables.Columns`.

    Its class and split are not in the table: folders say them anew each time, so that a photo that was moved counts as
    what it is now.
    """

    def __init__(self, backbone: Backbone, engine: Engine, int8: Int8Params | None = None):
        vector = pyarrow.list_(pyarrow.float32())
        self.schema = pyarrow.schema({"features": vector, "recipe": pyarrow.string()})
        architecture = backbone.architecture
        made_for = f"{architecture.preprocessing.version} {architecture.features}"
        self.made_by = ("recipe", f"{made_for} {backbone.fingerprint[:16]} {engine.engine_id}")
        self._architecture, self._engine, self._twin = architecture, engine.name, int8

    @property
    def read(self) -> Callable[[bytes], np.ndarray]:
        """What reads a photo's bytes, in another process, too."""
        return functools.partial(read_training_photo, preprocessing=self._architecture.preprocessing)

    def opened(self) -> "FeatureColumns":
        prepared = self._architecture.preprocessing
        backbone = load_backbone(self._architecture.name, prepared.pixels, prepared.fit)
        self._run = open_engine(self._engine, backbone, self._twin)
        return self

    def rows(self, photos: list[Looked]) -> list[dict]:
        return [{"features": row} for row in self._run.features(np.stack([photo.pixels for photo in photos]))]


class StoredFeatures:
    """The features of a table by split, in a file, in the order that the photos have in `dataset.check`: in memory the
    rows would be the same, whichever files of the table they stand in.

    Copies of a photo count once (that in test before valid before train), and none of one that lies in two classes, as
    in `dataset.check`. In memory there are some 160 bytes a photo (measured), most of them for its path.

    Attributes:
        by_split: split → (features, `np.memmap` (n, size); class numbers, int32 (n,)).
        for_training: as `by_split`, with the photos for validation behind those for training.
        excluded: how many were refused, or are copies.
        digest: identifies the photos with their classes and splits, sha256, hex.
    """

    def __init__(
        self, table: Place, paths: Collection[str], layout: Layout, classes: Sequence[str], folder: Path, size: int
    ):
        """Of the photos `paths`, which `layout` sorts into `classes`, from `table` into files in `folder`; `size` is
        how many features each has."""
        in_order = sorted(paths, key=lambda path: path.replace("/", "\0"))  # as Path objects sort, in less memory
        places = {path: place for place, path in enumerate(in_order)}
        keys, targets, splits, ranks, given = self._index(table, places, layout, classes)
        kept = _without_copies(keys, targets, splits, ranks)
        _deal_small_classes(kept, keys, targets, splits, given, layout.splits)
        self.excluded = len(paths) - len(kept)
        self.digest = hashlib.sha256(b"".join(part[kept].tobytes() for part in (keys, targets, splits))).hexdigest()
        in_order = np.concatenate([kept[splits[kept] == number] for number in range(len(SPLITS))])
        row_of = np.full(len(keys), -1, np.int64)
        row_of[in_order] = np.arange(len(in_order))
        rows = np.memmap(folder / "features", np.float32, "w+", shape=(max(1, len(in_order)), size))
        self._fill(rows, table, row_of)
        ends = np.cumsum([0, *(int((splits[kept] == number).sum()) for number in range(len(SPLITS)))])
        parts = {split: slice(*ends[number : number + 2]) for number, split in enumerate(SPLITS)}
        parts_for_training = {**parts, TRAIN: slice(0, ends[SPLITS.index(VALID) + 1]), VALID: slice(0, 0)}
        self.by_split, self.for_training = (
            {split: (rows[part], targets[in_order[part]]) for split, part in found.items()}
            for found in (parts, parts_for_training)
        )

    def _index(self, table: Place, places: dict[str, int], layout: Layout, classes: Sequence[str]) -> list[np.ndarray]:
        """For each row the first eight bytes of the photo's digest, its class, its split, its path's place, and the
        split that its folder gives; -1 for none, and for a photo that was refused or is no longer there."""
        numbers = {label: number for number, label in enumerate(classes)}
        parts = [[np.empty(0, kind) for kind in (np.uint64, np.int32, np.int8, np.int64, np.int8)]]
        for found in table.tables(["path", "digest"]):
            rows = [
                (
                    int(digest[:16], 16),
                    numbers[layout.label(path)],
                    SPLITS.index(layout.split(path, digest)),
                    places[path],
                    SPLITS.index(split) if (split := layout.given(path)) else -1,
                )
                if digest and path in places
                else (0, -1, -1, -1, -1)
                for path, digest in zip(found["path"].to_pylist(), found["digest"].to_pylist())
            ]
            parts.append([np.array(part, like.dtype) for part, like in zip(zip(*rows), parts[0])])
        return [np.concatenate(part) for part in zip(*parts)]

    def _fill(self, rows: np.ndarray, table: Place, row_of: np.ndarray) -> None:
        start = 0
        for found in table.tables(["features"]):
            vectors = found["features"].combine_chunks()
            features = np.zeros((len(found), rows.shape[1]), np.float32)
            features[vectors.is_valid().to_numpy(False)] = vectors.flatten().to_numpy().reshape(-1, rows.shape[1])
            here = row_of[start : start + len(found)]
            rows[here[here >= 0]] = features[here >= 0]
            start += len(found)


def _deal_small_classes(
    kept: np.ndarray, keys: np.ndarray, targets: np.ndarray, splits: np.ndarray, given: np.ndarray, all_given: set[str]
) -> None:
    """Give classes of few photos their share of each split, as `dataset.check` does; of many, chance does."""
    counts = np.bincount(targets[kept], minlength=1)
    few = kept[counts[targets[kept]] < CHANCE_SUFFICES]
    photos = [
        Given(f"{int(keys[row]):016x}", str(targets[row]), SPLITS[given[row]] if given[row] >= 0 else None)
        for row in few
    ]
    splits[few] = [SPLITS.index(split) for split in deal(photos, {}, all_given)]


def _without_copies(keys: np.ndarray, targets: np.ndarray, splits: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Numbers of the rows that count, each where the first of its copies stands."""
    order = np.lexsort((ranks, -splits, keys))
    order = order[targets[order] >= 0]
    if not len(order):
        return order
    _, first = np.unique(keys[order], return_index=True)
    lowest, highest = (reduce.reduceat(targets[order], first) for reduce in (np.minimum, np.maximum))
    places = np.minimum.reduceat(ranks[order], first)
    sound = lowest == highest
    return order[first[sound]][np.argsort(places[sound])]

"""Features of very many photos: a table, and from it a file of rows that training reads in batches."""

import functools
import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow

from ..backbones.architectures import Backbone, load_backbone
from ..data.folders import SPLITS, TRAIN, VALID
from ..data.inspection import read_training_photo
from ..data.layout import Layout
from ..data.splitting import CHANCE_SUFFICES, Given, copy_that_counts, deal, split_of
from ..engines import open_engine
from ..engines.base import Engine
from ..engines.int8 import Int8Params
from .parquet_table import DecodedPhoto
from .storage import StorageFolder


class FeatureColumns:
    """A photo's features, and the arithmetic that computed them. See `parquet_table.Columns`.

    Class and split are not in the table. They are read from the folders each time, so a photo that was moved counts as
    what it is now.
    """

    def __init__(self, backbone: Backbone, engine: Engine, int8: Int8Params | None = None):
        vector = pyarrow.list_(pyarrow.float32())
        self.schema = pyarrow.schema({"features": vector, "recipe": pyarrow.string()})
        architecture = backbone.architecture
        made_for = f"{architecture.preprocessing.version} {architecture.features}"
        self.made_by = ("recipe", f"{made_for} {backbone.fingerprint[:16]} {engine.engine_id}")
        self._architecture, self._engine, self._int8 = architecture, engine.name, int8

    @property
    def read(self) -> Callable[[bytes], np.ndarray]:
        """Reader of a photo's bytes; can be sent to another process."""
        return functools.partial(read_training_photo, preprocessing=self._architecture.preprocessing)

    def opened(self) -> "FeatureColumns":
        prepared = self._architecture.preprocessing
        backbone = load_backbone(self._architecture.name, prepared.pixels, prepared.fit)
        self._run = open_engine(self._engine, backbone, self._int8)
        return self

    def rows(self, photos: list[DecodedPhoto]) -> list[dict]:
        return [{"features": row} for row in self._run.features(np.stack([photo.pixels for photo in photos]))]


class StoredFeatures:
    """The features of a table by split, in a file. The rows are those that `dataset.check` would give in memory, in the
    same order, however the table's files divide them.

    By the rule of `dataset.check`, copies of a file count once, and not at all if they lie in two classes.
    `dataset.check` also finds copies whose bytes differ, and copies in `none-of-these`; this class does not. It takes
    about 160 bytes of memory per photo (measured), most of them for the path.

    Attributes:
        by_split: split → (features, `np.memmap` (n, size); class numbers, int32 (n,)).
        for_training: as `by_split`, with the validation photos appended to the training photos.
        n_excluded: number of photos that were refused, or are copies.
        digest: SHA-256 of the photos with their classes and splits, hex.
    """

    def __init__(
        self,
        table: StorageFolder,
        source: StorageFolder,
        paths: Collection[str],
        layout: Layout,
        folder: Path,
        size: int,
    ):
        """Copy features from `table` into files in `folder`.

        Args:
            paths: the photos, files of `source`; `layout` gives their classes and splits.
            size: number of features per photo.
        """
        paths = sorted(paths)
        keys, rows_of_table = _keys(table, paths)
        targets, given = _sorted_by(layout, source.relative(paths))
        is_usable = np.zeros(len(paths), bool)
        is_usable[rows_of_table[rows_of_table >= 0]] = True
        kept = _without_copies(np.flatnonzero(is_usable & (targets >= 0)), keys, targets, given)
        splits = _splits(keys[kept], targets[kept], given[kept])
        self.n_excluded = len(paths) - len(kept)
        self.digest = hashlib.sha256(b"".join(map(bytes, (keys[kept], targets[kept], splits)))).hexdigest()
        by_split = np.argsort(splits, kind="stable")
        kept, ends = kept[by_split], np.searchsorted(splits[by_split], np.arange(len(SPLITS) + 1))
        row_of = np.full(len(paths) + 1, -1, np.int64)  # the last entry is for rows without a photo
        row_of[kept] = np.arange(len(kept))
        rows = np.memmap(folder / "features", np.float32, "w+", shape=(max(1, len(kept)), size))
        _fill(rows, table, row_of[rows_of_table])
        parts = {split: slice(*ends[index : index + 2]) for index, split in enumerate(SPLITS)}
        parts_for_training = {**parts, TRAIN: slice(0, ends[SPLITS.index(VALID) + 1]), VALID: slice(0, 0)}
        self.by_split, self.for_training = (
            {split: (rows[part], targets[kept[part]]) for split, part in found.items()}
            for found in (parts, parts_for_training)
        )


def _keys(table: StorageFolder, paths: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return (the first eight bytes of each photo's digest, uint64; for each row of the table the index of its photo in
    `paths`, int64, -1 for a photo that was refused or no longer exists)."""
    index_of = {path: index for index, path in enumerate(paths)}
    keys, rows = np.zeros(len(paths), np.uint64), [np.empty(0, np.int64)]
    for found in table.tables(["path", "digest"]):
        digests = found["digest"].to_pylist()
        at = [index_of.get(path, -1) if digest else -1 for path, digest in zip(found["path"].to_pylist(), digests)]
        rows.append(np.array(at, np.int64))
        for index, digest in zip(at, digests):
            if index >= 0:
                keys[index] = int(digest[:16], 16)
    return keys, np.concatenate(rows)


def _sorted_by(layout: Layout, paths: Collection[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return (class numbers, int32, -1 for no class; split numbers given by the folders, int8, -1 for none)."""
    classes: dict[str | None, int] = {label: index for index, label in enumerate(layout.classes)}
    targets = (classes.get(layout.class_of(path), -1) for path in paths)
    given = (SPLITS.index(split) if (split := layout.split(path)) else -1 for path in paths)
    return np.fromiter(targets, np.int32, len(paths)), np.fromiter(given, np.int8, len(paths))


def _fill(rows: np.ndarray, table: StorageFolder, row_of: np.ndarray) -> None:
    """Write the features of the table's row `i` to `rows[row_of[i]]`, unless that is -1."""
    start = 0
    for found in table.tables(["features"]):
        vectors = found["features"].combine_chunks()
        features = np.zeros((len(found), rows.shape[1]), np.float32)
        features[vectors.is_valid().to_numpy(False)] = vectors.flatten().to_numpy().reshape(-1, rows.shape[1])
        here = row_of[start : start + len(found)]
        rows[here[here >= 0]] = features[here >= 0]
        start += len(found)


def _without_copies(usable: np.ndarray, keys: np.ndarray, targets: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Return the indexes in `usable` of the photos that count, each at the position of its first copy."""
    if not len(usable):
        return usable
    order = usable[np.argsort(keys[usable], kind="stable")]
    starts = np.flatnonzero(np.r_[True, keys[order][1:] != keys[order][:-1]])
    sizes = np.diff(np.r_[starts, len(order)])
    stays = order[starts]
    for group in np.flatnonzero(sizes > 1):
        copies = order[starts[group] : starts[group] + sizes[group]]
        counts = copy_that_counts([Given("", str(targets[copy]), _name(given[copy])) for copy in copies])
        stays[group] = -1 if counts is None else copies[counts]
    stays = stays[np.argsort(order[starts])]
    return stays[stays >= 0]


def _splits(keys: np.ndarray, targets: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Assign splits as `splitting.deal` does, int8 (n,). In a large class, a photo's content alone decides, so its
    photos need not be in memory together."""
    splits = np.empty(len(keys), np.int8)
    all_given = {split for number in np.unique(given) if (split := _name(number)) is not None}
    groups = np.lexsort((given, targets))  # by class, then by the folder's split
    is_first = np.diff(targets[groups], prepend=-1).astype(bool) | np.diff(given[groups], prepend=-2).astype(bool)
    for rows in np.split(groups, np.flatnonzero(is_first)[1:]):
        digests = (f"{key:016x}" for key in map(int, keys[rows]))
        split = _name(given[rows[0]]) if len(rows) else None
        dealt: Iterable[str]
        if len(rows) < CHANCE_SUFFICES:
            dealt = deal([Given(digest, "", split) for digest in digests], {}, all_given)
        else:
            dealt = (split_of(digest, split, all_given) for digest in digests)
        splits[rows] = np.fromiter(map(SPLITS.index, dealt), np.int8, len(rows))
    return splits


def _name(split: int) -> str | None:
    return SPLITS[split] if split >= 0 else None

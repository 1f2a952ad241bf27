"""One feature vector per photo, computed once and cached on disk."""

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, TypeVar

import numpy as np

from .. import files, paths
from ..backbones.architectures import Backbone
from ..data.dataset import Dataset, Photo
from ..data.folders import SPLITS
from ..data.prepared import prepared
from ..data.preprocessing import Preprocessing
from ..engines.base import BATCH, Engine, threads
from ..errors import UserError
from ..machine import thread_pool
from ..progress import bar

_TABLE = "CREATE TABLE IF NOT EXISTS features (digest BLOB, recipe TEXT, vector BLOB, UNIQUE (digest, recipe))"
Item = TypeVar("Item")
Read = TypeVar("Read")


class FeaturesDamaged(UserError):
    """An unreadable cache file, which has been renamed and set aside."""


class FeatureCache:
    """Features on disk, in one file, by the photo's digest and the engine's id.

    The file's name carries preprocessing and backbone, so features from different ones never mix. SQLite keeps what was
    written before a kill. The index does not contain the vectors, so looking up 100,000 photos does not read 200 MB. A
    database on a mounted Drive would be slow and soon corrupt: Drive gets a copy, which is fetched if this machine has
    no file.

    Args:
        backbone: the backbone of the features, or an engine that runs it.
        folder: where the file is kept, if not in the cache.
        keep_seconds: time between two copies to Drive while features are computed.

    All methods raise UserError if the file cannot be used, and FeaturesDamaged if it has been set aside.
    """

    def __init__(self, backbone: Backbone | Engine, folder: Path | None = None, keep_seconds: float = 300):
        architecture = backbone.architecture
        made_for = f"{architecture.preprocessing.version} {backbone.fingerprint} {architecture.features}"
        self._size = architecture.size
        self.path = paths.cache_file("features", made_for, ".sqlite", folder or paths.cache_dir())
        self._kept = paths.cache_file("features", made_for, ".sqlite", folder)
        self._kept_at, self._keep_seconds = time.monotonic(), keep_seconds
        if _size(self._kept) > _size(self.path):
            _copy(self._kept, self.path)
        try:
            with self._open():
                pass
        except FeaturesDamaged as damaged:
            print(damaged.shown())

    def digests(self, engine_id: str = "") -> set[str]:
        """Return the digests of photos with features by `engine_id`, or by any engine."""
        with self._open() as db:
            rows = db.execute("SELECT digest FROM features WHERE recipe = ?1 OR ?1 = ''", (engine_id,))
            return {digest.hex() for (digest,) in rows}

    def read(self, digests: Sequence[str], engine_id: str) -> np.ndarray:
        """Read features in the given order, float32 (n, size). Raises KeyError for a digest that is not here."""
        with self._open() as db:
            find = "SELECT vector FROM features WHERE digest = ? AND recipe = ?"
            rows = [db.execute(find, (bytes.fromhex(digest), engine_id)).fetchone() for digest in digests]
        missing = [digest for digest, row in zip(digests, rows) if row is None]
        if missing:
            raise KeyError(missing[0])
        return np.frombuffer(b"".join(vector for (vector,) in rows), dtype="<f4").reshape(-1, self._size).copy()

    def write(self, digests: Sequence[str], engine_id: str, features: np.ndarray) -> None:
        """Write features (n, size), all or none."""
        rows = [
            (bytes.fromhex(digest), engine_id, vector.astype("<f4").tobytes())
            for digest, vector in zip(digests, features)
        ]
        with self._open() as db:
            db.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?)", rows)
        if time.monotonic() - self._kept_at > self._keep_seconds:
            self.keep()

    def keep(self) -> None:
        """Copy the file to Drive, if Drive is in use, so that it outlives this machine."""
        self._kept_at = time.monotonic()
        if self._kept != self.path:
            _copy(self.path, self._kept)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=60)) as db, db:
                db.execute(_TABLE)
                yield db
        except sqlite3.OperationalError as error:
            raise UserError(
                "features-not-writable",
                f"Features cannot be saved in {self.path} ({error}): set CATDOG_CACHE to a writable folder.",
            ) from error
        except sqlite3.DatabaseError as error:
            self.path.replace(self.path.with_suffix(".damaged"))
            raise FeaturesDamaged(
                "features-damaged",
                f"The file of features was damaged ({error}). It was renamed to end in .damaged. "
                "If this cell stopped, run it again: features are recomputed.",
            ) from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _copy(source: Path, target: Path) -> None:
    def write(copy: IO[bytes]) -> None:
        with source.open("rb") as file:
            shutil.copyfileobj(file, copy)

    files.write_if_possible(target, write)


def compute_features(
    photos: Sequence[Photo], engine: Engine, store: FeatureCache, what: str = "Features"
) -> np.ndarray:
    """Return the features of `photos`, float32 (n, size). Reads them from `store`; computes and stores missing ones.

    Shows a progress bar. After an interruption, the next call continues where this one stopped.
    """
    known = store.digests(engine.engine_id)
    missing = [photo for photo in photos if photo.digest not in known]
    if missing:
        kept = len(photos) - len(missing)
        with ExitStack() as work:
            work.callback(store.keep)
            progress = work.enter_context(bar(what=f"{what} ({kept:,} cached)", unit="photos", total=len(missing)))
            for batch, pixels in decoded_ahead(missing, engine.architecture.preprocessing):
                store.write([photo.digest for photo in batch], engine.engine_id, engine.features(pixels))
                progress.update(len(batch))
    return store.read([photo.digest for photo in photos], engine.engine_id)


def features_by_split(
    dataset: Dataset, engine: Engine, store: FeatureCache
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return split → (features, float32 (n, size); class numbers, int64 (n,)), in the order of `dataset.of(split)`."""
    compute_features(dataset.photos, engine, store)
    return {
        split: (
            store.read([photo.digest for photo in dataset.of(split)], engine.engine_id),
            dataset.targets(dataset.of(split)),
        )
        for split in SPLITS
    }


def decoded_ahead(
    photos: Sequence[Photo], preprocessing: Preprocessing
) -> Iterator[tuple[Sequence[Photo], np.ndarray]]:
    """Yield batches of photos with their pixels, uint8 (n, pixels, pixels, 3), decoded as in `read_ahead`."""
    for batch, pixels in read_ahead(photos, lambda photo: prepared(photo.path, photo.digest, preprocessing)):
        yield batch, np.stack(pixels)


def read_ahead(items: Sequence[Item], read: Callable[[Item], Read]) -> Iterator[tuple[Sequence[Item], list[Read]]]:
    """Yield batches of items with the results of `read`; the next batch is read while the caller works on this one."""
    batches = [items[i : i + BATCH] for i in range(0, len(items), BATCH)]
    with thread_pool(threads()) as pool:
        ahead = [pool.submit(read, item) for item in batches[0]]
        for batch, following in zip(batches, [*batches[1:], []]):
            found = [one.result() for one in ahead]
            ahead = [pool.submit(read, item) for item in following]
            yield batch, found

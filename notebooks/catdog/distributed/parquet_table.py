"""A table of very many photos: a folder in, Parquet out, a row a photo, whatever is killed on the way.

What is done stands in the table and nowhere else: each file of it appears whole or not at all, and a photo that is in
one is not looked at again. (Ray Data's own checkpoints, alpha in 2.60, keep a second list beside the result.)
"""

import functools
import hashlib
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow
from pebble import ProcessExpired, ProcessPool

from ..data.images import PhotoRefused
from ..errors import UserError
from ..progress import bar
from ..training.features import read_ahead
from .cluster import connect, has_gpus, ray, unwrap_ray_errors, workers
from .storage import StorageFolder

_LEAST, _MOST = 128, 8192  # photos in a file
_FILES, _FILES_A_WORKER = 2000, 20  # that there shall be about: at the end, workers wait for the last ones
_PATIENCE_SECONDS = 60  # for a photo among those that a worker has died of
_TEXT = pyarrow.string()

Reader = Callable[[bytes], np.ndarray]  # see `Columns.read`


@dataclass(frozen=True)
class DecodedPhoto:
    """A prepared photo: `pixels`, uint8 (pixels, pixels, 3), and the file's `digest` (sha256, hex)."""

    path: str
    digest: str
    pixels: np.ndarray


class Columns(Protocol):
    """What a table says of each photo, beside `path`, `digest` and `refused`. It travels to the workers.

    Attributes:
        schema: of these columns.
        made_by: (one of them, its value in every row), by which it is seen that a table is another's.
    """

    schema: pyarrow.Schema
    made_by: tuple[str, str]

    @property
    def read(self) -> Reader:
        """A file's bytes → pixels, uint8 (224, 224, 3). Raises PhotoRefused."""
        ...

    def opened(self) -> "Columns":
        """On a worker: the same, ready to compute."""
        ...

    def rows(self, photos: list[DecodedPhoto]) -> list[dict]:
        """A row each, in the same order."""
        ...


@dataclass(frozen=True)
class TableSummary:
    """What was done: photos that got their row or were refused now, and those that were in the table `before`."""

    photos: int
    refused: int
    before: int

    def __str__(self) -> str:
        again = f"; {self.before:,} were there already" if self.before else ""
        return f"{self.photos:,} photos done, {self.refused:,} refused, each with its reason{again}."


def make_table(
    source: StorageFolder, target: StorageFolder, paths: list[str], columns: Columns, what: str
) -> TableSummary:
    """Write a row for each of `paths` in `source` to Parquet files in `target`, but for those that are there already.

    Beside `columns` a row has `path`; `digest`, of the file; and `refused`, why it is no photo that can be read: then
    the others are null. Only one call at a time may write to a target.

    Raises UserError where there are no photos, or the target was made by something else.
    """
    if not paths:
        raise UserError("photos-missing", f"There are no files in {source.name}.")
    done = _done(target, *columns.made_by)
    missing = [path for path in paths if path not in done]
    before, counts = len(paths) - len(missing), np.zeros(2, int)
    if missing:
        connect()
        target.create()
        with bar(what=f"{what} ({before:,} there)", unit="photos", total=len(missing)) as progress:
            for found in _run(missing, source, target, columns):
                counts += found
                progress.update(int(found.sum()))
    done_now, refused = counts.tolist()
    return TableSummary(done_now, refused, before)


def photos_a_file(photos: int, workers: int) -> int:
    """So few that each worker has its share of files, so many that the table does not have too many."""
    return int(np.clip(photos // max(_FILES, _FILES_A_WORKER * workers), _LEAST, _MOST))


def _done(target: StorageFolder, column: str, value: str) -> set[str]:
    done: set[str] = set()
    for table in target.tables(["path", column]):
        others = set(table[column].unique().to_pylist()) - {value}
        if others:
            raise UserError(
                "folder-other-table", f"{target.name} was made by {others.pop()}: choose another folder for {value}."
            )
        done.update(table["path"].to_pylist())
    return done


def _run(paths: list[str], source: StorageFolder, target: StorageFolder, columns: Columns) -> Iterator[np.ndarray]:
    """(done, refused) for each file of the table as it is written."""
    per_file = photos_a_file(len(paths), workers())
    blocks = [pyarrow.table({"path": paths[start : start + per_file]}) for start in range(0, len(paths), per_file)]
    most = min(workers(), len(blocks))
    kept = [ray.put(columns)]  # here, so that a worker that is started again finds it
    work = ray.data.from_arrow(blocks).map_batches(
        _Worker,
        fn_constructor_args=(source, target, kept),
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most, initial_size=most),
        num_cpus=1,
        num_gpus=1 if has_gpus() else None,
    )
    with unwrap_ray_errors():
        for batch in work.iter_batches(batch_size=None):
            yield np.array([batch["done"].sum(), batch["refused"].sum()])


class _Worker:
    """An engine, and the photos of one file of the table after the other."""

    def __init__(self, source: StorageFolder, target: StorageFolder, kept: list):
        if not source.is_there:
            raise UserError(
                "cluster-folder-unseen",
                f"A machine of the cluster does not see {source.name}: use storage that all of them reach.",
            )
        self._source, self._target = source, target
        self._columns = ray.get(kept[0]).opened()

    def __call__(self, table: pyarrow.Table) -> pyarrow.Table:
        paths = table["path"].to_pylist()
        name = hashlib.sha256("\n".join(paths).encode()).hexdigest()[:20]
        a_worker_died = not self._target.mark(name)
        with in_subprocess(self._columns.read) if a_worker_died else nullcontext(self._columns.read) as read:
            look = functools.partial(self._look, read)
            rows = [row for _, found in read_ahead(paths, look) for row in self._rows(found)]
        self._target.write(f"{name}.parquet", pyarrow.Table.from_pylist(rows, self._schema))
        self._target.unmark(name)
        refused = sum("refused" in row for row in rows)
        return pyarrow.table({"done": [len(rows) - refused], "refused": [refused]})

    def _look(self, read: Reader, path: str) -> DecodedPhoto | dict:
        try:
            data = self._source.read(path)
            return DecodedPhoto(path, hashlib.sha256(data).hexdigest(), read(data))
        except PhotoRefused as refusal:
            return {"path": path, "refused": str(refusal)}
        except OSError as error:
            return {"path": path, "refused": f"The file cannot be read ({error})."}

    def _rows(self, found: list[DecodedPhoto | dict]) -> Iterator[dict]:
        photos = [one for one in found if isinstance(one, DecodedPhoto)]
        said = iter(self._columns.rows(photos) if photos else ())
        name, value = self._columns.made_by
        for one in found:
            row = {"path": one.path, "digest": one.digest, **next(said)} if isinstance(one, DecodedPhoto) else one
            yield {name: value, **row}

    @property
    def _schema(self) -> pyarrow.Schema:
        own = [pyarrow.field(name, _TEXT) for name in ("path", "digest", "refused")]
        return pyarrow.schema([*own, *self._columns.schema])


@contextmanager
def in_subprocess(read: Reader) -> Iterator[Reader]:
    """`read` in a process of its own: PhotoRefused for a photo that it dies of, or takes a minute for."""
    with ProcessPool(1, context=multiprocessing.get_context("spawn")) as pool:

        def apart(data: bytes) -> np.ndarray:
            try:
                return pool.schedule(read, args=[data], timeout=_PATIENCE_SECONDS).result()
            except (ProcessExpired, TimeoutError):
                raise PhotoRefused("photo-unreadable", "The photo is damaged and could not be decoded.") from None

        yield apart

"""A table of very many photos: reads a folder and writes Parquet, one row per photo, and survives any kill.

The table itself is the only record of progress. Each of its files appears whole or not at all, and photos that have a
row are skipped. (Ray Data's own checkpoints, alpha in 2.60, keep a second list beside the result.)
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
_FILES, _FILES_A_WORKER = 2000, 20  # to aim for: with few files, workers idle at the end, waiting for the last ones
_PATIENCE_SECONDS = 60  # for each photo of a file during which a worker died
_TEXT = pyarrow.string()

Reader = Callable[[bytes], np.ndarray]  # see `Columns.read`


@dataclass(frozen=True)
class DecodedPhoto:
    """A prepared photo: `pixels`, uint8 (pixels, pixels, 3), and the file's `digest` (SHA-256, hex)."""

    path: str
    digest: str
    pixels: np.ndarray


class Columns(Protocol):
    """The columns of a table besides `path`, `digest` and `refused`, and how to compute them. Sent to the workers.

    Attributes:
        schema: of these columns.
        made_by: (one of the columns, its value in every row); shows whether another model or recipe made a table.
    """

    schema: pyarrow.Schema
    made_by: tuple[str, str]

    @property
    def read(self) -> Reader:
        """Function from a file's bytes to pixels, uint8 (pixels, pixels, 3). Raises PhotoRefused."""
        ...

    def opened(self) -> "Columns":
        """Return these columns ready to compute; called on a worker."""
        ...

    def rows(self, photos: list[DecodedPhoto]) -> list[dict]:
        """Compute one row per photo, in the same order."""
        ...


@dataclass(frozen=True)
class TableSummary:
    """Counts of a run: `photos` done and `refused` now, and photos that were in the table `before`."""

    photos: int
    refused: int
    before: int

    def __str__(self) -> str:
        again = f"; {self.before:,} were already in the table" if self.before else ""
        return f"{self.photos:,} photos done, {self.refused:,} refused (reasons in the column refused){again}."


def make_table(
    source: StorageFolder, target: StorageFolder, paths: list[str], columns: Columns, what: str
) -> TableSummary:
    """Write a row for each of `paths` in `source` to Parquet files in `target`, except for paths that have one already.

    Besides `columns`, a row has `path`; `digest`, of the file; and `refused`, the reason if the file cannot be read as
    a photo: the other columns are then null. Only one call at a time may write to a target.

    Raises UserError if there are no files, or if another model or recipe made the target.
    """
    if not paths:
        raise UserError("photos-missing", f"There are no files in {source.name}.")
    done = _done(target, *columns.made_by)
    missing = [path for path in paths if path not in done]
    before, counts = len(paths) - len(missing), np.zeros(2, int)
    if missing:
        connect()
        target.create()
        with bar(what=f"{what} ({before:,} already done)", unit="photos", total=len(missing)) as progress:
            for found in _run(missing, source, target, columns):
                counts += found
                progress.update(int(found.sum()))
    done_now, refused = counts.tolist()
    return TableSummary(done_now, refused, before)


def photos_a_file(photos: int, workers: int) -> int:
    """Return how many photos to put in a file: few enough to keep all workers busy, enough to keep files few."""
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
    """Yield (done, refused) for each file of the table as it is written."""
    per_file = photos_a_file(len(paths), workers())
    blocks = [pyarrow.table({"path": paths[start : start + per_file]}) for start in range(0, len(paths), per_file)]
    most = min(workers(), len(blocks))
    kept = [ray.put(columns)]  # owned by the driver, so that a restarted worker finds it
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
    """A worker with an engine; each call computes one file of the table."""

    def __init__(self, source: StorageFolder, target: StorageFolder, kept: list):
        if not source.is_there:
            raise UserError(
                "cluster-folder-unseen",
                f"A machine of the cluster cannot see {source.name}: use storage that all its machines can reach.",
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
    """Run `read` in a separate process. Raises PhotoRefused for a photo that crashes it or takes a minute."""
    with ProcessPool(1, context=multiprocessing.get_context("spawn")) as pool:

        def apart(data: bytes) -> np.ndarray:
            try:
                return pool.schedule(read, args=[data], timeout=_PATIENCE_SECONDS).result()
            except (ProcessExpired, TimeoutError):
                raise PhotoRefused("photo-unreadable", "The photo is damaged and could not be decoded.") from None

        yield apart

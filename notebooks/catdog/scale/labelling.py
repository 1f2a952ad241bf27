"""Label photos by the hundred thousand: a folder in, Parquet out, each photo once, whatever is killed on the way.

What is done stands in the result and nowhere else: each file of it appears whole or not at all, and a photo that is in
one is not looked at again. (Ray Data's own checkpoints, alpha in 2.60, keep a second list beside the result.)
"""

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow

from .. import bundle
from ..bundle import CARD, Bundle
from ..classifier import Answer, Classifier, load_classifier
from ..engines.choice import AUTO
from ..errors import SuiteError
from ..features import read_ahead
from ..images import PhotoRefused, read_photo
from ..progress import bar
from .cluster import connect, has_gpus, plain_words, ray, workers
from .storage import Place

_LEAST, _MOST, _FILES = 128, 8192, 2000  # photos in a file, and how many files there shall be about


@dataclass(frozen=True)
class Labelled:
    """What `label` did: photos that were labelled or refused now, and that were in the result `before`."""

    labelled: int
    refused: int
    before: int

    def __str__(self) -> str:
        again = f"; {self.before:,} were there already" if self.before else ""
        return f"{self.labelled:,} photos labelled, {self.refused:,} refused, each with its reason{again}."


def label(photos: str, out: str, model: str = "", engine: str = AUTO) -> Labelled:
    """Write what a model says of every photo in a folder, as Parquet.

    A row a file: `path`; `label`, the most probable class; `sure` and `familiar`, as the service has them;
    `probabilities`, one a class; `refused`, why it is no photo that can be read, and then the others are null; `model`
    and `engine`. Called again with the same `out`, photos that are there are left alone. Only one call at a time may
    write to an `out`.

    Args:
        photos: a folder, or a URI such as s3://bucket/photos or gs://bucket/photos; all files in it are looked at, with
            those of its sub-folders.
        out: a folder, or a URI, for the files of the result.
        model: as for `bundle.find`.
        engine: as for `load_classifier`; each worker has one, on its GPU or on one processor.

    Raises SuiteError where there are no photos or no such model, or `out` holds what another model said.
    """
    source, target, saved = Place.of(photos), Place.of(out), bundle.read(bundle.find(model))
    paths = source.files()
    if not paths:
        raise SuiteError(f"There are no files in {photos}.")
    done = _done(target, saved.id)
    missing = [path for path in paths if path not in done]
    before = len(paths) - len(missing)
    if not missing:
        return Labelled(0, 0, before)
    connect()
    counts = np.zeros(2, int)
    with bar(what=f"Labelling ({before:,} there)", unit="photos", total=len(missing)) as progress:
        for found in _run(missing, source, target, saved, engine):
            counts += found
            progress.update(int(found.sum()))
    return Labelled(*counts.tolist(), before)


def _done(target: Place, model: str) -> set[str]:
    done: set[str] = set()
    for table in target.tables(["path", "model"]):
        others = set(table["model"].unique().to_pylist()) - {model}
        if others:
            raise SuiteError(f"{target.name} holds what {others.pop()} said: choose another OUT for {model}.")
        done.update(table["path"].to_pylist())
    return done


def _run(paths: list[str], source: Place, target: Place, saved: Bundle, engine: str) -> Iterator[np.ndarray]:
    """(labelled, refused) for each file of the result as it is written."""
    per_file = int(np.clip(len(paths) // _FILES, _LEAST, _MOST))
    blocks = [pyarrow.table({"path": paths[start : start + per_file]}) for start in range(0, len(paths), per_file)]
    most = min(workers(), len(blocks))
    files = [ray.put(_files_of(saved))]  # kept here, so that a worker that is started again finds them
    work = ray.data.from_arrow(blocks).map_batches(
        _Labeller,
        fn_constructor_args=(source, target, files, engine),
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most, initial_size=most),
        num_cpus=1,
        num_gpus=1 if has_gpus() else None,
    )
    with plain_words():
        for batch in work.iter_batches(batch_size=None):
            yield np.array([batch["labelled"].sum(), batch["refused"].sum()])


def _files_of(saved: Bundle) -> dict[str, bytes]:
    """A model's files, to be sent to machines that do not see its folder; it does without some of them."""
    paths = (saved.folder / name for name in (CARD, *saved.card["files"]))
    return {path.name: path.read_bytes() for path in paths if path.is_file()}


class _Labeller:
    """On a worker: an engine, and the photos of one file of the result after the other."""

    def __init__(self, source: Place, target: Place, files: list, engine: str):
        if not source.is_there:
            raise SuiteError(
                f"A machine of the cluster does not see {source.name}: use storage that all of them reach."
            )
        self._source, self._target = source, target
        self._classifier = _loaded(ray.get(files[0]), engine)

    def __call__(self, table: pyarrow.Table) -> pyarrow.Table:
        paths = table["path"].to_pylist()
        rows = [row for batch in read_ahead(paths, self._pixels) for row in self._rows(*batch)]
        name = hashlib.sha256("\n".join(paths).encode()).hexdigest()[:20]
        self._target.write(f"{name}.parquet", pyarrow.Table.from_pylist(rows, self._schema))
        refused = sum("refused" in row for row in rows)
        return pyarrow.table({"labelled": [len(rows) - refused], "refused": [refused]})

    def _pixels(self, path: str) -> np.ndarray | PhotoRefused:
        try:
            return read_photo(self._source.read(path))
        except PhotoRefused as refusal:
            return refusal
        except OSError as error:
            return PhotoRefused("unreadable", f"The file cannot be read ({error}).")

    def _rows(self, paths: list[str], found: list[np.ndarray | PhotoRefused]) -> Iterator[dict]:
        photos = [pixels for pixels in found if isinstance(pixels, np.ndarray)]
        answers = iter(self._classifier.answer(np.stack(photos)) if photos else ())
        for path, pixels in zip(paths, found):
            row = {"path": path, "model": self._classifier.bundle.id, "engine": self._classifier.engine.name}
            refused = isinstance(pixels, PhotoRefused)
            yield {**row, "refused": str(pixels)} if refused else {**row, **self._said(next(answers))}

    def _said(self, answer: Answer) -> dict:
        classes = self._classifier.bundle.classes
        return {
            "label": classes[int(answer.probabilities.argmax())],
            "sure": answer.sure,
            "familiar": answer.familiar,
            "probabilities": dict(zip(classes, answer.probabilities.tolist())),
        }

    @property
    def _schema(self) -> pyarrow.Schema:
        shares = pyarrow.struct([(label, pyarrow.float32()) for label in self._classifier.bundle.classes])
        text, yes = pyarrow.string(), pyarrow.bool_()
        columns = {
            "path": text, "label": text, "sure": yes, "familiar": yes, "probabilities": shares, "refused": text,
            "model": text, "engine": text,
        }  # fmt: skip
        return pyarrow.schema(list(columns.items()))


def _loaded(files: dict[str, bytes], engine: str) -> Classifier:
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        return load_classifier(bundle.read(Path(folder)), engine, say=lambda line: None)

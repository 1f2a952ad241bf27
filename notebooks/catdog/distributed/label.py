"""Label hundreds of thousands of photos."""

import functools

import numpy as np
import pyarrow

from ..data.images import read_photo
from ..engines.selection import AUTO
from ..models import bundle
from ..models.bundle import Bundle
from ..models.classifier import Answer
from .model_transfer import SerializedModel
from .parquet_table import DecodedPhoto, TableSummary, make_table
from .storage import StorageFolder


def label(photos: str, out: str, model: str = "", engine: str = AUTO) -> TableSummary:
    """Label every photo in a folder and write the results as Parquet.

    Writes one row per file (see `parquet_table.make_table`): `label`, the most probable class; `confident` and
    `in_distribution`, as in the service, and for one release their earlier names `sure` and `familiar`;
    `probabilities`, one per class; `model` and `engine`. A second call with the same `out` skips photos that have a
    row.

    Args:
        photos: a folder, or a URI such as s3://bucket/photos or gs://bucket/photos; includes files in sub-folders.
        out: a folder or a URI for the result.
        model: as for `bundle.find`.
        engine: as for `load_classifier`; each worker has one, on its GPU or on one processor.

    Raises UserError if there are no photos or no such model, or if `out` holds another model's results.
    """
    source, target, saved = StorageFolder.of(photos), StorageFolder.of(out), bundle.read(bundle.find(model))
    return make_table(source, target, source.files(but=target), _Labels(saved, engine), "Labelling")


class _Labels:
    """Columns of a table of labels, see `parquet_table.Columns`."""

    def __init__(self, saved: Bundle, engine: str):
        text, yes = pyarrow.string(), pyarrow.bool_()
        shares = pyarrow.struct([(label, pyarrow.float32()) for label in saved.classes])
        self.schema = pyarrow.schema({
            "label": text, "confident": yes, "in_distribution": yes, "probabilities": shares, "model": text,
            "engine": text, "sure": yes, "familiar": yes,
        })  # fmt: skip
        self.made_by = ("model", saved.id)
        self._sent = SerializedModel.of(saved, engine)
        self.read = functools.partial(read_photo, preprocessing=saved.preprocessing)

    def opened(self) -> "_Labels":
        self._classifier = self._sent.loaded()
        return self

    def rows(self, photos: list[DecodedPhoto]) -> list[dict]:
        return [self._row(answer) for answer in self._classifier.answer(np.stack([photo.pixels for photo in photos]))]

    def _row(self, answer: Answer) -> dict:
        classes = self._classifier.bundle.classes
        return {
            "label": classes[int(answer.probabilities.argmax())],
            "confident": answer.confident,
            "in_distribution": answer.in_distribution,
            "sure": answer.confident,
            "familiar": answer.in_distribution,
            "probabilities": dict(zip(classes, answer.probabilities.tolist())),
            "engine": self._classifier.engine.name,
        }

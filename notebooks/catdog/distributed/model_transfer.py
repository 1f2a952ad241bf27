"""Models as bytes, for machines that cannot see the models' folder."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..models import bundle
from ..models.bundle import Bundle
from ..models.card import CARD
from ..models.classifier import Classifier, load_classifier


@dataclass(frozen=True)
class SerializedModel:
    """A model's files by name, and the engine to serve it, as for `load_classifier`."""

    files: dict[str, bytes]
    engine: str

    @classmethod
    def of(cls, saved: Bundle, engine: str) -> "SerializedModel":
        paths = (saved.folder / name for name in (CARD, *saved.card.files))
        return cls({path.name: path.read_bytes() for path in paths if path.is_file()}, engine)

    def loaded(self) -> Classifier:
        """Load the classifier. Raises what `bundle.read` and `load_classifier` raise."""
        with tempfile.TemporaryDirectory() as folder:
            for name, data in self.files.items():
                (Path(folder) / name).write_bytes(data)
            return load_classifier(bundle.read(Path(folder)), self.engine, say=lambda line: None)

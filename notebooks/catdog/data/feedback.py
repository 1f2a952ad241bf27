"""Testers' corrections: a limited number, each with the preprocessed photo. The original files are not kept."""

import hashlib
import json
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from .. import files, paths
from ..names import require_model_name
from .images import as_png

MOST = 500  # photos, of up to 150 kB each at 224 pixels a side


class FeedbackFull(Exception):
    """The limit on corrections is reached."""


@dataclass(frozen=True)
class Correction:
    """A tester's correction of one answer.

    Attributes:
        path: the preprocessed photo, a PNG file.
        digest: sha256 of the file, hex.
        label: the true class; None if it is none of the classes.
        said: the model's answer: "model", "label" and "probabilities".
    """

    path: Path
    digest: str
    label: str | None
    said: dict


def digest_of(photo: np.ndarray) -> str:
    """Return the digest that the correction of a photo, uint8 (pixels, pixels, 3), has once it is stored."""
    return _digest(as_png(photo))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Feedback:
    """The corrections for the models called `name`, in data/feedback/<name>/.

    Raises UserError if the folder is not writable, or the name is not a model's.
    """

    def __init__(self, name: str, most: int = MOST):
        require_model_name(name)
        self.folder = paths.notes_dir("feedback", name)
        self._most, self._lock = most, threading.Lock()

    def add(self, photo, label: str | None, said: dict) -> bool:
        """Store a photo, uint8 (pixels, pixels, 3), with its true class and what the model `said`. A second correction
        of the same photo replaces the first.

        Returns whether the photo is new. Raises FeedbackFull, and OSError if it cannot be written; nothing is stored
        then.
        """
        data = as_png(photo)
        path = self.folder / f"{_digest(data)}.png"
        record = {"label": label, "said": said, "when": datetime.now(UTC).isoformat(timespec="microseconds")}
        with self._lock:
            self.folder.mkdir(parents=True, exist_ok=True)  # someone may have deleted it
            is_new = not path.exists()
            if is_new and len(list(self.folder.glob("*.png"))) >= self._most:
                raise FeedbackFull
            with files.written_whole(path) as file:
                file.write(data)
            try:
                with files.written_whole(path.with_suffix(".json")) as file:
                    file.write(json.dumps(record, ensure_ascii=False).encode())
            except OSError:
                if is_new:  # a photo without a record would count towards the limit for ever
                    path.unlink(missing_ok=True)
                raise
            return is_new

    def all(self) -> list[Correction]:
        """Return the complete corrections, oldest first."""
        found = [(path, _read(path)) for path in self.folder.glob("*.json") if path.with_suffix(".png").is_file()]
        ordered = sorted(((path, record) for path, record in found if record), key=lambda pair: pair[1].get("when", ""))
        return [
            Correction(path.with_suffix(".png"), path.stem, record["label"], record["said"]) for path, record in ordered
        ]

    def remove(self, correction: Correction) -> None:
        """Delete the photo and its record. Missing files are ignored."""
        for path in (correction.path, correction.path.with_suffix(".json")):
            path.unlink(missing_ok=True)


def _read(path: Path) -> dict | None:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return record if isinstance(record["said"], dict) and isinstance(record["label"], str | None) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None

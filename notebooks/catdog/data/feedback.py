"""Corrections that testers sent: a bounded number, each as the network saw the photo, and nothing as it was sent."""

import hashlib
import json
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .. import files, paths
from ..names import require_model_name
from .images import as_png

MOST = 500  # photos, of up to 150 kB each at 224 pixels a side


class FeedbackFull(Exception):
    """There is no room for more corrections."""


@dataclass(frozen=True)
class Correction:
    """What a tester said of a photo.

    Attributes:
        path: the photo, as a PNG file, as the network saw it.
        digest: sha256 of the file, hex.
        label: the class that it really is; None where it is none of them.
        said: what the model had said: "model", "label" and "probabilities".
    """

    path: Path
    digest: str
    label: str | None
    said: dict


class Feedback:
    """The corrections of the photos that go with the models called `name`, in data/feedback/<name>/.

    Raises UserError where the folder cannot be used, or the name is not a model's.
    """

    def __init__(self, name: str, most: int = MOST):
        require_model_name(name)
        self.folder = paths.notes_dir("feedback", name)
        self._most, self._lock = most, threading.Lock()

    def add(self, photo, label: str | None, said: dict) -> bool:
        """Keep a photo, uint8 (pixels, pixels, 3), with what it really is and what the model `said`. The same once
        more replaces what was said of it.

        Returns whether it is a new one. Raises FeedbackFull; OSError where it cannot be written, and keeps nothing.
        """
        data = as_png(photo)
        path = self.folder / f"{hashlib.sha256(data).hexdigest()}.png"
        record = {"label": label, "said": said, "when": datetime.now(UTC).isoformat(timespec="microseconds")}
        with self._lock:
            self.folder.mkdir(parents=True, exist_ok=True)  # somebody may have tidied up
            is_new = not path.exists()
            if is_new and len(list(self.folder.glob("*.png"))) >= self._most:
                raise FeedbackFull
            with files.written_whole(path) as file:
                file.write(data)
            try:
                with files.written_whole(path.with_suffix(".json")) as file:
                    file.write(json.dumps(record, ensure_ascii=False).encode())
            except OSError:
                if is_new:  # a photo of which nothing is said would take a place for ever
                    path.unlink(missing_ok=True)
                raise
            return is_new

    def all(self) -> list[Correction]:
        """Those that are whole, the oldest first."""
        found = [(path, _read(path)) for path in self.folder.glob("*.json") if path.with_suffix(".png").is_file()]
        ordered = sorted(((path, record) for path, record in found if record), key=lambda pair: pair[1].get("when", ""))
        return [
            Correction(path.with_suffix(".png"), path.stem, record["label"], record["said"]) for path, record in ordered
        ]

    def remove(self, correction: Correction) -> None:
        """The photo and what was said of it. What is gone already is no trouble."""
        for path in (correction.path, correction.path.with_suffix(".json")):
            path.unlink(missing_ok=True)


def _read(path: Path) -> dict | None:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return record if isinstance(record["said"], dict) and isinstance(record["label"], str | None) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None

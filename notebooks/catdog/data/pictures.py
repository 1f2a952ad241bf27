"""Find files that show the same image, by a digest of the preprocessed pixels."""

import hashlib
import json
from collections.abc import Mapping

import numpy as np

from .. import files, paths
from .preprocessing import SQUEEZE, Preprocessing

_LETTERS = 32
BY = Preprocessing(fit=SQUEEZE)  # whatever models use: decisions and splits are keyed by it


def picture_of(photo: np.ndarray) -> str:
    """Return a digest of the pixels of a photo that was prepared by `BY`, uint8 (224, 224, 3)."""
    return hashlib.sha256(photo.tobytes()).hexdigest()[:_LETTERS]


class Pictures:
    """A cache: file digest → image digest, so that no file is decoded again to find it."""

    def __init__(self):
        self._path = paths.cache_file("pictures", BY.version, ".json")
        try:
            self._known = dict(json.loads(self._path.read_text()))
        except (OSError, ValueError, TypeError):
            self._known = {}

    def of(self, digest: str) -> str | None:
        """Return the image digest of the file with this digest; None if it was not read before."""
        return self._known.get(digest)

    def keep(self, found: Mapping[str, str]) -> None:
        """Add file digest → image digest."""
        if found.items() <= self._known.items():
            return
        self._known |= found
        files.write_if_possible(self._path, lambda file: file.write(json.dumps(self._known).encode()))

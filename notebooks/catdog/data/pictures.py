"""Which files show the same picture: what the network sees of each is remembered by a digest."""

import hashlib
import json
from collections.abc import Mapping

import numpy as np

from .. import files, paths
from .preprocessing import SQUEEZE, Preprocessing

_LETTERS = 32
BY = Preprocessing(fit=SQUEEZE)  # whatever models see: decisions and splits are remembered by it


def picture_of(photo: np.ndarray) -> str:
    """What tells a photo that was prepared by `BY`, uint8 (224, 224, 3), from others."""
    return hashlib.sha256(photo.tobytes()).hexdigest()[:_LETTERS]


class Pictures:
    """The picture of each file that was read before, by the file's digest, so that none is decoded for it again."""

    def __init__(self):
        self._path = paths.cache_file("pictures", BY.version, ".json")
        try:
            self._known = dict(json.loads(self._path.read_text()))
        except (OSError, ValueError, TypeError):
            self._known = {}

    def of(self, digest: str) -> str | None:
        """The picture of the file with this digest; None for one that was not read before."""
        return self._known.get(digest)

    def keep(self, found: Mapping[str, str]) -> None:
        """Remember the pictures of these files, by their digests."""
        if found.items() <= self._known.items():
            return
        self._known |= found
        files.write_if_possible(self._path, lambda file: file.write(json.dumps(self._known).encode()))

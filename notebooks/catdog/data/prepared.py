"""A cache of preprocessed photos for one run: checking, feature extraction and the data doctor all need them."""

import shutil
import tempfile
import threading
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .. import paths
from .images import read_photo
from .preprocessing import Preprocessing

_MOST_BYTES = 4 << 30  # some 28,000 photos of 224 pixels
_SHARE_OF_DISK = 0.1  # of the free space


class PreparedPhotos:
    """Preprocessed photos by digest and preprocessing, in a temporary file that ends with the process. Thread-safe.
    When the file is full, further photos are not kept, and are prepared again when they are needed."""

    def __init__(self, most_bytes: int = _MOST_BYTES):
        self._places: dict[tuple[str, str], tuple[int, int]] = {}
        self._file: BinaryIO | None = None
        self._lock, self._room = threading.Lock(), most_bytes

    def find(self, digest: str, preprocessing: Preprocessing) -> np.ndarray | None:
        """Return the photo, uint8 (pixels, pixels, 3), or None if it is not kept."""
        with self._lock:
            place = self._places.get((digest, preprocessing.version))
            if place is None or self._file is None:
                return None
            data = self._read(*place)
        if data is None:
            return None
        return np.frombuffer(data, np.uint8).reshape(preprocessing.pixels, preprocessing.pixels, 3)

    def keep(self, digest: str, preprocessing: Preprocessing, photo: np.ndarray) -> None:
        """Keep a photo from `read_photo`, by the digest of its file."""
        key = digest, preprocessing.version
        with self._lock:
            if key in self._places or photo.nbytes > self._room:
                return
            try:
                self._file = self._file or self._opened()
                start = self._file.seek(0, 2)
                if self._file.write(photo.tobytes()) < photo.nbytes:
                    raise OSError("the disk is full")
            except OSError:  # photos that are already kept stay usable
                self._room = 0
                return
            self._places[key] = start, photo.nbytes
            self._room -= photo.nbytes

    def _read(self, start: int, size: int) -> bytes | None:
        assert self._file
        try:
            self._file.seek(start)
            data = self._file.read(size)
        except OSError:
            return None
        return data if data and len(data) == size else None

    def _opened(self) -> BinaryIO:
        folder = paths.cache_dir()
        self._room = min(self._room, int(_SHARE_OF_DISK * shutil.disk_usage(folder).free))
        return tempfile.TemporaryFile(buffering=0, dir=folder)


PREPARED = PreparedPhotos()


def prepared(path: Path, digest: str, preprocessing: Preprocessing) -> np.ndarray:
    """Return the photo in the file `path`, whose sha256 is `digest`, as `read_photo` does: uint8 (pixels, pixels, 3).

    Raises PhotoRefused.
    """
    found = PREPARED.find(digest, preprocessing)
    if found is None:
        found = read_photo(path, preprocessing=preprocessing)
        PREPARED.keep(digest, preprocessing, found)
    return found

"""Files of a saved model: plain arrays, never anything that a file could have executed, known by their digests."""

import hashlib
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .errors import SuiteError

_MOST_BYTES = 256 << 20  # of the arrays in one file


class BundleRefused(SuiteError):
    """A model's folder that is incomplete, damaged or not ours. The message says which and why."""


def read_arrays(path: Path, wanted_digest: str, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays `names` of a file, or all of them. Raises BundleRefused where it is not the file that was saved."""
    try:
        if digest(path) != wanted_digest:
            raise BundleRefused(f"{path} is not the file that was saved: choose another version, or train again.")
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            if sum(part.file_size for part in arrays.zip.infolist()) > _MOST_BYTES:
                raise ValueError("a few kilobytes that unpack to very many")
            return {name: arrays[name] for name in names or arrays.files}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        raise BundleRefused(f"{path} is missing or damaged: choose another version, or train again.") from None


def digest(path: Path) -> str:
    """sha256 of a file, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()

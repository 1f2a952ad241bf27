"""Files of arrays, from a saved model or a cache. Reading one never executes anything in it."""

import hashlib
import json
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..errors import UserError

INSTEAD = "choose another version, or train again."
_MOST_BYTES = 256 << 20  # of the arrays in one file


class BundleRefused(UserError):
    """Error for a model folder that is incomplete, damaged or not ours. The message names the folder and the reason."""


@contextmanager
def refused_if_damaged(what: str) -> Iterator[None]:
    """Raise BundleRefused with the sentence `what` for any error while reading a model's files.

    The files may come from someone else, and NumPy, zipfile and json raise a dozen unrelated errors for foreign files.
    """
    try:
        yield
    except BundleRefused:
        raise
    except Exception:
        raise BundleRefused("model-damaged", f"{what}: {INSTEAD}") from None


def read_arrays(path: Path, wanted_digest: str, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """Return the arrays `names` of a file, or all of them. Raises BundleRefused if it is not the saved file."""
    with refused_if_damaged(f"{path} is missing or damaged"):
        require_plain_file(path, _MOST_BYTES)
        if digest(path) != wanted_digest:
            raise BundleRefused("model-damaged", f"{path} is not the file that was saved: {INSTEAD}")
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            if sum(part.file_size for part in arrays.zip.infolist()) > _MOST_BYTES:
                raise ValueError("the arrays unpack to too many bytes")
            return {name: arrays[name] for name in names or arrays.files}


def load_cached_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file that can be computed again; empty if it is missing or damaged."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception:  # see `refused_if_damaged`
        return {}


def require_plain_file(path: Path, most: int) -> None:
    """Raise ValueError for anything but a file of at most `most` bytes, since reading a pipe could wait for ever. Raise
    OSError if there is no file."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > most:
        raise ValueError(f"{path} is not a file of a sensible size")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sealed(card: dict) -> dict:
    """Return `card` with a digest of its other entries, which reveals damage."""
    content = {key: value for key, value in card.items() if key != "digest"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return {**content, "digest": hashlib.sha256(text.encode()).hexdigest()}

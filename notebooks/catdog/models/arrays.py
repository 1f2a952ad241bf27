"""Files of arrays, of a saved model or kept by an earlier run: never anything that a file could have executed."""

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
    """A model's folder that is incomplete, damaged or not ours. The message says which and why."""


@contextmanager
def refused_if_damaged(what: str) -> Iterator[None]:
    """Raise BundleRefused with the sentence `what` for anything that reading a model's files raises.

    Somebody else may have written them, and NumPy, zipfile and json raise a dozen unrelated errors for foreign files.
    """
    try:
        yield
    except BundleRefused:
        raise
    except Exception:
        raise BundleRefused("model-damaged", f"{what}: {INSTEAD}") from None


def read_arrays(path: Path, wanted_digest: str, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays `names` of a file, or all of them. Raises BundleRefused where it is not the file that was saved."""
    with refused_if_damaged(f"{path} is missing or damaged"):
        require_plain_file(path, _MOST_BYTES)
        if digest(path) != wanted_digest:
            raise BundleRefused("model-damaged", f"{path} is not the file that was saved: {INSTEAD}")
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            if sum(part.file_size for part in arrays.zip.infolist()) > _MOST_BYTES:
                raise ValueError("a few kilobytes that unpack to very many")
            return {name: arrays[name] for name in names or arrays.files}


def load_cached_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file that can be made again; none where it is missing or damaged."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception:  # see `refused_if_damaged`
        return {}


def require_plain_file(path: Path, most: int) -> None:
    """Raises ValueError for what is not a file of at most so many bytes: a pipe would be waited for, for ever; OSError
    where nothing is there."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > most:
        raise ValueError(f"{path} is not a file of a sensible size")


def digest(path: Path) -> str:
    """sha256 of a file, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sealed(card: dict) -> dict:
    """`card` with the digest of everything else in it, by which a damaged one is known."""
    content = {key: value for key, value in card.items() if key != "digest"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return {**content, "digest": hashlib.sha256(text.encode()).hexdigest()}

"""Inspect one file: can it be used, what does it show, and what should a user know about it?"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .images import PhotoRefused, photo_header, read_photo, read_squares
from .pictures import BY, Pictures, picture_of
from .prepared import PREPARED
from .preprocessing import PREPROCESSING, Preprocessing
from .salvage import missing

MIN_SIDE = 32
_LONG = 2  # aspect ratio above which more than half of the photo is outside the middle square
_FORMATS_BY_ENDING = {
    **{key: {"JPEG", "MPO"} for key in (".jpg", ".jpeg", ".jpe", ".jfif")},
    **{key: {"HEIF"} for key in (".heic", ".heif", ".hif")},
    **{f".{name.lower()}": {name} for name in ("PNG", "WEBP", "GIF", "BMP", "AVIF")},
}


@dataclass(frozen=True)
class Look:
    """The result for one file: its digest, sha256 hex, and its image, see `pictures.picture_of`; or the code and reason
    for skipping it. `note` is the most important thing that a user should know besides."""

    digest: str = ""
    picture: str = ""
    code: str = ""
    reason: str = ""
    note: str = ""


def read_training_photo(data: bytes, preprocessing: Preprocessing = PREPROCESSING) -> np.ndarray:
    """Read a photo as `images.read_photo` does; also raise PhotoRefused if a side has fewer than `MIN_SIDE` pixels."""
    return read_photo(data, MIN_SIDE, preprocessing=preprocessing)


def inspect(path: Path, known: Collection[str], seen: Pictures, needed: Collection[Preprocessing] = ()) -> Look:
    """Inspect one file. A file whose digest is `known` and whose image was `seen` is not decoded; for any other, the
    prepared photos that are `needed` later are kept."""
    try:
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        picture = (seen.of(digest) if digest in known else None) or _decoded(data, digest, needed)
        return Look(digest, picture, note=_note(data, path.suffix.lower()))
    except PhotoRefused as refusal:
        return Look(code=refusal.code, reason=str(refusal))
    except OSError as error:
        return Look(code="photo-unreadable", reason=f"The file cannot be read ({error.strerror}).")


def _decoded(data: bytes, digest: str, needed: Collection[Preprocessing]) -> str:
    by, *squares = read_squares(data, kinds := [BY, *(one for one in needed if one.pixels == BY.pixels)], MIN_SIDE)
    for kind, square in zip(kinds[1:], squares):
        PREPARED.keep(digest, kind, square)
    return picture_of(by)


def _note(data: bytes, ending: str) -> str:
    """Return the most important note: lost content comes before a wrong ending, which does no harm."""
    if missing(data):
        return "incomplete, some of the last rows are missing"
    content, size = photo_header(data)
    if max(size) > _LONG * min(size):
        return "more than twice as long as wide: with FIT crop, the ends are cut off"
    return _on_ending(content, ending)


def _on_ending(content: str, ending: str) -> str:
    said = _FORMATS_BY_ENDING.get(ending, ())
    return f"content is {content}, name says {ending}" if said and content not in said else ""

"""One file of a folder of photos: can it be used, what does it show, and what should a person know of it?"""

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
_LONG = 2  # times as long as wide: more than half of it lies outside the middle square
_FORMATS_BY_ENDING = {
    **{key: {"JPEG", "MPO"} for key in (".jpg", ".jpeg", ".jpe", ".jfif")},
    **{key: {"HEIF"} for key in (".heic", ".heif", ".hif")},
    **{f".{name.lower()}": {name} for name in ("PNG", "WEBP", "GIF", "BMP", "AVIF")},
}


@dataclass(frozen=True)
class Look:
    """What a file is: its digest, sha256 hex, and what it shows, see `pictures.picture_of`; or why it is left out, as
    code and reason. `note` is what else a person should know, the most important of it."""

    digest: str = ""
    picture: str = ""
    code: str = ""
    reason: str = ""
    note: str = ""


def read_training_photo(data: bytes, preprocessing: Preprocessing = PREPROCESSING) -> np.ndarray:
    """As `images.read_photo`, and PhotoRefused too where the shorter side has fewer than `MIN_SIDE` pixels."""
    return read_photo(data, MIN_SIDE, preprocessing=preprocessing)


def inspect(path: Path, known: Collection[str], seen: Pictures, needed: Collection[Preprocessing] = ()) -> Look:
    """Read one file. One whose digest is `known`, and whose picture was `seen`, is not decoded; of any other, the
    squares that are `needed` later are kept."""
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
    """What is lost comes first: a wrong ending costs nothing."""
    if missing(data):
        return "cut off, some of the last rows are missing"
    content, size = photo_header(data)
    if max(size) > _LONG * min(size):
        return "over twice as long as wide: with FIT crop, the ends are not looked at"
    return _on_ending(content, ending)


def _on_ending(content: str, ending: str) -> str:
    said = _FORMATS_BY_ENDING.get(ending, ())
    return f"content is {content}, name says {ending}" if said and content not in said else ""

"""Corrections that testers saved from a site: zips with a photo and a record of each, as `Feedback` stores them."""

import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..names import printable
from .images import PhotoRefused, read_shrunk

_MOST_SIDE = 1024  # pixels that a model may look at, see `Preprocessing`
_MOST_BYTES = 8 << 20  # of one file, unpacked
_DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError, ValueError, KeyError)
_WANTED = "Set CORRECTIONS_FROM to the zip that a tester sent you, or to a folder with such zips; or leave it empty."


@dataclass(frozen=True)
class SavedCorrection:
    """A correction from a zip: the photo, uint8 (pixels, pixels, 3), its true class or None, and the model's answer."""

    photo: np.ndarray
    label: str | None
    said: dict


def corrections_zips(path: str) -> list[Path]:
    """Return the zip at `path`, or those in the folder there. Raises UserError if there are none."""
    place = Path(path.strip()).expanduser()
    found = sorted(place.glob("*.zip")) if place.is_dir() else [place]
    if not found or not all(zipfile.is_zipfile(one) for one in found):
        wrong = next((one for one in found if not zipfile.is_zipfile(one)), place)
        raise UserError("setting-corrections", f"{printable(str(wrong))} is not a zip of corrections. {_WANTED}")
    return found


def corrections_in(archive: Path) -> Iterator[SavedCorrection | str]:
    """Yield each correction in a zip; for one that is damaged, the reason to skip it. Hostile files cannot raise."""
    with zipfile.ZipFile(archive) as zipped:
        for name in sorted(name for name in zipped.namelist() if name.endswith(".json")):
            try:
                yield _correction(zipped, name)
            except (PhotoRefused, *_DAMAGE) as error:
                yield f"{printable(name)} in {printable(archive.name)} was skipped: {error}"


def _correction(zipped: zipfile.ZipFile, name: str) -> SavedCorrection:
    record = json.loads(_read(zipped, name))
    if not isinstance(record, dict) or not isinstance(record.get("said"), dict):
        raise ValueError("it is not the record of a correction.")
    label = record.get("label")
    if not isinstance(label, str | None):
        raise ValueError("its class is not a text.")
    photo = read_shrunk(_read(zipped, f"{name[: -len('.json')]}.png"), _MOST_SIDE, _MOST_SIDE**2)
    if photo.shape[0] != photo.shape[1]:
        raise ValueError("its photo is not as the network sees it.")
    return SavedCorrection(photo, label, record["said"])


def _read(zipped: zipfile.ZipFile, name: str) -> bytes:
    with zipped.open(name) as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError("it is too large.")
    return data

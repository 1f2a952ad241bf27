"""Corrections that testers saved from a site: zips with a photo and a record of each, as `Feedback` stores them."""

import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError, first_line
from ..names import class_name, printable
from .folders import FILES_OF_PROGRAMS
from .images import read_shrunk

_MOST_SIDE = 1024  # pixels that a model may look at, see `Preprocessing`
_MOST_BYTES = 8 << 20  # of one file, unpacked
_MOST_RECORDS = 2000  # in one zip: a site keeps 500
_MOST_LETTERS = 1000  # of a class, or a model's name
_KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may take any amount of memory
# What zipfile, json and our own checks raise; PhotoRefused is a UserError.
_DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError, LookupError, UserError)
_WANTED = "Set CORRECTIONS_FROM to the zip that a tester sent you, or to a folder with such zips; or leave it empty."


@dataclass(frozen=True)
class SavedCorrection:
    """A correction from a zip: the photo, uint8 (pixels, pixels, 3), its true class or None, and what the model said:
    "model", "label" and "probabilities"."""

    photo: np.ndarray
    label: str | None
    said: dict[str, Any]


def corrections_zips(path: str) -> list[Path]:
    """Return the zip at `path`, or those in the folder there. Raises UserError if there are none."""
    try:
        place = Path(path.strip()).expanduser()
        found = sorted(one for one in place.iterdir() if _may_be_a_zip(one)) if place.is_dir() else [place]
        wrong = [one for one in found or [place] if not zipfile.is_zipfile(one)]
    except (OSError, RuntimeError, ValueError) as error:  # "~" of an unknown user; a path with a zero byte
        raise UserError("setting-corrections", f"{printable(path)} cannot be read. {_WANTED}") from error
    if wrong:
        raise UserError("setting-corrections", f"{printable(wrong[0])} is not a zip of corrections. {_WANTED}")
    return found


def _may_be_a_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip" and not FILES_OF_PROGRAMS.fullmatch(path.name)


def corrections_in(archive: Path) -> Iterator[SavedCorrection | str]:
    """Yield each correction in a zip; for one that is damaged, the reason to skip it. Hostile files cannot raise."""
    called = printable(archive.name)
    try:
        with zipfile.ZipFile(archive) as zipped:
            names = sorted({name for name in zipped.namelist() if _is_a_record(name)})
            for name in names[:_MOST_RECORDS]:
                try:
                    yield _correction(zipped, name)
                except _DAMAGE as error:
                    yield f"{_short(name)} in {called} was skipped: {first_line(error)}"
    except _DAMAGE as error:
        yield f"{called} was skipped: {first_line(error)}"
        return
    if len(names) > _MOST_RECORDS:
        yield f"{called} holds more than {_MOST_RECORDS:,} corrections: the rest was skipped."


def _is_a_record(name: str) -> bool:
    """Tell whether this is a record, also where somebody has packed the folder anew."""
    return name.endswith(".json") and not name.startswith("__MACOSX/")


def _correction(zipped: zipfile.ZipFile, name: str) -> SavedCorrection:
    record = json.loads(_read(zipped, name))
    said = record.get("said") if isinstance(record, dict) else None
    if not isinstance(said, dict) or "label" not in record:
        raise ValueError("it is not the record of a correction.")
    label = None if record["label"] is None else _text(record["label"])
    photo = read_shrunk(_read(zipped, f"{name[: -len('.json')]}.png"), _MOST_SIDE, _MOST_SIDE**2)
    if photo.shape[0] != photo.shape[1]:
        raise ValueError("its photo is not as the network sees it.")
    return SavedCorrection(photo, label, _said(said))


def _said(said: dict[str, Any]) -> dict[str, Any]:
    """Return the model's answer, and nothing else that may be in the zip."""
    shares = said.get("probabilities", {})
    if not isinstance(shares, dict) or not all(isinstance(share, int | float) for share in shares.values()):
        raise ValueError("its probabilities are not numbers.")
    named = {class_name(name): share for name, share in shares.items()}
    return {**{key: _text(said.get(key)) for key in ("model", "label")}, "probabilities": named}


def _text(found: object) -> str:
    text = class_name(found[:_MOST_LETTERS]) if isinstance(found, str) else ""
    if not text:
        raise ValueError("a class or the model's name is not a text.")
    return text


def _short(name: str) -> str:
    return printable(name)[-_MOST_LETTERS:]


def _read(zipped: zipfile.ZipFile, name: str) -> bytes:
    if zipped.getinfo(name).compress_type not in _KINDS:
        raise ValueError("it is packed in an unusual way.")
    with zipped.open(name) as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError("it is too large.")
    return data

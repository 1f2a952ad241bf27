"""A new version of a model, written whole or not at all, even if the process is killed or the disk is full."""

import dataclasses
import json
import os
import shutil
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from .. import paths
from ..backbones.architectures import Weights
from ..engines.int8 import Int8Params
from ..errors import UserError
from ..names import require_model_name
from .arrays import digest, sealed
from .bundle import Bundle, is_version, read
from .card import CARD, CLASS_MEANS, FILES, FINE_TUNED, GOLDEN, HEAD, INT8, PRUNED, Card
from .head import Head
from .housekeeping import remove_rests
from .ood import OODDetector
from .pruned import PrunedModel

_VERSION = "%Y-%m-%d-%H%M%S"
_PART = ".writing-"  # hidden, so nobody takes it for a version
_ABANDONED_SECONDS = 24 * 3600


def publish(
    name: str,
    card: Card,
    head: Head,
    golden_photos: np.ndarray,
    golden_probabilities: np.ndarray,
    int8: Int8Params | None = None,
    ood_detector: OODDetector | None = None,
    fine_tuned: Weights | None = None,
    pruned: PrunedModel | None = None,
) -> Bundle:
    """Save a model as the newest version of `name` under `paths.models_dir()`.

    Writes everything to a hidden folder beside the versions, the card last, flushes it to disk, reads it back, and only
    then renames the folder. A failure at any point leaves the existing versions unchanged.

    Args:
        name: lower-case letters of any script, digits and hyphens.
        card: the model's metadata; name, version, time and files are added here.
        fine_tuned: arrays of the backbone that differ from ImageNet's, if any.
        pruned: the pruned model, if any; its metadata are in the card.

    Raises:
        UserError: the name cannot be a folder's name, or the files cannot be written.
    """
    require_model_name(name)
    home = paths.models_dir() / name
    try:
        home.mkdir(parents=True, exist_ok=True)
        _clear_away_abandoned(home)
        remove_rests()
        part = Path(tempfile.mkdtemp(prefix=_PART, dir=home))
        try:
            np.savez_compressed(part / HEAD, kernel=head.kernel, bias=head.bias)
            np.savez_compressed(part / GOLDEN, photos=golden_photos, probabilities=golden_probabilities)
            if ood_detector:
                np.savez_compressed(part / CLASS_MEANS, **ood_detector.arrays)
            if fine_tuned:
                np.savez_compressed(part / FINE_TUNED, **fine_tuned)
            if int8:
                np.savez_compressed(part / INT8, **int8.arrays)
            if pruned:
                np.savez_compressed(part / PRUNED, **pruned.arrays)
            return _published(part, name, card)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise UserError(
            "model-not-saved",
            f"The model was not saved: {error.strerror or error} ({home}). Earlier versions are unchanged; free some "
            "disk space, and run this cell again.",
        ) from error


def _published(part: Path, name: str, card: Card) -> Bundle:
    now = datetime.now(UTC)
    version = _new_version(part.parent, max(now, _after_all(part.parent)))
    files = {file: digest(part / file) for file in FILES if (part / file).exists()}
    created = now.isoformat(timespec="seconds")
    full = dataclasses.replace(card, name=name, version=version, created=created, files=files)
    (part / CARD).write_text(json.dumps(sealed(full.as_json()), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for path in (*part.iterdir(), part):
        _to_the_disk(path)
    read(part)
    part.chmod(0o755)
    part.rename(part.parent / version)
    _to_the_disk(part.parent)
    return read(part.parent / version)


def _new_version(home: Path, now: datetime) -> str:
    """Return the time in UTC as the version's name, so that names from any machine sort by age."""
    version, count = now.strftime(_VERSION), 1
    while (home / (name := version if count == 1 else f"{version}-{count}")).exists():
        count += 1
    return name


def _after_all(home: Path) -> datetime:
    """Return a second after the newest version. Without it, a version saved while a clock ran ahead would stay the
    newest."""
    times = [datetime.min.replace(tzinfo=UTC)]
    for card in home.glob(f"[!.]*/{CARD}"):
        with suppress(ValueError, OverflowError):
            if is_version(card.parent):
                saved = datetime.strptime(card.parent.name[:17], _VERSION).replace(tzinfo=UTC)
                times.append(saved + timedelta(seconds=1))
    return max(times)


def _to_the_disk(path: Path) -> None:
    """Flush a file or folder to disk, or a rename may survive a power cut but not the content (man 2 fsync). Skips
    folders on Windows, where that is not possible."""
    if path.is_dir() and os.name == "nt":
        return
    file = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # Windows flushes only files opened for writing
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _clear_away_abandoned(home: Path) -> None:
    """Remove folders left by processes that were killed while saving. Newer ones may belong to a save in progress."""
    for part in home.glob(f"{_PART}*"):
        if time.time() - part.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(part, ignore_errors=True)

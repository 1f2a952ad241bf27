"""Unpack archives of photos into folders of their own, whole or not at all. Users' files are never removed."""

import glob
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from .. import paths
from .archives import identity, unpack, unpack_inner, write_beside

_MANIFEST, _PART = ".unpacked.json", ".part-"
_ABANDONED_SECONDS = 86_400


def unpacked(archives: Sequence[Path], name: str) -> Path:
    """Unpack `archives`, the parts of one set, and return their folder below data/unpacked/.

    Each version of the content has its own folder. Files that a user added or changed in an earlier version's folder
    are copied to the new one, with a message.

    Raises UserError if an archive cannot be unpacked; nothing is left behind then.
    """
    home = paths.unpacked_dir()
    folder = home / f"{name[:80]}-{identity(archives)}"
    if (folder / _MANIFEST).is_file():
        return folder
    _remove_abandoned(home)
    try:
        part = Path(tempfile.mkdtemp(prefix=_PART, dir=home))
    except OSError as error:
        raise paths.not_writable(home, "DATA_DIR", error) from error
    try:
        notes = [note for archive in archives for note in unpack(archive, part)]
        notes += unpack_inner(part)
        made_from = [str(path.resolve()) for path in archives]
        _write_manifest(part, made_from)
        notes += _take_along(home, name, made_from, part)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)  # created above, and gone if it was renamed
    print(*notes, sep="\n", end="\n" if notes else "")
    return folder


def _remove_abandoned(home: Path) -> None:
    """Remove the temporary folders of runs that were killed."""
    for part in home.glob(f"{_PART}*"):
        if time.time() - part.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(part, ignore_errors=True)


def _write_manifest(folder: Path, made_from: list[str]) -> None:
    files = {path.relative_to(folder).as_posix(): _state(path) for path in folder.rglob("*") if path.is_file()}
    (folder / _MANIFEST).write_bytes(os.fsencode(json.dumps({"from": made_from, "files": files}, ensure_ascii=False)))


def _state(path: Path) -> list[int]:
    state = path.stat()
    return [state.st_size, state.st_mtime_ns]


def _take_along(home: Path, name: str, made_from: list[str], part: Path) -> list[str]:
    """Repeat in `part` what a user did in earlier folders of these archives: copy files that were added or changed,
    leave out files that were removed from the last one. Returns messages."""
    notes = []
    found = ((older, _manifest(older)) for older in home.glob(f"{glob.escape(name[:80])}-????????"))
    earlier = [(older, manifest) for older, manifest in found if manifest.get("from") == made_from]
    earlier.sort(key=lambda pair: (pair[0] / _MANIFEST).stat().st_mtime)
    for older, manifest in earlier:
        yours = [path for path in sorted(older.rglob("*")) if _is_yours(path, older, manifest["files"])]
        for path in yours:
            with path.open("rb") as content:
                write_beside(content, part / path.relative_to(older))
        if yours:
            number = f"{len(yours):,} file{'s' * (len(yours) > 1)}"
            notes.append(f"Copied to the new folder: {number} that you added or changed in {older}.")
    return notes + (_leave_out_removed(*earlier[-1], part) if earlier else [])


def _leave_out_removed(older: Path, manifest: dict, part: Path) -> list[str]:
    gone = [(part / name, size) for name, (size, _) in manifest["files"].items() if not (older / name).exists()]
    removed = [path for path, size in gone if path.is_file() and path.stat().st_size == size]
    for path in removed:
        path.unlink()  # only the copy that was just unpacked
    number = f"{len(removed):,} file{'s' * (len(removed) > 1)}"
    return [f"Left out of the new folder: {number} that you removed from {older}."] if removed else []


def _is_yours(path: Path, folder: Path, files: dict) -> bool:
    return path.is_file() and path.name != _MANIFEST and files.get(path.relative_to(folder).as_posix()) != _state(path)


def _manifest(folder: Path) -> dict:
    try:
        found = json.loads(os.fsdecode((folder / _MANIFEST).read_bytes()))
        return found if isinstance(found.get("files"), dict) else {}
    except (OSError, ValueError, AttributeError):
        return {}

"""Archives of photos unpacked where nothing of a person's lies, whole or not at all; nothing is ever removed."""

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
    """The folder with what is in `archives`, the parts of one set, below data/unpacked/.

    Each content has a folder of its own. What a person added to or changed in the folder of an earlier content is
    copied to that of the new one, and it is said.

    Raises UserError where one cannot be unpacked; nothing is left behind then.
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
        shutil.rmtree(part, ignore_errors=True)  # of our own making, and empty where it was renamed
    print(*notes, sep="\n", end="\n" if notes else "")
    return folder


def _remove_abandoned(home: Path) -> None:
    """What an unpacking that was killed has left, of our own making."""
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
    """Do in `part` what a person did in earlier folders of these archives: copy what was added or changed, leave out
    what was removed from the last one."""
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
            notes.append(f"{number} that you added to {older} or changed there: copied to the new folder, too.")
    return notes + (_leave_out_removed(*earlier[-1], part) if earlier else [])


def _leave_out_removed(older: Path, manifest: dict, part: Path) -> list[str]:
    gone = [(part / name, size) for name, (size, _) in manifest["files"].items() if not (older / name).exists()]
    removed = [path for path, size in gone if path.is_file() and path.stat().st_size == size]
    for path in removed:
        path.unlink()  # a copy that was unpacked just now
    number = f"{len(removed):,} file{'s' * (len(removed) > 1)}"
    return [f"{number} that you removed from {older}: left out of the new folder, too."] if removed else []


def _is_yours(path: Path, folder: Path, files: dict) -> bool:
    return path.is_file() and path.name != _MANIFEST and files.get(path.relative_to(folder).as_posix()) != _state(path)


def _manifest(folder: Path) -> dict:
    try:
        found = json.loads(os.fsdecode((folder / _MANIFEST).read_bytes()))
        return found if isinstance(found.get("files"), dict) else {}
    except (OSError, ValueError, AttributeError):
        return {}

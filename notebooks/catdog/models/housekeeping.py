"""Keep, label, release or permanently delete a saved version."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .. import paths
from ..errors import UserError
from ..names import listed, printable
from . import bundle
from .bundle import is_version
from .card import CARD, FILES
from .card_before import FILES_BEFORE
from .export_metadata import EXPORTS, H5, KERAS, SITE
from .kept import KEPT, Kept, read_kept, require_label, write_kept

_REST = ".deleting-"  # hidden, so nobody takes it for a version
_OURS = {CARD, KEPT, *FILES, *FILES_BEFORE.values(), KERAS, H5, EXPORTS, SITE, f"{SITE}.zip"}


def keep_version(version: str, label: str = "") -> None:
    """Keep a version: it cannot be deleted until `release_version`.

    Args:
        version: "<name>/<version>" or "<name>/<label>".
        label: another name for it, as in "<name>/<label>", converted to lower-case letters and hyphens. Empty leaves
            its label as it is.

    Raises UserError if there is no such version, it ships with the suite, another version has the label, or the folder
    cannot be written to.
    """
    folder = find_version(version)
    _require_not_shipped(folder)
    _require_no_link(folder)
    before = read_kept(folder) or Kept()
    others = [other for other in bundle.versions(folder.parent.name) if other != folder]
    now = require_label(label, others) if label else before.label
    with _told(f"{_id(folder)} was not changed"):
        write_kept(folder, now)
    print(f"{_id(folder)} is kept: it cannot be deleted until you release it.")
    if now:
        instead = f" instead of {folder.parent.name}/{before.label}" if before.label not in ("", now) else ""
        print(f"MODEL also finds it as {folder.parent.name}/{now}{instead}.")
    if before.is_damaged:
        print("Its previous label could not be read, and is lost.")


def release_version(version: str) -> None:
    """Release a kept version: it loses its label, and can be deleted.

    Args:
        version: as for `keep_version`.

    Raises UserError if there is no such version, or its folder cannot be written to.
    """
    folder = find_version(version)
    _require_no_link(folder)
    kept = read_kept(folder)
    if kept is None:
        print(f"{_id(folder)} was not kept.")
        return
    with _told(f"{_id(folder)} is still kept"):
        (folder / KEPT).unlink()
    label = f", and no longer called {folder.parent.name}/{kept.label}" if kept.label else ""
    print(f"{_id(folder)} is no longer kept{label}. It can be deleted.")


def delete_version(version: str, served: Callable[[], Iterable[str]] = tuple) -> None:
    """Delete a version permanently, and print which one and its size.

    First renames its folder to a hidden name, in one step. So other processes see the version whole or not at all, even
    if this one is killed; the next save or listing removes the rest.

    Args:
        version: as for `keep_version`.
        served: returns the ids of the versions that serve now; called last.

    Raises UserError if there is no such version, it is kept, ships with the suite or serves now, its folder holds
    anything else, or it cannot be removed.
    """
    folder = find_version(version)
    _require_deletable(folder, served)
    size, rest = size_of(folder), folder.with_name(f"{_REST}{folder.name}")
    with _told(f"{_id(folder)} was not deleted"):
        if rest.exists():
            shutil.rmtree(rest)
        folder.rename(rest)
    shutil.rmtree(rest, ignore_errors=True)
    print(f"Deleted: {_id(folder)} ({size / 1e6:.1f} MB).")
    if rest.exists():
        print(f"{size_of(rest) / 1e6:.1f} MB of it could not be removed yet: the next save or listing tries again.")
    newest = next(bundle.versions(folder.parent.name), None)
    print(f"The newest version is {_id(newest)} now." if newest else f"No version of {folder.parent.name} is left.")


def find_version(version: str) -> Path:
    """Return the folder of the one version with this id or label.

    Compares `version` with existing versions only, and never builds a path from it. Raises UserError if it names none,
    or several.
    """
    model, slash, name = version.partition("/")
    found = list(bundle.versions(version)) if slash else []
    found = [folder for folder in found if folder.name == name] or found
    found = [folder for folder in found if folder != paths.SHIPPED_MODEL] or found  # prefer a copy of it
    if len(found) > 1:
        raise UserError(
            "version-label", f"{printable(version)} matches several versions: choose one of {listed(map(_id, found))}."
        )
    if not found:
        there = (listed(map(_id, bundle.versions(model))) if model else "") or "none"
        raise UserError(
            "version-missing",
            f'There is no version "{printable(version)}" in {paths.models_dir()} (of this model: {there}). Name one as '
            "<name>/<version>; make models lists all.",
        )
    return found[0]


def size_of(folder: Path) -> int:
    """Return the bytes of the files in a folder. Does not follow links; a file that vanishes meanwhile counts 0."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size if path.is_file() and not path.is_symlink() else 0
    return total


def remove_rests() -> None:
    """Remove the rest of versions whose deletion was interrupted."""
    for rest in paths.models_dir().glob(f"*/{_REST}*"):
        if is_version(Path(rest.name.removeprefix(_REST))) and _is_where_versions_are(rest):
            shutil.rmtree(rest, ignore_errors=True)


def _require_deletable(folder: Path, served: Callable[[], Iterable[str]]) -> None:
    _require_not_shipped(folder)
    _require_no_link(folder)
    _require_nothing_else(folder)
    kept = read_kept(folder)
    if kept:
        how = f" ({kept})" if kept.label or kept.is_damaged else ""
        raise UserError(
            "version-kept",
            f"{_id(folder)} is kept{how} and was not deleted. Release it first: release_version, or "
            f"make release-version VERSION={_id(folder)}.",
        )
    if _id(folder) in served():
        raise UserError(
            "version-served",
            f"{_id(folder)} is serving testers now and was not deleted: switch the service to another version first, "
            "or stop it.",
        )


def _require_not_shipped(folder: Path) -> None:
    if folder.resolve() == paths.SHIPPED_MODEL.resolve():
        raise UserError(
            "version-shipped", f"{_id(folder)} comes with the suite and cannot be deleted, so it needs no keeping."
        )


def _require_no_link(folder: Path) -> None:
    if not _is_where_versions_are(folder):
        raise _not_ours(folder, "a link leads to it")


def _require_nothing_else(folder: Path) -> None:
    """Raise UserError for a folder that `writer.py` did not name, such as a copy, or that holds anything else."""
    if not is_version(folder):
        raise _not_ours(folder, "notebook 1 did not make this folder")
    others = [path.name for path in folder.iterdir() if not _is_our_file(path.name)]
    if others:
        raise _not_ours(folder, f"it also holds {listed(others)}")


def _not_ours(folder: Path, why: str) -> UserError:
    return UserError(
        "version-not-ours", f"{_id(folder)} was not changed, since {why}. Check {folder}, and change it by hand."
    )


def _is_our_file(name: str) -> bool:
    return name in _OURS or name.startswith(".") or name.endswith(".part")


def _is_where_versions_are(folder: Path) -> bool:
    """Tell whether a folder lies two levels below the models folder, without links on the way."""
    home = paths.models_dir().resolve()
    return not folder.is_symlink() and folder.resolve() == home / folder.parent.name / folder.name


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            "version-not-changed",
            f"{what}: {error.strerror or error}. Check {paths.models_dir()}, and try again.",
        ) from error


def _id(folder: Path) -> str:
    return printable(f"{folder.parent.name}/{folder.name}")

"""Data sets that were checked before, recognised by their photos and not only by the name of their folder."""

import itertools
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import files, paths
from ..names import listed

_SAME = 0.1  # two sets are the same if they share this much of the smaller one's photos
_LETTERS = 16  # kept of a digest: the chance that two of a million photos share them is one in 10**9
_FILE = "set.json"


@dataclass(frozen=True)
class KnownSet:
    """What is remembered about a set.

    Attributes:
        name: of its decisions, and by default of its model.
        classes: its classes at the last check.
        splits: each photo's shortened identity, see `short` → its split.
    """

    name: str
    classes: tuple[str, ...]
    splits: Mapping[str, str]

    def is_the_same(self, digests: Collection[str]) -> bool:
        """Tell whether this set shares enough photos with `digests` to be the same, with photos added or removed."""
        common = self.splits.keys() & set(digests)
        return bool(common) and len(common) >= _SAME * min(len(self.splits), len(digests))


def short(identity: str) -> str:
    """Return the part of `Photo.identity` that is remembered."""
    return identity[:_LETTERS]


def recognized(name: str, classes: Collection[str], digests: Collection[str]) -> tuple[KnownSet, list[str]]:
    """Return (what is remembered about this set, what a user should know). If other photos have the name `name`, the
    set gets the name `name-2`.

    Args:
        name: of the folder or archive.
        classes: of the set.
        digests: the identities of its photos, as `short` returns them.
    """
    owner: KnownSet | None = None  # the other photos called `name`, if any
    for number in itertools.count(1):
        candidate = name if number == 1 else f"{name}-{number}"
        known = known_set(candidate)
        if known is None or known.is_the_same(digests):
            break
        owner = owner or known
    notes = []
    if owner:
        notes.append(
            f'The name "{name}" is already used for other photos, of {listed(owner.classes)}. These are now called '
            f'"{candidate}": set MODEL_NAME to give their model another name.'
        )
    elif known and set(known.classes) != set(classes):
        now = listed(sorted(classes))
        notes.append(f'The classes of "{name}" used to be {listed(known.classes)}; now they are {now}.')
    if known is None:  # the photos may have had another name
        known = next((other for other in others(candidate) if other.is_the_same(digests)), None)
    return KnownSet(candidate, tuple(classes), known.splits if known else {}), notes


def known_set(name: str) -> KnownSet | None:
    """Return what is remembered about the set `name`; None if there is nothing, or its file is damaged."""
    try:
        found = json.loads(_path(name).read_text(encoding="utf-8"))
        return KnownSet(name, tuple(found["classes"]), dict(found["splits"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(known: KnownSet, splits: Mapping[str, str]) -> None:
    """Save `splits`, by shortened identity, in addition to those of `known`."""
    content = {"classes": known.classes, "splits": {**known.splits, **splits}}
    files.write_if_possible(
        _path(known.name), lambda file: file.write(json.dumps(content, ensure_ascii=False).encode())
    )


def others(name: str) -> list[KnownSet]:
    """Return all remembered sets but `name`."""
    home = paths.notes_dir("notes", name).parent
    return [known for path in sorted(home.iterdir()) if path.name != name and (known := known_set(path.name))]


def _path(name: str) -> Path:
    return paths.notes_dir("notes", name) / _FILE

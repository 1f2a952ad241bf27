"""Sets of photos that were checked before, known by their photos and not by the name of their folder alone."""

import itertools
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import files, paths
from ..names import listed

_SAME = 0.1  # share of the smaller set's photos that two sets have in common when they are one
_LETTERS = 16  # of a digest that are kept: a chance of one in 10**9 that two of a million photos share them
_FILE = "set.json"


@dataclass(frozen=True)
class KnownSet:
    """What is remembered of a set.

    Attributes:
        name: of its decisions, and of its model unless you say otherwise.
        classes: that it had when it was last checked.
        splits: the first letters of what each photo shows, see `short` → the split that it was dealt to.
    """

    name: str
    classes: tuple[str, ...]
    splits: Mapping[str, str]

    def is_the_same(self, digests: Collection[str]) -> bool:
        """Whether so many photos are in both that this set is the one of `digests`, with photos added or removed."""
        common = self.splits.keys() & set(digests)
        return bool(common) and len(common) >= _SAME * min(len(self.splits), len(digests))


def short(identity: str) -> str:
    """As much of `Photo.identity` as is remembered."""
    return identity[:_LETTERS]


def recognized(name: str, classes: Collection[str], digests: Collection[str]) -> tuple[KnownSet, list[str]]:
    """(what is remembered of this set, what a person should know): the one called `name`, or where that name is of
    other photos, `name-2`.

    Args:
        name: that of the folder or archive.
        classes: of the set.
        digests: what its photos are recognised by, as `short` gives it.
    """
    owner: KnownSet | None = None  # of `name`, where that is of other photos
    for number in itertools.count(1):
        candidate = name if number == 1 else f"{name}-{number}"
        known = known_set(candidate)
        if known is None or known.is_the_same(digests):
            break
        owner = owner or known
    notes = []
    if owner:
        notes.append(
            f'The name "{name}" belongs to other photos, of {listed(owner.classes)}. These are called '
            f'"{candidate}": set MODEL_NAME to give their model another name.'
        )
    elif known and set(known.classes) != set(classes):
        now = listed(sorted(classes))
        notes.append(f'The classes of "{name}" were {listed(known.classes)} before; now they are {now}.')
    if known is None:  # perhaps another name had these photos
        known = next((other for other in others(candidate) if other.is_the_same(digests)), None)
    return KnownSet(candidate, tuple(classes), known.splits if known else {}), notes


def known_set(name: str) -> KnownSet | None:
    """What is remembered of the set `name`; None where nothing is, or its file is damaged."""
    try:
        found = json.loads(_path(name).read_text(encoding="utf-8"))
        return KnownSet(name, tuple(found["classes"]), dict(found["splits"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(known: KnownSet, splits: Mapping[str, str]) -> None:
    """Keep what `splits` says, by what `short` gives, beside what was dealt before."""
    content = {"classes": known.classes, "splits": {**known.splits, **splits}}
    files.write_if_possible(
        _path(known.name), lambda file: file.write(json.dumps(content, ensure_ascii=False).encode())
    )


def others(name: str) -> list[KnownSet]:
    """All other sets that are remembered."""
    home = paths.notes_dir("notes", name).parent
    return [known for path in sorted(home.iterdir()) if path.name != name and (known := known_set(path.name))]


def _path(name: str) -> Path:
    return paths.notes_dir("notes", name) / _FILE

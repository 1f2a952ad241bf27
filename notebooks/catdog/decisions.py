"""What you decided about single photos: kept in data/notes/<name>/, applied at every run, no file deleted."""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import places
from .dataset import Dataset, LeftOut, Photo, require_training_photos
from .errors import SuiteError

OUT, KEEP, AS_SUGGESTED = "out", "keep", "as suggested"
_SHORT = 4  # letters of a digest that name a photo, or more where these are not enough


@dataclass(frozen=True)
class Suggestion:
    """Something about a photo for you to decide.

    Attributes:
        photo: which one.
        why: in words.
        suggested: `OUT`, `KEEP` or a class.
        beside: another photo to look at with it.
    """

    photo: Photo
    why: str
    suggested: str
    beside: Photo | None = None


class Decisions:
    """Of the photos called `name`: digest → `OUT`, `KEEP` or the class that it really is.

    Raises SuiteError where the file is damaged.
    """

    def __init__(self, name: str):
        self.path = places.notes_dir("notes", name) / "decisions.json"
        self._made: dict[str, str] = _read(self.path)

    def __str__(self) -> str:
        made = Counter(self._made.values())
        told = [f"{count:,} {'to be left out' if what == OUT else 'kept' if what == KEEP else f'to be {what}'}"
                for what, count in made.items()]  # fmt: skip
        return (
            f"You have decided about {len(self._made):,} photos: {', '.join(told)}." if made else "Nothing is decided."
        )

    def of(self, digest: str) -> str | None:
        """What was decided about the photo with this digest."""
        return self._made.get(digest)

    def __contains__(self, photo: Photo) -> bool:
        return photo.digest in self._made

    def apply(self, dataset: Dataset) -> Dataset:
        """The dataset without the photos that are out, the others in the class that they really are.

        Raises SuiteError where nothing would be left of a class.
        """
        out = [photo for photo in dataset.photos if self.of(photo.digest) == OUT]
        photos = [
            dataclasses.replace(photo, label=label) if (label := self.of(photo.digest)) in dataset.classes else photo
            for photo in dataset.photos
            if self.of(photo.digest) != OUT
        ]
        require_training_photos(dataset.classes, photos, f"After your decisions ({self.path}) {dataset.name}")
        left_out = (
            *dataset.left_out,
            *(LeftOut(photo.path, "photo-left-out", "You decided to leave it out.") for photo in out),
        )
        return dataclasses.replace(dataset, photos=tuple(photos), left_out=left_out)

    def take(self, words: str, suggestions: Iterable[Suggestion], classes: Iterable[str]) -> int:
        """Remember what `words` say of `suggestions`: "as suggested", or such as "3fa1 out, 77b2 dog, c001 keep", or
        both: "as suggested, 3fa1 keep". Returns how many photos they spoke of.

        Raises SuiteError for words that make no sense, and remembers nothing then.
        """
        suggestions, classes = list(suggestions), list(classes)
        made: dict[str, str] = {}
        known = {one.photo.digest for one in suggestions} | set(self._made)
        for entry in filter(None, (part.strip() for part in re.split(r"[,;\n]", words))):
            if entry.lower() == AS_SUGGESTED:
                made = {one.photo.digest: one.suggested for one in suggestions} | made
                continue
            name, _, decision = entry.partition(" ")
            made[_named(name, known)] = _decision(decision.strip(), entry, classes)
        if made:
            self._made |= made
            with places.written_whole(self.path) as file:
                file.write(json.dumps(self._made, indent=1, sort_keys=True, ensure_ascii=False).encode())
        return len(made)


def names(suggestions: Iterable[Suggestion]) -> dict[str, str]:
    """Digest → the first letters of it that are no other's."""
    digests = {one.photo.digest for one in suggestions}
    length = _SHORT
    while len({digest[:length] for digest in digests}) < len(digests):
        length += 1
    return {digest: digest[:length] for digest in digests}


def table(suggestions: Sequence[Suggestion], most: int = 40) -> str:
    """A line for each: the letters that name the photo, where it lies, what is odd, what is suggested."""
    named = names(suggestions)
    lines = [
        f"{named[one.photo.digest]:8} {one.photo.split:6} {one.photo.path.parent.name}/{one.photo.path.name}: "
        f"{one.why} → {one.suggested}"
        for one in suggestions[:most]
    ]
    return "\n".join(lines + ([f"… and {len(suggestions) - most:,} more"] if len(suggestions) > most else []))


def _named(name: str, digests: Iterable[str]) -> str:
    found = [digest for digest in digests if digest.startswith(name.lower())]
    if len(found) != 1 or len(name) < _SHORT:
        raise SuiteError(
            "decision-photo-unknown",
            f'"{name}" names none of the photos above: begin with the letters that stand over one.',
        )
    return found[0]


def _decision(word: str, entry: str, classes: list[str]) -> str:
    known = {label.lower(): label for label in classes} | {OUT: OUT, KEEP: KEEP}
    if word.lower() not in known:
        raise SuiteError(
            "decision-invalid",
            f'"{entry}" is no decision: after the letters say {OUT}, {KEEP}, or {" or ".join(classes)}.',
        )
    return known[word.lower()]


def _read(path: Path) -> dict[str, str]:
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
        return {digest: decision for digest, decision in made.items() if isinstance(decision, str)}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError):
        raise SuiteError(
            "decisions-damaged", f"{path} is damaged: repair or remove it; without it, all photos count as they lie."
        ) from None

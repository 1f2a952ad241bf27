"""What you decided about single photos: kept in data/notes/<name>/, applied at every run, no file deleted."""

import dataclasses
import enum
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .. import files, paths
from ..data import known_sets
from ..data.dataset import Dataset, Excluded, Photo, require_training_photos
from ..errors import UserError
from ..names import printable, same


class Action(enum.Enum):
    """What can be decided about a photo beside its class. No class is one of these, whatever it is called."""

    OUT = "out"
    KEEP = "keep"

    def __str__(self) -> str:
        return self.value


OUT: Final = Action.OUT
KEEP: Final = Action.KEEP
AS_SUGGESTED = "as suggested"
_PICTURES = "pictures.json"
_SHORT = 4  # letters of a digest that name a photo, or more where these are not enough
_LETTER = re.compile(r"[^\s,;]")
_END = r"\s*(?=[,;\n]|$)"
Decision = Action | str  # or a class


@dataclass(frozen=True)
class Suggestion:
    """Something about a photo for you to decide.

    Attributes:
        photo: which one.
        why: in words.
        suggested: `OUT`, `KEEP` or a class.
        duplicate_of: the photo that it is nearly the same as, if any.
    """

    photo: Photo
    why: str
    suggested: Decision
    duplicate_of: Photo | None = None


class Decisions:
    """Of the photos called `name`: digest → `OUT`, `KEEP` or the class that it really is.

    Raises UserError where the file is damaged.
    """

    def __init__(self, name: str):
        self._name = name
        self.path = paths.notes_dir("notes", name) / "decisions.json"
        self._made: dict[str, Decision] = _read(self.path)
        self._pictures: dict[str, str] = _read_pictures(self.path)

    def __str__(self) -> str:
        made = Counter(self._made.values())
        told = [f"{count:,} {'to be left out' if what is OUT else 'kept' if what is KEEP else f'to be {what}'}"
                for what, count in made.items()]  # fmt: skip
        return (
            f"You have decided about {len(self._made):,} photos: {', '.join(told)}." if made else "Nothing is decided."
        )

    def of(self, digest: str) -> Decision | None:
        """What was decided about the photo with this digest."""
        return self._made.get(digest)

    def about(self, photo: Photo) -> Decision | None:
        """What was decided about a photo, also where a program has written into its file since."""
        return self._made.get(photo.digest, self._made.get(self._pictures.get(photo.picture, "")))

    def __contains__(self, photo: Photo) -> bool:
        return self.about(photo) is not None

    def apply(self, dataset: Dataset) -> Dataset:
        """The dataset without the photos that are out, the others in the class that they really are. One whose class is
        no longer there is left out, too, until you decide again.

        Where these photos had another name before, what was decided under that holds.

        Raises UserError where nothing would be left of a class.
        """
        if not self._made:
            self._take_over(dataset)
        self._remember_pictures(dataset.photos)
        classes = {same(label): label for label in dataset.classes}
        photos, excluded = [], []
        for photo in dataset.photos:
            decision = self.about(photo)
            if decision is OUT:
                excluded.append(Excluded(photo.path, "photo-left-out", "You decided to leave it out."))
            elif decision is None or decision is KEEP:
                photos.append(photo)
            elif same(decision) in classes:
                photos.append(dataclasses.replace(photo, label=classes[same(decision)]))
            else:
                why = f"You decided that it is of the class {decision}, which is not there any more: decide again."
                excluded.append(Excluded(photo.path, "photo-class-gone", why))
        require_training_photos(dataset.classes, photos, f"After your decisions ({self.path}) {dataset.name}")
        return dataclasses.replace(dataset, photos=tuple(photos), excluded=(*dataset.excluded, *excluded))

    def record(self, words: str, suggestions: Iterable[Suggestion], classes: Iterable[str]) -> int:
        """Remember what `words` say of `suggestions`: "as suggested", or such as "3fa1 out, 77b2 dog, c001 keep", or
        both: "as suggested, 3fa1 keep". Returns how many photos they spoke of.

        A class may be called anything, with commas, too; where one is called as an action is, it is the class that is
        meant, and `leave out` and `keep as is` mean the actions.

        Raises UserError for words that make no sense, and remembers nothing then.
        """
        suggestions, meanings = list(suggestions), _meanings(classes)
        made: dict[str, Decision] = {}
        known = {one.photo.digest for one in suggestions} | set(self._made)
        for entry, name, decision in _entries(words, meanings):
            if name is None:
                made = {one.photo.digest: _suggested(one, meanings) for one in suggestions} | made
                continue
            made[_named(name, known)] = _decision(decision, entry, meanings)
        if made:
            self._made |= made
            self._write()
            self._remember_pictures(one.photo for one in suggestions)
        return len(made)

    def _write(self) -> None:
        as_json = {digest: _as_json(decision) for digest, decision in self._made.items()}
        with files.written_whole(self.path) as file:
            file.write(json.dumps(as_json, indent=1, sort_keys=True, ensure_ascii=False).encode())

    def _remember_pictures(self, photos: Iterable[Photo]) -> None:
        new = {photo.picture: photo.digest for photo in photos if photo.picture and photo.digest in self._made}
        if new.items() <= self._pictures.items():
            return
        self._pictures |= new
        content = json.dumps(self._pictures).encode()
        files.write_if_possible(self.path.with_name(_PICTURES), lambda file: file.write(content))

    def _take_over(self, dataset: Dataset) -> None:
        """Decisions, and accepted corrections, of the set that has these photos under another name."""
        digests = {known_sets.short(photo.identity) for photo in dataset.photos}
        for known in known_sets.others(self._name):
            earlier = paths.notes_dir("notes", known.name)
            made = _read(earlier / "decisions.json") if known.is_the_same(digests) else {}
            if made:
                self._made, self._pictures = made, _read_pictures(earlier / "decisions.json")
                self._write()
                if (earlier / "corrections").is_dir():
                    shutil.copytree(earlier / "corrections", self.path.parent / "corrections", dirs_exist_ok=True)
                print(f'These photos were called "{known.name}" before: what you decided then holds here, too.')
                return


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
        raise UserError(
            "decision-photo-unknown",
            f'"{name}" is not the id of a photo above: begin with the letters of one.',
        )
    return found[0]


def _meanings(classes: Iterable[str]) -> dict[str, Decision]:
    """Word, in small letters → what it decides. Classes come before actions of the same word."""
    actions = {"out": OUT, "leave out": OUT, "keep": KEEP, "keep as is": KEEP}
    return actions | {label.casefold(): label for label in classes}


def _entries(words: str, meanings: dict[str, Decision]) -> list[tuple[str, str | None, str]]:
    """(entry, letters of the photo or None for all as suggested, decision's word) of each entry."""
    longest_first = "|".join(re.escape(word) for word in sorted(meanings, key=len, reverse=True))
    known = re.compile(
        rf'(?P<all>{AS_SUGGESTED}){_END}|(?P<name>[0-9a-z]+)\s+"?(?P<word>{longest_first})"?{_END}|(?P<other>[^,;\n]+)',
        re.IGNORECASE,
    )
    found: list[tuple[str, str | None, str]] = []
    place = 0
    while place < len(words):
        start = _LETTER.search(words, place)
        entry = known.match(words, start.start()) if start else None
        if entry is None:
            break
        if entry["all"]:
            found.append((entry[0], None, ""))
        elif entry["name"]:
            found.append((entry[0], entry["name"], entry["word"]))
        else:
            name, _, word = entry[0].strip().partition(" ")
            found.append((entry[0].strip(), name, word.strip()))
        place = entry.end()
    return found


def _suggested(suggestion: Suggestion, meanings: dict[str, Decision]) -> Decision:
    if isinstance(suggestion.suggested, Action):
        return suggestion.suggested
    return meanings.get(suggestion.suggested.casefold(), suggestion.suggested)


def _decision(word: str, entry: str, meanings: dict[str, Decision]) -> Decision:
    if word.casefold() not in meanings:
        classes = [label for label in meanings.values() if not isinstance(label, Action)]
        shown = " or ".join(classes[:10]) + (" or another class" if len(classes) > 10 else "")
        raise UserError(
            "decision-invalid",
            f'"{printable(entry)}" is not valid: write the id, then {OUT}, {KEEP}, or {shown}.',
        )
    return meanings[word.casefold()]


def _as_json(decision: Decision) -> str | dict:
    """A class as its name; as an object where it is called as an action is."""
    if isinstance(decision, Action):
        return decision.value
    return {"class": decision} if decision in (OUT.value, KEEP.value) else decision


def _from_json(found: object) -> Decision | None:
    if isinstance(found, dict):
        return found.get("class") if isinstance(found.get("class"), str) else None
    if not isinstance(found, str):
        return None
    return {OUT.value: OUT, KEEP.value: KEEP}.get(found, found)


def _read_pictures(path: Path) -> dict[str, str]:
    """What each photo that was decided about shows → its digest."""
    try:
        return dict(json.loads(path.with_name(_PICTURES).read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def _read(path: Path) -> dict[str, Decision]:
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
        return {digest: decision for digest, found in made.items() if (decision := _from_json(found)) is not None}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError):
        raise UserError(
            "decisions-damaged", f"{path} is damaged: repair or remove it; without it, all photos count as they lie."
        ) from None

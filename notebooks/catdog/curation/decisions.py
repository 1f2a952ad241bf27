"""The user's decisions about single photos: stored in data/notes/<name>/, applied in every run. No photo is deleted."""

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import files, paths
from ..data import known_sets
from ..data.dataset import Dataset, Excluded, Photo, require_training_photos
from ..data.folders import NONE_OF_THESE, TRAIN, is_none_of_these
from ..errors import UserError
from ..names import counted, same
from .decision_words import KEEP, OUT, UNDO, Action, Decision, parse, short_names

_PICTURES = "pictures.json"


@dataclass(frozen=True)
class Suggestion:
    """A suggested decision about a photo.

    Attributes:
        photo: which one.
        why: the reason, in words.
        suggested: `OUT`, `KEEP` or a class.
        duplicate_of: the photo that it is nearly identical to, if any.
    """

    photo: Photo
    why: str
    suggested: Decision
    duplicate_of: Photo | None = None


class Decisions:
    """Decisions about the photos called `name`: digest → `OUT`, `KEEP` or the true class.

    Raises UserError if the file is damaged.
    """

    def __init__(self, name: str):
        self._name = name
        self.path = paths.notes_dir("notes", name) / "decisions.json"
        self._made: dict[str, Decision] = _read(self.path)
        self._pictures: dict[str, str] = files.read_json(self.path.with_name(_PICTURES))
        self._seen: dict[str, Path] = {}  # paths of the photos with decisions

    def __str__(self) -> str:
        made = Counter(self._made.values())
        told = [f"{count:,} {'left out' if what is OUT else 'kept' if what is KEEP else f'labelled {what}'}"
                for what, count in made.items()]  # fmt: skip
        return (
            f"You have decided on {counted(len(self._made), 'photo')}: {', '.join(told)}."
            if made
            else "No decisions yet."
        )

    def table(self, most: int = 20) -> str:
        """Return a line for each decision: the photo's id, the decision, and the photo's path."""
        named = short_names(self._made)
        lines = [
            f"{named[digest]:8} {decision!s:12} {_short_path(self._seen.get(digest))}"
            for digest, decision in sorted(self._made.items())[:most]
        ]
        return "\n".join(lines + _and_more(len(self._made) - most))

    def of(self, digest: str) -> Decision | None:
        """Return the decision about the photo with this digest, if any."""
        return self._made.get(digest)

    def about(self, photo: Photo) -> Decision | None:
        """Return the decision about a photo, if any, also if a program has changed its file's metadata since."""
        digest = photo.digest if photo.digest in self._made else self._pictures.get(photo.picture, "")
        if digest in self._made:
            self._seen[digest] = photo.path
        return self._made.get(digest)

    def __contains__(self, photo: Photo) -> bool:
        return self.about(photo) is not None

    def apply(self, dataset: Dataset) -> Dataset:
        """Return the dataset with all decisions applied: photos are left out, or moved to their true class or to the
        negatives. A photo whose class no longer exists is left out until the user decides again.

        If these photos had another name before, the decisions under that name apply.

        Raises UserError if a class would have no training photos.
        """
        if not self.path.exists():
            self._take_over(dataset)
        self._remember_pictures(dataset.photos)
        classes = {same(label): label for label in dataset.classes}
        photos, negatives, excluded = [], [*dataset.negatives], []
        for photo in dataset.photos:
            decision = self.about(photo)
            if decision is OUT:
                excluded.append(Excluded(photo.path, "photo-left-out", "You decided to leave it out."))
            elif decision is None or decision is KEEP:
                photos.append(photo)
            elif same(str(decision)) in classes:
                photos.append(dataclasses.replace(photo, label=classes[same(str(decision))]))
            elif is_none_of_these(str(decision)):
                negatives.append(dataclasses.replace(photo, label=NONE_OF_THESE, split=TRAIN))
            else:
                why = f"You gave it the class {decision}, which no longer exists: decide again."
                excluded.append(Excluded(photo.path, "photo-class-gone", why))
        require_training_photos(dataset.classes, photos, f"After your decisions ({self.path}) {dataset.name}")
        excluded = [*dataset.excluded, *excluded]
        return dataclasses.replace(dataset, photos=tuple(photos), negatives=tuple(negatives), excluded=tuple(excluded))

    def record(
        self, words: str, suggestions: Iterable[Suggestion], classes: Iterable[str], dataset: Dataset | None = None
    ) -> int:
        """Store the decisions in `words` about `suggestions`, see `decision_words.parse`, and remove undone ones.
        Returns the number of photos in `words`.

        Raises UserError if the words are invalid, or would leave a class of `dataset` without training photos; nothing
        changes then.
        """
        suggestions = list(suggestions)
        suggested = {one.photo.digest: one.suggested for one in suggestions}
        said = parse(words, suggested, self._made, classes)
        if said:
            before = self._made
            self._made = {digest: what for digest, what in (before | said).items() if what is not UNDO}
            try:
                if dataset:
                    self.apply(dataset)
            except UserError:
                self._made = before
                raise
            self._write()
            self._remember_pictures(one.photo for one in suggestions)
        return len(said)

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
        """Copy decisions and accepted corrections from the set that has these photos under another name, if any."""
        digests = {known_sets.short(photo.identity) for photo in dataset.photos}
        for known in known_sets.others(self._name):
            earlier = paths.notes_dir("notes", known.name)
            made = _read(earlier / "decisions.json") if known.is_the_same(digests) else {}
            if made:
                self._made, self._pictures = made, files.read_json(earlier / _PICTURES)
                self._write()
                if (earlier / "corrections").is_dir():
                    shutil.copytree(earlier / "corrections", self.path.parent / "corrections", dirs_exist_ok=True)
                print(f'These photos used to be called "{known.name}": your decisions from then also apply here.')
                return


def names(suggestions: Iterable[Suggestion]) -> dict[str, str]:
    """Return digest → the photo's id among the suggestions."""
    return short_names(one.photo.digest for one in suggestions)


def table(suggestions: Sequence[Suggestion], most: int = 40) -> str:
    """Return a line for each suggestion: the photo's id, its split and path, the reason and the suggested decision."""
    named = names(suggestions)
    lines = [
        f"{named[one.photo.digest]:8} {one.photo.split:6} {one.photo.path.parent.name}/{one.photo.path.name}: "
        f"{one.why} → {one.suggested}"
        for one in suggestions[:most]
    ]
    return "\n".join(lines + _and_more(len(suggestions) - most))


def _and_more(count: int) -> list[str]:
    return [f"… and {count:,} more"] if count > 0 else []


def _short_path(path: Path | None) -> str:
    return f"{path.parent.name}/{path.name}" if path else "(not among the photos of this run)"


def _as_json(decision: Decision) -> str | dict:
    """Return a decision for JSON: a class as its name, or as an object if it has the name of an action."""
    if isinstance(decision, Action):
        return decision.value
    return {"class": decision} if decision in (OUT.value, KEEP.value) else decision


def _from_json(found: object) -> Decision | None:
    if isinstance(found, dict):
        return found.get("class") if isinstance(found.get("class"), str) else None
    if not isinstance(found, str):
        return None
    return {OUT.value: OUT, KEEP.value: KEEP}.get(found, found)


def _read(path: Path) -> dict[str, Decision]:
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
        return {digest: decision for digest, found in made.items() if (decision := _from_json(found)) is not None}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError):
        raise UserError(
            "decisions-damaged", f"{path} is damaged: repair or remove it. Without it, no decisions are applied."
        ) from None

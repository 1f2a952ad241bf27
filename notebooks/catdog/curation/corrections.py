"""Testers' corrections become training photos once the user has accepted them. They are never used for testing."""

import dataclasses
import shutil
from collections import Counter
from collections.abc import Callable

from .. import paths
from ..data.dataset import Dataset, Photo
from ..data.feedback import Feedback, FeedbackFull, digest_of
from ..data.feedback_zip import SavedCorrection, corrections_in, corrections_zips
from ..data.folders import NONE_OF_THESE, TRAIN
from ..names import counted, printable
from .decisions import KEEP, OUT, Decisions, Suggestion


class Corrections:
    """Corrections by testers of the model `model`, for the photos called `name`.

    Accepted photos are in data/notes/<name>/corrections/ and join the training photos in every run; rejected ones are
    removed.
    """

    def __init__(self, name: str, model: str, decisions: Decisions):
        self._model, self._feedback, self._decisions = model, Feedback(model), decisions
        self._accepted = paths.notes_dir("notes", name) / "corrections"
        self._accepted.mkdir(exist_ok=True)

    def suggestions(self) -> list[Suggestion]:
        """Return a suggestion for each new correction, and for each accepted one whose decision was undone.

        A new one suggests the tester's class, or `OUT` for a photo of none of the classes.
        """
        waiting = self._feedback.all()
        new = [
            Suggestion(
                Photo(one.path, str(one.said.get("label")), TRAIN, one.digest),
                f"{one.said.get('model')} said {one.said.get('label')}, a tester said {one.label or 'none of these'}",
                one.label or OUT,
            )
            for one in waiting
        ]
        known = {one.digest for one in waiting}
        undone = (
            path
            for path in sorted(self._accepted.glob("*.png"))
            if self._decisions.of(path.stem) is None and path.stem not in known
        )
        return new + [
            Suggestion(Photo(path, "undecided", TRAIN, path.stem), "you undid your decision", OUT) for path in undone
        ]

    def take_in(self, path: str, say: Callable[[str], object] = print) -> None:
        """Add the corrections that testers saved from a site, and say how many there are.

        Those that the user has decided on, and those for other models, are left out. The zips stay as they are, and may
        be taken in again.

        Args:
            path: of a zip, or of a folder with zips; if empty, nothing happens.

        Damaged corrections are named and left out. Raises UserError if there is no such zip.
        """
        if not path.strip():
            return
        outcomes = Counter(self._add(one, say) for archive in corrections_zips(path) for one in corrections_in(archive))
        told = [f"{counted(count, 'correction')} {words}" for words, count in outcomes.items() if words]
        say(f"{printable(path.strip())}: {', '.join(told) or 'no corrections'}.")

    def _add(self, one: SavedCorrection | str, say: Callable[[str], object]) -> str:
        """Add a correction; return what became of it, in words."""
        if isinstance(one, str):
            say(one)
            return ""
        model = one.said["model"].partition("/")[0]
        if model != self._model:
            return f"for the model {model} left out"
        if self._decisions.of(digest_of(one.photo)) is not None:
            return "decided on before"
        try:
            self._feedback.add(one.photo, one.label, one.said)
        except FeedbackFull:
            return "that found no room: decide on the others, then run this cell again"
        except OSError as error:
            return f"that could not be stored ({error.strerror})"
        return "taken in"

    def process(self) -> None:
        """Store the accepted corrections, and remove all decided ones from the inbox."""
        for one in self._feedback.all():
            decision = self._decisions.of(one.digest)
            if decision is None:
                continue
            if decision not in (OUT, KEEP):
                shutil.copyfile(one.path, self._accepted / one.path.name)
            self._feedback.remove(one)

    def merge_into(self, dataset: Dataset) -> Dataset:
        """Return the dataset with the accepted photos, all for training, with the labels of the user's decisions."""
        there = {photo.digest for photo in (*dataset.photos, *dataset.negatives)}
        decided = (
            (path, self._decisions.of(path.stem))
            for path in sorted(self._accepted.glob("*.png"))
            if path.stem not in there
        )
        accepted = [Photo(path, label, TRAIN, path.stem) for path, label in decided if isinstance(label, str)]
        photos = (photo for photo in accepted if photo.label in dataset.classes)
        negatives = (photo for photo in accepted if photo.label == NONE_OF_THESE)
        return dataclasses.replace(
            dataset, photos=(*dataset.photos, *photos), negatives=(*dataset.negatives, *negatives)
        )

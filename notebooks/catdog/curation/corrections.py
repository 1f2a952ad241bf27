"""Testers' corrections become training photos once the user has accepted them. They are never used for testing."""

import dataclasses
import shutil

from .. import paths
from ..data.dataset import Dataset, Photo
from ..data.feedback import Feedback
from ..data.folders import NONE_OF_THESE, TRAIN
from .decisions import KEEP, OUT, Decisions, Suggestion


class Corrections:
    """Corrections by testers of the model `model`, for the photos called `name`.

    Accepted photos are in data/notes/<name>/corrections/ and join the training photos in every run; rejected ones are
    removed.
    """

    def __init__(self, name: str, model: str, decisions: Decisions):
        self._feedback, self._decisions = Feedback(model), decisions
        self._accepted = paths.notes_dir("notes", name) / "corrections"
        self._accepted.mkdir(exist_ok=True)

    def suggestions(self) -> list[Suggestion]:
        """Return a suggestion for each new correction, and for each accepted one whose decision was undone.

        A new one suggests the tester's class, or `OUT` for a photo of none of the classes.
        """
        new = [
            Suggestion(
                Photo(one.path, str(one.said.get("label")), TRAIN, one.digest),
                f"{one.said.get('model')} said {one.said.get('label')}, a tester said {one.label or 'none of these'}",
                one.label or OUT,
            )
            for one in self._feedback.all()
        ]
        undone = (path for path in sorted(self._accepted.glob("*.png")) if self._decisions.of(path.stem) is None)
        return new + [
            Suggestion(Photo(path, "undecided", TRAIN, path.stem), "you undid your decision", OUT) for path in undone
        ]

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

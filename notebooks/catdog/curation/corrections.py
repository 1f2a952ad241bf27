"""Testers' corrections become training photos, once you have looked at each. None is ever among the test photos."""

import dataclasses
import shutil

from .. import paths
from ..data.dataset import Dataset, Photo
from ..data.feedback import Feedback
from ..data.folders import NONE_OF_THESE, TRAIN
from .decisions import KEEP, OUT, Decisions, Suggestion


class Corrections:
    """What testers of the model `model` sent about the photos called `name`.

    Accepted photos lie in data/notes/<name>/corrections/ and join the training photos at every run; rejected ones are
    removed.
    """

    def __init__(self, name: str, model: str, decisions: Decisions):
        self._feedback, self._decisions = Feedback(model), decisions
        self._accepted = paths.notes_dir("notes", name) / "corrections"
        self._accepted.mkdir(exist_ok=True)

    def suggestions(self) -> list[Suggestion]:
        """Each new correction: the tester's class is suggested, or to leave the photo out where it is none of them. And
        each accepted one whose decision was taken back."""
        new = [
            Suggestion(
                Photo(one.path, str(one.said.get("label")), TRAIN, one.digest),
                f"{one.said.get('model')} said {one.said.get('label')}, a tester {one.label or 'none of these'}",
                one.label or OUT,
            )
            for one in self._feedback.all()
        ]
        undone = (path for path in sorted(self._accepted.glob("*.png")) if self._decisions.of(path.stem) is None)
        return new + [
            Suggestion(Photo(path, "undecided", TRAIN, path.stem), "you took back what you decided", OUT)
            for path in undone
        ]

    def process(self) -> None:
        """Take in what was accepted, and remove what was not, among those that you have decided about."""
        for one in self._feedback.all():
            decision = self._decisions.of(one.digest)
            if decision is None:
                continue
            if decision not in (OUT, KEEP):
                shutil.copyfile(one.path, self._accepted / one.path.name)
            self._feedback.remove(one)

    def merge_into(self, dataset: Dataset) -> Dataset:
        """The dataset with the accepted photos, all of them for training, as you labelled them."""
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

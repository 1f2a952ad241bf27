"""One list of suggestions from the data doctor and testers, and one place for the user's decisions."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .. import files
from ..data.dataset import Dataset
from ..data.folders import NONE_OF_THESE
from ..names import counted
from .corrections import Corrections
from .data_issues import find_issues, uneven_classes
from .decision_words import AS_SUGGESTED
from .decisions import Decisions, Suggestion, table

_LAST = "last.json"


class Review:
    """Suggestions about the photos of a dataset, and the user's decisions.

    Args:
        name: of the photos.
        model: whose testers send corrections; empty if it has the name of the photos.

    Raises UserError if the file of decisions is damaged.
    """

    def __init__(self, name: str, model: str = ""):
        self._decisions = Decisions(name)
        self._corrections = Corrections(name, model or name, self._decisions)

    def __str__(self) -> str:
        return "\n".join(filter(None, (str(self._decisions), self._decisions.table())))

    def apply(self, dataset: Dataset) -> Dataset:
        """Return the dataset with all decisions applied, and accepted corrections among the training photos.

        Raises UserError if a class would have no training photos.
        """
        return self._corrections.merge_into(self._decisions.apply(dataset))

    def take_in(self, path: str) -> None:
        """Add testers' corrections from a zip, or a folder of zips, see `Corrections.take_in`. Raises UserError."""
        self._corrections.take_in(path)

    def suggestions(self, dataset: Dataset, data: dict[str, tuple[np.ndarray, np.ndarray]]) -> list[Suggestion]:
        """Return the suggestions without a decision: testers' corrections, then the data doctor's.

        Args:
            data: split → (features, class numbers), from `features.features_by_split`, for `dataset`.
        """
        return [*self._corrections.suggestions(), *find_issues(dataset, data, self._decisions)]

    def table(self, suggestions: Sequence[Suggestion], dataset: Dataset) -> str:
        """Return a line for each suggestion, and warnings about small classes."""
        return "\n".join(filter(None, (table(suggestions) or "No problems found.", uneven_classes(dataset))))

    def decide(self, words: str, suggestions: Sequence[Suggestion], dataset: Dataset) -> str:
        """Store the decisions in `words`, see `decision_words.parse`, and return a table of all decisions.

        If the words are the same as last time, they may just have been left in the field. Then "as suggested" does not
        include new suggestions.

        Raises UserError if the words are invalid or would leave a class without training photos; nothing changes then.
        """
        new = self._new_since(words, suggestions)
        self._decisions.record(
            words, [one for one in suggestions if one not in new], (*dataset.classes, NONE_OF_THESE), dataset
        )
        self._corrections.process()
        self._remember(words, suggestions)
        waiting = (
            f"Not accepted yet: {counted(len(new), 'suggestion')} made after you entered “{words.strip()}”. "
            "Look at them, then run this cell again to accept them."
        )
        return "\n".join(filter(None, (str(self), waiting if new else "")))

    def _new_since(self, words: str, suggestions: Sequence[Suggestion]) -> list[Suggestion]:
        last = files.read_json(self._path)
        if not words.strip() or words.strip() != last.get("words") or AS_SUGGESTED not in words.casefold():
            return []
        return [one for one in suggestions if one.photo.digest not in last.get("suggested", ())]

    def _remember(self, words: str, suggestions: Sequence[Suggestion]) -> None:
        last = {"words": words.strip(), "suggested": [one.photo.digest for one in suggestions]}
        files.write_if_possible(self._path, lambda file: file.write(json.dumps(last).encode()))

    @property
    def _path(self) -> Path:
        return self._decisions.path.with_name(_LAST)

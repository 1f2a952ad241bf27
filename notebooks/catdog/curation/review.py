"""One list of what the data doctor and testers suggest, one place for what you decide."""

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
    """What is suggested about the photos of a dataset, and what you decided.

    Args:
        name: what the photos are called.
        model: whose testers send corrections; empty where the model is called as the photos are.

    Raises UserError where the file of decisions is damaged.
    """

    def __init__(self, name: str, model: str = ""):
        self._decisions = Decisions(name)
        self._corrections = Corrections(name, model or name, self._decisions)

    def __str__(self) -> str:
        return "\n".join(filter(None, (str(self._decisions), self._decisions.table())))

    def apply(self, dataset: Dataset) -> Dataset:
        """The dataset as you decided, with the corrections that you accepted among the training photos.

        Raises UserError where nothing would be left of a class.
        """
        return self._corrections.merge_into(self._decisions.apply(dataset))

    def suggestions(self, dataset: Dataset, data: dict[str, tuple[np.ndarray, np.ndarray]]) -> list[Suggestion]:
        """What you have not decided about yet: testers' corrections, then what the data doctor finds.

        Args:
            data: split → (features, class numbers), from `features.features_by_split`, for `dataset`.
        """
        return [*self._corrections.suggestions(), *find_issues(dataset, data, self._decisions)]

    def table(self, suggestions: Sequence[Suggestion], dataset: Dataset) -> str:
        """A line for each suggestion, and what is to be said of the classes."""
        return "\n".join(filter(None, (table(suggestions) or "Nothing odd was found.", uneven_classes(dataset))))

    def decide(self, words: str, suggestions: Sequence[Suggestion], dataset: Dataset) -> str:
        """Remember what `words` say, see `decision_words.parse`, and tell what is decided now.

        The same words as the last time may have been left in their field by mistake: then "as suggested" does not hold
        for a suggestion that is new.

        Raises UserError for words that make no sense, or that would leave nothing of a class; nothing is decided then.
        """
        new = self._new_since(words, suggestions)
        self._decisions.record(
            words, [one for one in suggestions if one not in new], (*dataset.classes, NONE_OF_THESE), dataset
        )
        self._corrections.process()
        self._remember(words, suggestions)
        waiting = (
            f"Not accepted yet: {counted(len(new), 'suggestion')} that came after you had entered “{words.strip()}”. "
            "Look at them, then run this cell again to accept them."
        )
        return "\n".join(filter(None, (str(self), waiting if new else "")))

    def _new_since(self, words: str, suggestions: Sequence[Suggestion]) -> list[Suggestion]:
        last = _read(self._path)
        if not words.strip() or words.strip() != last.get("words") or AS_SUGGESTED not in words.casefold():
            return []
        return [one for one in suggestions if one.photo.digest not in last.get("suggested", ())]

    def _remember(self, words: str, suggestions: Sequence[Suggestion]) -> None:
        last = {"words": words.strip(), "suggested": [one.photo.digest for one in suggestions]}
        files.write_if_possible(self._path, lambda file: file.write(json.dumps(last).encode()))

    @property
    def _path(self) -> Path:
        return self._decisions.path.with_name(_LAST)


def _read(path: Path) -> dict:
    try:
        last = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return last if isinstance(last, dict) else {}

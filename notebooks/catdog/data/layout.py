"""The layout of a data set: which folders are classes, splits or neither, by the paths of the files alone."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..names import counted, printable, same
from .folders import FILES_OF_PROGRAMS, SPLITS, is_none_of_these, is_of_a_program, split_named
from .label_tables import Table
from .labels import label_in_name

AUTO, FOLDER, TOP_FOLDER, FILE_NAME = "auto", "folder", "top folder", "file name"
_MOST_LINES = 20


@dataclass(frozen=True)
class Skipped:
    """A folder, or some of its files, that are not used, and why."""

    where: str
    files: int
    reason: str

    def __str__(self) -> str:
        files = f" ({counted(self.files, 'file')})" if self.files else ""
        return f"Skipped: {printable(self.where)}: {self.reason}{files}"


@dataclass(frozen=True)
class Layout:
    """Class and split of every photo below a folder, by its path relative to that folder, with "/" between names.

    Attributes:
        how: the source of the labels, in words.
        folders: folder → (class or None, split or None), also for the folders below it; if the class is None, it comes
            from the photo's name or the table.
        spellings: key that spellings of a class share, see `names.same` → class name.
        skipped: what is not used.
        notes: what else a user should know, in sentences.
    """

    how: str
    folders: Mapping[str, tuple[str | None, str | None]]
    spellings: Mapping[str, str]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    table: Table | None = field(default=None, repr=False)

    @property
    def splits(self) -> set[str]:
        """Splits that the folders or the table define."""
        of_table = {split_named(text) for text in set(self.table.splits.values())} if self.table else set()
        return {split for split in {split for _, split in self.folders.values()} | of_table if split in SPLITS}

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in alphabetical order, without `NONE_OF_THESE`."""
        return tuple(sorted(label for label in self.spellings.values() if not is_none_of_these(label)))

    def label(self, path: str) -> str | None:
        """Return the class, or a label for which `is_none_of_these` is true; None for a file that is not used."""
        folder = self._folder_of(path)
        if folder is None or FILES_OF_PROGRAMS.fullmatch(path.rpartition("/")[2]):
            return None
        label, _ = self.folders[folder]
        if label is None:
            label = self.table.label(path) if self.table else label_in_name(path)
        return self.spellings.get(same(label)) if label else None

    def class_of(self, path: str) -> str | None:
        """Return what `label` does, but None for a photo that is none of the classes."""
        label = self.label(path)
        return None if label and is_none_of_these(label) else label

    def split(self, path: str) -> str | None:
        """Return the split that the folder or the table gives, if any."""
        folder = self._folder_of(path)
        if folder is not None and (split := self.folders[folder][1]):
            return split
        named = split_named(self.table.split(path) or "") if self.table else None
        return named if named in SPLITS else None

    def _folder_of(self, path: str) -> str | None:
        """Return the innermost of `folders` that contains `path`; None for a folder that a program created."""
        names = path.split("/")[:-1]
        if any(map(is_of_a_program, names)):
            return None
        above = ("/".join(names[:depth]) for depth in range(len(names), -1, -1))
        return next((folder for folder in above if folder in self.folders), None)

    def describe(self, counts: Mapping[str, int]) -> str:
        """Return a table of the folders with class, split and number of files, and what is skipped and why.

        Args:
            counts: folder → number of files, from `counted`.
        """
        rows = [(folder or ".", *_shown(label, split), counts.get(folder, 0))
                for folder, (label, split) in self.folders.items()]  # fmt: skip
        shown = [
            (printable(folder), label, split, f"{number:,}") for folder, label, split, number in rows[:_MOST_LINES]
        ]
        shown.insert(0, ("folder", "class", "split", "files"))
        widths = [min(40, max(len(row[column]) for row in shown)) for column in range(4)]
        lines = [f"{len(self.classes):,} classes, labelled by {self.how}."]
        lines += ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in shown]
        more = len(self.folders) - _MOST_LINES
        lines += [f"… and {more:,} more folders"] if more > 0 else []
        lines += [*self.notes, *(str(one) for one in self.skipped[:_MOST_LINES])]
        if len(self.skipped) > _MOST_LINES:
            lines.append(f"Skipped: {len(self.skipped) - _MOST_LINES:,} more")
        return "\n".join(lines)

    def counted(self, paths: Iterable[str]) -> Counter:
        """Count the files with a class in and below each folder."""
        return Counter(self._folder_of(path) for path in paths if self.label(path))


def _shown(label: str | None, split: str | None) -> tuple[str, str]:
    """Return class and split as the table shows them; photos that are none of the classes have neither."""
    if label and is_none_of_these(label):
        return "(none of these)", ""
    return label or "(each photo's own)", split or ""

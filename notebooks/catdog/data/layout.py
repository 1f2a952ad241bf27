"""Which folders are classes, which are splits and which are neither: one set of rules, over the files' paths alone."""

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
    """A folder, or some files of one, that are not used, and why."""

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
        how: where the labels were found, in words.
        folders: folder → (class or None, split or None), for it and all below it; where the class is None, the photo's
            name or the table tells it.
        spellings: what the spellings of a class have in common → its name here.
        skipped: what is not used.
        notes: what else a person should know, in sentences.
    """

    how: str
    folders: Mapping[str, tuple[str | None, str | None]]
    spellings: Mapping[str, str]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    table: Table | None = field(default=None, repr=False)

    @property
    def splits(self) -> set[str]:
        """Those that folders, or the table, give."""
        of_table = {split_named(text) for text in set(self.table.splits.values())} if self.table else set()
        return {split for split in {split for _, split in self.folders.values()} | of_table if split in SPLITS}

    @property
    def classes(self) -> tuple[str, ...]:
        """In alphabetical order; photos that are none of them make no class."""
        return tuple(sorted(label for label in self.spellings.values() if not is_none_of_these(label)))

    def label(self, path: str) -> str | None:
        """The class, or what `is_none_of_these` knows; None for a file that is not used."""
        folder = self._folder_of(path)
        if folder is None or FILES_OF_PROGRAMS.fullmatch(path.rpartition("/")[2]):
            return None
        label, _ = self.folders[folder]
        if label is None:
            label = self.table.label(path) if self.table else label_in_name(path)
        return self.spellings.get(same(label)) if label else None

    def class_of(self, path: str) -> str | None:
        """As `label`, and None, too, for a photo that is none of the classes."""
        label = self.label(path)
        return None if label and is_none_of_these(label) else label

    def split(self, path: str) -> str | None:
        """The split that its folder, or the table, gives; None where none does."""
        folder = self._folder_of(path)
        if folder is not None and (split := self.folders[folder][1]):
            return split
        named = split_named(self.table.split(path) or "") if self.table else None
        return named if named in SPLITS else None

    def _folder_of(self, path: str) -> str | None:
        """The one of `folders` that `path` lies in, the innermost of several; None where a program made it."""
        names = path.split("/")[:-1]
        if any(map(is_of_a_program, names)):
            return None
        above = ("/".join(names[:depth]) for depth in range(len(names), -1, -1))
        return next((folder for folder in above if folder in self.folders), None)

    def describe(self, counts: Mapping[str, int]) -> str:
        """A table: folder → class, split and number of photos; what is skipped, and why.

        Args:
            counts: folder → number of files, as `counted` gives them.
        """
        rows = [(folder or ".", *_shown(label, split), counts.get(folder, 0))
                for folder, (label, split) in self.folders.items()]  # fmt: skip
        shown = [
            (printable(folder), label, split, f"{number:,}") for folder, label, split, number in rows[:_MOST_LINES]
        ]
        shown.insert(0, ("folder", "class", "split", "files"))
        widths = [min(40, max(len(row[column]) for row in shown)) for column in range(4)]
        lines = [f"{len(self.classes):,} classes, by {self.how}."]
        lines += ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in shown]
        more = len(self.folders) - _MOST_LINES
        lines += [f"… and {more:,} more folders"] if more > 0 else []
        lines += [*self.notes, *(str(one) for one in self.skipped[:_MOST_LINES])]
        if len(self.skipped) > _MOST_LINES:
            lines.append(f"Skipped: {len(self.skipped) - _MOST_LINES:,} more")
        return "\n".join(lines)

    def counted(self, paths: Iterable[str]) -> Counter:
        """Folder → number of the files in it and below it that have a class."""
        return Counter(self._folder_of(path) for path in paths if self.label(path))


def _shown(label: str | None, split: str | None) -> tuple[str, str]:
    """Class and split as the table shows them: photos that are none of the classes have neither."""
    if label and is_none_of_these(label):
        return "(none of these)", ""
    return label or "(each photo's own)", split or ""

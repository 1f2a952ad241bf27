"""Class and split of photos in storage, by the folders they lie in, as `dataset.check` has them on a disk."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..dataset import split_folders, split_of
from ..errors import SuiteError
from .storage import Place

_MACOS = "__MACOSX"


@dataclass(frozen=True)
class Layout:
    """One folder a class, in folders for train, valid and test or without them.

    Attributes:
        root: path of the folder that holds them all.
        splits: folder → split, where there are folders for splits.
    """

    root: str
    splits: dict[str, str]

    @classmethod
    def of(cls, source: Place, paths: Iterable[str]) -> "Layout":
        """That of `paths` in `source`; below folders that are alone and hold others, as zips have them."""
        root, found = source.path, [_folders(source.path, path) for path in paths]
        while len(tops := _tops(found)) == 1 and _tops([names[1:] for names in found if names[0] in tops]):
            found = [names[1:] for names in found if names[0] in tops]
            root = f"{root}/{tops.pop()}"
        return cls(root, split_folders(tops))

    def label(self, path: str) -> str | None:
        """The class; None for a file that lies in no class's folder."""
        names = _folders(self.root, path) if path.startswith(f"{self.root}/") else []
        if any(name.startswith(_MACOS) for name in names[:2]):
            return None
        folders = names[bool(self.splits) : -1]
        return folders[0] if folders else None

    def split(self, path: str, digest: str) -> str:
        """See `dataset.split_of`."""
        folder = _folders(self.root, path)[0]
        return split_of(digest, self.splits.get(folder), set(self.splits.values()))

    def classes(self, paths: Iterable[str]) -> tuple[str, ...]:
        """In alphabetical order. Raises SuiteError for fewer than two."""
        classes = tuple(sorted({label for label in map(self.label, paths) if label}))
        if len(classes) < 2:
            raise SuiteError(f"{self.root} needs at least two sub-folders with photos, one for each class.")
        return classes


def _tops(found: Iterable[list[str]]) -> set[str]:
    return {top for top, *below in found if below and not top.startswith(_MACOS)}


def _folders(root: str, path: str) -> list[str]:
    """Names below `root`, the file's own last."""
    return path[len(root) :].strip("/").split("/")

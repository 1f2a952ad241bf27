"""Class and split of photos in storage, by the folders they lie in, as `dataset.check` has them on a disk."""

from collections.abc import Collection, Iterable
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
    def of(cls, source: Place, paths: Collection[str]) -> "Layout":
        """That of `paths` in `source`; below folders that are alone and hold others, as zips have them."""
        root, tops = source.path, _tops(source.path, paths)
        while len(tops) == 1 and (inner := _tops(wrapped := f"{root}/{min(tops)}", paths)):
            root, tops = wrapped, inner
        return cls(root, split_folders(tops))

    def label(self, path: str) -> str | None:
        """The class; None for a file that lies in no class's folder."""
        names = _folders(self.root, path)
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
            raise SuiteError(
                "photos-few-classes", f"{self.root} needs at least two sub-folders with photos, one for each class."
            )
        return classes


def _tops(root: str, paths: Iterable[str]) -> set[str]:
    """Folders in `root` that hold files, in themselves or below."""
    tops = {names[0] for path in paths if len(names := _folders(root, path)) > 1}
    return {top for top in tops if not top.startswith(_MACOS)}


def _folders(root: str, path: str) -> list[str]:
    """Names below `root`, the file's own last; none for a file that is elsewhere."""
    inside = f"{root.rstrip('/')}/"
    return path[len(inside) :].split("/") if path.startswith(inside) else []

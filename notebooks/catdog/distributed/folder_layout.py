"""Class and split of photos in storage, by the rules that `dataset.check` follows on a disk."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ..data import layout
from ..data.folders import is_none_of_these
from ..data.layout_reader import read_layout
from ..data.splitting import split_of
from .storage import Place


@dataclass(frozen=True)
class Layout:
    """See `layout.Layout`; its paths are those of the storage.

    Attributes:
        root: path of the folder that holds them all.
    """

    root: str
    _layout: layout.Layout

    @classmethod
    def of(cls, source: Place, paths: Collection[str]) -> "Layout":
        """That of `paths` in `source`. Raises SuiteError where they are not understood."""
        root = source.path.rstrip("/")
        inside = _Inside(root, paths)
        return cls(root, read_layout(inside, read=lambda path: source.read(f"{root}/{path}"), where=source.name))

    def classes(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Those of `paths`, in alphabetical order."""
        return tuple(sorted({label for label in map(self.label, paths) if label}))

    def label(self, path: str) -> str | None:
        """The class; None for a file that is not used, such as one in `none-of-these`."""
        label = self._layout.label(path[len(self.root) + 1 :])
        return None if label and is_none_of_these(label) else label

    @property
    def splits(self) -> set[str]:
        """Those that folders, or a table, give."""
        return self._layout.splits

    def given(self, path: str) -> str | None:
        """The split that its folder, or a table, gives; None where none does."""
        return self._layout.split(path[len(self.root) + 1 :])

    def split(self, path: str, digest: str) -> str:
        """See `splitting.split_of`."""
        return split_of(digest, self.given(path), self.splits)

    def describe(self, paths: Collection[str]) -> str:
        """What was understood, as a table."""
        return self._layout.describe(self._layout.counted(_Inside(self.root, paths)))


class _Inside(Collection):
    """`paths` relative to `root`, without a copy of them: there may be millions."""

    def __init__(self, root: str, paths: Collection[str]):
        self._from, self._paths = len(root) + 1, paths

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self):
        return (path[self._from :] for path in self._paths)

    def __contains__(self, path) -> bool:
        return any(one == path for one in self)

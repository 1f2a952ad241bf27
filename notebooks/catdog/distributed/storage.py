"""Folders, on a disk or in object storage (`s3://`, `gs://`), through pyarrow's file systems."""

import itertools
import re
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow
from pyarrow import fs, parquet

from ..data.folders import list_files
from ..errors import UserError, first_line

_PART = ".part"
_LARGEST = 256 << 20  # bytes of a photo's file: whatever is larger is a film
_LISTED_AT_A_TIME = 16  # folders: object storage gives 1,000 names a call, one call after the other


@dataclass(frozen=True)
class StorageFolder:
    """A folder.

    Attributes:
        name: as it was given.
        system: that reads and writes there; it travels to other machines.
        path: within `system`.
    """

    name: str
    system: fs.FileSystem
    path: str

    @classmethod
    def of(cls, name: str) -> "StorageFolder":
        """The folder that `name` names: a path, or a URI such as s3://bucket/photos. Raises UserError."""
        try:
            if "://" in name:
                return cls(name, *fs.FileSystem.from_uri(name))
            return cls(name, fs.LocalFileSystem(), str(Path(name).expanduser().resolve()))
        except (OSError, ValueError) as error:  # pyarrow's errors are of these
            raise UserError(
                "folder-unusable", f"{name} is not a folder that can be used ({first_line(error)})."
            ) from None

    @property
    def is_there(self) -> bool:
        return self.system.get_file_info(self.path).type == fs.FileType.Directory

    def files(self, but: "StorageFolder | None" = None) -> list[str]:
        """Paths of all files below, sorted; hidden ones are left out, and so is the folder `but`. Raises UserError
        where there is no such folder."""
        try:
            found = _on_this_disk(self.path) if isinstance(self.system, fs.LocalFileSystem) else self._in_storage()
            paths = sorted(found)
            _require_text(paths)
        except OSError as error:
            raise UserError("folder-unusable", f"{self.name} cannot be listed ({first_line(error)}).") from None
        if but is None or but.system.type_name != self.system.type_name:
            return paths
        if but.path == self.path:
            raise UserError(
                "folder-holds-photos",
                f"{self.name} holds the photos: choose a folder for the table that holds nothing else.",
            )
        return [path for path in paths if not path.startswith(f"{but.path}/")]

    def _in_storage(self) -> Iterator[str]:
        top = self.system.get_file_info(fs.FileSelector(self.path))
        folders = [found.path for found in top if found.type == fs.FileType.Directory]
        with ThreadPoolExecutor(_LISTED_AT_A_TIME) as pool:
            below = pool.map(lambda path: self.system.get_file_info(fs.FileSelector(path, recursive=True)), folders)
            files = [one for one in itertools.chain(top, *below) if one.type == fs.FileType.File]
        return (file.path for file in files if "/." not in file.path[len(self.path) :])

    @property
    def above(self) -> int:
        """How many letters of the path of each of `files` lead to this folder."""
        return len(self.path.rstrip("/")) + 1

    def inside(self, path: str) -> str:
        """`path`, one of `files`, relative to this folder."""
        return path[self.above :]

    def relative(self, paths: Collection[str]) -> Collection[str]:
        """Each of `paths` as `inside` gives it, without a copy of them: there may be millions."""
        return _Relative(self.above, paths)

    def read(self, path: str) -> bytes:
        """The bytes of a photo's file. Raises OSError, for one that is too large to be a photo, too."""
        with self.system.open_input_file(path) as file:
            if file.size() > _LARGEST:
                raise OSError(f"it has more than {_LARGEST >> 20} MB")
            return file.read()

    def create(self) -> None:
        """Make the folder where there is none. Raises UserError."""
        with self._writing():
            self.system.create_dir(self.path, recursive=True)

    def mark(self, name: str) -> bool:
        """Leave a hidden mark; whether there was none before. Raises UserError."""
        path = self._marked(name)
        if self.system.get_file_info(path).type == fs.FileType.File:
            return False
        with self._writing(), self.system.open_output_stream(path):
            return True

    def unmark(self, name: str) -> None:
        with self._writing():
            self.system.delete_file(self._marked(name))

    def _marked(self, name: str) -> str:
        return f"{self.path}/.{name}.begun"

    def write(self, name: str, table: pyarrow.Table) -> None:
        """A Parquet file `name` that appears whole or not at all. Raises UserError."""
        path = f"{self.path}/{name}"
        with self._writing():
            parquet.write_table(table, path + _PART, filesystem=self.system)
            self.system.move(path + _PART, path)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError("folder-not-writable", f"{self.name} cannot be written to ({first_line(error)}).") from None

    def tables(self, columns: list[str]) -> Iterator[pyarrow.Table]:
        """`columns` of each Parquet file, one file after the other; of none where nothing was written yet. Raises
        UserError for files that lack them."""
        for path in self.files() if self.is_there else ():
            if path.endswith(".parquet"):
                try:
                    table = parquet.read_table(path, filesystem=self.system, columns=columns)
                except pyarrow.ArrowException as error:
                    raise UserError(
                        "folder-other-files",
                        f"{path} is not a file of such a table ({first_line(error)}): choose another folder for it.",
                    ) from None
                yield table


class _Relative(Collection):
    """`paths` without their first letters, as many as are `above`."""

    def __init__(self, above: int, paths: Collection[str]):
        self._above, self._paths = above, paths

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[str]:
        return (path[self._above :] for path in self._paths)

    def __contains__(self, path: object) -> bool:
        return any(one == path for one in self)


def _on_this_disk(folder: str) -> Iterator[str]:
    for path in list_files(Path(folder)):
        if not path.endswith("/") and not any(name.startswith(".") for name in path.split("/")):
            yield f"{folder.rstrip('/')}/{path}"


def _require_text(paths: list[str]) -> None:
    """Python hands on bytes that are no text as half of a surrogate pair, which nothing can store."""
    odd = next((path for path in paths if re.search("[\\ud800-\\udfff]", path)), None)
    if odd:
        raise UserError("photo-name", f"Rename {odd!a}: it is not UTF-8 text.")

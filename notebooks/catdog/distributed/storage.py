"""Folders on a disk or in object storage (`s3://`, `gs://`), through pyarrow's file systems."""

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
_LARGEST = 256 << 20  # bytes of a photo's file: anything larger is a film
_LISTED_AT_A_TIME = 16  # folders: object storage lists 1,000 names per call, and calls for one folder are sequential


@dataclass(frozen=True)
class StorageFolder:
    """A folder.

    Attributes:
        name: path or URI, as given.
        system: file system to read and write it; can be sent to other machines.
        path: within `system`.
    """

    name: str
    system: fs.FileSystem
    path: str

    @classmethod
    def of(cls, name: str) -> "StorageFolder":
        """Open the folder `name`: a path, or a URI such as s3://bucket/photos. Raises UserError."""
        try:
            if "://" in name:
                return cls(name, *fs.FileSystem.from_uri(name))
            return cls(name, fs.LocalFileSystem(), str(Path(name).expanduser().resolve()))
        except (OSError, ValueError) as error:  # pyarrow's errors derive from these
            raise UserError("folder-unusable", f"{name} cannot be used as a folder ({first_line(error)}).") from None

    @property
    def is_there(self) -> bool:
        return self.system.get_file_info(self.path).type == fs.FileType.Directory

    def files(self, but: "StorageFolder | None" = None) -> list[str]:
        """Return the paths of all files below, sorted, without hidden ones and without the folder `but`. Raises
        UserError if the folder does not exist."""
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
                f"{self.name} holds the photos: choose a separate folder for the table.",
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
        """Length of this folder's prefix in the paths of `files`."""
        return len(self.path.rstrip("/")) + 1

    def inside(self, path: str) -> str:
        """Return `path`, one of `files`, relative to this folder."""
        return path[self.above :]

    def relative(self, paths: Collection[str]) -> Collection[str]:
        """Return a view of `paths` relative to this folder, without a copy: there may be millions."""
        return _Relative(self.above, paths)

    def read(self, path: str) -> bytes:
        """Read the bytes of a photo's file. Raises OSError, also for a file that is too large to be a photo."""
        with self.system.open_input_file(path) as file:
            if file.size() > _LARGEST:
                raise OSError(f"it is larger than {_LARGEST >> 20} MB")
            return file.read()

    def create(self) -> None:
        """Make the folder if it does not exist. Raises UserError."""
        with self._writing():
            self.system.create_dir(self.path, recursive=True)

    def mark(self, name: str) -> bool:
        """Leave a hidden mark, and tell whether there was none before. Raises UserError."""
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
        """Write the Parquet file `name`, which appears whole or not at all. Raises UserError."""
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
        """Yield `columns` of each Parquet file, one file after the other; nothing if the folder does not exist. Raises
        UserError for a file that lacks them."""
        for path in self.files() if self.is_there else ():
            if path.endswith(".parquet"):
                try:
                    table = parquet.read_table(path, filesystem=self.system, columns=columns)
                except pyarrow.ArrowException as error:
                    raise UserError(
                        "folder-other-files",
                        f"{path} is not part of such a table ({first_line(error)}): choose another folder for the "
                        "table.",
                    ) from None
                yield table


class _Relative(Collection):
    """A view of `paths` without their first `above` characters."""

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
    """Raise UserError for a name that is not UTF-8: Python decodes it with lone surrogates, which nothing can store."""
    odd = next((path for path in paths if re.search("[\\ud800-\\udfff]", path)), None)
    if odd:
        raise UserError("photo-name", f"Rename {odd!a}: it is not UTF-8 text.")

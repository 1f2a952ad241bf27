"""Folders, on a disk or in object storage (`s3://`, `gs://`), through pyarrow's file systems."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow
from pyarrow import fs, parquet

from ..errors import SuiteError, first_line

_PART = ".part"
_LISTED_AT_A_TIME = 16  # folders: object storage gives 1,000 names a call, one call after the other


@dataclass(frozen=True)
class Place:
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
    def of(cls, name: str) -> "Place":
        """The folder that `name` names: a path, or a URI such as s3://bucket/photos. Raises SuiteError."""
        try:
            if "://" in name:
                return cls(name, *fs.FileSystem.from_uri(name))
            return cls(name, fs.LocalFileSystem(), str(Path(name).expanduser().absolute()))
        except (OSError, ValueError) as error:  # pyarrow's errors are of these
            raise SuiteError(f"{name} is no folder that can be used ({first_line(error)}).") from None

    @property
    def is_there(self) -> bool:
        return self.system.get_file_info(self.path).type == fs.FileType.Directory

    def files(self) -> list[str]:
        """Paths of all files below, hidden ones left out, sorted. Raises SuiteError where there is no such folder."""
        try:
            top = self.system.get_file_info(fs.FileSelector(self.path))
            folders = [found.path for found in top if found.type == fs.FileType.Directory]
            with ThreadPoolExecutor(_LISTED_AT_A_TIME) as pool:
                below = pool.map(lambda path: self.system.get_file_info(fs.FileSelector(path, recursive=True)), folders)
                found = [*top, *itertools.chain.from_iterable(below)]
        except OSError as error:
            raise SuiteError(f"{self.name} cannot be listed ({first_line(error)}): look at its name.") from None
        start = len(self.path)
        paths = (file.path for file in found if file.type == fs.FileType.File)
        return sorted(path for path in paths if "/." not in path[start:])

    def read(self, path: str) -> bytes:
        """A file's bytes. Raises OSError."""
        with self.system.open_input_stream(path) as file:
            return file.read()

    def create(self) -> None:
        """Make the folder where there is none. Raises SuiteError."""
        with self._writing():
            self.system.create_dir(self.path, recursive=True)

    def mark(self, name: str) -> bool:
        """Leave a hidden mark; whether there was none before."""
        path = self._marked(name)
        if self.system.get_file_info(path).type == fs.FileType.File:
            return False
        with self.system.open_output_stream(path):
            return True

    def unmark(self, name: str) -> None:
        self.system.delete_file(self._marked(name))

    def _marked(self, name: str) -> str:
        return f"{self.path}/.{name}.begun"

    def write(self, name: str, table: pyarrow.Table) -> None:
        """A Parquet file `name` that appears whole or not at all. Raises SuiteError."""
        path = f"{self.path}/{name}"
        with self._writing():
            parquet.write_table(table, path + _PART, filesystem=self.system)
            self.system.move(path + _PART, path)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SuiteError(f"{self.name} cannot be written to ({first_line(error)}).") from None

    def tables(self, columns: list[str]) -> Iterator[pyarrow.Table]:
        """`columns` of each Parquet file, one file after the other; of none where nothing was written yet."""
        if self.is_there:
            for path in self.files():
                if path.endswith(".parquet"):
                    yield parquet.read_table(path, filesystem=self.system, columns=columns)

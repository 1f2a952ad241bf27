"""Rows of features that need not lie in memory, and what is computed from them a part at a time."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

CHUNK = 16_384  # rows in memory at a time


class Rows(Protocol):
    """float32 (n, size), read by a slice or by numbers. An array is one."""

    shape: tuple[int, int]

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray: ...


class StoredRows:
    """Rows in a file, one after the other without anything between them.

    They are read by number rather than through a memory map: as fast, and nothing of the file counts as this process's
    memory. Rows that nobody wrote are zeros.
    """

    def __init__(self, path: Path, number: int, size: int):
        self.shape = (number, size)
        self._bytes = 4 * size
        self._file = os.open(path, os.O_RDWR | os.O_CREAT)
        os.truncate(self._file, number * self._bytes)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            read = self._read(start, max(0, stop - start))
        else:
            read = b"".join(self._read(row, 1) for row in rows.tolist())
        return np.frombuffer(read, "<f4").reshape(-1, self.shape[1])

    def __setitem__(self, rows: np.ndarray, values: np.ndarray) -> None:
        for row, value in zip(rows.tolist(), np.ascontiguousarray(values, "<f4")):
            os.pwrite(self._file, value, row * self._bytes)

    def close(self) -> None:
        os.close(self._file)

    def _read(self, start: int, number: int) -> bytes:
        return os.pread(self._file, number * self._bytes, start * self._bytes)


@dataclass(frozen=True)
class Standardised:
    """`rows` less their `mean`, by their `spread`, float32 (size,) each. See `Rows`."""

    rows: Rows
    mean: np.ndarray
    spread: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.shape

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        return (self.rows[rows] - self.mean) / self.spread


def chunks(number: int) -> Iterator[slice]:
    """The first `number` rows, some at a time."""
    return (slice(start, start + CHUNK) for start in range(0, number, CHUNK))


def moments(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column, float32 (size,)."""
    mean = sum(rows[some].sum(axis=0, dtype=np.float64) for some in chunks(len(rows))) / len(rows)
    variance = sum(((rows[some] - mean) ** 2).sum(axis=0) for some in chunks(len(rows))) / len(rows)
    return mean.astype(np.float32), np.sqrt(variance).astype(np.float32)

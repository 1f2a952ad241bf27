"""Example photos: the author offers them to testers who have no photo at hand."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ..data.folders import FILES_OF_PROGRAMS
from ..data.images import PhotoRefused, as_jpeg, read_shrunk
from ..errors import UserError
from ..names import counted, printable
from .limits import Limits

MOST = 4
LONGEST_SIDE = 512  # pixels: more than any model looks at, and four of them load quickly on a phone
_MOST_TOLD = 10
_MOST_BYTES = Limits().photo_bytes  # of a file: the folder may be a wrong one, with films in it
_WANTED = "Set EXAMPLES to a folder with a few photos (on Drive, tick USE_DRIVE, too), or leave it empty."


def read_examples(folder: str, say: Callable[[str], object] = print) -> tuple[bytes, ...]:
    """Read the photos that the author offers to testers, and say which these are.

    Args:
        folder: the setting EXAMPLES: the folder's path, or empty for no examples. Folders in it are not looked at.
        say: gets a line for each file that is skipped, with the reason, and one with the files that are offered.

    Returns:
        The first `MOST` photos by name, each a JPEG without metadata: upright, in sRGB, on white, with at most
        `LONGEST_SIDE` pixels on its longer side. A smaller photo keeps its size.

    Raises UserError if the folder cannot be read or holds no photo.
    """
    if not folder.strip():
        return ()
    files = _files(folder.strip())
    found: dict[str, bytes] = {}
    skipped: list[str] = []
    for file in files:
        if len(found) == MOST:
            break
        try:
            found[file.name] = _read(file)
        except PhotoRefused as refusal:
            skipped.append(f"Not an example: {printable(file.name)}: {refusal}")
    _tell(skipped, say)
    if not found:
        raise UserError(
            "setting-examples",
            f"{printable(folder.strip())} holds no photo that can be read; folders in it are not looked at. {_WANTED}",
        )
    say(f"Examples for testers: {', '.join(map(printable, found))}")
    return tuple(found.values())


def require_examples(folder: str) -> None:
    """Raise UserError if `read_examples` would."""
    read_examples(folder, say=lambda words: None)


def _files(folder: str) -> list[Path]:
    """Return the files that a user put into the folder, by name."""
    try:
        return sorted(path for path in Path(folder).expanduser().iterdir() if _is_of_a_user(path))
    except (OSError, RuntimeError, ValueError) as error:  # "~" of an unknown user; a path with a zero byte
        why = getattr(error, "strerror", None) or "not a path"
        raise UserError(
            "setting-examples", f"{printable(folder)} is not a readable folder ({why}). {_WANTED}"
        ) from error


def _is_of_a_user(path: Path) -> bool:
    return path.is_file() and not FILES_OF_PROGRAMS.fullmatch(path.name)


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise PhotoRefused("photo-pixels", f"The file has more than {_MOST_BYTES >> 20} MB.")
        data = file.read_bytes()
    except OSError as error:
        raise PhotoRefused("photo-unreadable", f"The file cannot be read ({error.strerror}).") from error
    return as_jpeg(read_shrunk(data, LONGEST_SIDE))


def _tell(skipped: Sequence[str], say: Callable[[str], object]) -> None:
    for line in skipped[:_MOST_TOLD]:
        say(line)
    if more := skipped[_MOST_TOLD:]:
        say(f"Nor are {counted(len(more), 'more file')}.")

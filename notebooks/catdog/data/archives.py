"""Unpack zips, tars and other archives, from any program and with file names in any encoding."""

import contextlib
import errno
import functools
import hashlib
import itertools
import lzma
import os
import shutil
import struct
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from ..errors import CODES, UserError, first_line
from ..names import decoded, printable
from ..progress import bar
from .folders import is_archive, is_of_a_program

_OF_THE_NAME = (errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EILSEQ)
_DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, OSError, RuntimeError, NotImplementedError, EOFError, ValueError,
    zlib.error, lzma.LZMAError,
)  # fmt: skip
_PROGRAMS = {
    "7z": ["x", "-y", "-bso0", "-bsp0"],
    "7zz": ["x", "-y", "-bso0", "-bsp0"],
    "bsdtar": ["-xf"],
    "unzip": ["-q"],
}
_OTHERS = {b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!\x1a\x07": "RAR"}
_UNICODE_NAME = 0x7075
_DEPTH = 3  # of archives within archives


def is_readable(path: Path) -> bool:
    """Tell by its content whether `path` is an archive that Python can unpack."""
    return zipfile.is_zipfile(path) or _is_tar(path)


def kind_of(path: Path) -> str:
    """Return `7z` or `RAR` for an archive that needs another program, an empty string for other files."""
    with path.open("rb") as file:
        start = file.read(8)
    return next((kind for magic, kind in _OTHERS.items() if start.startswith(magic)), "")


def stem(path: Path) -> str:
    """Return the name without endings: `pets` of `pets.tar.gz`."""
    name = path.name
    while is_archive(name) or name.lower().endswith((".tar", ".part")):
        name = name.rpartition(".")[0]
    return name or path.stem


def identity(archives: Sequence[Path]) -> str:
    """Identify the contents: a zip by its list of members, another archive by its size and modification time."""
    digest = hashlib.sha256()
    for path in archives:
        digest.update(path.name.encode(errors="surrogateescape"))
        try:
            with zipfile.ZipFile(path) as file:
                digest.update(
                    repr([(i.filename, i.CRC, i.file_size) for i in file.infolist()]).encode(errors="replace")
                )
        except _DAMAGE:
            state = path.stat()
            digest.update(f"{state.st_size} {state.st_mtime_ns}".encode())
    return digest.hexdigest()[:8]


class _Member(NamedTuple):
    name: str | bytes  # bytes if their encoding is not declared
    open: Callable[[], IO[bytes] | None]  # None for a link to a folder; raises KeyError for a broken link


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[list[_Member]]:
    """Yield the members that are files or links."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            infos = [info for info in zipped.infolist() if not info.filename.endswith(("/", "\\"))]
            yield [_Member(_raw(info), functools.partial(zipped.open, info)) for info in infos]
    else:
        with tarfile.open(archive) as tar:
            found = [info for info in tar if info.isfile() or info.islnk() or info.issym()]
            yield [_Member(os.fsencode(info.name), functools.partial(tar.extractfile, info)) for info in found]


def _raw(info: zipfile.ZipInfo) -> str | bytes:
    """Return a member's name: text if the UTF-8 flag or an extra field (APPNOTE 4.6.9) declares it, else its bytes.

    Python decodes undeclared names as cp437, which is undone here.
    """
    if info.flag_bits & 0x800:
        return info.orig_filename
    place, extra = 0, info.extra
    while place + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, place)
        if kind == _UNICODE_NAME and size > 5:
            return extra[place + 9 : place + 4 + size].decode("utf-8", "replace")
        place += 4 + size
    return info.orig_filename.encode("cp437", "surrogateescape")


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except _DAMAGE:
        return False


def unpack(archive: Path, folder: Path) -> list[str]:
    """Unpack `archive` into `folder`; return what a user should know, in sentences. Raises UserError."""
    try:
        if not is_readable(archive):
            return _by_a_program(archive, folder / stem(archive))
        with _opened(archive) as members:
            return _written(archive, members, folder)
    except NotImplementedError:
        return _by_a_program(archive, folder / stem(archive))
    except UserError:
        raise
    except Exception as error:  # libraries raise many kinds of errors on damaged archives
        what, remedy = first_line(error), "Make or download the archive again."
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            remedy = "Make room on the disk, or set DATA_DIR to a folder on another one."
        if isinstance(error, RuntimeError) and "password" in what:
            what, remedy = "it needs a password", "Unpack it on your computer, and set DATA to the folder."
        raise UserError("photos-zip-damaged", f"{archive} could not be unpacked ({what}). {remedy}") from error


def _written(archive: Path, members: list[_Member], folder: Path) -> list[str]:
    names, notes = _readable([member.name for member in members])
    paths = [_inside(name) for name in names]
    if any(len(path.parts) == 1 for path in paths if path):
        folder = folder / stem(archive)  # or the top-level files of several parts would mix
    skipped = []
    for member, path in zip(bar(members, what=f"Unpacking {archive.name}", unit="files"), paths):
        if path is None or is_of_a_program(path.parts[0]):
            continue
        try:
            if (content := member.open()) is None:
                skipped.append(path.name)
                continue
            with content:
                write_beside(content, folder / path)
        except KeyError:  # a link to a file that is not in the archive
            skipped.append(path.name)
        except OSError as error:
            if error.errno not in _OF_THE_NAME:
                raise
            skipped.append(path.name)
    if skipped:
        number = f"{len(skipped):,} file{'s' * (len(skipped) > 1)}"
        notes.append(f"{number} of {archive.name} could not be written, for example {printable(skipped[0])[:60]}.")
    return notes


def _readable(raw: list[str | bytes]) -> tuple[list[str], list[str]]:
    unsaid = [name for name in raw if isinstance(name, bytes) and not name.isascii()]
    strange = sorted({part for name in unsaid for part in name.split(b"/") if not part.isascii()})
    if not strange:
        return [name if isinstance(name, str) else name.decode() for name in raw], []
    words, language = decoded(strange)
    names = dict(zip(strange, words))
    found = [
        name if isinstance(name, str) else "/".join(_part(part, names) for part in name.split(b"/")) for name in raw
    ]
    if language == "Unicode":
        return found, []
    shown = ", ".join(map(printable, words[:4]))
    return found, [
        f"The archive does not declare the encoding of its file names. They were read as {language}: {shown}. If that "
        "is wrong, unpack it on your computer and set DATA to the folder."
    ]


def _part(part: bytes, names: dict[bytes, str]) -> str:
    return names[part] if part in names else part.decode("ascii", "replace")


def _inside(name: str) -> PurePosixPath | None:
    """Turn a member's name into a path that never leaves the folder, with "/" for Windows' backslashes."""
    text = name.replace("\\", "/").split("\0")[0]
    parts = [part for part in text.split("/") if part not in ("", ".", "..") and not part.endswith(":")]
    return PurePosixPath(*parts) if parts else None


def write_beside(content: IO[bytes], path: Path) -> None:
    """Write `content` to `path`, or under a numbered name if another file is there. Skip it if that file is equal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        with path.open("xb") as file:
            shutil.copyfileobj(content, file)
        return
    data = content.read()
    for number in itertools.count(2):
        if path.read_bytes() == data:
            return
        path = path.with_name(f"{path.stem.removesuffix(f' ({number - 1})')} ({number}){path.suffix}")
        if not path.exists():
            path.write_bytes(data)
            return


def _by_a_program(archive: Path, folder: Path) -> list[str]:
    """Unpack with another program what Python cannot: 7z, RAR, and zips in Windows' Deflate64."""
    folder.mkdir(parents=True, exist_ok=True)
    for program, options in _PROGRAMS.items():
        if path := shutil.which(program):
            done = subprocess.run([path, *options, str(archive.resolve())], cwd=folder, capture_output=True)
            if done.returncode == 0 and any(folder.iterdir()):
                for link in filter(Path.is_symlink, list(folder.rglob("*"))):
                    link.unlink()  # it may lead out of the folder
                return []
    kind = kind_of(archive) or "zip of a kind that Python does not read (Deflate64, encrypted or in several parts)"
    raise UserError(
        "photos-archive-kind",
        f"{archive} is a {kind}, which needs another program. Unpack it on your computer, for example with 7-Zip, and "
        "set DATA to the folder, or to a zip of it.",
    )


def unpack_inner(folder: Path, depth: int = _DEPTH) -> list[str]:
    """Unpack archives within archives; return what a user should know. Damaged ones are hidden, not deleted."""
    if not depth:
        return []
    inner = [path for path in folder.rglob("*") if path.is_file() and is_archive(path.name) and is_readable(path)]
    notes = []
    for path in inner:
        with tempfile.TemporaryDirectory(prefix=".inner-", dir=folder) as place:
            try:
                notes += unpack(path, Path(place))
            except UserError as damaged:
                notes.append(f"{printable(path.name)}, inside the archive, is skipped: {CODES[damaged.code]}.")
                path.rename(path.with_name(f".{path.name}"))
                continue
            path.unlink()
            for file in filter(Path.is_file, list(Path(place).rglob("*"))):
                with file.open("rb") as content:
                    write_beside(content, path.parent / file.relative_to(place))
    return notes + (unpack_inner(folder, depth - 1) if inner else [])

"""Zips, tars and their like: what is in them, whatever names and programs they come from."""

import contextlib
import errno
import hashlib
import lzma
import os
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from .errors import SuiteError, first_line
from .folders import is_archive, is_of_a_program
from .names import decoded, printable
from .progress import bar

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
_DEPTH = 3  # of archives within archives


def is_readable(path: Path) -> bool:
    """Whether `path` is an archive that can be unpacked here, by its content."""
    return zipfile.is_zipfile(path) or _is_tar(path)


def kind_of(path: Path) -> str:
    """`7z` or `RAR` for an archive that other programs unpack; nothing for other files."""
    with path.open("rb") as file:
        start = file.read(8)
    return next((kind for magic, kind in _OTHERS.items() if start.startswith(magic)), "")


def stem(path: Path) -> str:
    """`pets` of `pets.tar.gz`."""
    name = path.name
    while is_archive(name) or name.lower().endswith((".tar", ".part")):
        name = name.rpartition(".")[0]
    return name or path.stem


def identity(archives: Sequence[Path]) -> str:
    """Of the contents: a zip's list of members tells them, for others their size and time of change stand."""
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
    name: bytes
    content: object  # what the archive opens it by


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[tuple[list[_Member], object]]:
    """(members that are files, a function: member → its content as a file)."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            infos = [info for info in file.infolist() if not info.filename.endswith(("/", "\\"))]
            yield [_Member(_raw(info), info) for info in infos], lambda one: file.open(one.content)
    else:
        with tarfile.open(archive) as file:
            infos = [info for info in file if info.isfile()]
            members = [_Member(os.fsencode(info.name), info) for info in infos]
            yield members, lambda one: file.extractfile(one.content)


def _raw(info: zipfile.ZipInfo) -> bytes:
    """The name as it stands in the zip: where the flag for UTF-8 is missing, Python reads it as cp437."""
    return info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437", "surrogateescape")


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except _DAMAGE:
        return False


def unpack(archive: Path, folder: Path) -> list[str]:
    """Unpack into `folder`; what a person should know, in sentences."""
    try:
        if not is_readable(archive):
            return _by_a_program(archive, folder / stem(archive))
        with _opened(archive) as (members, open_member):
            return _written(archive, members, open_member, folder)
    except NotImplementedError:
        return _by_a_program(archive, folder / stem(archive))
    except SuiteError:
        raise
    except Exception as error:  # what reads archives fails in many ways on damaged ones: every one is a refusal
        raise SuiteError(
            "photos-zip-damaged",
            f"{archive} could not be unpacked ({first_line(error)}). Make or download the archive again.",
        ) from error


def _written(archive: Path, members: list[_Member], open_member, folder: Path) -> list[str]:
    names, notes = _readable([member.name for member in members])
    paths = [_inside(name) for name in names]
    if any(len(path.parts) == 1 for path in paths if path) and len(paths) > 1:
        folder = folder / stem(archive)  # or what several parts hold directly would be mixed
    skipped = []
    for member, path in zip(bar(members, what=f"Unpacking {archive.name}", unit="files"), paths):
        if path is None or is_of_a_program(path.parts[0]):
            continue
        try:
            with open_member(member) as content:
                write_beside(content, folder / path)
        except OSError as error:
            if error.errno not in _OF_THE_NAME:
                raise
            skipped.append(path.name)
    if skipped:
        number = f"{len(skipped):,} file{'s' * (len(skipped) > 1)}"
        notes.append(f"{number} of {archive.name} left out for a name that cannot be: {printable(skipped[0])[:60]}….")
    return notes


def _readable(raw: list[bytes]) -> tuple[list[str], list[str]]:
    strange = sorted({part for name in raw if not name.isascii() for part in name.split(b"/") if not part.isascii()})
    if not strange:
        return [name.decode() for name in raw], []
    _, language = decoded(strange)
    names = dict(zip(strange, decoded(strange)[0]))
    found = ["/".join(names.get(part) or part.decode("ascii", "replace") for part in name.split(b"/")) for name in raw]
    if language == "Unicode":
        return found, []
    shown = ", ".join(printable(name) for name in list(names.values())[:4])
    return found, [
        f"The archive does not say how its names are written. They were read as {language}: {shown}. Should that be "
        "wrong, unpack it on your computer and set DATA to the folder."
    ]


def _inside(name: str) -> PurePosixPath | None:
    """A member's path: never outside the folder, whatever it says, and with "/" for Windows' backslashes."""
    text = name.replace("\\", "/").split("\0")[0]
    parts = [part for part in text.split("/") if part not in ("", ".", "..") and not part.endswith(":")]
    return PurePosixPath(*parts) if parts else None


def write_beside(content: BinaryIO, path: Path) -> None:
    """At `path`, or beside what lies there with other content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.read()
    number = 2
    target = path
    while target.exists():
        if target.read_bytes() == data:
            return
        target = path.with_name(f"{path.stem} ({number}){path.suffix}")
        number += 1
    target.write_bytes(data)


def _by_a_program(archive: Path, folder: Path) -> list[str]:
    """For what Python does not unpack: 7z, RAR, and zips in Windows' Deflate64."""
    folder.mkdir(parents=True)
    for program, options in _PROGRAMS.items():
        if path := shutil.which(program):
            done = subprocess.run([path, *options, str(archive.resolve())], cwd=folder, capture_output=True)
            if done.returncode == 0 and any(folder.iterdir()):
                for link in filter(Path.is_symlink, list(folder.rglob("*"))):
                    link.unlink()  # it may lead out of the folder
                return []
    kind = kind_of(archive) or "zip of a kind that Python does not read (Deflate64, encrypted or in several parts)"
    raise SuiteError(
        "photos-archive-kind",
        f"{archive} is a {kind}, which needs another program. Unpack it on your computer, for example with 7-Zip, and "
        "set DATA to the folder, or to a zip of it.",
    )


def unpack_inner(folder: Path, depth: int = _DEPTH) -> None:
    """Archives within archives."""
    inner = [path for path in folder.rglob("*") if path.is_file() and is_archive(path.name) and is_readable(path)]
    for path in inner if depth else ():
        unpack(path, path.parent)
        path.unlink()
    if inner and depth:
        unpack_inner(folder, depth - 1)

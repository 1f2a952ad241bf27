"""Where photos come from: your folder or zip, a public set, or the suite's own drawings."""

import contextlib
import shutil
import urllib.request
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from . import places
from .drawings import draw_folder
from .errors import SuiteError
from .progress import bar

AUTO, DRAWINGS = "auto", "drawings"
_ANSWER_SECONDS = 20


@dataclass(frozen=True)
class PhotoFolder:
    """A folder with one sub-folder a class.

    Attributes:
        path: the folder.
        name: what a model trained on it is called unless you say otherwise.
        drawings: True for the suite's own drawings, which teach nothing about real animals.
        class_names: folder name → class name, where the two differ.
    """

    path: Path
    name: str
    drawings: bool = False
    class_names: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PublicSet:
    url: str
    class_names: dict[str, str]


PUBLIC_SETS = {
    "cats_and_dogs_filtered": PublicSet(
        "https://storage.googleapis.com/mledu-datasets/cats_and_dogs_filtered.zip", {"cats": "cat", "dogs": "dog"}
    ),
    "kaggle_dogs_vs_cats": PublicSet(
        "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/kagglecatsanddogs_5340.zip",
        {"Cat": "cat", "Dog": "dog"},
    ),
}
_PUBLIC_NAME = "cats-and-dogs"


def find_photos(data: str = AUTO) -> PhotoFolder:
    """Get the photos that `data` names, downloading or unpacking them where that is not done yet.

    Args:
        data: the path of a folder or a zip; the name of one of `PUBLIC_SETS`; "drawings"; or "auto": the 3,000
            photos of cats_and_dogs_filtered, and where they cannot be downloaded, drawings.

    Raises:
        SuiteError: nothing is there, the zip is damaged, or the download failed.
    """
    if data in (AUTO, ""):
        return _public_or_drawings()
    if data in PUBLIC_SETS:
        return _public(data)
    if data == DRAWINGS:
        return _drawings()
    return _own(Path(data).expanduser())


def _public_or_drawings() -> PhotoFolder:
    try:
        return _public("cats_and_dogs_filtered")
    except SuiteError as error:
        print(f"{error.shown()}\nGoing on with drawings of cats and dogs, so that you can see how everything works.")
        return _drawings()


def _drawings() -> PhotoFolder:
    return PhotoFolder(draw_folder(places.data_dir() / DRAWINGS), DRAWINGS, drawings=True)


def _own(path: Path) -> PhotoFolder:
    if path.is_dir():
        return PhotoFolder(path, model_name(path.resolve().name))
    if zipfile.is_zipfile(path):
        return PhotoFolder(_unpacked(path, places.data_dir() / path.stem), model_name(path.stem))
    if path.exists():
        raise SuiteError(
            "photos-not-a-folder",
            f"{path} is neither a folder nor an undamaged zip. "
            "Set DATA to a folder or a zip with a sub-folder a class.",
        )
    choices = ", ".join((AUTO, *PUBLIC_SETS, DRAWINGS))
    raise SuiteError(
        "photos-missing",
        f"There is nothing at {path.absolute()}. Set DATA to the path of a folder or a zip, or to one of: {choices}.",
    )


def model_name(text: str) -> str:
    """Lower-case letters, digits and single hyphens, as the name of a folder and a part of an address."""
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in text.lower()).split()
    return "-".join(words) or "photos"


def _public(name: str) -> PhotoFolder:
    public = PUBLIC_SETS[name]
    folder = places.data_dir() / name
    if not folder.is_dir():
        archive = folder.with_suffix(".zip")
        _download(public.url, archive)
        _unpacked(archive, folder)
        archive.unlink()
    return PhotoFolder(folder, _PUBLIC_NAME, class_names=public.class_names)


def _download(url: str, target: Path) -> None:
    part = target.with_suffix(".part")
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as answer, part.open("wb") as file:
            size = int(answer.headers.get("Content-Length", 0)) or None
            with bar(what=f"Downloading {target.stem}", unit="B", total=size, scale=True) as progress:
                while block := answer.read(1 << 20):
                    file.write(block)
                    progress.update(len(block))
    except OSError as error:
        part.unlink(missing_ok=True)
        reason = getattr(error, "reason", error)
        raise SuiteError(
            "photos-not-downloaded", f"{target.stem} could not be downloaded from {url} ({reason})."
        ) from error
    part.replace(target)


def _unpacked(archive: Path, folder: Path) -> Path:
    """Unpack into `folder`, whole or not at all; nothing is done where that was done and the archive is the same."""
    state = archive.stat()
    mark, marked = folder / ".unpacked_from", f"{state.st_size} {state.st_mtime_ns}"
    if mark.is_file() and mark.read_text() == marked:
        return folder
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as files:
            for member in bar(files.infolist(), what=f"Unpacking {archive.name}", unit="files"):
                files.extract(member, part)
    except (zipfile.BadZipFile, OSError, RuntimeError) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise SuiteError(
            "photos-zip-damaged", f"{archive} could not be unpacked ({error}). Make or download the zip again."
        ) from error
    part.mkdir(exist_ok=True)
    (part / mark.name).write_text(marked)
    if folder.exists() and not mark.is_file():
        raise SuiteError(
            "photos-folder-in-the-way",
            f"{folder} is in the way of unpacking {archive.name}: rename the zip or the folder.",
        )
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)
    part.rename(folder)
    return folder

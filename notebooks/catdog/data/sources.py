"""Sources of photos: your folder or zip, a public data set, or the suite's own drawings."""

import os
import re
import tempfile
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from .. import files, paths
from ..download import download
from ..errors import UserError
from ..names import model_name
from .archives import is_readable, kind_of, stem
from .folders import files_below, is_archive, is_photo
from .images import PhotoRefused, photo_format
from .layout import AUTO
from .synthetic import draw_folder
from .unpacking import unpacked

DRAWINGS = "drawings"
_WANTED = "Set DATA to a folder, zip or tar with one folder of photos per class."


@dataclass(frozen=True)
class PhotoFolder:
    """A folder with one subfolder per class.

    Attributes:
        path: the folder.
        name: default name of a model that is trained on it.
        synthetic: True for the suite's own drawings, which teach nothing about real animals.
        class_names: folder name → class name, where the two differ.
        labels: where the labels are, see `layout_reader.read_layout`.
    """

    path: Path
    name: str
    synthetic: bool = False
    class_names: dict[str, str] = field(default_factory=dict)
    labels: str = AUTO


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


def find_photos(data: str = AUTO, labels: str = AUTO) -> PhotoFolder:
    """Get the photos that `data` names; download or unpack them if that has not been done yet.

    Args:
        data: the path of a folder or an archive; the name of one of `PUBLIC_SETS`; "drawings"; or "auto": the 3,000
            photos of cats_and_dogs_filtered, or drawings if they cannot be downloaded.
        labels: where the labels are, see `layout_reader.read_layout`.

    Raises:
        UserError: the path does not exist, the archive is damaged, or the download failed.
    """
    data = data.strip()
    if data in (AUTO, ""):
        return _public_or_drawings()
    if data in PUBLIC_SETS:
        return _public(data)
    if data == DRAWINGS:
        return _drawings()
    return _own(as_path(data), labels or AUTO)


def _public_or_drawings() -> PhotoFolder:
    try:
        return _public("cats_and_dogs_filtered")
    except UserError as error:
        print(f"{error.shown()}\nContinuing with drawings of cats and dogs, so that you can see how everything works.")
        return _drawings()


def _drawings() -> PhotoFolder:
    return PhotoFolder(draw_folder(paths.unpacked_dir() / DRAWINGS), DRAWINGS, synthetic=True)


def _own(path: Path, labels: str) -> PhotoFolder:
    if path.is_dir():
        inside = [] if _holds_photos(path) else sorted(one for one in path.iterdir() if is_archive(one.name))
        where = unpacked(inside, path.resolve().name) if inside else path
        return PhotoFolder(where, model_name(path.resolve().name), labels=labels)
    if not path.exists():
        raise _missing(path)
    if is_readable(path) or kind_of(path):
        return PhotoFolder(unpacked([path], stem(path)), model_name(stem(path)), labels=labels)
    raise UserError("photos-not-a-folder", f"{path} is {_what_it_is(path)}. {_WANTED}")


def _holds_photos(folder: Path) -> bool:
    """Tell whether any file below `folder` may be a photo."""
    return any(map(is_photo, files_below(folder)))


def _what_it_is(path: Path) -> str:
    try:
        photo_format(path)
    except PhotoRefused:
        return "damaged, or incomplete" if is_archive(path.name) else "neither a folder nor an archive"
    return "a single photo"


def _missing(path: Path) -> UserError:
    choices = ", ".join((AUTO, *PUBLIC_SETS, DRAWINGS))
    return UserError(
        "photos-missing", f"There is nothing at {path.absolute()}. {_WANTED[:-1]}, or to one of: {choices}."
    )


def as_path(text: str) -> Path:
    """Turn pasted text into a path: it may have blanks or quotes around it, `file://` before it, `~` or `$HOME` in it.

    Raises UserError for a URL, and for `~` with an unknown user.
    """
    plain = text.strip().strip("\"'“”„‘’«»").strip()
    if re.match(r"(https?|ftp|s3|gs)://", plain, re.IGNORECASE):
        raise UserError(
            "photos-address",
            f"{plain} is an address, not a path. Download it first, on Colab with !wget -O photos.zip '{plain}' in a "
            "cell of its own, then set DATA to photos.zip.",
        )
    if plain.lower().startswith("file:"):
        plain = urllib.request.url2pathname(urllib.parse.urlsplit(plain).path)
    try:
        return Path(os.path.expandvars(plain)).expanduser()
    except RuntimeError:
        raise _missing(Path(plain)) from None


def _public(name: str) -> PhotoFolder:
    public = PUBLIC_SETS[name]
    folder = _downloaded_before(name)
    if folder is None:
        with tempfile.TemporaryDirectory(prefix=".download-", dir=paths.unpacked_dir()) as place:
            archive = Path(place) / f"{name}.zip"
            _download(public.url, archive)
            folder = unpacked([archive], name)
    return PhotoFolder(folder, _PUBLIC_NAME, class_names=public.class_names)


def _downloaded_before(name: str) -> Path | None:
    """Return the folder of an earlier download, also one by an earlier release, which has `.unpacked_from` in it."""
    earlier = paths.data_dir() / name
    if (earlier / ".unpacked_from").is_file():
        return earlier
    return next(iter(sorted(paths.unpacked_dir().glob(f"{name}-????????"))), None)


def _download(url: str, target: Path) -> None:
    try:
        with files.written_whole(target) as file:
            download(url, file, what=f"Downloading {target.stem}")
    except OSError as error:
        raise UserError(
            "photos-not-downloaded", f"{target.stem} could not be downloaded from {url} ({error})."
        ) from error

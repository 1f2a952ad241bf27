"""Folders of labelled photos: find the files, check them, split them into train, valid and test."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import SuiteError
from .images import PhotoRefused, photo_format, read_photo
from .progress import bar
from .sources import PhotoFolder

TRAIN, VALID, TEST = SPLITS = ("train", "valid", "test")
VALID_SHARE = TEST_SHARE = 0.15
MIN_SIDE = 32
FEW = 10

_SPLIT_FOLDERS = {
    "train": TRAIN, "training": TRAIN, "valid": VALID, "validation": VALID, "val": VALID, "test": TEST, "testing": TEST,
}  # fmt: skip
_FORMATS_BY_ENDING = {
    **{key: {"JPEG", "MPO"} for key in (".jpg", ".jpeg", ".jpe", ".jfif")},
    **{key: {"HEIF"} for key in (".heic", ".heif", ".hif")},
    **{f".{name.lower()}": {name} for name in ("PNG", "WEBP", "GIF", "BMP", "AVIF")},
}


@dataclass(frozen=True)
class Photo:
    """One usable photo. `digest` is the sha256 (hex) of the file, which is what the photo is known by everywhere."""

    path: Path
    label: str
    split: str
    digest: str


@dataclass(frozen=True)
class LeftOut:
    """A file that is not used, and why: `code` is one of `errors.CODES`. It stays where it is."""

    path: Path
    code: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """Checked and split photos.

    Attributes:
        name: what the photos are called.
        classes: class names in alphabetical order; a class's number is its place here.
        photos: every usable photo once.
        left_out: the files that are not used, each with the reason.
        drawings: True for the suite's own drawings.
    """

    name: str
    classes: tuple[str, ...]
    photos: tuple[Photo, ...]
    left_out: tuple[LeftOut, ...]
    drawings: bool = False

    def of(self, split: str) -> list[Photo]:
        """The photos of one split, in a fixed order."""
        return [photo for photo in self.photos if photo.split == split]

    def targets(self, photos: Iterable[Photo]) -> np.ndarray:
        """Class numbers of `photos`, int64 (n,)."""
        return np.array([self.classes.index(photo.label) for photo in photos], dtype=np.int64)

    def counts(self) -> dict[str, dict[str, int]]:
        """Split → class → number of photos."""
        seen = Counter((photo.split, photo.label) for photo in self.photos)
        return {split: {label: seen[split, label] for label in self.classes} for split in SPLITS}

    def digest(self) -> str:
        """Identifies the photos with their labels and splits, whatever their names: sha256, hex."""
        lines = sorted(f"{photo.digest} {photo.label} {photo.split}" for photo in self.photos)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def summary(self) -> str:
        """A table of the counts, and in words what is too little."""
        counts, width = self.counts(), max(len(label) for label in (*self.classes, "class"))
        lines = ["class".ljust(width) + "".join(f"{split:>8}" for split in SPLITS)]
        lines += [
            label.ljust(width) + "".join(f"{counts[split][label]:8,}" for split in SPLITS) for label in self.classes
        ]
        scarce = [f"{label} ({counts[TEST][label]})" for label in self.classes if counts[TEST][label] < FEW]
        if scarce:
            lines.append(
                f"Few test photos of {', '.join(scarce)}: the accuracy below says little about them. Add photos."
            )
        if self.left_out:
            lines.append(f"{len(self.left_out):,} files are left out; the list below says why.")
        return "\n".join(lines)

    def left_out_table(self, most: int = 20) -> str:
        """Each file that is left out, with the reason."""
        lines = [f"{item.path}: {item.reason}" for item in self.left_out[:most]]
        more = len(self.left_out) - most
        return "\n".join([*lines, *([f"… and {more:,} more"] if more > 0 else [])])


@dataclass(frozen=True)
class _Labelled:
    """A class folder, or a file in one."""

    path: Path
    label: str
    split: str | None


def list_photos(folder: PhotoFolder) -> list[tuple[Path, str]]:
    """(path, class) of every file in the class folders, unchecked. Raises SuiteError for fewer than two classes."""
    return [(file.path, file.label) for file in _files(_class_folders(folder))]


def check(folder: PhotoFolder, known: Collection[str] = ()) -> Dataset:
    """Read every file once, leave out what cannot be used, and split the rest by content.

    A folder that has train/valid/test keeps them; where it lacks one, that is taken from another by content.
    Otherwise a photo's digest alone decides its split, so photos added later never move an old one. Files
    that cannot be read, are smaller than `MIN_SIDE` pixels or are not what their ending says are left out. So
    are further copies of a photo (the one in test stays, before valid, before train) and all copies of one that
    lies in two classes.

    Args:
        folder: from `sources.find_photos`.
        known: digests of photos that came through the door before and need no decoding again.

    Raises:
        SuiteError: fewer than two classes, or a class without a photo to learn from.
    """
    class_folders = _class_folders(folder)
    files = _files(class_folders)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looked = pool.map(lambda file: _inspect(file.path, known), files)
        results = list(zip(files, bar(looked, what="Checking", unit="photos", total=len(files))))
    left_out = [LeftOut(file.path, result.code, result.reason) for file, result in results if result.code]
    usable, copies = _without_copies([(file, result.digest) for file, result in results if not result.code])
    photos = _split(usable)
    classes = tuple(sorted({class_folder.label for class_folder in class_folders}))
    require_training_photos(classes, photos, str(folder.path))
    return Dataset(folder.name, classes, tuple(photos), tuple(left_out + copies), folder.drawings)


def _class_folders(folder: PhotoFolder) -> list[_Labelled]:
    root = _below_wrappers(folder.path)
    tops = _folders(root)
    splits = split_folders(path.name for path in tops)
    if splits:
        found = [(path, splits[parent.name]) for parent in tops for path in _folders(parent)]
    else:
        found = [(path, None) for path in tops]
    class_folders = [_Labelled(path, folder.class_names.get(path.name, path.name), split) for path, split in found]
    labels = {class_folder.label for class_folder in class_folders}
    if len(labels) < 2:
        there = f"only {labels.pop()}" if labels else "none"
        raise SuiteError(
            "photos-few-classes",
            f"{folder.path} needs at least two sub-folders with photos, one for each class; there is {there}.",
        )
    return class_folders


def split_folders(names: Iterable[str]) -> dict[str, str]:
    """Folder → split, where all of them are named after splits, and one is for training; else nothing."""
    splits = {name: _SPLIT_FOLDERS.get(name.lower()) for name in names}
    return splits if TRAIN in splits.values() and all(splits.values()) else {}


def _files(class_folders: list[_Labelled]) -> list[_Labelled]:
    return [
        _Labelled(path, class_folder.label, class_folder.split)
        for class_folder in class_folders
        for path in sorted(class_folder.path.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    ]


def _folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith((".", "__MACOSX")))


def _below_wrappers(path: Path) -> Path:
    """Zips often hold one folder around everything: look inside it, unless it is a class among none."""
    inner = _folders(path)
    return _below_wrappers(inner[0]) if len(inner) == 1 and _folders(inner[0]) else path


@dataclass(frozen=True)
class _Look:
    digest: str = ""
    code: str = ""
    reason: str = ""


def read_training_photo(data: bytes, suffix: str) -> np.ndarray:
    """As `images.read_photo`, and PhotoRefused too where the shorter side has fewer than `MIN_SIDE` pixels or the file
    is not what its name's `suffix` says."""
    _require_ending(data, suffix)
    return read_photo(data, MIN_SIDE)


def _require_ending(data: bytes, suffix: str) -> None:
    found = photo_format(data)
    if suffix and found not in _FORMATS_BY_ENDING.get(suffix.lower(), ()):
        raise PhotoRefused("photo-ending", f"It is a {found} file but its name ends in {suffix}.")


def _inspect(path: Path, known: Collection[str]) -> _Look:
    try:
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if digest in known:
            _require_ending(data, path.suffix)
        else:
            read_training_photo(data, path.suffix)
    except PhotoRefused as refusal:
        return _Look(code=refusal.code, reason=str(refusal))
    except OSError as error:
        return _Look(code="photo-unreadable", reason=f"The file cannot be read ({error.strerror}).")
    return _Look(digest)


def _without_copies(found: list[tuple[_Labelled, str]]) -> tuple[list[tuple[_Labelled, str]], list[LeftOut]]:
    by_digest = defaultdict(list)
    for file, digest in found:
        by_digest[digest].append(file)
    kept, left_out = [], []
    for digest, files in by_digest.items():
        labels = sorted({file.label for file in files})
        if len(labels) > 1:
            why = f"The same photo lies in {' and in '.join(labels)}."
            left_out += [LeftOut(file.path, "photo-two-classes", why) for file in files]
            continue
        first, *others = sorted(files, key=lambda file: -SPLITS.index(file.split or TRAIN))
        kept.append((first, digest))
        left_out += [LeftOut(file.path, "photo-copy", f"It is the same photo as {first.path}.") for file in others]
    return kept, left_out


def _split(found: list[tuple[_Labelled, str]]) -> list[Photo]:
    given = {file.split for file, _ in found} - {None}
    return [Photo(file.path, file.label, split_of(digest, file.split, given), digest) for file, digest in found]


def split_of(digest: str, given: str | None, splits_given: Collection[str]) -> str:
    """The split of a photo: the one that its folder says, `given`, or what its content says where there is none, or
    where among `splits_given`, those of all folders, one is missing."""
    place = int(digest[:8], 16) / 2**32  # uniform in [0, 1), for ever the same for the same photo
    if given is None or set(splits_given) == {TRAIN}:
        return TEST if place < TEST_SHARE else VALID if place < TEST_SHARE + VALID_SHARE else TRAIN
    if given == VALID and TEST not in splits_given:
        return TEST if place < 0.5 else VALID
    if given == TRAIN and VALID not in splits_given:
        return VALID if place < VALID_SHARE else TRAIN
    return given


def require_training_photos(classes: Iterable[str], photos: Iterable[Photo], where: str) -> None:
    """Raises SuiteError where a class has no photo to learn from."""
    require_classes(classes, {photo.label for photo in photos if photo.split == TRAIN}, where)


def require_classes(classes: Iterable[str], trained: Iterable[str], where: str) -> None:
    """Raises SuiteError for classes that are not among those with a photo to learn from."""
    missing = set(classes) - set(trained)
    if missing:
        labels = ", ".join(sorted(missing))
        raise SuiteError(
            "photos-class-empty", f"{where} has no usable training photo of {labels}. Add photos, or remove the folder."
        )

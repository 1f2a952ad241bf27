"""Datasets from folders of labelled photos: list the files, check them, split them into train, valid and test."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..machine import processors, thread_pool
from ..names import counted, listed, printable
from ..progress import bar
from .folders import NONE_OF_THESE, SPLITS, TEST, TRAIN, is_none_of_these, list_files
from .inspection import Look, inspect
from .known_sets import KnownSet, recognized, remember, short
from .layout import Layout
from .layout_reader import read_layout
from .pictures import Pictures
from .preprocessing import PREPROCESSING, Preprocessing
from .sources import PhotoFolder
from .splitting import Given, copy_that_counts, deal

FEW = 10
_NAMED_EACH, _NAMED_CLASSES, _MOST_CLASSES = 3, 10, 50  # files of a reason, classes in a sentence, in a table


@dataclass(frozen=True)
class Photo:
    """One usable photo. `digest` is the sha256 (hex) of the file, the key of cached features and users' decisions;
    `picture` identifies the image content, see `pictures.picture_of`, even after a program has changed the file's
    header.
    """

    path: Path
    label: str
    split: str
    digest: str
    picture: str = ""

    @property
    def identity(self) -> str:
        """Key by which the photo is recognised in later runs."""
        return self.picture or self.digest


@dataclass(frozen=True)
class Excluded:
    """A file that is not used, and why: `code` is one of `errors.CODES`. The file itself is left alone."""

    path: Path
    code: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """Checked and split photos.

    Attributes:
        name: what the photos are called.
        classes: class names in alphabetical order; a class's number is its index here.
        photos: the usable photos of the classes, without duplicates.
        negatives: photos that are none of the classes, from the folder `NONE_OF_THESE`; usually empty.
        excluded: the files that are not used, each with the reason.
        synthetic: True for the suite's own drawings.
        notes: what else a user should know about the files, in sentences.
    """

    name: str
    classes: tuple[str, ...]
    photos: tuple[Photo, ...]
    excluded: tuple[Excluded, ...]
    synthetic: bool = False
    notes: tuple[str, ...] = ()
    negatives: tuple[Photo, ...] = ()

    @property
    def n_excluded(self) -> int:
        """Number of files that are not used."""
        return len(self.excluded)

    def of(self, split: str) -> list[Photo]:
        """Return the photos of one split, in a fixed order."""
        return [photo for photo in self.photos if photo.split == split]

    def targets(self, photos: Iterable[Photo]) -> np.ndarray:
        """Return the class numbers of `photos`, int64 (n,)."""
        return np.array([self.classes.index(photo.label) for photo in photos], dtype=np.int64)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of photos by split and class."""
        seen = Counter((photo.split, photo.label) for photo in self.photos)
        return {split: {label: seen[split, label] for label in self.classes} for split in SPLITS}

    def digest(self) -> str:
        """Return a sha256 (hex) of the photos, their labels and splits; file names do not matter."""
        lines = sorted(f"{photo.digest} {photo.label} {photo.split}" for photo in (*self.photos, *self.negatives))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def summary(self) -> str:
        """Return a table of the counts, with a warning about classes with few test photos."""
        counts, width = self.counts(), max(len(label) for label in (*self.classes, "class"))
        lines = ["class".ljust(width) + "".join(f"{split:>8}" for split in SPLITS)]
        lines += [
            label.ljust(width) + "".join(f"{counts[split][label]:8,}" for split in SPLITS)
            for label in self.classes[:_MOST_CLASSES]
        ]
        more = len(self.classes) - _MOST_CLASSES
        lines += [f"… and {more:,} more classes"] if more > 0 else []
        lines += [f"{NONE_OF_THESE}: {len(self.negatives):,}"] if self.negatives else []
        scarce = [f"{label} ({counts[TEST][label]})" for label in self.classes if counts[TEST][label] < FEW]
        if scarce:
            lines.append(f"Few test photos of {listed(scarce)}: the more you add, the more reliable the evaluation.")
        lines += self.notes
        if self.excluded:
            lines.append(f"Skipped: {counted(len(self.excluded), 'file')}, for these reasons:")
        return "\n".join(lines)

    def excluded_table(self, most: int = 20) -> str:
        """Return a table of the reasons for skipping files: the count and the first files of each."""
        return "\n".join(_by_reason(self.excluded, most))


@dataclass(frozen=True)
class _Labelled:
    """A file with its class and split, from its folder, its name or a table."""

    path: Path
    label: str
    split: str | None


def find_layout(folder: PhotoFolder) -> tuple[Layout, list[str]]:
    """Return the layout of `folder`, and the paths of all its files relative to it.

    Raises UserError if the layout is unclear, or the folder cannot be listed.
    """
    paths = list_files(folder.path)
    return read_layout(paths, folder.labels, lambda path: (folder.path / path).read_bytes(), str(folder.path)), paths


def describe_layout(folder: PhotoFolder) -> str:
    """Return the layout of `folder` as a table, without reading a photo. Raises UserError as `find_layout` does."""
    layout, paths = find_layout(folder)
    return layout.describe(layout.counted(paths))


def list_photos(folder: PhotoFolder) -> list[tuple[Path, str]]:
    """Return (path, class) of every file that has a class, unchecked. Raises UserError as `find_layout` does."""
    return [(file.path, file.label) for file in _files(folder, *find_layout(folder))]


def _files(folder: PhotoFolder, layout: Layout, paths: Iterable[str]) -> list[_Labelled]:
    labelled = ((path, layout.label(path)) for path in paths)
    return [
        _Labelled(folder.path / path, folder.class_names.get(label, label), layout.split(path))
        for path, label in labelled
        if label
    ]


def check(folder: PhotoFolder, known: Collection[str] = (), preprocessing: Preprocessing = PREPROCESSING) -> Dataset:
    """Read every file once, skip unusable ones, and split the rest by content.

    Folders for train, valid and test are kept; a missing split is taken from another one by content. Otherwise a
    photo's content decides its split, and each class gets its share (see `splitting.deal`). Splits are permanent: new
    photos never move old ones. Files that cannot be read or are smaller than `inspection.MIN_SIDE` pixels are skipped.
    So are duplicates (the copy in test is kept first, then valid, then train), and photos that are in two classes.

    Args:
        folder: from `sources.find_photos`.
        known: digests of photos with cached features, which need no decoding.
        preprocessing: that the other photos need next, see `prepared.py`.

    Raises:
        UserError: the layout is unclear, or a class has no training photos.
    """
    layout, paths = find_layout(folder)
    files = _files(folder, layout, paths)
    seen, needed = Pictures(), {preprocessing, PREPROCESSING}
    with thread_pool(processors()) as pool:
        looked = pool.map(lambda file: inspect(file.path, known, seen, needed), files)
        results = list(zip(files, bar(looked, what="Checking", unit="photos", total=len(files)), strict=True))
    seen.keep({look.digest: look.picture for _, look in results if look.digest})
    excluded = [Excluded(file.path, look.code, look.reason) for file, look in results if look.code]
    usable = [(file, look) for file, look in results if not look.code]
    classes = tuple(sorted({file.label for file in files if not is_none_of_these(file.label)}))
    known_set, about_name = recognized(folder.name, classes, {short(look.picture) for _, look in usable})
    kept, copies = _without_copies(usable)
    photos = tuple(_split([pair for pair in kept if not is_none_of_these(pair[0].label)], known_set))
    negatives = tuple(
        Photo(file.path, NONE_OF_THESE, TRAIN, look.digest, look.picture)
        for file, look in kept
        if is_none_of_these(file.label)
    )
    require_training_photos(classes, photos, str(folder.path), excluded + copies)
    notes = (*about_name, *_notes_on_files(results))
    return Dataset(known_set.name, classes, photos, tuple(excluded + copies), folder.synthetic, notes, negatives)


def _notes_on_files(results: Sequence[tuple[_Labelled, Look]]) -> tuple[str, ...]:
    notes = Counter(look.note for _, look in results if look.note)
    return tuple(f"{count:,} of {len(results):,} files, used anyway: {note}." for note, count in notes.most_common())


def _without_copies(found: list[tuple[_Labelled, Look]]) -> tuple[list[tuple[_Labelled, Look]], list[Excluded]]:
    """Keep one of several files with the same image, even if their bytes differ: copies must not be in two splits.

    Returns (the files kept, the others).
    """
    by_picture = defaultdict(list)
    for file, look in found:
        by_picture[look.picture].append((file, look))
    kept, excluded = [], []
    for files in by_picture.values():
        index = copy_that_counts([Given(look.digest, file.label, file.split) for file, look in files])
        if index is None:
            why = f"The same photo is in {' and in '.join(sorted({file.label for file, _ in files}))}."
            excluded += [Excluded(file.path, "photo-two-classes", why) for file, _ in files]
            continue
        first = files.pop(index)
        kept.append(first)
        why = f"It is the same photo as {printable(first[0].path)}."
        excluded += [Excluded(file.path, "photo-copy", why) for file, _ in files]
    return kept, excluded


def _split(found: Sequence[tuple[_Labelled, Look]], known: KnownSet) -> list[Photo]:
    """Keep the splits of known photos, split new ones by content, and remember the result."""
    given = [Given(look.digest, file.label, file.split) for file, look in found]
    dealt = {look.digest: known.splits[short(look.picture)] for _, look in found if short(look.picture) in known.splits}
    splits = deal(given, dealt)
    remember(known, {short(look.picture): split for (_, look), split in zip(found, splits)})
    return [
        Photo(file.path, file.label, split, look.digest, look.picture) for (file, look), split in zip(found, splits)
    ]


def _by_reason(excluded: Iterable[Excluded], most: int = 20) -> list[str]:
    paths = defaultdict(list)
    for item in excluded:
        paths[item.reason].append(printable(item.path))
    lines = []
    for reason, files in sorted(paths.items(), key=lambda pair: -len(pair[1])):
        more = f" and {len(files) - _NAMED_EACH:,} more" if len(files) > _NAMED_EACH else ""
        lines.append(f"{len(files):,}: {reason} {', '.join(files[:_NAMED_EACH])}{more}")
    return lines[:most] + ([f"… and {len(lines) - most:,} more reasons"] if len(lines) > most else [])


def require_training_photos(
    classes: Iterable[str], photos: Iterable[Photo], where: str, excluded: Iterable[Excluded] = ()
) -> None:
    """Raise UserError if a class has no training photo. The message says why files were skipped."""
    require_classes(classes, {photo.label for photo in photos if photo.split == TRAIN}, where, excluded)


def require_classes(
    classes: Iterable[str], trained: Iterable[str], where: str, excluded: Iterable[Excluded] = ()
) -> None:
    """Raise UserError if one of `classes` is not among the `trained` ones, which have training photos."""
    missing = sorted(set(classes) - set(trained))
    if missing:
        reasons = "".join(f"\n{line}" for line in _by_reason(excluded, 5))
        raise UserError(
            "photos-class-empty",
            f"{printable(where)} has no usable training photo of {listed(missing, _NAMED_CLASSES)}. Add photos, or "
            f"remove the folder.{reasons}",
        )

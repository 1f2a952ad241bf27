"""Find the class folders of a tree, and their splits: the rules for data sets that are sorted into folders."""

from collections.abc import Iterator

from ..names import listed, printable, same
from .folders import (
    TRAIN,
    UNLABELLED,
    Folder,
    below_wrappers,
    is_a_copy_of,
    is_none_of_these,
    is_split_in_itself,
    joined,
    labels_below,
    repeated_below,
    split_named,
    splits_named,
)
from .layout import Skipped


class Unclear(Exception):
    """The layout of these folders is ambiguous or unknown."""


class Findings:
    """What is skipped, and what else a user should know, collected during the search."""

    def __init__(self) -> None:
        self.skipped: list[Skipped] = []
        self.notes: list[str] = []

    def skip(self, where: str, files: int, reason: str) -> None:
        """Note that so many `files` of the folder `where` are not used."""
        self.skipped.append(Skipped(where or ".", files, reason))

    def skip_loose(self, path: str, folder: Folder) -> None:
        """Note that photos directly in `folder`, beside class folders, are not used."""
        if folder.photos:
            self.skip(path, folder.photos, "photos beside the class folders")


def class_folders(path: str, folder: Folder, findings: Findings) -> Iterator[tuple[str, str, str | None]]:
    """Yield (folder, class, split) for each class folder."""
    kids = {name: kid for name, kid in folder.inner.items() if not is_none_of_these(name)}
    yield from ((joined(path, name), name, None) for name in folder.inner.keys() - kids.keys())
    named = splits_named(kids)
    if TRAIN in named.values():
        yield from _below_splits(findings, path, kids, named)
    elif named and len(named) == len(kids):
        raise Unclear(f"{listed(named)} are named after splits, but none of them is for training")
    elif all(is_split_in_itself(kid) for kid in kids.values()):
        yield from _splits_in_classes(findings, path, kids)
    else:
        yield from _plain_classes(findings, path, folder, kids, named)


def _below_splits(
    findings: Findings, path: str, kids: dict[str, Folder], named: dict[str, str]
) -> Iterator[tuple[str, str, str | None]]:
    others = [name for name in kids if name not in named]
    inner = {name: below_wrappers(joined(path, name), kids[name]) for name in kids}
    known = {same(label) for name, split in named.items() if split == TRAIN for label in inner[name][1].inner}
    are_copies = all(known & labels_below(inner[name][1]) for name in others)
    if others and (not known or (len(named) == 1 and not are_copies)):
        raise Unclear(f"{listed(named)} could be a split, but {listed(others)} beside it could not")
    for name in others:
        findings.skip(joined(path, name), kids[name].files, f"it is next to {listed(named)}, but is not a split")
    for name, split in named.items():
        where, split_folder = inner[name]
        inside = split_folder.inner
        labels = {label for label in inside if split == TRAIN or same(label) in known}
        if split == UNLABELLED or not labels:
            findings.skip(joined(path, name), kids[name].files, "its photos belong to none of the classes in training")
            continue
        findings.skip_loose(where, split_folder)
        _note_nested(findings, {label: kid for label, kid in inside.items() if label in labels})
        for label, kid in inside.items():
            if label in labels:
                yield joined(where, label), label, split
            else:
                findings.skip(joined(where, label), kid.files, "this class has no training photos")


def _splits_in_classes(findings: Findings, path: str, kids: dict[str, Folder]) -> Iterator[tuple[str, str, str | None]]:
    for label, kid in kids.items():
        findings.skip_loose(joined(path, label), kid)
        for name in kid.inner:
            yield joined(path, f"{label}/{name}"), label, split_named(name)


def _plain_classes(
    findings: Findings, path: str, folder: Folder, kids: dict[str, Folder], named: dict[str, str]
) -> Iterator[tuple[str, str, str | None]]:
    classes = {name: kid for name, kid in kids.items() if name not in named}
    for name in [name for name, kid in classes.items() if is_a_copy_of(kid, classes.keys() - {name})]:
        findings.skip(joined(path, name), classes.pop(name).files, "it contains copies of the other folders")
    nested = {name: kid for name, kid in classes.items() if kid.inner}
    if len(nested) == 1 and len(classes) == 2 and len(next(iter(nested.values())).inner) > 1:
        raise Unclear(f"{listed(nested)} has subfolders, but {listed(classes.keys() - nested)} has none")
    for name in named:
        findings.skip(joined(path, name), kids[name].files, "it is named after a split, but the others are not")
    _note_nested(findings, classes)
    findings.skip_loose(path, folder)
    for name in classes:
        yield joined(path, name), name, None


def _note_nested(findings: Findings, classes: dict[str, Folder]) -> None:
    """Note which classes have subfolders. Raises Unclear if a name repeats there: the subfolders may be the classes."""
    nested = {name: kid for name, kid in classes.items() if kid.inner}
    if repeated := repeated_below(nested.values()):
        raise Unclear(f"{listed(repeated)} appear in several of {listed(nested)}: either could be the classes")
    for name, kid in nested.items():
        label = printable(name)
        findings.notes.append(f"{label}: photos in its subfolders {listed(kid.inner)} also count as {label}.")

"""Reads a tree of folders: finds its layout, or says why there is none that can be trusted."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping

from .errors import SuiteError
from .folders import (
    SPLITS,
    TRAIN,
    UNLABELLED,
    UNNAMED,
    Folder,
    below_wrappers,
    is_photo,
    is_split_in_itself,
    joined,
    labels_below,
    repeated_below,
    split_named,
    tree_in_lines,
    tree_of,
    with_photos,
)
from .labels import NAMES, Table, find_table, label_in_name, names_that_label, tables_among
from .layout import AUTO, FILE_NAME, FOLDER, TOP_FOLDER, Layout, Skipped
from .names import class_name, listed, printable, same

_HOW = {FOLDER: "the folder that each photo lies in", TOP_FOLDER: "the outermost folders"}


def read_layout(
    paths: Collection[str], labels: str = AUTO, read: Callable[[str], bytes] | None = None, where: str = ""
) -> Layout:
    """The layout of the files `paths`, relative to their folder; those that end in "/" are folders.

    Args:
        labels: `AUTO`, `FOLDER`, `TOP_FOLDER`, `FILE_NAME`, or the path of a table, followed by ":" and its column
            where it has several.
        read: gives the content of a table among `paths`.
        where: what to call the folder in messages.

    Raises SuiteError where the folders can be understood in more than one way, or in none.
    """
    return _Reader(paths, labels, read, where).layout()


class _Unclear(Exception):
    """These folders can be read in more than one way, or in none."""


class _Reader:
    """Reads one tree. What it finds out gathers in `skipped` and `notes`."""

    def __init__(self, paths: Collection[str], labels: str, read: Callable[[str], bytes] | None, where: str):
        self._paths, self._labels, self._read, self._where = paths, labels, read, where
        self.skipped: list[Skipped] = []
        self.notes: list[str] = []
        self._root, self._of_programs = tree_of(paths)

    def layout(self) -> Layout:
        self._skip_what_is_empty("", self._root)
        for name, files in sorted(self._of_programs.items()):
            self._skip(name, files, "a program made it")
        try:
            return self._chosen()
        except _Unclear as unclear:
            raise SuiteError("photos-layout", self._refusal(str(unclear))) from None

    def _chosen(self) -> Layout:
        if not self._root.total:
            raise _Unclear("there is no photo in it")
        if self._labels == AUTO:
            return self._automatic()
        if self._labels in (FOLDER, TOP_FOLDER):
            return self._by_folders(list(self._every_folder(self._labels == TOP_FOLDER)), _HOW[self._labels])
        if self._labels == FILE_NAME:
            return self._by_names(self._flat_folders("", self._root, None))
        return self._by_table(self._flat_folders("", self._root, None), self._named_table())

    def _automatic(self) -> Layout:
        path, folder = below_wrappers("", self._root)
        self._skip_beside_wrappers(path)
        flat = self._flat_folders(path, folder, None)
        if self._are_all_flat(folder):
            table = find_table(self._paths, self._read)
            if table:
                return self._by_table(flat, table)
            return self._by_names(flat)
        return self._by_folders(list(self._class_folders(path, folder)), "their folders")

    # --- folders ---

    def _class_folders(self, path: str, folder: Folder) -> Iterator[tuple[str, str, str | None]]:
        """(folder, its name, split) of each class."""
        kids = folder.inner
        named = {name: split for name in kids if (split := split_named(name))}
        if TRAIN in named.values():
            yield from self._below_splits(path, kids, named)
        elif named and len(named) == len(kids):
            raise _Unclear(f"{listed(named)} are named after splits, and none of them is for training")
        elif all(is_split_in_itself(kid) for kid in kids.values()):
            yield from self._splits_in_classes(path, kids)
        else:
            yield from self._plain_classes(path, folder, kids, named)

    def _below_splits(
        self, path: str, kids: dict[str, Folder], named: dict[str, str]
    ) -> Iterator[tuple[str, str, str | None]]:
        others = [name for name in kids if name not in named]
        inner = {name: below_wrappers(joined(path, name), kids[name]) for name in kids}
        known = {same(label) for name, split in named.items() if split == TRAIN for label in inner[name][1].inner}
        if others and (
            not known or (len(named) == 1 and not all(known & labels_below(inner[name][1]) for name in others))
        ):
            raise _Unclear(f"{listed(named)} could be a split, but {listed(others)} beside it could not")
        for name in others:
            self._skip(joined(path, name), kids[name].files, f"it stands beside {listed(named)}, but is not a split")
        for name, split in named.items():
            where, split_folder = inner[name]
            if split == UNLABELLED or not split_folder.inner:
                self._skip(joined(path, name), kids[name].files, "its photos have no class")
                continue
            self._skip_loose(where, split_folder)
            for label in split_folder.inner:
                yield joined(where, label), label, split

    def _splits_in_classes(self, path: str, kids: dict[str, Folder]) -> Iterator[tuple[str, str, str | None]]:
        for label, kid in kids.items():
            self._skip_loose(joined(path, label), kid)
            for name in kid.inner:
                yield joined(path, f"{label}/{name}"), label, split_named(name)

    def _plain_classes(
        self, path: str, folder: Folder, kids: dict[str, Folder], named: dict[str, str]
    ) -> Iterator[tuple[str, str, str | None]]:
        classes = {name: kid for name, kid in kids.items() if name not in named}
        nested = {name: kid for name, kid in classes.items() if kid.inner}
        if repeated := repeated_below(nested.values()):
            raise _Unclear(f"{listed(repeated)} lie in each of {listed(nested)}: either may be the classes")
        if len(nested) == 1 and len(classes) == 2 and len(next(iter(nested.values())).inner) > 1:
            raise _Unclear(f"{listed(nested)} has folders of its own, {listed(classes.keys() - nested)} has none")
        for name in named:
            self._skip(joined(path, name), kids[name].files, "it is named after a split, and the others are not")
        for name, kid in nested.items():
            label = printable(name)
            self.notes.append(f"{label}: what lies in its folders {listed(kid.inner)} counts as {label}, too.")
        self._skip_loose(path, folder)
        for name in classes:
            yield joined(path, name), name, None

    def _every_folder(self, outermost: bool) -> Iterator[tuple[str, str, str | None]]:
        """Each folder with photos is a class by its own name, or by that of the outermost that is no split."""
        path, root = below_wrappers("", self._root)
        for where, _ in with_photos(path, root):
            below = where[len(path) :].strip("/").split("/")
            below = below if below != [""] else []
            splits = [split_named(name) for name in below]
            named = next((split for split in splits[: len(below) - 1] if split in SPLITS), None)
            inside = [name for name, split in zip(below, splits) if split not in SPLITS or not named]
            if inside:
                yield where, inside[0 if outermost else -1], named

    def _by_folders(self, found: list[tuple[str, str, str | None]], how: str) -> Layout:
        for path in [path for path, label, _ in found if UNNAMED.fullmatch(label)]:
            self._skip(path, sum(one.startswith(f"{path}/") for one in self._paths), "it was never given a name")
        found = [one for one in found if not UNNAMED.fullmatch(one[1])]
        spellings = self._spellings(Counter(label for _, label, _ in found))
        self._require_two(list(spellings.values()))
        folders = {path: (spellings[same(label)], split) for path, label, split in found}
        return self._made(how, folders, spellings)

    # --- names and tables ---

    def _are_all_flat(self, folder: Folder) -> bool:
        """No folder of classes: photos lie here alone, or in one folder, or in folders named after splits."""
        kids = folder.inner
        if not kids:
            return True
        flat = not any(below_wrappers("", kid)[1].inner for kid in kids.values())
        return flat and (len(kids) == 1 or TRAIN in {split_named(name) for name in kids} <= {*SPLITS, UNLABELLED})

    def _flat_folders(self, path: str, folder: Folder, split: str | None) -> dict[str, str | None]:
        """Folder → split, of every folder that holds photos."""
        found = {path: split} if folder.photos else {}
        for name, kid in folder.inner.items():
            of_kid = split_named(name) or split
            if of_kid != UNLABELLED:
                found |= self._flat_folders(joined(path, name), kid, of_kid)
        return found

    def _photos_of(self, folders: Mapping[str, object]) -> list[str]:
        return [path for path in self._paths if path.rpartition("/")[0] in folders and is_photo(path)]

    def _by_names(self, folders: dict[str, str | None]) -> Layout:
        good = {folder: split for folder, split in folders.items() if names_that_label(self._photos_of([folder]))}
        found = Counter(filter(None, (label_in_name(path) for path in self._photos_of(good))))
        if len({same(label) for label in found}) < 2:
            if tables := sorted(tables_among(self._paths), key=len):
                raise _Unclear(
                    f"its photos lie in no folders of classes. Beside them lies {listed(tables, 3)}: set LABELS to "
                    f'"{tables[0]}:" followed by the name of the column with the classes'
                )
            if len(folders) == 1 and not self._root.photos:
                self._require_two([path.rpartition("/")[2] for path in folders])
            some = ", ".join(printable(path) for path in sorted(self._photos_of(folders))[:3])
            raise _Unclear(f"its photos lie in no folders of classes, and their names tell no class ({some})")
        for folder in folders.keys() - good.keys():
            self._skip(folder, len(self._photos_of([folder])), "the names of its photos tell no class")
        return self._made(NAMES, {f: (None, split) for f, split in good.items()}, self._spellings(found))

    def _by_table(self, folders: dict[str, str | None], table: Table) -> Layout:
        labelled = Counter(table.label(path) for path in self._photos_of(folders))
        missing = labelled.pop(None, 0)
        self._require_two(list({same(label) for label in labelled}))
        if missing:
            self._skip(table.name, missing, "photos that it does not name")
        folders = {folder: (None, split) for folder, split in folders.items()}
        return self._made(table.how, folders, self._spellings(labelled), table)

    def _named_table(self) -> Table:
        table = find_table(self._paths, self._read, self._labels)
        if table is None:
            choices = ", ".join((AUTO, FOLDER, TOP_FOLDER, FILE_NAME))
            raise _Unclear(f'LABELS is "{self._labels}", which is neither {choices} nor a table that names its photos')
        return table

    # --- what is common to all ---

    def _made(self, how: str, folders: Mapping, spellings: dict[str, str], table: Table | None = None) -> Layout:
        return Layout(how, dict(sorted(folders.items())), spellings, tuple(self.skipped), tuple(self.notes), table)

    def _spellings(self, labels: Counter) -> dict[str, str]:
        found: dict[str, list[str]] = {}
        for label, _ in labels.most_common():
            found.setdefault(same(label), []).append(label)
        for spelt in found.values():
            if len(spelt) > 1:
                quoted = " and ".join(f'"{printable(name)}"' for name in spelt)
                self.notes.append(f"{quoted} are taken for one class, {class_name(spelt[0])}.")
        return {key: class_name(spelt[0]) or "unnamed" for key, spelt in sorted(found.items())}

    def _require_two(self, classes: list[str]) -> None:
        if len(classes) < 2:
            there = f"only {printable(classes[0])}" if classes else "none"
            raise SuiteError(
                "photos-few-classes",
                f"{self._where} needs at least two sub-folders with photos, one for each class; there is {there}.",
            )

    def _skip_what_is_empty(self, path: str, folder: Folder) -> None:
        for name, kid in sorted(folder.folders.items()):
            where = joined(path, name)
            if not kid.total:
                self._skip(where, kid.files, "there is no photo in it" if kid.files else "it is empty")
            else:
                self._skip_what_is_empty(where, kid)

    def _skip_beside_wrappers(self, path: str) -> None:
        folder, where = self._root, ""
        for name in filter(None, path.split("/")):
            self._skip_loose(where, folder)
            folder, where = folder.folders[name], joined(where, name)

    def _skip_loose(self, path: str, folder: Folder) -> None:
        if folder.photos:
            self._skip(path or ".", folder.photos, "photos beside the folders of the classes")

    def _skip(self, where: str, files: int, reason: str) -> None:
        self.skipped.append(Skipped(where or ".", files, reason))

    def _refusal(self, reason: str) -> str:
        tree = "\n".join(tree_in_lines(self._root, self._paths))
        return (
            f"{self._where} is not understood: {reason}. Put each class's photos into a folder of its own, or set "
            f'LABELS to "{FOLDER}", "{TOP_FOLDER}", "{FILE_NAME}" or the name of a table.'
            + (f"\n{tree}" if tree else "")
        )

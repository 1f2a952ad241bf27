"""Find the layout of a tree of folders, or say why it is unclear."""

import functools
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping

from ..errors import UserError
from ..names import class_name, listed, printable, same
from .class_folders import Findings, Unclear, class_folders
from .folders import (
    NONE_OF_THESE,
    SPLITS,
    TRAIN,
    UNLABELLED,
    UNNAMED,
    Folder,
    below_wrappers,
    beside_photos,
    is_archive,
    is_none_of_these,
    is_photo,
    joined,
    split_named,
    splits_named,
    tree_in_lines,
    tree_of,
    with_photos,
)
from .label_tables import Table, find_table, tables_among
from .labels import NAMES, label_in_name, names_that_label
from .layout import AUTO, FILE_NAME, FOLDER, TOP_FOLDER, Layout

_NEARLY_ALL = 0.9  # of the photos
_HOW = {FOLDER: "the folder of each photo", TOP_FOLDER: "the outermost folders"}


def read_layout(
    paths: Collection[str], labels: str = AUTO, read: Callable[[str], bytes] | None = None, where: str = ""
) -> Layout:
    """Find the layout of the files `paths`, relative to their folder; paths that end in "/" are folders.

    Args:
        labels: `AUTO`, `FOLDER`, `TOP_FOLDER`, `FILE_NAME`, or the path of a table, followed by ":" and its label
            column if it has several.
        read: returns the content of a table among `paths`.
        where: the folder's name in messages.

    Raises UserError if the layout is ambiguous or unknown.
    """
    return _Reader(paths, labels, read, where).layout()


class _Reader:
    """Reads one tree."""

    def __init__(self, paths: Collection[str], labels: str, read: Callable[[str], bytes] | None, where: str):
        self._paths, self._labels, self._read, self._where = paths, labels, read, where
        self._findings = Findings()
        self._skip = self._findings.skip
        self._root, self._of_programs = tree_of(paths)

    def layout(self) -> Layout:
        self._skip_what_is_empty("", self._root)
        for name, files in sorted(self._of_programs.items()):
            self._skip(name, files, "a program created it")
        for path in filter(is_archive, self._paths):
            self._skip(path, 0, "archives beside folders are not unpacked: unpack it, or set DATA to it")
        try:
            return self._chosen()
        except Unclear as unclear:
            raise UserError("photos-layout", self._refusal(str(unclear))) from None

    def _chosen(self) -> Layout:
        if not self._root.total:
            raise Unclear("it contains no photos")
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
        if not self._are_all_flat(folder):
            table = find_table(self._paths, self._read, named_alone=True)
            found = list(class_folders(path, folder, self._findings))
            self._require_no_other_table(table, {same(label) for _, label, _ in found})
            return self._by_folders(found, "their folders")
        flat = self._flat_folders(path, folder, None)
        table = find_table(self._paths, self._read)
        by_name = any(names_that_label(self._photos_in[one]) for one in flat)
        if table and (table.is_sure or not by_name):
            return self._by_table(flat, table)
        return self._by_names(flat)

    def _require_no_other_table(self, table: Table | None, classes: set[str]) -> None:
        """Raise Unclear if a table labels nearly all photos with other classes than `classes`."""
        photos = [path for path in self._paths if is_photo(path)]
        if not (table and table.is_sure) or len(table.labels) < _NEARLY_ALL * len(photos):
            return
        labels, name = {same(label) for label in table.labels.values()}, printable(table.name)
        if not labels & classes:
            raise Unclear(
                f"its folders say {listed(sorted(classes))}, but {name} says {listed(sorted(labels))}. Set LABELS to "
                f'"{FOLDER}" or to "{name}"'
            )

    # --- folders ---

    def _every_folder(self, outermost: bool) -> Iterator[tuple[str, str, str | None]]:
        """Yield (folder, class, split) of each folder with photos. The class is its own name, or that of the outermost
        folder that is not a split."""
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
        unnamed = [path for path, label, _ in found if UNNAMED.fullmatch(label) or not class_name(label)]
        for path in unnamed:
            self._skip(path, sum(one.startswith(f"{path}/") for one in self._paths), "it still has a default name")
        found = [one for one in found if one[0] not in unnamed]
        spellings = self._spellings(Counter(label for _, label, _ in found))
        self._require_two(list(spellings.values()))
        folders = {path: (spellings[same(label)], split) for path, label, split in found}
        return self._made(how, folders, spellings)

    # --- names and tables ---

    def _are_all_flat(self, folder: Folder) -> bool:
        """Tell whether there are no class folders: all photos are here, in one folder, or in split folders."""
        kids = folder.inner
        if not kids:
            return True
        flat = not any(below_wrappers("", kid)[1].inner for kid in kids.values())
        named = splits_named(kids)
        return flat and (len(kids) == 1 or (len(named) == len(kids) and TRAIN in named.values()))

    def _flat_folders(self, path: str, folder: Folder, split: str | None) -> dict[str, str | None]:
        """Return folder → split for every folder that holds photos."""
        found = {path: split} if folder.photos else {}
        named = splits_named(folder.inner)
        for name, kid in folder.inner.items():
            of_kid = named.get(name) or split
            if of_kid != UNLABELLED:
                found |= self._flat_folders(joined(path, name), kid, of_kid)
        return found

    @functools.cached_property
    def _photos_in(self) -> Mapping[str, list[str]]:
        """Folder → paths of the photos directly in it."""
        found = defaultdict(list)
        for path in filter(is_photo, self._paths):
            found[path.rpartition("/")[0]].append(path)
        return found

    def _photos_of(self, folders: Mapping[str, object]) -> list[str]:
        return [path for path in self._paths if path.rpartition("/")[0] in folders and is_photo(path)]

    def _by_names(self, folders: dict[str, str | None]) -> Layout:
        good = {folder: split for folder, split in folders.items() if names_that_label(self._photos_in[folder])}
        found = Counter(filter(None, (label_in_name(path) for path in self._photos_of(good))))
        labels = {same(label) for label in found}
        if any(map(is_none_of_these, labels)):
            self._require_two(list(labels))
        if len(labels) < 2:
            if tables := tables_among(self._paths):
                raise Unclear(
                    f"its photos are not in class folders. Beside them is {listed(tables, 3)}: set LABELS to "
                    f'"{tables[0]}:" followed by the name of the column with the classes'
                )
            if sheet := next((path for path in self._paths if path.lower().endswith((".xlsx", ".xls", ".ods"))), ""):
                raise Unclear(f"its photos are not in class folders. Save {printable(sheet)} as CSV beside them")
            if len(folders) == 1 and not self._root.photos:
                self._require_two([path.rpartition("/")[2] for path in folders])
            some = ", ".join(printable(path) for path in sorted(self._photos_of(folders))[:3])
            raise Unclear(f"its photos are not in class folders, and their names contain no class ({some})")
        for folder in folders.keys() - good.keys():
            self._skip(folder, len(self._photos_in[folder]), "the names of its photos contain no class")
        return self._made(NAMES, {f: (None, split) for f, split in good.items()}, self._spellings(found))

    def _by_table(self, folders: dict[str, str | None], table: Table) -> Layout:
        labels = [table.label(path) for path in self._photos_of(folders)]
        labelled = Counter(label for label in labels if label is not None)
        self._require_two(list({same(label) for label in labelled}))
        self._findings.notes += table.notes
        if missing := labels.count(None):
            self._skip(table.name, missing, "photos that it does not list")
        by_table = {folder: (None, split) for folder, split in folders.items()}
        return self._made(table.how, by_table, self._spellings(labelled), table)

    def _named_table(self) -> Table:
        table = find_table(self._paths, self._read, self._labels)
        if table is None:
            choices = ", ".join((AUTO, FOLDER, TOP_FOLDER, FILE_NAME))
            raise Unclear(f'LABELS is "{self._labels}", which is neither {choices} nor a table that lists its photos')
        return table

    # --- what is common to all ---

    def _made(self, how: str, folders: Mapping, spellings: dict[str, str], table: Table | None = None) -> Layout:
        return Layout(
            how,
            dict(sorted(folders.items())),
            spellings,
            tuple(self._findings.skipped),
            tuple(self._findings.notes),
            table,
        )

    def _spellings(self, labels: Counter) -> dict[str, str]:
        found: dict[str, list[str]] = {}
        for label, _ in labels.most_common():
            found.setdefault(same(label), []).append(label)
        for spelt in found.values():
            if len(spelt) > 1:
                quoted = " and ".join(f'"{printable(name)}"' for name in spelt)
                self._findings.notes.append(f"{quoted} are treated as one class, {class_name(spelt[0])}.")
        return {key: class_name(spelt[0]) or "unnamed" for key, spelt in sorted(found.items())}

    def _require_two(self, labels: list[str]) -> None:
        """Raise UserError for fewer than two classes among `labels`; `NONE_OF_THESE` does not count."""
        classes = [label for label in labels if not is_none_of_these(label)]
        if len(classes) < 2:
            there = f"only {printable(classes[0])}" if classes else "none"
            no_class = (
                f" {NONE_OF_THESE} is not a class: to tell one kind from everything else, give that folder another "
                "name, such as other."
            )
            raise UserError(
                "photos-few-classes",
                f"{self._where} needs at least two sub-folders with photos, one for each class; there is {there}."
                + no_class * (len(classes) < len(labels)),
            )

    def _skip_what_is_empty(self, path: str, folder: Folder) -> None:
        for name, kid in sorted(folder.folders.items()):
            if not kid.total:
                self._skip(joined(path, name), kid.files, "it contains no photos" if kid.files else "it is empty")
        for name in beside_photos(folder):
            self._skip(joined(path, name), folder.folders.pop(name).files, "it belongs to the photos beside it")
        for name, kid in folder.inner.items():
            self._skip_what_is_empty(joined(path, name), kid)

    def _skip_beside_wrappers(self, path: str) -> None:
        folder, where = self._root, ""
        for name in filter(None, path.split("/")):
            self._findings.skip_loose(where, folder)
            folder, where = folder.folders[name], joined(where, name)

    def _refusal(self, reason: str) -> str:
        tree = "\n".join(tree_in_lines(self._root, self._paths))
        return (
            f"The layout of {self._where} is unclear: {reason}. Put each class's photos into a folder of its own, or "
            f'set LABELS to "{FOLDER}", "{TOP_FOLDER}", "{FILE_NAME}" or the name of a table.'
            + (f"\n{tree}" if tree else "")
        )

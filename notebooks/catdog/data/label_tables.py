"""Labels from tables beside the photos."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..names import class_name, counted, listed, printable, same
from .table_files import TABLES, cells

_LABEL_WORDS = """
    label labels class classes class_name classname class_label category target breed species diagnosis dx label_name
    emotion disease
"""  # in order of preference; of two equivalent columns, the one with words instead of numbers is used
_LABEL_COLUMNS = _LABEL_WORDS.split()
_SPLIT_COLUMNS = ("split", "set", "subset", "fold", "dataset", "partition", "usage", "is_train", "is_training")
_MOST_TABLES = 20
_SEVERAL = re.compile(r"[|;]")  # separates labels in one cell
_UNUSED = ("unused", "none", "ignore", "exclude", "excluded", "unlabeled", "unlabelled")


@dataclass(frozen=True)
class Table:
    """Labels by the path of the photo.

    Attributes:
        name: the path of its file, or of the first of several that belong together.
        how: their names and columns, in words.
        labels, splits: path → label; path → the table's text about the split.
        notes: rows that were not used, and why.
        is_sure: whether the label column has one of the usual names.
    """

    name: str
    how: str
    labels: Mapping[str, str] = field(repr=False)
    splits: Mapping[str, str] = field(repr=False, default_factory=dict)
    notes: tuple[str, ...] = ()
    is_sure: bool = True

    def label(self, path: str) -> str | None:
        """Return the label of the photo at `path`, if any."""
        return self.labels.get(path)

    def split(self, path: str) -> str | None:
        """Return the table's text about the split of the photo at `path`, if any."""
        return self.splits.get(path)


def tables_among(paths: Iterable[str]) -> list[str]:
    """Return the files that may be tables by their names, those nearest to the top first."""
    found = [path for path in paths if path.lower().endswith(TABLES) and not path.rpartition("/")[2].startswith(".")]
    return sorted(found, key=lambda path: (path.count("/"), len(path), path))


def find_table(
    paths: Collection[str], read: Callable[[str], bytes] | None, wanted: str = "", named_alone: bool = False
) -> Table | None:
    """Find the table among `paths` that labels photos among `paths`; None if there is none.

    Tables with the same columns, such as train.csv and test.csv, are combined. A table in a folder only labels photos
    in that folder.

    Args:
        read: returns the content of a file.
        wanted: the table's name, followed by ":" and the name of its label column if there are several.
        named_alone: skip tables without a column that has one of the usual label names.
    """
    if read is None:
        return None
    name, _, column = wanted.strip().strip("\"'").partition(":")
    tables = tables_among(paths)
    if name:
        ending = name.removeprefix("./").casefold()
        ending = ending.rpartition("/")[2] if ending.startswith("/") else ending
        tables = [path for path in tables if f"/{path}".casefold().endswith(f"/{ending}")]
    rows = {path: found for path in tables[:_MOST_TABLES] if (found := _rows_of(path, read))}
    if named_alone:
        rows = {path: found for path, found in rows.items() if set(map(_plain, found[0])) & set(_LABEL_COLUMNS)}
    if not rows:
        return None
    photos = _Photos(path for path in paths if not path.lower().endswith(TABLES))
    parsed = [one for path, cells_of in rows.items() if (one := _parsed(path, cells_of, photos, column))]
    if not parsed:
        return None
    best = max(parsed, key=lambda one: (one.is_sure, len(one.rows)))
    alike = [one for one in parsed if one.columns == best.columns]
    return _joined(alike, photos)


class _Photos:
    """Photos by the names that a table may use for them."""

    def __init__(self, paths: Iterable[str]):
        self._paths = defaultdict(list)
        self.number = 0
        for path in paths:
            self.number += 1
            for key in _keys(path):
                self._paths[key].append(path)

    def called(self, text: str, below: str = "") -> list[str]:
        """Return the paths of photos in the folder `below` that `text` may mean, by the longest matching path."""
        value = text.strip().strip("\"'").replace("\\", "/").removeprefix("./").casefold()
        parts = value.split("/")
        for start in range(len(parts)):
            found = [p for p in self._paths.get("/".join(parts[start:]), ()) if p.startswith(below)]
            if found:
                return found
        return []


def _keys(path: str) -> Iterator[str]:
    """Yield the names that a table may use for a photo: `a/b/c.jpg`, `b/c.jpg`, `c.jpg`, also without the ending."""
    names = path.casefold().split("/")
    for start in range(len(names)):
        whole = "/".join(names[start:])
        yield whole
        if (stem := whole.rpartition(".")[0]) and "/" not in whole.rpartition(".")[2]:
            yield stem


@dataclass(frozen=True)
class _Parsed:
    """One table file: rows of (name of the photo, label or None for several labels, split)."""

    path: str
    columns: tuple[str, str]
    rows: list[tuple[str, str | None, str]]
    is_sure: bool

    @property
    def folder(self) -> str:
        return self.path[: len(self.path) - len(self.path.rpartition("/")[2])]


def _rows_of(path: str, read: Callable[[str], bytes]) -> list[list[str]]:
    try:
        return cells(path, read(path))
    except Exception:  # a file named like a table is often not a table
        return []


def _parsed(path: str, rows: list[list[str]], photos: _Photos, wanted: str) -> _Parsed | None:
    if len(rows) < 2 or (place := _key_column(rows, photos)) is None:
        return None
    has_header = not photos.called(rows[0][place])
    header = rows[0] if has_header else [f"column {number}" for number in range(1, len(rows[0]) + 1)]
    body = rows[has_header:]
    column = _label_column(header, body, place, wanted)
    hot = [] if wanted else _one_hot(header, body, place)
    if hot:
        name, labels = "one column per class", [header[next(c for c in hot if _is_one(row[c]))] for row in body]
    elif column is not None:
        name, labels = header[column], [row[column] for row in body]
    else:
        return None
    split = next(
        (c for c, name in enumerate(header) if _plain(name) in _SPLIT_COLUMNS and c not in (place, column)), None
    )
    splits = ["" if split is None else _split_text(_plain(header[split]), row[split]) for row in body]
    told = [(row[place], None if _SEVERAL.search(label) else class_name(label), text)
            for row, label, text in zip(body, labels, splits) if label.strip() and text not in _UNUSED]  # fmt: skip
    if len({label for _, label, _ in told if label}) < 2 and not _may_be_of_one_split(path):
        return None
    is_sure = bool(hot or wanted or _plain(name) in _LABEL_COLUMNS)
    return _Parsed(path, (header[place], name), told, is_sure)


def _joined(tables: Sequence[_Parsed], photos: _Photos) -> Table | None:
    """Combine tables: labels by path, from rows that match one photo and give it one label."""
    labels: dict[str, str] = {}
    splits: dict[str, str] = {}
    unclear: Counter[str] = Counter()
    for table in tables:
        for name, label, split in table.rows:
            found = photos.called(name, table.folder)
            if len(found) > 1:
                found = [path for path in found if _is_of(table.path, path)] or found
            reason = "each matches several photos" if len(found) > 1 else "" if label else "several labels in one row"
            if found and (reason or not label or labels.setdefault(found[0], label) != label):
                unclear[reason or "in conflict with other rows"] += 1
                labels |= dict.fromkeys(found, "") if not reason else {}
            elif found and split:
                splits[found[0]] = split
    labels = {path: label for path, label in labels.items() if label}
    if len({same(label) for label in labels.values()}) < 2:
        return None
    first, names = tables[0], [table.path for table in tables]
    notes = [
        f"Skipped {counted(count, 'row')} of {printable(first.path)}: {reason}." for reason, count in unclear.items()
    ]
    how = f"{listed(names)}, columns {printable(first.columns[0])} and {printable(first.columns[1])}"
    return Table(first.path, how, labels, splits, tuple(notes), first.is_sure)


def _is_of(table: str, photo: str) -> bool:
    """Tell whether a table's name, such as trainLabels.csv, refers to the photo's folder, train/."""
    words = {word.casefold() for word in re.findall(r"[A-Z]?[a-z]+", table.rpartition("/")[2])}
    return bool(words & {name.casefold() for name in photo.split("/")[:-1]})


def _may_be_of_one_split(path: str) -> bool:
    return bool(re.search(r"train|val|test|dev", path.rpartition("/")[2], re.IGNORECASE))


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().casefold())


def _split_text(column: str, text: str) -> str:
    if column.startswith("is_train"):
        return {"1": "train", "true": "train", "0": "test", "false": "test"}.get(text.strip().casefold(), "")
    return text.strip().casefold()


def _key_column(rows: list[list[str]], photos: _Photos) -> int | None:
    """Return the column with the photos' names; of two, the one with endings. None if there is no such column."""
    body = rows[1:]
    hits = [sum(bool(photos.called(row[c])) for row in body) for c in range(len(rows[0]))]
    whole = [sum("." in row[c] and bool(photos.called(row[c])) for row in body) for c in range(len(rows[0]))]
    best = max(range(len(hits)), key=lambda c: (whole[c], hits[c], bool(rows[0][c].strip())), default=None)
    if best is None or hits[best] < 2 or hits[best] < min(len(body), photos.number) / 2:
        return None
    return best


def _label_column(header: list[str], body: list[list[str]], place: int, wanted: str) -> int | None:
    columns = [c for c in range(len(header)) if c != place and _plain(header[c]) not in _SPLIT_COLUMNS]
    if wanted:
        return next((c for c in range(len(header)) if _plain(header[c]) == _plain(wanted)), None)
    named = sorted(
        (c for c in columns if _plain(header[c]) in _LABEL_COLUMNS),
        key=lambda c: _LABEL_COLUMNS.index(_plain(header[c])),
    )
    likely = named or [c for c in columns if _repeats(body, c)]
    if named and len({_partition(body, c) for c in named}) == 1:
        return next((c for c in named if any(not _is_number(row[c]) for row in body)), named[0])
    return likely[0] if len(likely) == 1 else None


def _partition(body: list[list[str]], column: int) -> tuple[int, ...]:
    """Return the values as numbers by first occurrence: equal for columns that group the rows in the same way."""
    first: dict[str, int] = {}
    return tuple(first.setdefault(row[column], number) for number, row in enumerate(body))


def _repeats(body: list[list[str]], column: int) -> bool:
    """Tell whether a column has few values that repeat, as classes do and measurements do not."""
    values = Counter(row[column] for row in body)
    return 2 <= len(values) <= max(2, len(body) / 2)


def _one_hot(header: list[str], body: list[list[str]], place: int) -> list[int]:
    columns = [c for c in range(len(header)) if c != place and _plain(header[c]) not in _SPLIT_COLUMNS]
    bits = [c for c in columns if header[c].strip() and all(_is_one(r[c]) or _is_zero(r[c]) for r in body)]
    return bits if len(bits) > 1 and all(sum(_is_one(row[c]) for c in bits) == 1 for row in body) else []


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"-?\d+([.,]\d+)?", text.strip()))


def _is_one(text: str) -> bool:
    return text.strip().casefold() in ("1", "1.0", "true")


def _is_zero(text: str) -> bool:
    return text.strip().casefold() in ("0", "0.0", "", "false")

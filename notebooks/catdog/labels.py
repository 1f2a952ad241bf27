"""Labels that stand elsewhere than in folders: in the photos' names, or in a table beside them."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from .names import class_name, decoded, same

NAMES = "the photos' names"
_TABLES = (".csv", ".tsv", ".txt", ".tab", ".json", ".jsonl", ".ndjson")
_MOST_BYTES = 64 << 20
_HITS = 0.5  # share of a column's values that must be photos
_NAMED = 0.95  # share of the photos whose names must tell a class
_LABEL_COLUMNS = ("label", "labels", "class", "classes", "class_name", "category", "target", "breed", "species", "name")
_SPLIT_COLUMNS = ("split", "set", "subset", "fold", "dataset", "partition", "data")
_CAMERAS = """
    img dsc dscn dscf pxl p mvimg photo photos picture pic pict image images foto bild bilder screenshot vid video
    scan frame whatsapp signal received download unnamed untitled copy gopr dji sam cimg imag burst snapshot file page
    thumb thumbnail n no nr number sample test train val valid item
"""  # words that stand before the number in a camera's, a phone's or a program's names
_NUMBERED = (
    re.compile(r"(?P<label>.*?[^\W\d_].*?)[\s._-]*\(?\d+\)?([\s._-]*(copy|kopie|\(\d+\)))?", re.IGNORECASE),
    re.compile(r"\d+[\s._-]+(?P<label>[^\W\d_].*)"),
)


def label_in_name(path: str) -> str | None:
    """`cat` of `cat.0.jpg`, `cat (3).jpg`, `cat12.png` or `12-cat.jpg`; None where the name tells no class."""
    stem = PurePosixPath(path).stem
    for pattern in _NUMBERED:
        if found := pattern.fullmatch(stem):
            label = class_name(found["label"].strip(" ._-("))
            return None if not label or _is_a_cameras(label) else label
    return None


def names_that_label(paths: Sequence[str]) -> bool:
    """Whether nearly all of these names tell a class, and each class is told often enough to be one."""
    found = Counter(same(label) for path in paths if (label := label_in_name(path)))
    often = sum(count for count in found.values() if count > 1)
    return bool(paths) and often >= _NAMED * len(paths)


def _is_a_cameras(label: str) -> bool:
    words = re.findall(r"[^\W\d_]+", label.casefold())
    return not words or words[0] in _CAMERAS.split()


@dataclass(frozen=True)
class Table:
    """Labels by file.

    Attributes:
        name: the path of its file.
        how: its name and its columns, in words.
        labels: file as the table calls it, in small letters → label.
        splits: the same → what its column of splits says; empty where it has none.
    """

    name: str
    how: str
    labels: Mapping[str, str] = field(repr=False)
    splits: Mapping[str, str] = field(repr=False, default_factory=dict)

    def label(self, path: str) -> str | None:
        """That of the photo at `path`, found by as much of its path as the table gives, with its ending or without."""
        return next((self.labels[key] for key in _keys(path) if key in self.labels), None)

    def split(self, path: str) -> str | None:
        """What the table says of the split of the photo at `path`."""
        return next((self.splits[key] for key in _keys(path) if key in self.splits), None)


def find_table(paths: Collection[str], read: Callable[[str], bytes] | None, wanted: str = "") -> Table | None:
    """The table among `paths` that labels photos among `paths`; None where none does.

    Args:
        read: gives the content of a file.
        wanted: its name, followed by ":" and the name of its column of labels where there are several.
    """
    if read is None:
        return None
    name, _, column = wanted.partition(":")
    tables = tables_among(paths)
    if name:
        tables = [path for path in tables if path == name or path.endswith(f"/{name.removeprefix('./')}")]
    photos = {key for path in paths if not path.lower().endswith(_TABLES) for key in _keys(path)}
    found = [table for path in sorted(tables, key=len) if (table := _table(path, read, photos, column))]
    return max(found, key=lambda table: len(table.labels), default=None)


def tables_among(paths: Iterable[str]) -> list[str]:
    """Files that may be tables, by their names."""
    return [path for path in paths if path.lower().endswith(_TABLES)]


def _keys(path: str) -> Iterator[str]:
    """What a table may call the photo: `a/b/c.jpg`, `b/c.jpg`, `c.jpg`, and these without the ending."""
    names = path.casefold().split("/")
    for start in range(len(names)):
        whole = "/".join(names[start:])
        yield whole
        yield whole.rpartition(".")[0] or whole


def _key(value: str) -> str:
    return value.strip().strip("\"'").replace("\\", "/").removeprefix("./").casefold()


def _table(path: str, read: Callable[[str], bytes], photos: Collection[str], column: str) -> Table | None:
    data = read(path)
    if not data or len(data) > _MOST_BYTES:
        return None
    text = _text(data)
    rows = _objects(text) if path.lower().endswith((".json", ".jsonl", ".ndjson")) else _rows(text)
    if len(rows) < 2 or not (keys := _key_column(rows, photos)):
        return None
    place, header = keys
    return _labelled(
        path, rows if header else [[f"column {n}" for n in range(1, len(rows[0]) + 1)], *rows], place, column
    )


def _text(data: bytes) -> str:
    """As spreadsheets save it: with a mark of its encoding, in UTF-8, or in the code page of whoever saved it."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "\n".join(decoded(data.splitlines())[0])


def _rows(text: str) -> list[list[str]]:
    lines = re.split(r"\r\n|\r|\n", text)
    declared = re.fullmatch(r"sep=(.)\s*", lines[0])
    separator = declared[1] if declared else _separator(lines[:20])
    rows = csv.reader(io.StringIO("\n".join(lines[bool(declared) :])), delimiter=separator)
    found = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    width = max((len(row) for row in found), default=0)
    return [row + [""] * (width - len(row)) for row in found]


def _separator(lines: Iterable[str]) -> str:
    """The one that stands in every line, as often."""
    lines = [line for line in lines if line.strip()]
    steady = {sep: min((line.count(sep) for line in lines), default=0) for sep in "\t;,|"}
    best = max(steady, key=lambda sep: steady[sep])
    return best if steady[best] else " "


def _objects(text: str) -> list[list[str]]:
    """Rows of objects, a list of them or one a line, or of an object whose keys are the photos."""
    try:
        whole = json.loads(text)
    except ValueError:
        whole = [_object(line) for line in text.splitlines() if line.strip()]
    if isinstance(whole, dict):
        return [
            ["file", "label"],
            *([str(key), str(value)] for key, value in whole.items() if isinstance(value, str | int)),
        ]
    objects = [one for one in whole if isinstance(one, dict)] if isinstance(whole, list) else []
    columns = list(dict.fromkeys(key for one in objects for key in one))
    return [columns, *([str(one.get(key, "")) for key in columns] for one in objects)]


def _object(line: str):
    try:
        return json.loads(line)
    except ValueError:
        return None


def _key_column(rows: list[list[str]], photos: Collection[str]) -> tuple[int, bool] | None:
    """(the column that names photos, whether the first row is a header)."""
    body = rows[1:]
    hits = [sum(_key(row[place]) in photos for row in body) for place in range(len(rows[0]))]
    best = max(range(len(hits)), key=lambda place: hits[place], default=None)
    if best is None or hits[best] < 2 or hits[best] < min(_HITS * len(body), _HITS * len(photos) / 4):
        return None
    return best, _key(rows[0][best]) not in photos


def _labelled(path: str, rows: list[list[str]], place: int, column: str) -> Table | None:
    header, body = rows[0], rows[1:]
    labels = _label_column(header, body, place, column)
    if labels is not None:
        told, what = [row[labels] for row in body], header[labels]
    elif (hot := _one_hot(header, body, place)) and not column:
        told, what = [header[next(c for c in hot if _is_one(row[c]))] for row in body], "one column a class"
    else:
        return None
    by_key = {_key(row[place]): class_name(label) for row, label in zip(body, told) if label.strip()}
    split = next((c for c, name in enumerate(header) if c != place and name.casefold() in _SPLIT_COLUMNS), None)
    splits = {_key(row[place]): row[split] for row in body} if split not in (None, labels) else {}
    return Table(path, f"{path}, columns {header[place]} and {what}", by_key, splits)


def _label_column(header: list[str], body: list[list[str]], place: int, wanted: str) -> int | None:
    columns = [c for c in range(len(header)) if c != place]
    if wanted:
        return next((c for c in columns if header[c].casefold() == wanted.casefold()), None)
    for name in _LABEL_COLUMNS:
        if found := [c for c in columns if header[c].strip().casefold() == name]:
            return found[0]
    likely = [c for c in columns if header[c].strip().casefold() not in _SPLIT_COLUMNS and _repeats(body, c)]
    return likely[0] if len(likely) == 1 else None


def _repeats(body: list[list[str]], column: int) -> bool:
    """Few values, each often, as classes have; not the measures of a photo."""
    values = Counter(row[column] for row in body)
    return 2 <= len(values) <= max(2, len(body) / 2)


def _one_hot(header: list[str], body: list[list[str]], place: int) -> list[int]:
    columns = [c for c in range(len(header)) if c != place and all(_is_one(r[c]) or _is_zero(r[c]) for r in body)]
    alone = len(columns) > 1 and all(sum(_is_one(row[c]) for c in columns) == 1 for row in body)
    return columns if alone else []


def _is_one(text: str) -> bool:
    return text in ("1", "1.0", "True", "true")


def _is_zero(text: str) -> bool:
    return text in ("0", "0.0", "", "False", "false")

"""Read tables that spreadsheets, scripts and data sets save into rows of cells: CSV and its variants, and JSON."""

import csv
import io
import json
import re
from collections.abc import Iterable

from ..names import decoded

TABLES = (".csv", ".tsv", ".txt", ".tab", ".json", ".jsonl", ".ndjson")
_MOST_BYTES = 64 << 20


def cells(path: str, data: bytes) -> list[list[str]]:
    """Return the rows of a table, all of the same length, the header first if there is one; none for a large file.

    Raises whatever its parser raises for a file that is not a table.
    """
    if not data or len(data) > _MOST_BYTES:
        return []
    text = _text(data)
    rows = _objects(text) if path.lower().endswith((".json", ".jsonl", ".ndjson")) else _rows(text)
    width = max((len(row) for row in rows), default=0)
    return [row + [""] * (width - len(row)) for row in rows]


def _text(data: bytes) -> str:
    """Decode by the byte order mark, else as UTF-8, else by the most plausible code page."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "\n".join(decoded(data.splitlines())[0])


def _rows(text: str) -> list[list[str]]:
    text = re.sub(r"\r\n?", "\n", text)
    declared = re.match(r"sep=(.)\n", text)
    body = text[declared.end() :] if declared else text
    separator = declared[1] if declared else _separator(body.splitlines()[:20])
    has_inches = body.count('"') % 2  # an odd number of " is not quoting
    rows = csv.reader(
        io.StringIO(body), delimiter=separator, quoting=csv.QUOTE_NONE if has_inches else csv.QUOTE_MINIMAL
    )
    return [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]


def _separator(lines: Iterable[str]) -> str:
    """Return the separator that is in every line most often."""
    lines = [line for line in lines if line.strip()]
    steady = {sep: min((line.count(sep) for line in lines), default=0) for sep in "\t;,|"}
    best = max(steady, key=lambda sep: steady[sep])
    return best if steady[best] else " "


def _objects(text: str) -> list[list[str]]:
    """Return the rows of JSON: a list of objects, one object per line, or one of photo → label or label → photos."""
    try:
        whole = json.loads(text)
    except ValueError:
        whole = [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(whole, dict):
        return [["file", "label"], *_pairs(whole)]
    objects = [one for one in whole if isinstance(one, dict)]
    columns = list(dict.fromkeys(key for one in objects for key in one))
    return [columns, *([_cell(one.get(key, "")) for key in columns] for one in objects)]


def _pairs(whole: dict) -> list[list[str]]:
    if all(isinstance(value, list) for value in whole.values()):
        return [[str(file), str(label)] for label, files in whole.items() for file in files if isinstance(file, str)]
    return [[str(key), _cell(value)] for key, value in whole.items()]


def _cell(value: object) -> str:
    return "|".join(map(str, value)) if isinstance(value, list) else str(value)

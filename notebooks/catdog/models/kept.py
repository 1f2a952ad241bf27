"""Kept versions: a small file in a version's folder marks it as kept, and may give it a label.

While the file exists, the version cannot be deleted. A damaged file still keeps its version, but loses the label.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .. import files
from ..errors import UserError
from ..names import is_label, label_name, printable
from .arrays import require_plain_file

KEPT = "kept.json"
_MOST_BYTES = 4096


@dataclass(frozen=True)
class Kept:
    """The content of the file.

    Attributes:
        label: another name for the version; empty if it has none.
        is_damaged: whether the file cannot be read.
    """

    label: str = ""
    is_damaged: bool = False

    def __str__(self) -> str:
        return f"{KEPT} is damaged" if self.is_damaged else self.label or "yes"


def read_kept(version: Path) -> Kept | None:
    """Read whether and how the version in a folder is kept; None if it is not kept."""
    path = version / KEPT
    if not os.path.lexists(path):
        return None
    try:
        require_plain_file(path, _MOST_BYTES)
        label = json.loads(path.read_text(encoding="utf-8"))["label"]
        return Kept(label) if label == "" or is_label(label) else Kept(is_damaged=True)
    except Exception:  # see `arrays.refused_if_damaged`
        return Kept(is_damaged=True)


def write_kept(version: Path, label: str) -> None:
    """Mark the version in a folder as kept. Raises OSError."""
    with files.written_whole(version / KEPT) as file:
        file.write(json.dumps({"label": label}, ensure_ascii=False).encode() + b"\n")


def is_labelled(version: Path, label: str) -> bool:
    """Tell whether the version in a folder has this label, in any spelling that `label_name` accepts."""
    kept = read_kept(version)
    return kept is not None and kept.label != "" and kept.label in (label, label_name(label))


def require_label(text: str, others: Iterable[Path]) -> str:
    """Return `text` as a label: lower-case letters, digits and hyphens.

    Args:
        others: folders of the same model's other versions.

    Raises UserError if it has no letter, since it would look like a version's time, or if another version has it.
    """
    label = label_name(text)
    if not label:
        raise UserError(
            "version-label",
            f'A version cannot be called "{printable(text)}": use at least one letter, as in "final".',
        )
    holder = next((other for other in others if other.name == label or is_labelled(other, label)), None)
    if holder:
        raise UserError(
            "version-label",
            f"{holder.parent.name}/{holder.name} is already called {label}: choose another label, or release that "
            "version first.",
        )
    return label

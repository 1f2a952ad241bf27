"""The saved versions as a table."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ..names import printable
from .arrays import BundleRefused
from .bundle import age, saved_versions
from .card import read_card
from .housekeeping import remove_rests, size_of
from .kept import read_kept

_HEADINGS = ("version", "saved (UTC)", "photos", "right", "judged by", "MB", "kept")


def versions_table(name: str = "") -> str:
    """Return a table of the saved versions, newest first: the time of saving, number of training photos, accuracy,
    size, and whether it is kept, with its label. The line of a version that cannot be read says so.

    First removes the rest of interrupted deletions.

    Args:
        name: of a model; empty for all.
    """
    remove_rests()
    folders = [folder for folder in saved_versions() if name in ("", folder.parent.name)]
    return table([row(folder, *_judged(folder)) for folder in sorted(folders, key=age, reverse=True)])


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Format rows from `row` in columns, below their headings."""
    lines = [_HEADINGS, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in lines)


def row(folder: Path, right: str, by: str) -> tuple[str, ...]:
    """Return a version's row.

    Args:
        right: its accuracy; `by`: the photos that it was measured on.
    """
    saved, photos = _trained(folder)
    size, kept = f"{size_of(folder) / 1e6:.1f}", str(read_kept(folder) or "")
    return printable(f"{folder.parent.name}/{folder.name}"), saved, photos, right, by, size, kept


def _trained(folder: Path) -> tuple[str, str]:
    """Return (when a version was saved, number of its training photos); empty if that cannot be read."""
    try:
        card = read_card(folder)
    except BundleRefused:
        return "", ""
    trained = sum(count for split, counts in card.data.photos.items() if split != "test" for count in counts.values())
    return _time(card.created), f"{trained:,}"


def _time(created: str) -> str:
    try:
        return f"{datetime.fromisoformat(created):%Y-%m-%d %H:%M}"
    except ValueError:
        return ""


def _judged(folder: Path) -> tuple[str, str]:
    """Return (a version's accuracy when it was saved, the photos that it was measured on)."""
    try:
        card = read_card(folder)
    except BundleRefused as refusal:
        return "", f"cannot be read [{refusal.code}]"
    by, metrics = card.judged_on
    if not metrics.get("photos"):
        return "", "no photos" + (" (drawings)" if card.synthetic else "")
    by = "test photos" if by == "test" else by
    return f"{metrics.get('accuracy', 0):.1%}", f"{metrics['photos']:,} {by}"

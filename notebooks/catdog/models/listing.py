"""The saved versions, as a table to choose from."""

from datetime import datetime
from pathlib import Path

from .arrays import BundleRefused
from .bundle import age, saved_versions
from .card import Card, read_card

_HEADINGS = ("version", "saved (UTC)", "photos", "right", "judged by", "MB")


def versions_table(name: str = "") -> str:
    """A line for each saved version, the newest first: when it was saved, how many photos trained it, how right it is,
    and how much room it takes. One that cannot be read says so.

    Args:
        name: of a model; empty lists all.
    """
    folders = [folder for folder in saved_versions() if name in ("", folder.parent.name)]
    rows = [_HEADINGS, *(_row(folder) for folder in sorted(folders, key=age, reverse=True))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows)


def _row(folder: Path) -> tuple[str, ...]:
    where, size = f"{folder.parent.name}/{folder.name}", f"{_bytes(folder) / 1e6:.1f}"
    try:
        card = read_card(folder)
    except BundleRefused as refusal:
        return where, "", "", "", f"cannot be read [{refusal.code}]", size
    trained = sum(count for split, counts in card.data.photos.items() if split != "test" for count in counts.values())
    return where, _time(card.created), f"{trained:,}", *_judged(card), size


def _time(created: str) -> str:
    try:
        return f"{datetime.fromisoformat(created):%Y-%m-%d %H:%M}"
    except ValueError:
        return ""


def _judged(card: Card) -> tuple[str, str]:
    by, metrics = card.judged_on
    if not metrics.get("photos"):
        return "", "no photos" + (" (drawings)" if card.synthetic else "")
    by = "test photos" if by == "test" else by
    return f"{metrics.get('accuracy', 0):.1%}", f"{metrics['photos']:,} {by}"


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

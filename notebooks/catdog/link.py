"""The link file: how the backend tells the frontend its address, across notebooks and, on Drive, across machines."""

import json
import os
from datetime import UTC, datetime

from . import places


def publish(url: str) -> None:
    """Write down where the backend is reached now."""
    _write({"url": url, "state": "up", "time": _now()})


def withdraw() -> None:
    """Write down that the backend was stopped."""
    if places.link_file().exists():
        _write({"url": "", "state": "stopped", "time": _now()})


def published_url() -> str:
    """The address that the backend published last; empty when there is none, or it was stopped."""
    try:
        link = json.loads(places.link_file().read_text())
        return link["url"] if link["state"] == "up" else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _write(link: dict) -> None:
    target = places.link_file()
    part = target.with_suffix(".part")
    part.write_text(json.dumps(link) + "\n")
    os.replace(part, target)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

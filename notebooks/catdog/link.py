"""Links: the files by which one notebook tells the other its address, and the access code that a link carries."""

import json
import re
import secrets
import socket
from datetime import UTC, datetime

from . import places
from .errors import SuiteError

INSTANCE = secrets.token_hex(8)  # in every answer to /healthz: by it we know that a public link leads to us
NAMES = ("backend", "page")
_ORIGIN = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]+)?(?=[/?#]|$)")
_CODE = re.compile(r"[A-Za-z0-9_-]{6,64}")


def alive() -> dict[str, str]:
    """What `/healthz` answers."""
    return {"status": "alive", "instance": INSTANCE}


def check_code(code: str) -> str:
    """`code` itself, if a link can carry it. Raises SuiteError for one that is too short or needs escaping."""
    if code and not _CODE.fullmatch(code):
        raise SuiteError(
            "setting-access-code",
            "ACCESS_CODE must be 6 to 64 letters, digits, - or _, so that it fits into a link and is not guessed.",
        )
    return code


def with_code(url: str, code: str) -> str:
    """`url` with the access code behind the `#`, which browsers keep to themselves: no log on the way sees it."""
    return f"{url}/#code={code}" if code else url


def headers(code: str = "") -> dict[str, str]:
    """What a program sends along a link: past ngrok's warning page, and with the access code if there is one."""
    skip_warning = {"ngrok-skip-browser-warning": "1"}
    return {**skip_warning, "Authorization": f"Bearer {code}"} if code else skip_warning


def publish(name: str, url: str, *, public: bool, provider: str = "none", domain: str = "") -> None:
    """Write down that `name` (one of `NAMES`) is reached at `url` now.

    Args:
        public: whether from everywhere; if not, only notebooks on this very machine will follow it.
        domain: the reserved domain that was asked for.
    """
    _write(name, url=url, state="up", public=public, provider=provider, domain=domain)


def mark_down(name: str) -> None:
    """Write down that the link of `name` is broken; where it led stays, for it will mostly lead there again."""
    if _ours(known := read(name)):
        _write(name, **{**known, "state": "down"})


def withdraw(name: str) -> None:
    """Write down that `name` was stopped; where it never started, or another process has its link by now, nothing."""
    if _ours(read(name)):
        _write(name, url="", state="stopped")


def read(name: str) -> dict:
    """What the file says: "url", "state" ("up", "down" or "stopped"), "time" (UTC, ISO 8601), and for a link that
    was opened "public", "provider", "domain", "host" and "instance". Empty without a file, or with a broken one."""
    try:
        known = json.loads(places.link_file(name).read_text())
        datetime.fromisoformat(known["time"])
        return known if isinstance(known["url"], str) and isinstance(known["state"], str) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def published_url(name: str = "backend") -> str:
    """Where `name` is reached from here; empty when it was stopped, or only another machine reaches it."""
    known = read(name)
    if not known or known["state"] == "stopped" or not reached_from_here(known):
        return ""
    return known["url"] if origin(known["url"]) else ""


def origin(url: str) -> str:
    """Scheme, host and port of a web address; empty where `url` is none."""
    found = _ORIGIN.match(url)
    return found[0] if found else ""


def reached_from_here(known: dict) -> bool:
    """Whether what `read` returned is a public link, or one of this machine."""
    return bool(known.get("public")) or known.get("host") == socket.gethostname()


def _ours(known: dict) -> bool:
    return known.get("instance") == INSTANCE


def _write(name: str, **known) -> None:
    here = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "host": socket.gethostname(), "instance": INSTANCE}
    with places.written_whole(places.link_file(name)) as file:
        file.write(json.dumps({**known, **here}).encode() + b"\n")

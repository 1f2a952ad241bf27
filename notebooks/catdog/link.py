"""Links: the files by which one notebook tells the other its address, and the access code that a link carries."""

import json
import re
import secrets
import socket
from datetime import UTC, datetime
from urllib.parse import urlsplit

import requests

from . import places
from .errors import SuiteError

INSTANCE = secrets.token_hex(8)  # in every answer to /healthz: by it we know that a public link leads to us
NAMES = ("backend", "page")
_ANSWER_SECONDS = 3
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


def session(url: str) -> requests.Session:
    """What asks `url`. A proxy leads out of this machine, not into it: local addresses are asked without one."""
    found = requests.Session()
    found.trust_env = not is_local(url)
    return found


def is_local(url: str) -> bool:
    """Whether `url` leads to this machine alone."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


def publish(name: str, url: str, *, public: bool, provider: str = "none", domain: str = "") -> None:
    """Write down that `name` (one of `NAMES`) is reached at `url` now.

    Args:
        public: whether from everywhere; if not, only notebooks on this very machine will follow it.
        domain: the reserved domain that was asked for.

    Where another notebook's link stands there, it comes back when this one is withdrawn.
    """
    known = read(name)
    before = known.get("before") if _ours(known) else known if known.get("state") == "up" else None
    _write(name, url=url, state="up", public=public, provider=provider, domain=domain, before=_without_before(before))


def mark_down(name: str) -> None:
    """Write down that the link of `name` is broken; where it led stays, for it will mostly lead there again."""
    if _ours(known := read(name)):
        _write(name, **{**known, "state": "down"})


def withdraw(name: str) -> None:
    """Write down that `name` was stopped, or that another notebook's link is the one again, if that still answers.
    Where `name` never started, or another process has its link by now, nothing."""
    known = read(name)
    if not _ours(known):
        return
    before = known.get("before")
    if before and _answers(before):
        _write_as_it_is(name, before)
    else:
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


def _without_before(known: dict | None) -> dict | None:
    return {key: value for key, value in known.items() if key != "before"} if known else None


def _answers(known: dict) -> bool:
    """Whether the service that wrote this is still there."""
    try:
        with session(known["url"]) as asking:
            answer = asking.get(f"{known['url']}/healthz", headers=headers(), timeout=_ANSWER_SECONDS)
        return answer.json()["instance"] == known["instance"]
    except (requests.RequestException, ValueError, KeyError, TypeError):
        return False


def _write(name: str, **known) -> None:
    here = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "host": socket.gethostname(), "instance": INSTANCE}
    _write_as_it_is(name, {**known, **here})


def _write_as_it_is(name: str, known: dict) -> None:
    with places.written_whole(places.link_file(name)) as file:
        file.write(json.dumps(known).encode() + b"\n")

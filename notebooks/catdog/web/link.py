"""Links: the files in which one notebook publishes its address for the other, and the access code in a link."""

import ipaddress
import json
import re
import secrets
import socket
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import urlsplit

import requests

from .. import files, paths
from ..errors import UserError

INSTANCE = secrets.token_hex(8)  # in every answer to /healthz, to check that a public link leads to this process
NAMES = ("backend", "page")
LAN = "lan"  # the tunnel provider whose links lead to this machine's address in its local network
_ANSWER_SECONDS = 3
_MOST_LINKS = 5
_ORIGIN = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]+)?(?=[/?#]|$)")
_CODE = re.compile(r"[A-Za-z0-9_-]{6,64}")


def alive() -> dict[str, str]:
    """Return the answer of `/healthz`."""
    return {"status": "alive", "instance": INSTANCE}


def check_code(code: str) -> str:
    """Return `code` if it fits into a link. Raises UserError for one that is too short or needs escaping."""
    if code and not _CODE.fullmatch(code):
        raise UserError(
            "setting-access-code",
            "ACCESS_CODE must be 6 to 64 letters, digits, - or _, so that it fits into a link and is hard to guess.",
        )
    return code


def with_code(url: str, code: str) -> str:
    """Return `url` with the access code after a `#`. Browsers do not send that part, so it is in no log on the way."""
    return f"{url}/#code={code}" if code else url


def headers(code: str = "") -> dict[str, str]:
    """Return the headers for a program's requests: they skip ngrok's warning page, and carry the access code if any."""
    skip_warning = {"ngrok-skip-browser-warning": "1"}
    return {**skip_warning, "Authorization": f"Bearer {code}"} if code else skip_warning


def session(url: str) -> requests.Session:
    """Return a session for requests to `url`. It bypasses proxies for addresses in the local network, since those lead
    out of it."""
    found = requests.Session()
    found.trust_env = not is_nearby(url)
    return found


def is_local(url: str) -> bool:
    """Tell whether `url` leads to this machine only."""
    with suppress(ValueError):
        host = _host(url)
        if host == "localhost" or host.endswith(".localhost"):
            return True
        address = ipaddress.ip_address(host)
        return address.is_loopback or address.is_unspecified
    return False


def is_nearby(url: str) -> bool:
    """Tell whether `url` leads to this machine, or has an address in a local network."""
    with suppress(ValueError):
        return is_local(url) or ipaddress.ip_address(_host(url)).is_private
    return False


def is_shared(public: bool, provider: str) -> bool:
    """Tell whether a link is for others than the notebook's owner: everybody, or devices in the same network."""
    return public or provider == LAN


def remark(public: bool, provider: str) -> str:
    """Return a remark to print after a link about who can reach it; empty for a public link."""
    if public:
        return ""
    return "  (this Wi-Fi only, not encrypted)" if provider == LAN else "  (not public)"


def _host(url: str) -> str:
    return urlsplit(url if "//" in url else f"//{url}").hostname or ""


def publish(name: str, url: str, *, public: bool, provider: str = "none", domain: str = "") -> None:
    """Record in the link file that `name` (one of `NAMES`) is now available at `url`.

    The file holds a link for each notebook that serves, the most recently opened first. A link that merely works again
    keeps its place.

    Args:
        public: whether everybody can reach it; if not, only notebooks on this machine will use it.
        domain: the reserved domain that was requested.
    """
    known = _entries(name)
    mine = _entry(url=url, state="up", public=public, provider=provider, domain=domain)
    place = next((place for place, one in enumerate(known) if _ours(one) and one["url"] == url), 0)
    others = [one for one in known if not _ours(one) and one["state"] != "stopped"]
    _write(name, [*others[:place], mine, *others[place:]])


def mark_down(name: str) -> None:
    """Record that the link of `name` is broken. Keeps its URL, which usually works again later."""
    known = _entries(name)
    if any(map(_ours, known)):
        _write(name, [_entry(**{**one, "state": "down"}) if _ours(one) else one for one in known])


def withdraw(name: str) -> None:
    """Record that `name` was stopped, or restore another notebook's link if that still answers. Do nothing if `name`
    never started, or the link now belongs to another process."""
    known = _entries(name)
    others = [one for one in known if not _ours(one)]
    if len(others) == len(known):
        return
    if _ours(known[0]):
        others = [one for one in others if answers(one)]
    _write(name, others or [_entry(url="", state="stopped")])


def read(name: str) -> dict:
    """Read the link file: "url", "state" ("up", "down" or "stopped"), "time" (UTC, ISO 8601), and for a link that was
    opened "public", "provider", "domain", "host" and "instance". Empty if the file is missing or damaged."""
    return next(iter(_entries(name)), {})


def published_url(name: str = "backend") -> str:
    """Return the URL of `name` as seen from here; empty if it was stopped, or only another machine can reach it."""
    return next(iter(published_urls(name)), "")


def published_urls(name: str = "backend") -> list[str]:
    """Return such URLs of all notebooks that serve `name`, the most recently opened first."""
    running = (one for one in _entries(name) if one["state"] != "stopped" and reached_from_here(one))
    return [one["url"] for one in running if origin(one["url"])]


def origin(url: str) -> str:
    """Return scheme, host and port of a web address; empty if `url` is not one."""
    found = _ORIGIN.match(url)
    return found[0] if found else ""


def reached_from_here(known: dict) -> bool:
    """Tell whether a link, as `read` returns it, is public or of this machine."""
    return bool(known.get("public")) or known.get("host") == socket.gethostname()


def _ours(known: dict) -> bool:
    return known.get("instance") == INSTANCE


def answers(known: dict, seconds: float = _ANSWER_SECONDS) -> bool:
    """Tell whether the service that wrote the link `known`, as `read` returns it, still answers."""
    try:
        with session(known["url"]) as asking:
            answer = asking.get(f"{known['url']}/healthz", headers=headers(), timeout=seconds)
        return answer.json()["instance"] == known["instance"]
    except (requests.RequestException, ValueError, KeyError, TypeError):
        return False


def _entries(name: str) -> list[dict]:
    try:
        known = json.loads(paths.link_file(name).read_text())
        found = [known, *known.get("others", [])]
        for one in found:
            datetime.fromisoformat(one["time"])
        return found if all(isinstance(one[key], str) for one in found for key in ("url", "state")) else []
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _entry(**known) -> dict:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {**known, "time": now, "host": socket.gethostname(), "instance": INSTANCE}


def _write(name: str, entries: list[dict]) -> None:
    first, *others = ({key: value for key, value in one.items() if key != "others"} for one in entries[:_MOST_LINKS])
    with files.written_whole(paths.link_file(name)) as file:
        file.write(json.dumps({**first, **({"others": others} if others else {})}).encode() + b"\n")

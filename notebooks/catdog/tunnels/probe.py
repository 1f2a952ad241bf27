"""Checks whether a URL leads to the service that this process started."""

import time

import requests

from ..web import link
from .base import LinkRefused
from .ngrok_errors import explain

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0


def instance(url: str, seconds: float = 10) -> str:
    """Return the `instance` in the /healthz of the service at `url`.

    Raises LinkRefused if nothing answers within `seconds`, or something else does; with ngrok's own code if ngrok
    itself answered.
    """
    with link.session(url) as session:
        try:
            answer = session.get(f"{url}/healthz", headers=link.headers(), timeout=seconds)
        except requests.RequestException as error:
            # urllib3's error, which requests wraps twice; a temporary failure says nothing about the name
            if "NameResolutionError" in repr(error) and "Temporary failure" not in repr(error):
                raise LinkRefused("link-name-unknown", f"{url} is not known to this machine's network.") from None
            raise LinkRefused("link-silent", f"{url} does not answer ({type(error).__name__}).") from None
    if code := answer.headers.get("ngrok-error-code", ""):
        raise LinkRefused("link-refused", explain(code), code)
    try:
        return answer.json()["instance"]
    except (ValueError, KeyError, TypeError):
        raise LinkRefused("link-leads-elsewhere", f"{url} is answered by something other than this service.") from None


def expect(url: str, wanted: str, seconds: float) -> None:
    """Raise LinkRefused if `url` does not lead to the service with the instance `wanted`."""
    if instance(url, seconds) != wanted:
        raise LinkRefused(
            "link-leads-elsewhere",
            f"{url} leads to another notebook's service: stop that one, or use another address for this one.",
        )


def wait_for(url: str, wanted: str, seconds: float) -> None:
    """Repeat `expect` for up to `seconds`, since a new address takes a moment to be known."""
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while True:
        try:
            return expect(url, wanted, max(1.0, deadline - time.monotonic()))
        except LinkRefused:
            if time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)

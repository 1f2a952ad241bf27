"""Limits on what the service accepts from untrusted clients, all in one place."""

import dataclasses
import re
from dataclasses import dataclass

from ..data.images import UNTRUSTED_PIXELS
from ..errors import UserError

_MOST, _MOST_SECONDS = 1 << 40, 24 * 3600  # beyond these, sockets and timers fail
# Former names of limits, and their names today. To be removed with the next number of `catdog.API`.
_CALLED_NOW = {
    "waiting": "max_queue",
    "requests": "max_concurrent",
    "held_bytes": "max_bytes_in_flight",
    "seconds": "request_timeout",
    "per_minute": "requests_per_minute",
}


@dataclass(frozen=True)
class Limits:
    """Every limit with its default. SECURITY.md says what each is for, and what happens beyond it.

    Attributes:
        request_bytes: of one request.
        photo_bytes: of one photo's file.
        photos: in one request.
        pixels: of one photo, by its header.
        decode_seconds: for one photo, in its own process, which is then ended.
        max_queue: photos that wait for the network or are being decoded for it.
        max_concurrent: requests with photos that are answered at the same time.
        max_bytes_in_flight: of all requests that are arriving or being answered.
        requests_per_minute: from one client, with photos or an access code or for examples; those from this machine are
            not counted.
        slow_photos: photos a minute from one client that take too long to decode.
        wrong_codes: wrong access codes a minute from one client.
        corrections: a day that one client may send; all clients together have `feedback.MOST` places.
        request_timeout: seconds from a request's arrival to its answer.
    """

    request_bytes: int = 64 << 20
    photo_bytes: int = 25 << 20
    photos: int = 64
    pixels: int = UNTRUSTED_PIXELS
    decode_seconds: float = 5.0
    max_queue: int = 256
    max_concurrent: int = 32
    max_bytes_in_flight: int = 256 << 20
    requests_per_minute: int = 600
    slow_photos: int = 4
    wrong_codes: int = 10
    corrections: int = 100
    request_timeout: float = 60.0


def parse_limits(text: str) -> Limits:
    """Return the defaults with the changes in `text`, such as "photos=16 requests_per_minute=60".

    A limit's former name works, too; the new one is then printed.

    Raises UserError for an unknown limit, and for a value that is not a number above 0, or far too large.
    """
    defaults = dataclasses.asdict(Limits())
    changes = {}
    for part in re.split(r"[\s,;]+", text.strip()):
        name, _, value = part.partition("=")
        if not part:
            continue
        if name in _CALLED_NOW:
            print(f"The limit {name} is now called {_CALLED_NOW[name]}: please use the new name.")
            name = _CALLED_NOW[name]
        if name not in defaults:
            raise UserError(
                "setting-limits", f'LIMITS has no "{name}", only {", ".join(defaults)}: write them like photos=16.'
            )
        try:
            changes[name] = type(defaults[name])(value)
        except ValueError:
            changes[name] = 0
        if not 0 < changes[name] <= (_MOST_SECONDS if isinstance(defaults[name], float) else _MOST):
            raise UserError(
                "setting-limits", f'LIMITS: {name} must be a number above 0, such as {defaults[name]}, not "{value}".'
            )
    return Limits(**changes)

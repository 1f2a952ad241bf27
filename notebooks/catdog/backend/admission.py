"""Admission control: requests are refused before their bodies are read, so that a refusal costs next to nothing."""

import contextlib
import math
from collections.abc import Iterator

from ..web.request_limits import Share
from .limits import Limits
from .problems import Problem
from .rates import MovingWindow, is_local, rate_limit_key

_DAY = 24 * 3600
_SHARE_OF_ONE = 2  # one client gets at most half of the places, and of the queue


class Admission:
    """Counts of the requests in progress, and of what each client did lately."""

    def __init__(self, limits: Limits):
        self._places = Share(limits.max_concurrent, max(1, limits.max_concurrent // _SHARE_OF_ONE))
        self._waiting = Share(math.inf, max(limits.photos, limits.max_queue // _SHARE_OF_ONE))
        self._requests = MovingWindow(limits.requests_per_minute)
        self._slow_photos = MovingWindow(limits.slow_photos)
        self._wrong_codes = MovingWindow(limits.wrong_codes)
        self._corrections = MovingWindow(limits.corrections, _DAY)

    def enter(self) -> None:
        """Take a place, until `leave`. Raises Problem if none is free, or for a client that sends too many requests."""
        self.count()
        if not is_local() and not self._slow_photos.has_room(rate_limit_key()):
            raise _too_often(self._slow_photos, "Your photos take very long to read.")
        if not self._places.take(rate_limit_key()):
            raise Problem("overloaded", "Many people are sending photos. Try again in a few seconds.")

    def leave(self) -> None:
        self._places.give_back(rate_limit_key())

    @contextlib.contextmanager
    def photos(self, number: int, in_time: float) -> Iterator[None]:
        """Count `number` photos as waiting, out of `in_time` that can be answered in time. Raises Problem for a client
        with too many photos waiting."""
        mine = self._waiting.of(rate_limit_key())
        too_many = mine and mine + number > in_time / _SHARE_OF_ONE and not is_local()
        if too_many or not self._waiting.take(rate_limit_key(), number):
            raise Problem("overloaded", "Many of your photos are waiting. Try again in a few seconds.")
        try:
            yield
        finally:
            self._waiting.give_back(rate_limit_key(), number)

    def count(self) -> None:
        """Count one more request. Raises Problem for a client that sends too many."""
        if not is_local() and not self._requests.hit(rate_limit_key()):
            raise _too_often(self._requests, "You have sent too many requests.")

    def note_slow_photos(self, number: int) -> None:
        for _ in range(number):
            self._slow_photos.hit(rate_limit_key())

    def note_wrong_code(self) -> None:
        """Count a wrong access code. Raises Problem for a client that has tried too many."""
        if not self._wrong_codes.hit(rate_limit_key()):
            raise _too_often(self._wrong_codes, "You have sent too many wrong access codes.")

    def check_corrections(self) -> None:
        """Raise Problem for a client that has sent all the corrections it may send in a day."""
        if not is_local() and not self._corrections.has_room(rate_limit_key()):
            raise _too_often(self._corrections, "You have sent as many corrections as we take in a day; thank you.")

    def note_correction(self) -> None:
        self._corrections.hit(rate_limit_key())


def _too_often(window: MovingWindow, what: str) -> Problem:
    wait = window.wait(rate_limit_key())
    when = f"in {wait} seconds" if wait < 120 else f"in {wait / 60:.0f} minutes" if wait < 7200 else "tomorrow"
    return Problem("too-many-requests", f"{what} Try again {when}.", retry_after=wait)

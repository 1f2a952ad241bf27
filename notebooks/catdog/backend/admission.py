"""Who may come in now? Decided before a request's body is looked at, so that a refusal costs next to nothing."""

import contextlib
import math
from collections.abc import Iterator

from ..web.request_limits import Share
from .limits import Limits
from .problems import Problem
from .rates import MovingWindow, is_local, rate_limit_key

_DAY = 24 * 3600
_SHARE_OF_ONE = 2  # half of the places, and of the photos that wait, are for others


class Admission:
    """Counts the requests that are being answered, and what each client did lately."""

    def __init__(self, limits: Limits):
        self._places = Share(limits.max_concurrent, max(1, limits.max_concurrent // _SHARE_OF_ONE))
        self._waiting = Share(math.inf, max(limits.photos, limits.max_queue // _SHARE_OF_ONE))
        self._requests = MovingWindow(limits.requests_per_minute)
        self._slow_photos = MovingWindow(limits.slow_photos)
        self._wrong_codes = MovingWindow(limits.wrong_codes)
        self._corrections = MovingWindow(limits.corrections, _DAY)

    def enter(self) -> None:
        """Take a place, to be given back by `leave`. Raises Problem where there is none, or for a client that asks too
        often."""
        self.count()
        if not is_local() and not self._slow_photos.has_room(rate_limit_key()):
            raise _too_often(self._slow_photos, "You have sent photos that take very long to read.")
        if not self._places.take(rate_limit_key()):
            raise Problem("overloaded", "Many people are sending photos. Try again in a few seconds.")

    def leave(self) -> None:
        self._places.give_back(rate_limit_key())

    @contextlib.contextmanager
    def photos(self, number: int, in_time: float) -> Iterator[None]:
        """So many photos wait, of those that can be answered `in_time`. Raises Problem for a client that has very many
        waiting."""
        mine = self._waiting.of(rate_limit_key())
        too_many = mine and mine + number > in_time / _SHARE_OF_ONE and not is_local()
        if too_many or not self._waiting.take(rate_limit_key(), number):
            raise Problem("overloaded", "Many of your photos are waiting. Try again in a few seconds.")
        try:
            yield
        finally:
            self._waiting.give_back(rate_limit_key(), number)

    def count(self) -> None:
        """One more request. Raises Problem for a client that asks too often."""
        if not is_local() and not self._requests.hit(rate_limit_key()):
            raise _too_often(self._requests, "You have sent very many requests.")

    def note_slow_photos(self, number: int) -> None:
        for _ in range(number):
            self._slow_photos.hit(rate_limit_key())

    def note_wrong_code(self) -> None:
        """Raises Problem for a client that has tried too many."""
        if not self._wrong_codes.hit(rate_limit_key()):
            raise _too_often(self._wrong_codes, "Too many wrong access codes have come from you.")

    def check_corrections(self) -> None:
        """Raises Problem for a client whose share of the places for corrections is used up."""
        if not is_local() and not self._corrections.has_room(rate_limit_key()):
            raise _too_often(self._corrections, "You have sent very many corrections; thank you.")

    def note_correction(self) -> None:
        self._corrections.hit(rate_limit_key())


def _too_often(window: MovingWindow, what: str) -> Problem:
    wait = window.wait(rate_limit_key())
    when = f"in {wait} seconds" if wait < 120 else f"in {wait / 60:.0f} minutes" if wait < 7200 else "tomorrow"
    return Problem("too-many-requests", f"{what} Try again {when}.", retry_after=wait)

"""Who may come in now? Decided before a request's body is looked at, so that a refusal costs next to nothing."""

import threading
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from .clients import asks_from_here, household
from .limits import Limits
from .problems import Problem


class Admission:
    """Counts the requests that are being answered, and for each client those of the last minute and wrong codes."""

    def __init__(self, limits: Limits):
        self._places = threading.BoundedSemaphore(limits.requests)
        self._counts = MovingWindowRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerMinute(limits.per_minute, namespace="requests")
        self._slow_photos = RateLimitItemPerMinute(limits.slow_photos, namespace="slow")
        self._wrong_codes = RateLimitItemPerMinute(limits.wrong_codes, namespace="codes")

    def enter(self) -> None:
        """Take a place, to be given back by `leave`. Raises Problem where there is none, or for a client that asks too
        often."""
        if not asks_from_here():
            if not self._counts.hit(self._requests, household()):
                raise self._too_often(self._requests, "You have sent very many photos.")
            if not self._counts.test(self._slow_photos, household()):
                raise self._too_often(self._slow_photos, "You have sent photos that take very long to read.")
        if not self._places.acquire(blocking=False):
            raise Problem("overloaded", "Many people are sending photos. Try again in a few seconds.")

    def leave(self) -> None:
        self._places.release()

    def note_slow_photos(self, number: int) -> None:
        for _ in range(number):
            self._counts.hit(self._slow_photos, household())

    def check_guesses(self) -> None:
        """Raises Problem for a client that has tried too many wrong access codes."""
        if not self._counts.test(self._wrong_codes, household()):
            raise self._too_often(self._wrong_codes, "Too many wrong access codes have come from you.")

    def note_guess(self) -> None:
        self._counts.hit(self._wrong_codes, household())

    def _too_often(self, item: RateLimitItemPerMinute, what: str) -> Problem:
        wait = max(1, round(self._counts.get_window_stats(item, household()).reset_time - time.time()))
        return Problem("too-many-requests", f"{what} Try again in {wait} seconds.", retry_after=wait)

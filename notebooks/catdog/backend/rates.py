"""Rate limits: who the client is, and how often it did something lately.

The window is our own, because packages for it (limits, for one) use the wall clock: if that is set back an hour, a
client close to a limit stays there for an hour.
"""

import math
import threading
import time
from collections import deque

from flask import request

from ..web import request_limits

_FORGET_FROM = 10_000  # keys; from so many on, those with an empty window are dropped


class MovingWindow:
    """A limit of `most` times within the last `seconds`, for each key. Thread-safe."""

    def __init__(self, most: int, seconds: float = 60):
        self.most, self.seconds = most, seconds
        self._times: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def hit(self, key: str) -> bool:
        """Note one more. Returns False, and notes nothing, if that would be too many."""
        with self._lock:
            times = self._recent(key)
            if len(times) >= self.most:
                return False
            times.append(time.monotonic())
            return True

    def has_room(self, key: str) -> bool:
        with self._lock:
            return len(self._recent(key)) < self.most

    def wait(self, key: str) -> int:
        """Return the whole seconds until there is room again, at least 1."""
        with self._lock:
            times = self._recent(key)
            return max(1, math.ceil(times[0] + self.seconds - time.monotonic())) if times else 1

    def _recent(self, key: str) -> deque[float]:
        since = time.monotonic() - self.seconds
        if len(self._times) >= _FORGET_FROM and key not in self._times:
            self._times = {key: times for key, times in self._times.items() if times and times[-1] > since}
        times = self._times.setdefault(key, deque())
        while times and times[0] <= since:
            times.popleft()
        return times


def client() -> str:
    """Return the client's address, as `request_limits.client_behind` finds it."""
    return request_limits.client_behind(request.remote_addr or "", request.headers.get("X-Forwarded-For", ""))


def is_local() -> bool:
    """Tell whether the client is on this machine, and not behind a tunnel."""
    return client() in request_limits.HERE


def rate_limit_key() -> str:
    """Return the key by which the client is counted."""
    return request_limits.rate_limit_key(client())

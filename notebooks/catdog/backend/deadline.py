"""How long a request may still take."""

import time


class DeadlinePassed(Exception):
    """There was no answer in time."""


class Deadline:
    """A moment `seconds` from now; called, it says how many are left, never fewer than none."""

    def __init__(self, seconds: float):
        self._end = time.monotonic() + seconds

    def __call__(self) -> float:
        return max(0.0, self._end - time.monotonic())

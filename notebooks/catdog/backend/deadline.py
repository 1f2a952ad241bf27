"""How long a request may still take."""

import time


class DeadlinePassed(Exception):
    """There was no answer in time."""


class NotBegun(DeadlinePassed):
    """All the time went by in a line, where others were before: too many ask at once."""


class Deadline:
    """A moment `seconds` from now; called, it says how many are left, never fewer than none."""

    def __init__(self, seconds: float):
        self._end = time.monotonic() + seconds

    def __call__(self) -> float:
        return max(0.0, self._end - time.monotonic())

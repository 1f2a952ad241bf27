"""Readiness: a tiny photo is decoded and answered like any other, unless a real one has just been."""

import threading
import time
from collections.abc import Callable

import numpy as np
from flask import current_app

from ..data.images import as_png
from .batching import Deadline
from .decoding import decode
from .problems import Problem

_FRESH_SECONDS = 10  # for which an answer proves readiness
_TRY_SECONDS = 5
_TINY = as_png(np.full((8, 8, 3), 128, np.uint8))


class Readiness:
    """A check that photos are decoded and answered."""

    def __init__(self, fresh_seconds: float = _FRESH_SECONDS):
        self._fresh, self._answered, self._lock = fresh_seconds, float("-inf"), threading.Lock()
        self._found = False

    def note_answer(self) -> None:
        """Note that photos were just answered."""
        self._answered = time.monotonic()

    def check(self, answer: Callable[[], object]) -> bool:
        """Tell whether photos were answered lately, or `answer` answers a tiny one now without raising. Meanwhile,
        other callers get the previous result: if they waited here, they would take everybody else's threads."""
        if time.monotonic() - self._answered < self._fresh:
            return True
        if not self._lock.acquire(blocking=False):
            return self._found
        try:
            answer()
            self.note_answer()
            self._found = True
        except Exception:  # whatever it is, photos are not answered
            self._found = False
        finally:
            self._lock.release()
        return self._found


def try_a_photo(model) -> None:
    """Raise unless a tiny photo is decoded and answered in a few seconds. `model` is a `routes.Model`."""
    left = Deadline(_TRY_SECONDS)
    with model.queue.reserve(1) as reservation:
        (photo,) = decode(
            [_TINY], len(_TINY), _TRY_SECONDS, left, current_app.config["READ_PHOTO"], preprocessing=model.preprocessing
        )
        if isinstance(photo, Problem):
            raise photo
        (answer,) = reservation.predict(photo[None], left)
    if isinstance(answer, BaseException):
        raise answer

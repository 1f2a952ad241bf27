"""Decoding of a request's files, by the decoders of this service."""

import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from multiprocessing import connection

import numpy as np

from ..data.preprocessing import PREPROCESSING, Preprocessing
from .batching import DeadlinePassed, NotBegun
from .decoder import READ
from .decoders import Crashed, Decoder, Decoders, Lost, NoneFree, Slow, decoders
from .problems import Problem
from .service import Spent

_MOST_SLOW = 2  # photos of one request
_TRIES = 3  # for a photo whose decoder something else ended
_KEPT_SECONDS = 0.2  # for which a request may keep its decoder: others wait that long for each of their photos


def decode(
    photos: Iterable[bytes],
    pixels: int,
    seconds: float,
    left: Callable[[], float],
    read: str = READ,
    pool: Decoders | None = None,
    preprocessing: Preprocessing = PREPROCESSING,
    spent: Spent | None = None,
) -> list[np.ndarray | Problem]:
    """Decode each photo's file as `images.read_photo` does. For a photo that is refused, return its Problem.

    A request has one decoder at a time, and more only while nobody else waits for one. After two photos that took too
    long, the others are not tried.

    Args:
        pixels: that a photo may have.
        seconds: of processor time that a photo may take. Its decoder is then ended and replaced.
        left: returns the seconds until the request's deadline.
        read: the function with which decoders read a file, as "module:function".
        pool: the decoders; by default, those of this process.
        preprocessing: that of the model that will answer.
        spent: records where the time went.

    Raises DeadlinePassed; NotBegun if no decoder was free in time.
    """
    pool = pool or decoders(read)
    limits = pixels, preprocessing, seconds
    spent = spent or Spent()
    waiting, kept = deque(enumerate(photos)), None
    running: dict[int, _Reading] = {}
    outcomes: dict[int, np.ndarray | Problem] = {}
    try:
        while waiting or running:
            while waiting and (not running or kept or pool.has_free):
                number, photo = waiting.popleft()
                mine, kept = kept, None
                running[number] = _Reading(pool, photo, limits, left, spent, mine)
            number = _first_to_end(running)
            outcomes[number] = running[number].outcome()
            kept = running.pop(number).leave(bool(waiting))
            if spent.slow >= _MOST_SLOW:
                outcomes |= {number: _slow() for number, _ in waiting}
                waiting.clear()
    finally:
        if kept:
            pool.give_back(kept)
        for one in running.values():
            one.give_up()
    return [outcomes[number] for number in sorted(outcomes)]


def _first_to_end(running: dict[int, "_Reading"]) -> int:
    """Return the number of the next photo that is done or out of time, so that others get its decoder."""
    ended = connection.wait([one.line for one in running.values()], min(one.seconds_left for one in running.values()))
    by_time = sorted(running, key=lambda number: running[number].seconds_left)
    return next((number for number in by_time if running[number].line in ended), by_time[0])


class _Reading:
    """A photo in a decoder, or waiting for one. If something else ends its decoder, it is tried again."""

    def __init__(
        self,
        pool: Decoders,
        photo: bytes,
        limits: tuple[int, Preprocessing, float],
        left: Callable[[], float],
        spent: Spent,
        decoder: Decoder | None = None,
    ):
        self._pool, self._photo, self._limits, self._left, self._spent = pool, photo, limits, left, spent
        self._decoder: Decoder | None = None
        self._begin(decoder)

    def outcome(self) -> np.ndarray | Problem:
        """Return the photo, or its Problem. Raises DeadlinePassed."""
        for _ in range(_TRIES - 1):
            try:
                return self._finish()
            except Lost:
                self._begin()
        try:
            return self._finish()
        except Lost:  # so often, the photo may be to blame: the system ends a process that takes all memory
            return _damaged()

    @property
    def _reader(self) -> Decoder:
        assert self._decoder is not None  # from `_begin` until it is left or given up
        return self._decoder

    @property
    def line(self) -> socket.socket:
        """Connection on which the outcome arrives."""
        return self._reader.line

    @property
    def seconds_left(self) -> float:
        return min(self._left(), self._reader.seconds_left)

    def leave(self, more: bool) -> Decoder | None:
        """Return its decoder if `more` photos of the request wait and its time is not over; else give it back."""
        if self._decoder and more and time.monotonic() - self._decoder.handed_out < _KEPT_SECONDS:
            decoder, self._decoder = self._decoder, None
            return decoder
        self.give_up()
        return None

    def give_up(self) -> None:
        """Give the decoder back, to be replaced unless it has read the photo."""
        if self._decoder:
            self._pool.give_back(self._decoder, well=self._read)
            self._decoder = None

    def _begin(self, decoder: Decoder | None = None) -> None:
        began, self._read = time.monotonic(), False
        self._decoder = None
        try:
            self._decoder = decoder or self._pool.take(self._left())
        except NoneFree:
            raise NotBegun from None
        finally:
            self._spent.waiting += time.monotonic() - began
        self._began = time.monotonic()
        pixels, preprocessing, seconds = self._limits
        try:
            self._reader.begin(self._photo, pixels, preprocessing, seconds)
        except Lost:  # `_finish` raises it again
            pass
        except BaseException:  # no memory to hand the photo over, say
            self.give_up()
            raise

    @property
    def _seconds(self) -> float:
        """Seconds that the photo has been in its decoder."""
        return time.monotonic() - self._began

    def _finish(self) -> np.ndarray | Problem:
        try:
            found = self._reader.finish(self._left())
            outcome = found if isinstance(found, np.ndarray) else Problem(*found)
            self._read = True
            return outcome
        except Slow:
            self._spent.slow += 1
            return _slow()
        except (Crashed, KeyError):  # an unknown code: the photo has taken its decoder over
            return _damaged()
        except TimeoutError:
            waited = self._spent.waiting > self._spent.decoding + self._seconds
            raise (NotBegun if waited else DeadlinePassed) from None
        finally:
            self._spent.decoding += self._seconds
            self._spent.observe(self._seconds)
            if not self._read:
                self.give_up()


def _damaged() -> Problem:
    return Problem("photo-unreadable", "The photo is damaged and could not be read. Save it as a new JPEG.")


def _slow() -> Problem:
    return Problem("photo-slow", "Reading this photo takes too long. Save it as a new JPEG, and send it alone.")

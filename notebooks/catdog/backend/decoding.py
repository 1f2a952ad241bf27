"""Photos from strangers are decoded in processes of their own: what hangs or crashes there takes nothing with it."""

import contextlib
import functools
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path

import numpy as np
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from ..images import PhotoRefused, read_photo
from ..preprocessing import PREPROCESSING, Preprocessing
from ..processors import processors
from .deadline import DeadlinePassed
from .problems import Problem

# Decoding takes up to 400 MB a photo: few at a time, for all requests.
DECODERS = min(4, processors())
_MOST_BYTES = 1536 << 20  # beside what a worker has when it starts
_PHOTOS_A_LIFE = 2000  # decoders leak a little
_MOST_SLOW = 2  # of one request
_PATIENCE = 4  # times as long as a photo may take


def warm_up() -> None:
    """Start the processes, so that the first photo need not wait for them."""
    for _ in range(DECODERS):
        decoders().schedule(read_or_refuse, args=[b"", 1])


def decode(
    photos: Iterable[bytes],
    pixels: int,
    seconds: float,
    left: Callable[[], float],
    aside: bool = False,
    read: Callable[[bytes, int, Preprocessing], np.ndarray | tuple[str, str]] | None = None,
    pool: ProcessPool | None = None,
    preprocessing: Preprocessing = PREPROCESSING,
) -> list:
    """For each photo's file what `images.read_photo` makes of it, or the Problem of one that is refused.

    Few of one request are handed over at a time, so that others have their turn; and where two took too long, its
    other photos are not tried.

    Args:
        pixels: that a photo may have.
        seconds: that one may take; its process is ended then, and another takes its place.
        left: seconds until the request's deadline.
        aside: in a process for whoever has sent slow photos, where they wait for each other and nobody for them.
        read: what a process does with a file; without it, `read_or_refuse`.
        pool: the processes; without it, `decoders(aside)`.
        preprocessing: that of the model that will answer.

    Raises DeadlinePassed.
    """
    workers = 1 if aside else DECODERS

    def hand_over(photo: bytes) -> ProcessFuture:
        processes = pool or decoders(aside)
        return processes.schedule(read or read_or_refuse, args=[photo, pixels, preprocessing], timeout=seconds)

    waiting, running, outcomes, slow = deque(photos), deque(), [], 0
    while waiting or running:
        while waiting and len(running) < workers:
            running.append(_Decoding(functools.partial(hand_over, waiting.popleft()), _PATIENCE * seconds))
        try:
            outcomes.append(running[0].outcome(left))
        except DeadlinePassed:
            for one in running:
                one.give_up()
            raise
        running.popleft()
        slow += is_slow(outcomes[-1])
        if slow >= _MOST_SLOW:
            outcomes += [one.outcome(left) for one in running]
            return outcomes + [_slow() for _ in waiting]
    return outcomes


def is_slow(outcome: np.ndarray | Problem) -> bool:
    """Whether a photo was refused for the time that it takes."""
    return isinstance(outcome, Problem) and outcome.kind.slug == "photo-slow"


def _slow() -> Problem:
    return Problem("photo-slow", "Reading this photo takes too long. Save it anew as JPEG, and send it by itself.")


class _Decoding:
    """A photo that is handed over, and once more when nothing is heard of it for `patience` seconds: in half an hour of
    soak three requests, one of them with a single photo, had no answer in a minute, though the processes went on."""

    def __init__(self, hand_over: Callable[[], ProcessFuture], patience: float):
        self._futures = [hand_over()]
        self._hand_over, self._patience = hand_over, patience

    def outcome(self, left: Callable[[], float]) -> np.ndarray | Problem:
        """Raises DeadlinePassed."""
        done, _ = wait(self._futures, min(left(), self._patience))
        if not done and left():
            self._futures.append(self._hand_over())
            done, _ = wait(self._futures, left(), FIRST_COMPLETED)
        if not done:
            raise DeadlinePassed
        return _found(done.pop())

    def give_up(self) -> None:
        for future in self._futures:
            future.cancel()


def _found(future: ProcessFuture) -> np.ndarray | Problem:
    try:
        found = future.result()
    except TimeoutError:
        return _slow()
    except (ProcessExpired, MemoryError):
        return Problem("photo-unreadable", "The photo is damaged in a way that breaks whatever reads it.")
    return found if isinstance(found, np.ndarray) else Problem(*found)


def read_or_refuse(
    data: bytes, pixels: int, preprocessing: Preprocessing = PREPROCESSING
) -> np.ndarray | tuple[str, str]:
    """A photo of at most so many pixels as `images.read_photo` gives it, or code and message of its refusal."""
    try:
        return read_photo(data, max_pixels=pixels, preprocessing=preprocessing)
    except PhotoRefused as refusal:
        return refusal.code, str(refusal)


def decoders(aside: bool = False) -> ProcessPool:
    """The processes of this service: one for those who have sent slow photos, some for all others."""
    return _pool(aside)


@functools.cache
def _pool(aside: bool) -> ProcessPool:
    return ProcessPool(
        1 if aside else DECODERS,
        max_tasks=_PHOTOS_A_LIFE,
        initializer=_prepare,
        context=multiprocessing.get_context("spawn"),  # forking a process that has threads may hang
    )


def _prepare() -> None:
    """Of a process: it ends at once when it is told to, in the middle of C code, too; and its memory is limited."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows and macOS know no such limit
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + _MOST_BYTES, used + _MOST_BYTES))

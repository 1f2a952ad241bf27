"""Photos of many requests go through the network together: one worker, a bounded queue.

Looked at and left: `batched` (queue without a bound, not first come first served, wakes up every few milliseconds
instead of when there is work), LitServe, BentoML, mosec and Ray Serve (servers of their own in place of Flask),
OpenVINO's automatic batching (for GPUs only).
"""

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from ..engines.base import BATCH

MAX_BATCH_SIZE = BATCH  # photos in one batch
MAX_QUEUE_SIZE = 256  # photos that may wait
_DECODES_IN = 0.02  # seconds, until something is known
_LONG = 600  # seconds, where nobody says how long an answer may take
Made = TypeVar("Made")


class QueueFull(Exception):
    """More photos are waiting than the queue holds."""


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


class Outcome(Protocol):
    """What will be said of a photo. A `Future` is one."""

    def exception(self, timeout: float) -> BaseException | None:
        """What was raised for it, if anything. Raises TimeoutError where that is not known in so many seconds."""
        ...

    def result(self) -> object:
        """The answer, once `exception` gave None."""
        ...

    def cancel(self) -> object:
        """Nobody needs it any more."""
        ...


@runtime_checkable
class PhotoQueue(Protocol):
    """What the service asks of the line before the network. Safe to call from several threads."""

    @property
    def queued(self) -> int:
        """Places that are kept now."""
        ...

    @property
    def in_time(self) -> float:
        """How many photos that wait are answered in time."""
        ...

    def reserve(self, number: int) -> contextlib.AbstractContextManager["Reservation"]:
        """Keep `number` places while photos are decoded. Raises QueueFull, and keeps none, where there is no room."""
        ...

    def note_decoding(self, seconds: float, photos: int) -> None:
        """So long so many photos took to decode, divided by the decoders that there are."""
        ...

    def put(self, photos: np.ndarray) -> Sequence[Outcome]:
        """Have uint8 (n, pixels, pixels, 3) answered, in places that are kept for them."""
        ...

    def cancel(self, outcomes: Sequence[Outcome]) -> int:
        """Nobody needs these any more. Returns how many of them had not begun."""
        ...

    def await_beginning(self, outcome: Outcome, seconds: float) -> None:
        """Return once it has begun. Raises TimeoutError where it has not in so many seconds, or sooner."""
        ...

    def run(self, task: Callable[[], Made]) -> Future[Made]:
        """Have `task` called in its turn."""
        ...


class Pace:
    """Seconds for each photo, as the last ones took them; `seconds` before the first."""

    def __init__(self, seconds: float = 0.0):
        self.seconds = seconds

    def note(self, seconds: float, photos: int) -> None:
        """So long so many took together. The newest count most."""
        if photos:
            weight = 1 - 0.9**photos
            self.seconds += weight * (seconds / photos - self.seconds) if self.seconds else seconds / photos


class BatchingQueue:
    """Answers `predict` for callers in many threads, with as many photos at a time as are there.

    The worker never waits for a batch to fill up: what arrives while it computes makes the next batch. With 16
    clients, waiting 2 or 5 ms gave 54 photos a second and not waiting 53 (five rounds in turn, spread 45 to 57); a
    single client waited 1.4 to 1.8 ms longer for its 20.

    An executor of one thread is the worker: it ends by itself once nobody refers to the queue any more.

    Args:
        predict: uint8 (n, pixels, pixels, 3) → an answer for each, called by the worker alone.
        max_batch_size: photos in one batch.
        max_queue_size: photos that may wait, those that are still being decoded included.
        observe: told how many photos each batch has.
        patience: seconds in which what is let in shall be answered, at the pace of the last photos.
        seconds_each: that a photo takes, as far as is known before the first one.
        begin_within: seconds after which it is given up what has not even begun. The pace tells what to let in, but a
            machine that something else slows down tenfold would keep all who wait until their time is over.
    """

    def __init__(
        self,
        predict: Callable[[np.ndarray], Sequence],
        max_batch_size: int = MAX_BATCH_SIZE,
        max_queue_size: int = MAX_QUEUE_SIZE,
        observe: Callable[[int], object] = lambda photos: None,
        patience: float = float("inf"),
        seconds_each: float = 0.0,
        begin_within: float = _LONG,
    ):
        self._begin_within = begin_within
        self._predict, self._observe = predict, observe
        self._max_batch_size, self._max_queue_size, self._patience = max_batch_size, max_queue_size, patience
        self._computing, self._decoding = Pace(seconds_each), Pace(_DECODES_IN)
        self._waiting: deque[tuple[np.ndarray, Future]] = deque()
        self._queued, self._is_called = 0, False
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="network")

    @contextlib.contextmanager
    def reserve(self, number: int) -> Iterator["Reservation"]:
        """Keep `number` places, until the worker takes the photos that are put there, or for those that stay empty
        until the end. Raises QueueFull, and keeps none, where there are not so many, or where photos wait already and
        these would wait longer than they may."""
        with self._lock:
            if self._queued + number > (self.in_time if self._queued else self._max_queue_size):
                raise QueueFull
            self._queued += number
        reservation = Reservation(self, number)
        try:
            yield reservation
        finally:
            with self._lock:
                self._queued -= reservation.empty

    @property
    def queued(self) -> int:
        """Places that are kept now."""
        return self._queued

    @property
    def in_time(self) -> float:
        """How many photos that wait are answered in time, at the pace of the last ones."""
        return min(self._max_queue_size, self._patience / self.seconds_each if self.seconds_each else math.inf)

    @property
    def seconds_each(self) -> float:
        """What one photo takes lately: decoded and computed at the same time, the slower of both."""
        return max(self._computing.seconds, self._decoding.seconds)

    def note_decoding(self, seconds: float, photos: int) -> None:
        """So long so many photos took to decode, divided by the decoders that there are."""
        self._decoding.note(seconds, photos)

    def put(self, photos: np.ndarray) -> list[Future]:
        """Have them answered, in the places that are kept for them."""
        futures: list[Future] = [Future() for _ in photos]
        with self._lock:
            self._waiting.extend(zip(photos, futures))
            call, self._is_called = not self._is_called, True
        if call:
            try:
                self._worker.submit(self._one_batch)
            except BaseException:  # no room for a thread, say: the next photos call anew
                with self._lock:
                    self._is_called = False
                self.cancel(futures)
                raise
        return futures

    def cancel(self, outcomes: Sequence[Outcome]) -> int:
        """Those that still wait: nobody needs their answers any more. Returns how many these are."""
        unwanted = set(outcomes)
        with self._lock:
            before = len(self._waiting)
            self._waiting = deque(entry for entry in self._waiting if entry[1] not in unwanted)
            self._queued -= (waiting := before - len(self._waiting))
            return waiting

    def await_beginning(self, outcome: Outcome, seconds: float) -> None:
        """Return once the worker has it. Raises TimeoutError where that takes longer than it may."""
        assert isinstance(outcome, Future)  # as `put` and `run` give them
        wait([outcome], min(seconds, self._begin_within))
        if not (outcome.running() or outcome.done()):
            raise TimeoutError

    def run(self, task: Callable[[], Made]) -> Future[Made]:
        """Have the worker call `task` in its turn; it takes the time of one photo."""

        def timed() -> Made:
            began = time.monotonic()
            try:
                return task()
            finally:
                self._computing.note(time.monotonic() - began, 1)

        return self._worker.submit(timed)

    def _one_batch(self) -> None:
        """Called once for all photos that wait; where more do than one batch takes, again behind what waits besides, or
        that would wait for as long as photos keep coming."""
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(self._max_batch_size, len(self._waiting)))]
            self._queued -= len(batch)
            self._is_called = bool(self._waiting)
            if self._is_called:
                self._worker.submit(self._one_batch)
            for _, future in batch:
                future.set_running_or_notify_cancel()
        if batch:
            self._observe(len(batch))
            self._answer(batch)

    def _answer(self, batch: list[tuple[np.ndarray, Future]]) -> None:
        photos, futures = zip(*batch)
        began = time.monotonic()
        try:
            answers = list(zip(futures, self._predict(np.stack(photos)), strict=True))
            self._computing.note(time.monotonic() - began, len(batch))
        except BaseException as error:  # whatever it is, callers are waiting
            if len(batch) > 1:  # one photo may be to blame, not the others
                for one in batch:
                    self._answer([one])
            else:
                futures[0].set_exception(error)
            return
        for future, answer in answers:
            future.set_result(answer)


class Reservation:
    """Places in a queue. `empty` are those that hold no photo."""

    def __init__(self, queue: PhotoQueue, number: int):
        self._queue, self.empty = queue, number

    def predict(self, photos: np.ndarray, left: Callable[[], float] | None = None) -> list:
        """uint8 (n, pixels, pixels, 3), no more than there are places → for each photo its answer, or what was raised
        for it. First come, first served.

        Args:
            left: seconds that the answer may still take.

        Raises DeadlinePassed, NotBegun where not all were in the network by then, or none soon enough.
        """
        left = left or Deadline(_LONG)
        self.empty -= len(photos)
        futures = self._queue.put(photos)
        try:
            self._queue.await_beginning(futures[0], left())
        except TimeoutError:
            if self._queue.cancel(futures):  # else they have just begun
                raise NotBegun from None
        try:
            return [future.exception(left()) or future.result() for future in futures]
        except TimeoutError:
            raise (NotBegun if self._queue.cancel(futures) else DeadlinePassed) from None

    def run(self, task: Callable[[], Made], left: Callable[[], float] | None = None) -> Made:
        """What `task` gives, called by the worker in its turn between the batches.

        Raises:
            DeadlinePassed: it did not end in time; NotBegun: it did not even begin.
            Exception: whatever `task` raised.
        """
        left, future = left or Deadline(_LONG), self._queue.run(task)
        try:
            self._queue.await_beginning(future, left())
        except TimeoutError:
            if future.cancel():  # else it has just begun
                raise NotBegun from None
        try:
            error = future.exception(left())
        except TimeoutError:
            raise DeadlinePassed from None
        if error:
            raise error
        return future.result()

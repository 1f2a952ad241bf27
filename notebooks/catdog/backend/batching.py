"""Batching: photos of many requests go through the network together, with one worker and a bounded queue.

Considered and rejected: `batched` (unbounded queue, not first come first served, polls every few milliseconds),
LitServe, BentoML, mosec and Ray Serve (their own servers instead of Flask), OpenVINO's automatic batching (GPUs only).
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
_DECODES_IN = 0.02  # seconds per photo, until some were measured
_LONG = 600  # seconds, if the caller sets no deadline
Made = TypeVar("Made")


class QueueFull(Exception):
    """The queue has no room for more photos."""


class DeadlinePassed(Exception):
    """There was no answer in time."""


class NotBegun(DeadlinePassed):
    """The time ran out in a queue: there are too many requests at once."""


class Deadline:
    """A moment `seconds` from now. Calling it returns the seconds left, at least 0."""

    def __init__(self, seconds: float):
        self._end = time.monotonic() + seconds

    def __call__(self) -> float:
        return max(0.0, self._end - time.monotonic())


class Outcome(Protocol):
    """An answer that is still to come. A `Future` is one."""

    def exception(self, timeout: float) -> BaseException | None:
        """Return what was raised for it, if anything. Raises TimeoutError if that is not known within `timeout`."""
        ...

    def result(self) -> object:
        """Return the answer, once `exception` has returned None."""
        ...

    def cancel(self) -> object:
        """Cancel it, because nobody needs it any more."""
        ...


@runtime_checkable
class PhotoQueue(Protocol):
    """What the service needs of the queue in front of the network. Thread-safe."""

    @property
    def queued(self) -> int:
        """Number of places reserved now."""
        ...

    @property
    def in_time(self) -> float:
        """Number of waiting photos that can be answered in time."""
        ...

    def reserve(self, number: int) -> contextlib.AbstractContextManager["Reservation"]:
        """Reserve `number` places while photos are decoded. Raises QueueFull if there is no room for all of them."""
        ...

    def note_decoding(self, seconds: float, photos: int) -> None:
        """Note that `photos` took `seconds` to decode, already divided by the number of decoders."""
        ...

    def put(self, photos: np.ndarray) -> Sequence[Outcome]:
        """Queue uint8 (n, pixels, pixels, 3) in places reserved for them."""
        ...

    def cancel(self, outcomes: Sequence[Outcome]) -> int:
        """Cancel outcomes that nobody needs any more. Returns how many of them had not begun."""
        ...

    def await_beginning(self, outcome: Outcome, seconds: float) -> None:
        """Wait until it has begun. Raises TimeoutError if it has not within `seconds`, or sooner."""
        ...

    def run(self, task: Callable[[], Made]) -> Future[Made]:
        """Queue `task`, to be called in its turn."""
        ...


class Pace:
    """Moving average of the seconds per photo; `seconds` before the first."""

    def __init__(self, seconds: float = 0.0):
        self.seconds = seconds

    def note(self, seconds: float, photos: int) -> None:
        """Note that `photos` took `seconds` together. The newest count most."""
        if photos:
            weight = 1 - 0.9**photos
            self.seconds += weight * (seconds / photos - self.seconds) if self.seconds else seconds / photos


class BatchingQueue:
    """A queue that calls `predict` for callers in many threads, with as many photos at a time as are waiting.

    The worker never waits for a batch to fill up: photos that arrive while it computes make the next batch. With 16
    clients, waiting 2 or 5 ms gave 54 photos a second and not waiting 53 (five rounds in turn, spread 45 to 57); a
    single client waited 1.4 to 1.8 ms longer for its 20.

    The worker is an executor with one thread, which ends by itself once nothing refers to the queue any more.

    Args:
        predict: uint8 (n, pixels, pixels, 3) → an answer for each; only the worker calls it.
        max_batch_size: photos in one batch.
        max_queue_size: photos that may wait, including those still being decoded.
        observe: called with the number of photos in each batch.
        patience: seconds within which admitted photos should be answered, at the pace of the last ones.
        seconds_each: estimate of the seconds per photo before the first one.
        begin_within: seconds after which photos that have not begun are given up. The pace limits how many are
            admitted, but if something else slows the machine down tenfold, all of them would wait until the deadline.
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
        """Reserve `number` places until the worker takes their photos; empty ones are released at the end.

        Raises QueueFull, and reserves none, if too few are free, or if photos wait already and these would wait too
        long.
        """
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
        """Number of places reserved now."""
        return self._queued

    @property
    def in_time(self) -> float:
        """Number of waiting photos that can be answered in time, at the pace of the last ones."""
        return min(self._max_queue_size, self._patience / self.seconds_each if self.seconds_each else math.inf)

    @property
    def seconds_each(self) -> float:
        """Recent seconds per photo: the slower of decoding and computing, which run in parallel."""
        return max(self._computing.seconds, self._decoding.seconds)

    def note_decoding(self, seconds: float, photos: int) -> None:
        """Note that `photos` took `seconds` to decode, already divided by the number of decoders."""
        self._decoding.note(seconds, photos)

    def put(self, photos: np.ndarray) -> list[Future]:
        """Queue photos in the places reserved for them."""
        futures: list[Future] = [Future() for _ in photos]
        with self._lock:
            self._waiting.extend(zip(photos, futures))
            call, self._is_called = not self._is_called, True
        if call:
            try:
                self._worker.submit(self._one_batch)
            except BaseException:  # no room for a thread, say: the next photos try again
                with self._lock:
                    self._is_called = False
                self.cancel(futures)
                raise
        return futures

    def cancel(self, outcomes: Sequence[Outcome]) -> int:
        """Cancel those of `outcomes` that still wait. Returns their number."""
        unwanted = set(outcomes)
        with self._lock:
            before = len(self._waiting)
            self._waiting = deque(entry for entry in self._waiting if entry[1] not in unwanted)
            self._queued -= (waiting := before - len(self._waiting))
            return waiting

    def await_beginning(self, outcome: Outcome, seconds: float) -> None:
        """Wait until the worker has it. Raises TimeoutError if that takes too long."""
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
        """Answer one batch of the waiting photos. If more wait, the next batch goes behind other waiting tasks, which
        would otherwise wait for as long as photos keep arriving."""
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
    """Reserved places in a queue. `empty` is the number of those without a photo."""

    def __init__(self, queue: PhotoQueue, number: int):
        self._queue, self.empty = queue, number

    def predict(self, photos: np.ndarray, left: Callable[[], float] | None = None) -> list:
        """Return for each photo its answer, or what was raised for it. First come, first served.

        Args:
            photos: uint8 (n, pixels, pixels, 3), no more than there are places.
            left: returns the seconds that the answer may still take.

        Raises DeadlinePassed; NotBegun if some had not reached the network by then, or none had soon enough.
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
        """Have the worker call `task` in its turn between batches, and return its result.

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

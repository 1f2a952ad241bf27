"""The backend on Ray Serve: the same Flask app, in front of replicas of the network that scale with the load.

    request → proxy → Backend: the Flask app (limits, decoding, problems) → Network: batches through the classifier

Each Backend counts clients and applies limits on its own, like each service of notebook 2.
"""

import asyncio
import functools
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from a2wsgi import WSGIMiddleware

from ..backend.app import SPARE_THREADS, answer_with, create_app
from ..backend.batching import MAX_BATCH_SIZE, Deadline, Outcome, QueueFull, Reservation
from ..backend.limits import Limits
from ..backend.routes import Model
from ..models.bundle import Bundle
from ..models.classifier import Answer
from .cluster import has_gpus, ray, workers
from .model_transfer import SerializedModel

from ray import serve  # isort: skip
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentHandle

APP = "catdog"
_NETWORK = "Network"
_TRIES = 3  # for a photo whose replica was lost
_QUIET_SECONDS = 300  # until idle replicas are removed
Given = TypeVar("Given")
_LOST = (ray.exceptions.RayActorError, ray.exceptions.ActorUnavailableError)


def application(
    saved: Bundle, engine: str, limits: Limits, *, replicas: int = 0, fewest: int = 1, **config
) -> serve.Application:
    """Build the application for `serve.run`.

    Args:
        saved: the model.
        engine: as for `load_classifier`.
        limits: of each Backend.
        replicas: largest number of replicas of the network; 0 for one per GPU or processor.
        fewest: number of replicas while idle.
        config: as for `create_app`.
    """
    most = max(fewest, replicas or workers())
    network = serve.deployment(
        name=_NETWORK,
        max_ongoing_requests=2 * MAX_BATCH_SIZE,  # photos: one batch runs while the next one fills
        max_queued_requests=limits.max_queue,
        ray_actor_options={"num_cpus": 1, **({"num_gpus": 1} if has_gpus() else {})},
        autoscaling_config={
            "min_replicas": fewest,
            "max_replicas": most,
            "target_ongoing_requests": MAX_BATCH_SIZE,
            "downscale_delay_s": _QUIET_SECONDS,
        },
        health_check_period_s=2,
    )(Network)

    def build() -> WSGIMiddleware:
        return _backend(saved, limits, config)

    places = limits.max_concurrent + SPARE_THREADS
    backend = serve.deployment(
        name="Backend",
        max_ongoing_requests=places,
        ray_actor_options={"num_cpus": 0},  # decoding shares the processors with the network
        autoscaling_config={"min_replicas": 1, "max_replicas": most, "target_ongoing_requests": places // 2},
    )(serve.ingress(build)())
    return backend.bind(network.bind(SerializedModel.of(saved, engine)))


class Network:
    """A replica of the network: a classifier that answers photos of several requests in one batch."""

    def __init__(self, sent: SerializedModel):
        self._classifier = sent.loaded()

    @serve.batch(max_batch_size=MAX_BATCH_SIZE, batch_wait_timeout_s=0)
    async def answer(self, photos: list[np.ndarray]) -> list[Answer | Exception]:
        return await asyncio.to_thread(self._answers, np.stack(photos))

    async def explain(self, photo: np.ndarray, label: str) -> tuple[Answer, np.ndarray]:
        return await asyncio.to_thread(self._classifier.explain, photo, label)

    def _answers(self, photos: np.ndarray) -> list[Answer | Exception]:
        try:
            return [*self._classifier.answer(photos)]
        except Exception as error:  # a single photo may be the cause
            return [error] if len(photos) == 1 else [self._answers(photo[None])[0] for photo in photos]


def _backend(saved: Bundle, limits: Limits, config: dict) -> WSGIMiddleware:
    app = create_app(None, limits=limits, **config)
    network = serve.get_deployment_handle(_NETWORK)  # in this Backend's own application
    answer_with(
        app, Model(RemoteClassifier(saved, network, limits.request_timeout), Replicas(network, limits.max_queue))
    )

    def with_an_end(environ: dict, start_response: Callable) -> Iterable[bytes]:
        environ["wsgi.input_terminated"] = True  # a body without Content-Length has an end, too
        return app(environ, start_response)

    return WSGIMiddleware(with_an_end, workers=limits.max_concurrent + SPARE_THREADS)


@dataclass(frozen=True)
class _Engine:
    """The engine's name in the log."""

    name: str


class RemoteClassifier:
    """A model behind replicas of the network, see `service.Answerer`."""

    def __init__(self, saved: Bundle, network: DeploymentHandle, seconds: float):
        self.bundle, self.engine = saved, _Engine("replicas")
        self._network, self._seconds = network, seconds

    def explain(self, photo: np.ndarray, label: str = "") -> tuple[Answer, np.ndarray]:
        """Explain an answer, see `Classifier.explain`."""
        sent = _RemoteFuture[tuple[Answer, np.ndarray]](self._network.explain, photo, label)
        error = sent.exception(self._seconds)
        if error:
            raise error
        return sent.result()


class Replicas:
    """A queue for replicas: Serve sends each photo to the least busy one, within its own bound. See
    `batching.PhotoQueue`.

    A place is taken only until its photo is sent. This queue cannot know how many photos are answered in time.

    Args:
        max_queue_size: photos that may be decoded at the same time.
    """

    def __init__(self, network: DeploymentHandle, max_queue_size: int):
        self._network, self._lock = network, threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="network")
        self.queued, self.in_time = 0, float(max_queue_size)

    @contextmanager
    def reserve(self, number: int) -> Iterator[Reservation]:
        with self._lock:
            if self.queued + number > self.in_time:
                raise QueueFull
            self.queued += number
        reservation = Reservation(self, number)
        try:
            yield reservation
        finally:
            self._give_back(reservation.empty)

    def note_decoding(self, seconds: float, photos: int) -> None:
        """Do nothing: this queue does not use the duration."""

    def put(self, photos: np.ndarray) -> list["_RemoteFuture[Answer]"]:
        sent = [_RemoteFuture[Answer](self._network.answer, photo) for photo in photos]
        self._give_back(len(photos))
        return sent

    def cancel(self, outcomes: Sequence[Outcome]) -> int:
        """Cancel the requests and return 0: any of them may have begun."""
        for one in outcomes:
            one.cancel()
        return 0

    def await_beginning(self, outcome: Outcome, seconds: float) -> None:
        """Return at once: this queue cannot know when a replica begins."""

    def run(self, task: Callable[[], Given]) -> Future[Given]:
        return self._worker.submit(task)

    def _give_back(self, places: int) -> None:
        with self._lock:
            self.queued -= places


class _RemoteFuture(Generic[Given]):
    """A request to a replica, with the interface of a future; sent to another replica if the first is lost."""

    def __init__(self, ask: DeploymentHandle, *what: object):
        self._ask = functools.partial(ask.remote, *what)
        self._response = self._ask()
        self._answer: Given | None = None

    def exception(self, timeout: float) -> BaseException | None:
        """Wait for the answer and return the error, if any. Raises TimeoutError, and QueueFull if the queue is full."""
        left = Deadline(timeout)
        error: BaseException | None = None
        for _ in range(_TRIES):
            try:
                found = self._response.result(timeout_s=left())
                if isinstance(found, BaseException):
                    return found
                self._answer = found
                return None
            except BackPressureError:
                raise QueueFull from None
            except _LOST as lost:
                self._response, error = self._ask(), lost
        return error

    def result(self) -> Given:
        assert self._answer is not None  # `exception` returned None before
        return self._answer

    def cancel(self) -> None:
        self._response.cancel()


def start(app: serve.Application, port: int) -> str:
    """Serve `app` on `port` of every machine of the cluster, until `serve.shutdown`; return the address on this one.
    If Serve runs on the cluster already, it keeps its port."""
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    serve.start(proxy_location="EveryNode", http_options={"host": "0.0.0.0", "port": port})
    serve.run(app, name=APP, logging_config={"log_level": "WARNING"})
    return f"http://127.0.0.1:{port}"


@contextmanager
def served(app: serve.Application, port: int) -> Iterator[str]:
    """Serve `app` as `start` does, until the end of the block. Other applications of a cluster keep running."""
    try:
        yield start(app, port)
    finally:
        if os.environ.get("RAY_ADDRESS"):
            serve.delete(APP)
        else:
            serve.shutdown()

"""State of the service, and of the request in progress: one object each."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
from flask import Flask, current_app, g

from .batching import Deadline

if TYPE_CHECKING:  # each of them imports this module
    from ..data.feedback import Feedback
    from ..models.bundle import Bundle
    from ..models.classifier import Answer
    from .admission import Admission
    from .limits import Limits
    from .metrics import Metrics
    from .readiness import Readiness
    from .request_log import RequestLog
    from .routes import Model


class Named(Protocol):
    """Something that has a name."""

    @property
    def name(self) -> str: ...


class Answerer(Protocol):
    """What the service needs of a model, apart from its queue. A `Classifier` is one.

    Attributes:
        bundle: the model.
        engine: what runs it; only its name is used.
    """

    @property
    def bundle(self) -> "Bundle": ...
    @property
    def engine(self) -> Named: ...

    def explain(self, photo: np.ndarray, label: str = "") -> "tuple[Answer, np.ndarray]":
        """See `Classifier.explain`."""
        ...


@dataclass
class Service:
    """The state of one app.

    Attributes:
        limits: on what it accepts from untrusted clients.
        admission: which requests are admitted now.
        readiness: whether photos are answered.
        metrics: for Prometheus.
        request_log: the last requests.
        feedback: stores corrections; None if none are accepted.
        examples: photos for testers who have none at hand, each a JPEG.
        model: what answers; None until one is loaded.
    """

    limits: "Limits"
    admission: "Admission"
    readiness: "Readiness"
    metrics: "Metrics"
    request_log: "RequestLog"
    feedback: "Feedback | None" = None
    examples: tuple[bytes, ...] = ()
    model: "Model | None" = None

    @property
    def waiting(self) -> int:
        """Number of photos that wait or are being decoded."""
        return self.model.queue.queued if self.model else 0


def service_of(app: Flask) -> Service:
    """Return the state of an app from `app.create_app`."""
    return app.extensions["catdog"]


def service() -> Service:
    """Return the state of the app that answers the request."""
    return service_of(current_app)


@dataclass
class Spent:
    """The time spent on a request's photos.

    Attributes:
        waiting: seconds waiting for a decoder, of all photos together; `decoding`: seconds in one.
        network: seconds in the network and in its queue.
        slow: photos that took too long.
        observe: called with each photo's seconds in a decoder, also if the photo was given up.
    """

    waiting: float = 0.0
    decoding: float = 0.0
    network: float = 0.0
    slow: int = 0
    observe: Callable[[float], object] = lambda seconds: None


@dataclass
class Asked:
    """The request that is being answered.

    Attributes:
        left: returns how many seconds its answer may still take.
        began: when it arrived, by time.perf_counter().
        id: its name in the log.
        photos: how many it contains.
        refusals: slugs of the problems in its answer.
        has_place: whether it holds a place that `admission` needs back.
        spent: where its time went.
    """

    left: Deadline
    began: float = field(default_factory=time.perf_counter)
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    photos: int = 0
    refusals: list[str] = field(default_factory=list)
    has_place: bool = False
    spent: Spent = field(default_factory=Spent)


def begin(seconds: float) -> Asked:
    """Start the record of a request that has just arrived. Its answer may take `seconds`."""
    g.asked = Asked(Deadline(seconds))
    return g.asked


def asked() -> Asked:
    """Return the record of the request in progress."""
    return g.asked

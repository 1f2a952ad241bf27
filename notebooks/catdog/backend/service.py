"""What the service knows, and what it notes of the request that is being answered: one object each."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
from flask import Flask, current_app, g

from .batching import Deadline

if TYPE_CHECKING:  # each of them asks for the service
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
    """What the service asks of a model beside its queue. A `Classifier` is one.

    Attributes:
        bundle: the model.
        engine: what runs it; only its name is asked for.
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
    """What belongs to one app.

    Attributes:
        limits: on what it takes from untrusted clients.
        admission: who may come in now.
        readiness: whether photos are answered.
        metrics: for Prometheus.
        request_log: the last requests.
        feedback: where corrections are kept; None where none are taken.
        model: what answers; None until one is loaded.
    """

    limits: "Limits"
    admission: "Admission"
    readiness: "Readiness"
    metrics: "Metrics"
    request_log: "RequestLog"
    feedback: "Feedback | None" = None
    model: "Model | None" = None

    @property
    def waiting(self) -> int:
        """Photos that wait or are being decoded."""
        return self.model.queue.queued if self.model else 0


def service_of(app: Flask) -> Service:
    """That of an app from `app.create_app`."""
    return app.extensions["catdog"]


def service() -> Service:
    """That of the app that answers the request."""
    return service_of(current_app)


@dataclass
class Spent:
    """What a request's photos took.

    Attributes:
        waiting: seconds for a decoder, of all photos together; `decoding`: in one.
        network: seconds in the network, and in line before it.
        slow: photos that took too long.
        observe: told the seconds of each photo in a decoder, also of one that was given up.
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
        left: says how many seconds its answer may still take.
        began: when it came in, by time.perf_counter().
        id: by which the log names it.
        photos: how many it brought.
        refusals: slugs of the problems that it was told.
        has_place: whether it has a place that `admission` wants back.
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
    """Note the request that has just come in, and that its answer may take so many `seconds`."""
    g.asked = Asked(Deadline(seconds))
    return g.asked


def asked() -> Asked:
    """What is noted of the request that is being answered."""
    return g.asked

"""Metrics of the service for Prometheus, https://prometheus.io/docs/instrumenting/exposition_formats/."""

from collections.abc import Callable

from flask import Response, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from .batching import MAX_BATCH_SIZE
from .service import asked

_METHODS = ("GET", "HEAD", "OPTIONS", "POST")
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The metrics of one app.

    Args:
        waiting: returns how many photos wait now.
    """

    def __init__(self, waiting: Callable[[], int]):
        own = self._registry = CollectorRegistry()
        self._requests = Counter("catdog_requests", "Requests", ["route", "method", "status"], registry=own)
        self._seconds = Histogram(
            "catdog_request_seconds", "Seconds from request to answer", ["route"], buckets=_SECONDS, registry=own
        )
        self._photos = Counter("catdog_photos", "Photos received", registry=own)
        self._rejections = Counter("catdog_rejections", "Requests and photos refused", ["reason"], registry=own)
        self._batches = Histogram(
            "catdog_batch_photos", "Photos in a batch",
            buckets=[2**power for power in range(MAX_BATCH_SIZE.bit_length())], registry=own,
        )  # fmt: skip
        Gauge("catdog_queue_photos", "Photos waiting or being decoded", registry=own).set_function(waiting)
        self._model = Gauge("catdog_model_info", "The model that answers", ["model"], registry=own)
        self._reloads = Counter("catdog_model_reloads", "Times that another model took over", registry=own)

    def note_request(self, status: int, seconds: float) -> None:
        """Count the present request by its route: addresses that clients invent must not become labels."""
        route = request.url_rule.rule if request.url_rule else "unknown"
        method = request.method if request.method in _METHODS else "other"
        self._requests.labels(route, method, status).inc()
        self._seconds.labels(route).observe(seconds)
        self._photos.inc(asked().photos)
        for reason in asked().refusals:
            self._rejections.labels(reason).inc()

    def note_batch(self, photos: int) -> None:
        self._batches.observe(photos)

    def note_model(self, model: str) -> None:
        self._model.clear()
        self._model.labels(model).set(1)
        self._reloads.inc()

    def response(self) -> Response:
        return Response(generate_latest(self._registry), content_type=CONTENT_TYPE_LATEST)

"""The service's Flask app: configuration, admission, errors, headers, and a record of each request."""

import gc
import logging
import time
from collections.abc import Sequence
from datetime import datetime

from apiflask import APIFlask
from apiflask.exceptions import HTTPError
from flask import Response, g, request
from flask_cors import CORS

from .. import __version__
from ..data.feedback import Feedback
from ..errors import UserError
from ..frontend.page import SAME_ORIGIN, page_blueprint
from ..machine import memory
from ..models.classifier import Classifier
from ..web import link
from ..web.request_limits import REJECTED_STATUS
from ..web.server import Server, serve, stop
from . import batching, log, problems
from .admission import Admission
from .decoder import READ
from .decoders import decoders
from .limits import Limits
from .malloc import give_back_large_blocks
from .metrics import Metrics
from .rates import client
from .readiness import Readiness
from .request_log import RequestLog, RequestRecord
from .routes import Model, api
from .schemas import complete_description
from .service import Service, asked, begin, service_of
from .uploads import InMemoryRequest

_SHARE_OF_SECONDS = 0.2  # of the time limit: photos admitted at the present pace are answered at a slower one, too
_SHARE_TO_BEGIN = 0.25  # of the time limit: photos that wait longer are refused, since something slows us down
_UNSEEN = ("/healthz", "/readyz", "/metrics", "/page/", "/favicon.ico", "/apple-touch-icon")
_SHARE_OF_MEMORY = 16  # 1/16 of it is for request bodies, which exist up to three times while they are parsed
SPARE_THREADS = 16  # for the page, /healthz and refusals while all places for requests with photos are taken
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # The page sets its own policy; of the rest, only /docs has a style sheet.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
}


def create_app(
    classifier: Classifier | None = None,
    request_log: RequestLog | None = None,
    limits: Limits | None = None,
    feedback: Feedback | None = None,
    examples: Sequence[bytes] = (),
    **config,
) -> APIFlask:
    """Create the service for `classifier`. Without one it is alive, but not ready until `set_model` is called.

    Args:
        request_log: records the last requests; by default, the app has its own. (Formerly `visits`.)
        limits: by default, `Limits()`.
        feedback: stores testers' corrections; without it, none are accepted.
        examples: photos for testers who have none at hand, each a JPEG, as `examples.read_examples` returns them.
        config: `ACCESS_CODE` that clients must send (default none), `CORS_ORIGINS` whose pages may send requests
            (default `*`, all; formerly `ORIGINS`), `LANGUAGE` of the page (default that of each browser), `MAX_BATCH`
            photos per batch (default 16), `READ_PHOTO`, the function with which decoders read a file, as
            "module:function" (default `decoder.READ`); and Flask's own configuration.

    `service.service_of(app)` returns the app's state.

    Raises UserError for an invalid access code or invalid origins.
    """
    request_log = config.pop("visits", request_log)  # its name in earlier notebooks
    limits = limits or Limits()
    app = APIFlask(__name__, title="Photo classifier", version=__version__, docs_path=None, static_folder=None)
    app.request_class = InMemoryRequest
    app.config.from_mapping(
        MAX_CONTENT_LENGTH=limits.request_bytes,
        MAX_BATCH=batching.MAX_BATCH_SIZE,
        READ_PHOTO=READ,
        ACCESS_CODE="",
        CORS_ORIGINS=config.pop("ORIGINS", "*"),  # its name in earlier notebooks
        LANGUAGE="",
        AUTO_404_RESPONSE=False,
        AUTO_VALIDATION_ERROR_RESPONSE=False,
        AUTO_AUTH_ERROR_RESPONSE=False,
    )
    app.config.from_mapping(config)
    link.check_code(app.config["ACCESS_CODE"])
    app.json.sort_keys = False
    app.extensions["catdog"] = ours = Service(
        limits,
        Admission(limits),
        Readiness(),
        Metrics(lambda: ours.waiting),
        RequestLog() if request_log is None else request_log,
        feedback,
        tuple(examples),
    )
    log.write_to_file(app.logger)
    if classifier:
        set_model(app, classifier)
    _open_the_door(app, ours)
    _write_down(app, ours)
    # The page may come from another address; the service has no cookies to protect.
    CORS(
        app, origins=parse_origins(app.config["CORS_ORIGINS"]), send_wildcard=True,
        expose_headers=["Retry-After", "X-Request-ID"],
    )  # fmt: skip
    app.register_blueprint(api)
    app.register_blueprint(page_blueprint(lambda: SAME_ORIGIN, language=app.config["LANGUAGE"]))
    app.register_error_handler(problems.Problem, problems.response)
    app.error_processor(_flask_error)
    app.spec_processor(complete_description)
    give_back_large_blocks()
    decoders(app.config["READ_PHOTO"])  # started now, so that the first photo does not wait for them
    return app


def parse_origins(text: str) -> list[str] | str:
    """Return "*" or a list of origins, given text such as "https://one.example https://two.example:8000".

    Raises UserError for anything else.
    """
    if text.strip() == "*":
        return "*"
    origins = text.replace(",", " ").split()
    wrong = [origin for origin in origins if link.origin(origin) != origin]
    if wrong or not origins:
        raise UserError(
            "setting-origins",
            "CORS_ORIGINS must be * or addresses such as https://page.example, without a path, "
            f'not "{" ".join(wrong)}".',
        )
    return origins


def set_model(app: APIFlask, classifier: Classifier) -> None:
    """Answer with `classifier` from the next request on; requests in progress keep the one they have."""
    ours = service_of(app)
    queue = batching.BatchingQueue(
        classifier.answer, app.config["MAX_BATCH"], ours.limits.max_queue, ours.metrics.note_batch,
        _SHARE_OF_SECONDS * ours.limits.request_timeout, getattr(classifier, "seconds_each", 0.0),
        _SHARE_TO_BEGIN * ours.limits.request_timeout,
    )  # fmt: skip
    answer_with(app, Model(classifier, queue))


def answer_with(app: APIFlask, model: Model) -> None:
    """Answer with `model` from the next request on. Unlike `set_model`, the caller brings the queue."""
    service_of(app).model = model
    service_of(app).metrics.note_model(model.classifier.bundle.id)
    facts = {"model": model.classifier.bundle.id, "engine": model.classifier.engine.name}
    app.logger.info("model", extra={"facts": facts})


def start(app: APIFlask, port: int) -> Server:
    """Serve `app` in the background on `port` with `server.serve`, within the app's limits."""
    limits = service_of(app).limits
    if stop("backend"):
        gc.collect()  # the app it served is a reference cycle that holds a network
    all_bodies = min(limits.max_bytes_in_flight, memory() // _SHARE_OF_MEMORY)
    return serve(
        app,
        "backend",
        port,
        max_body=min(limits.request_bytes, all_bodies // 2),  # more would be refused as if it might fit later
        all_bodies=all_bodies,
        threads=limits.max_concurrent + SPARE_THREADS,
        app_refuses=True,
    )


def _flask_error(error: HTTPError) -> Response:
    answer = problems.response(problems.of_status(error.status_code))
    if "Allow" in (error.headers or {}):
        answer.headers["Allow"] = error.headers["Allow"]
    return answer


def _open_the_door(app: APIFlask, ours: Service) -> None:
    """Admit or refuse requests with photos, before their bodies are read."""

    @app.before_request
    def enter() -> None:
        noted = begin(ours.limits.request_timeout)
        if REJECTED_STATUS in request.environ:
            raise problems.of_status(request.environ[REJECTED_STATUS])
        if request.method == "POST":
            ours.admission.enter()
            noted.has_place = True

    @app.teardown_request
    def leave(error: BaseException | None) -> None:
        if "asked" in g and asked().has_place:
            ours.admission.leave()


def _write_down(app: APIFlask, ours: Service) -> None:
    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-ID"] = asked().id
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        seconds = time.perf_counter() - asked().began
        ours.metrics.note_request(response.status_code, seconds)
        if not request.path.startswith(_UNSEEN) and request.method != "OPTIONS":
            what = f"{request.method} {request.path}"
            ours.request_log.add(
                RequestRecord(datetime.now(), client(), what, asked().photos, response.status_code, seconds)
            )
            _log_request(app.logger, response.status_code, seconds)
        return response


def _log_request(logger: logging.Logger, status: int, seconds: float) -> None:
    noted = asked()
    facts = {
        "client": client(),
        "method": request.method,
        "route": request.url_rule.rule if request.url_rule else None,
        "status": status,
        "photos": noted.photos,
        "refusals": noted.refusals,
        "ms": round(1000 * seconds, 1),
        "line_ms": round(1000 * noted.spent.waiting, 1),
        "decode_ms": round(1000 * noted.spent.decoding, 1),
        "network_ms": round(1000 * noted.spent.network, 1),
    }
    logger.info("request", extra={"facts": facts})


use = set_model  # its name in notebooks from before `catdog.notebook`

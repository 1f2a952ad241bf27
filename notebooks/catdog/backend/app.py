"""The service's app: configuration, errors, CORS, and what is written down of each request."""

import logging
import time
from datetime import datetime
from logging.handlers import RotatingFileHandler

from apiflask import APIFlask
from apiflask.exceptions import HTTPError
from flask import Response, g, request
from flask_cors import CORS

from .. import __version__, link, places
from ..classifier import Classifier
from ..frontend.page import SAME_ORIGIN, page_blueprint
from . import batching, problems
from .routes import Model, api, describe_original_body
from .visits import Visit, Visits

MAX_REQUEST_BYTES = 64 << 20
_UNSEEN = ("/healthz", "/readyz", "/page/")


def create_app(classifier: Classifier | None = None, visits: Visits | None = None, **config) -> APIFlask:
    """The service around `classifier`; without one it is alive but not ready until `use` gives it one.

    Args:
        visits: where the last requests are noted; without it, in a list of the app's own.
        config: Flask's configuration; `MAX_PHOTOS` in one request (default 64), `MAX_WAITING` photos in the queue
            (default 256), `MAX_BATCH` photos at once through the network (default 16), `ACCESS_CODE` that
            whoever asks must bring (default none).

    The app's `extensions["catdog"]` holds "visits", the last requests, and what `use` put there.
    """
    app = APIFlask(__name__, title="Photo classifier", version=__version__, docs_path=None, static_folder=None)
    app.config.from_mapping(
        MAX_CONTENT_LENGTH=MAX_REQUEST_BYTES,
        MAX_PHOTOS=64,
        MAX_WAITING=batching.CAPACITY,
        MAX_BATCH=batching.MOST,
        ACCESS_CODE="",
        AUTO_404_RESPONSE=False,
        AUTO_VALIDATION_ERROR_RESPONSE=False,
        AUTO_AUTH_ERROR_RESPONSE=False,
    )
    app.config.from_mapping(config)
    link.check_code(app.config["ACCESS_CODE"])
    app.json.sort_keys = False
    app.extensions["catdog"] = {"model": None, "visits": Visits() if visits is None else visits}
    if classifier:
        use(app, classifier)
    # The page may come from another address; the service knows no cookies to protect.
    CORS(app, send_wildcard=True, expose_headers=["Retry-After"])
    app.register_blueprint(api)
    app.register_blueprint(page_blueprint(lambda: SAME_ORIGIN))
    app.register_error_handler(problems.Problem, problems.response)
    app.error_processor(_flask_error)
    app.spec_processor(describe_original_body)
    _log_to_file(app)
    _write_visits(app)
    return app


def use(app: APIFlask, classifier: Classifier) -> None:
    """Answer with `classifier` from the next request on; requests that are being answered keep the one they have."""
    queue = batching.BatchingQueue(classifier.predict, app.config["MAX_BATCH"], app.config["MAX_WAITING"])
    app.extensions["catdog"]["model"] = Model(classifier, queue)


def _flask_error(error: HTTPError) -> Response:
    return problems.http_response(
        error.status_code, error.message or "The request was refused.", dict(error.headers or {})
    )


def _log_to_file(app: APIFlask) -> None:
    """Not to the notebook, where a background thread's words land under whatever cell is running."""
    handler = RotatingFileHandler(places.cache_dir() / "backend.log", maxBytes=1_000_000, backupCount=1, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for logger in (app.logger, logging.getLogger("waitress")):
        for old in logger.handlers:
            old.close()
        logger.handlers, logger.propagate = [handler], False


def _write_visits(app: APIFlask) -> None:
    @app.before_request
    def begin() -> None:
        g.began, g.photos = time.perf_counter(), 0

    @app.after_request
    def end(response: Response) -> Response:
        if not request.path.startswith(_UNSEEN) and request.method != "OPTIONS":
            visit = Visit(
                datetime.now(),
                _client(),
                f"{request.method} {request.path}",
                g.photos,
                response.status_code,
                time.perf_counter() - g.began,
            )
            app.extensions["catdog"]["visits"].add(visit)
        return response


def _client() -> str:
    """Behind a tunnel every request comes from this machine; only then is the forwarded address believed, and of
    several the last, which the tunnel itself has added."""
    if request.remote_addr in ("127.0.0.1", "::1") and request.access_route:
        return request.access_route[-1]
    return request.remote_addr or ""

"""The page as a blueprint (the backend shows it at its own address) and as an app of its own (notebook 3)."""

import gzip
from collections.abc import Callable
from pathlib import Path

from flask import Blueprint, Flask, Response, make_response, render_template, request

from .. import link

SAME_ORIGIN = "/"
_SCRIPTS = sorted(script.name for script in (Path(__file__).parent / "static").glob("*.js") if script.stem != "live")


def page_blueprint(backend_url: Callable[[], str]) -> Blueprint:
    """The page at `/` and its files under `/page/`.

    Args:
        backend_url: asked at every load. `SAME_ORIGIN` where the backend serves the page itself; empty when no
            backend is known, which the page then says.
    """
    page = Blueprint("page", __name__, static_folder="static", static_url_path="/page", template_folder="templates")

    @page.get("/")
    def show() -> Response:
        url = backend_url()
        response = make_response(render_template("page.html", backend=url, scripts=_SCRIPTS))
        response.headers["Content-Security-Policy"] = _content_security_policy(url)
        response.headers["Cache-Control"] = "no-store"  # the backend's address may be another one tomorrow
        return response

    page.after_request(_compressed)
    return page


def create_page_app(backend_url: str = "") -> Flask:
    """The app that notebook 3 serves. Without `backend_url` it follows the backend's link file."""
    app = Flask(__name__, static_folder=None)
    app.register_blueprint(page_blueprint(lambda: backend_url or link.published_url()))
    app.get("/healthz")(link.alive)
    return app


def _compressed(response: Response) -> Response:
    """A third of the bytes, for phones and for the link's monthly data."""
    if response.status_code == 200 and "gzip" in request.accept_encodings:
        response.direct_passthrough = False
        response.set_data(gzip.compress(response.get_data(), mtime=0))
        response.content_encoding = "gzip"
        response.vary.add("Accept-Encoding")
    return response


def _content_security_policy(backend_url: str) -> str:
    elsewhere = link.origin(backend_url)
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        f"connect-src 'self'{elsewhere and ' ' + elsewhere}; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'"
    )

"""The page as a blueprint (the backend shows it at its own address) and as an app of its own (notebook 3)."""

import gzip
from collections.abc import Callable
from pathlib import Path

from flask import (  # fmt: skip
    Blueprint,
    Flask,
    Response,
    current_app,
    make_response,
    render_template,
    request,
    send_from_directory,
    url_for,
)
from jinja2 import TemplateError
from markupsafe import escape

from ..web import link
from .words import choose_language, direction, read_words

SAME_ORIGIN = "/"
_OWNERS_ALONE = (".googleusercontent.com", ".prod.colab.dev")  # as Colab shows what its machine serves
FILES = Path(__file__).parent
# Loaded with page.js; the other scripts follow when they are needed, most of them with the first photo.
AT_FIRST = (
    "access", "batch", "browsers", "file_input", "model", "page", "photos", "resize", "say", "service", "store",
    "thumbnails", "trouble", "truth", "words",
)  # fmt: skip
# Browsers ask for these whatever the page says, and again at every visit where nothing is there.
_ICONS = {
    "/favicon.ico": "icon.png",
    "/apple-touch-icon.png": "touch-icon.png",
    "/apple-touch-icon-precomposed.png": "touch-icon.png",
}
_ICON_SECONDS = 30 * 24 * 3600  # that a browser keeps them


def page_blueprint(backend_url: Callable[[], str], files: Path = FILES, language: str = "") -> Blueprint:
    """Create a blueprint with the page at `/` and its files under `/page/`.

    Args:
        backend_url: asked at every load. `SAME_ORIGIN` where the backend serves the page itself; empty when no
            backend is known, which the page then says.
        files: the folder that holds templates/, static/ and words/.
        language: one of `words.languages()`; if empty, that of each browser.
    """
    page = Blueprint(
        "page", __name__, static_folder=files / "static", static_url_path="/page", template_folder=files / "templates"
    )
    scripts = [f"{name}.js" for name in AT_FIRST]

    @page.get("/")
    def show() -> Response:
        url = backend_url()
        chosen = choose_language(request.accept_languages, language, files)
        words = read_words(chosen, files)
        html = render_template(
            "page.html", backend=url, scripts=scripts, live=_live_stamp(), language=chosen, direction=direction(chosen),
            words=words["page"], script_words=words["script"],
        )  # fmt: skip
        response = make_response(html)
        response.headers["Content-Security-Policy"] = _content_security_policy(url, _may_be_framed())
        response.headers["Cache-Control"] = "no-store"  # the backend's address may be another one tomorrow
        return response

    for path, name in _ICONS.items():
        page.add_url_rule(path, path.strip("/").replace(".", "-"), _sender(files / "static", name))

    page.after_request(_compressed)
    page.after_request(_careful)
    return page


def _sender(folder: Path, name: str) -> Callable[[], Response]:
    return lambda: send_from_directory(folder, name, max_age=_ICON_SECONDS)


def create_page_app(backend_url: str = "", files: Path = FILES, language: str = "") -> Flask:
    """Create the app that notebook 3 serves. Without `backend_url` it follows the backend's link file; without
    `language`, the page follows each browser's.

    At `/?live`, where the notebook shows it, the page loads itself again as soon as one of its files is changed.
    """
    app = Flask(__name__, static_folder=None, template_folder=None)
    app.config.update(LIVE_FILES=files, TEMPLATES_AUTO_RELOAD=True)
    app.register_blueprint(page_blueprint(lambda: backend_url or link.published_url(), files, language))
    app.register_error_handler(TemplateError, _broken_template)
    app.get("/healthz")(link.alive)

    @app.get("/changes")
    def changes() -> str:
        return _stamp(files)

    return app


def _live_stamp() -> str:
    """Return the files' stamp if the page is to follow their changes; else an empty string."""
    files = current_app.config.get("LIVE_FILES")
    return _stamp(files) if files and "live" in request.args else ""


def _broken_template(error: TemplateError) -> tuple[str, int]:
    """Show the error until the file is repaired."""
    script = url_for("page.static", filename="live_reload.js", files=_live_stamp())
    live = f'<script type="module" src="{script}"></script>' if _live_stamp() else ""
    words = f"page.html cannot be shown: {error}. Undo the last change there, or in the words."
    return f"<!doctype html><title>page.html is broken</title>{live}<p>{escape(words)}", 500


def _stamp(files: Path) -> str:
    """Return a text that differs after each change of a file."""
    shown = (path for room in ("static", "templates", "words") for path in (files / room).iterdir())
    return str(max(path.stat().st_mtime_ns for path in shown))


def _compressed(response: Response) -> Response:
    """Compress to a third of the bytes, for phones and for the link's monthly data."""
    if response.status_code == 200 and "gzip" in request.accept_encodings:
        response.direct_passthrough = False
        response.set_data(gzip.compress(response.get_data(), mtime=0))
        response.content_encoding = "gzip"
        response.vary.add("Accept-Encoding")
    return response


def _careful(response: Response) -> Response:
    """Keep browsers from guessing content types, and from telling other sites where a tester came from."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _may_be_framed() -> bool:
    """Tell whether this is an address at which notebooks frame the page; only their owner reaches it. At any other, a
    frame can only be somebody's who wants testers to tap what they do not see."""
    return link.is_local(request.host) or request.host.partition(":")[0].endswith(_OWNERS_ALONE)


def _content_security_policy(backend_url: str, may_be_framed: bool) -> str:
    elsewhere = link.origin(backend_url)
    framed = "" if may_be_framed else "frame-ancestors 'none'; "
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        f"connect-src 'self'{elsewhere and ' ' + elsewhere}; base-uri 'none'; form-action 'none'; "
        f"{framed}require-trusted-types-for 'script'"
    )

"""The page's own files for a site: page.html in each language, scripts, icons, the manifest, the service worker."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..frontend.page import AT_FIRST
from ..frontend.page import FILES as PAGE
from ..frontend.words import ENGLISH, direction, languages, read_site_words

_SITE = Path(__file__).parent
_STATIC = _SITE / "static"
_ONLY_SERVED = ("live_reload.js", "examples.js")  # what a page with a service needs
_KINDS = (".js", ".css", ".png", ".svg")  # and not what editors and file managers leave there
SERVICE_WORKER = "service_worker.js"
_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'"
)
_COLORS = {"theme_color": "#f6f7f9", "background_color": "#f6f7f9"}


def page_files(name: str, language: str = "") -> dict[str, bytes]:
    """Return the page's files by their paths in the site. All addresses in them are relative, so a site may be in any
    folder of any host.

    Args:
        name: of the model.
        language: one of `words.languages()`; if empty, index.html leads to the page in the browser's language.
    """
    known = [language] if language else languages()
    first = language or ENGLISH
    others = [one for one in known if one != first]
    pages = {"index.html": _page(first, others), **{f"{one}.html": _page(one, []) for one in others}}
    scripts = {f"page/{path.name}": path.read_bytes() for path in sorted(_static_files())}
    return {**pages, **scripts, "manifest.json": _manifest(name, first)}


def _static_files() -> list[Path]:
    found = [path for folder in (PAGE / "static", _STATIC) for path in folder.iterdir() if path.suffix in _KINDS]
    return [path for path in found if path.name not in (*_ONLY_SERVED, SERVICE_WORKER)]


def _page(language: str, others: list[str]) -> bytes:
    template = Environment(
        loader=FileSystemLoader(PAGE / "templates"), autoescape=True, undefined=StrictUndefined
    ).get_template("page.html")
    words = read_site_words(language)
    return template.render(
        backend="", live="", scripts=[f"{name}.js" for name in (*AT_FIRST, "browser_model", "offline")],
        site={"model": "model/", "languages": " ".join(others), "policy": _POLICY},
        language=language, direction=direction(language), words=words["page"], script_words=words["script"],
        url_for=lambda endpoint, filename: f"page/{filename}",
    ).encode()  # fmt: skip


def _manifest(name: str, language: str) -> bytes:
    """Return the web app manifest (https://www.w3.org/TR/appmanifest/), by which a phone installs the page."""
    words = read_site_words(language)["page"]
    icons = [
        {"src": "page/icon.svg", "sizes": "any", "type": "image/svg+xml"},
        {"src": "page/touch-icon.png", "sizes": "180x180", "type": "image/png"},
    ]
    about = {
        "name": name, "short_name": name, "description": words["description"], "lang": language,
        "start_url": "./", "scope": "./", "display": "standalone", "icons": icons, **_COLORS,
    }  # fmt: skip
    return json.dumps(about, ensure_ascii=False, indent=1).encode()


def service_worker(files: Mapping[str, bytes]) -> bytes:
    """Return the service worker for these files. It is another one as soon as one of them is."""
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in sorted(files.items())}
    version = hashlib.sha256(json.dumps(digests).encode()).hexdigest()[:12]
    head = f'const VERSION = "{version}";\nconst FILES = {json.dumps(digests, indent=1)};\n'
    return head.encode() + (_STATIC / SERVICE_WORKER).read_bytes()

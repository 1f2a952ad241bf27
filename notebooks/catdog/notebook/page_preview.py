"""The view of notebook 3: whether the backend answers, and the page itself."""

import functools
import os
from dataclasses import dataclass
from datetime import UTC, datetime

import requests

from .. import paths
from ..errors import UserError
from ..frontend.page import FILES
from ..web import link
from . import colab

_ANSWER_SECONDS = 10


@dataclass(frozen=True)
class BackendState:
    """Whether the backend answers: `code` is "answers", "wants-code", "loading", "silent", "unknown" or "elsewhere",
    `sentence` says it to a person, and `model` answers, if any does."""

    code: str
    sentence: str
    model: str = ""

    def __str__(self) -> str:
        return self.sentence


def backend_state(setting: str = "", code: str = "") -> BackendState:
    """Ask the backend for its model, at the address in `setting` or else in its link file. Never raises.

    Args:
        code: the backend's access code, if it has one.
    """
    known = {} if setting else link.read("backend")
    url = (setting or link.published_url()).rstrip("/")
    if not url:
        return _why_unknown(known)
    try:
        with link.session(url) as session:
            answer = session.get(f"{url}/model", headers=link.headers(code), timeout=_ANSWER_SECONDS)
    except requests.RequestException as error:
        return _silent(url, type(error).__name__, known)
    if answer.status_code == 401:
        return BackendState(
            "wants-code", f"The backend at {url} asks for its access code: set ACCESS_CODE to the one of notebook 2."
        )
    if answer.status_code == 503 and "ngrok-error-code" not in answer.headers:
        return BackendState(
            "loading", f"The backend at {url} is still loading its model: run this cell again in half a minute."
        )
    try:
        model = f"{answer.json()['name']}/{answer.json()['version']}"
    except (ValueError, KeyError, TypeError):
        return _silent(url, answer.headers.get("ngrok-error-code") or f"status {answer.status_code}", known)
    only_here = " Only this machine reaches it." if link.is_local(url) else ""
    return BackendState("answers", f"The backend at {url} answers with the model {model}.{only_here}", model)


def _silent(url: str, reason: str, known: dict) -> BackendState:
    last = f" Its link was last known to work {_ago(known['time'])}." if known else ""
    return BackendState(
        "silent", f"The backend at {url} does not answer ({reason}).{last} Run notebook 2, then this cell again."
    )


def _why_unknown(known: dict) -> BackendState:
    if known and known["state"] != "stopped":
        return BackendState(
            "elsewhere",
            "Notebook 2 runs on another machine and has no public link: set TUNNEL there to ngrok or cloudflared, "
            "and run its link cell again.",
        )
    stopped = f" It was stopped {_ago(known['time'])}." if known else f" (Looked in {paths.link_file('backend')}.)"
    return BackendState("unknown", f"No backend is known: run notebook 2, or set BACKEND_URL.{stopped}")


def _ago(time: str) -> str:
    minutes = (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds() / 60
    return f"{minutes:.0f} minutes ago" if minutes < 120 else f"{minutes / 60:.0f} hours ago"


def require_backend_for(provider: str, setting: str = "") -> None:
    """Raise UserError for a link to a page whose backend testers could not reach.

    Args:
        provider: the page's, one of tunnels.PROVIDERS.
        setting: the backend's address, empty for the one in its link file.
    """
    if provider in ("none", "colab") or _is_reached_from(provider, setting):
        return
    raise UserError(
        "backend-not-public",
        "Testers would get a page whose backend they cannot reach: in notebook 2, set TUNNEL to "
        f"{'lan, too' if provider == link.LAN else 'ngrok or cloudflared'} and run the link cell, then run this cell "
        "again.",
    )


def _is_reached_from(provider: str, setting: str) -> bool:
    """Tell whether the page's testers reach the backend, as far as is known; in a local network, also a local one."""
    if setting:
        return not (link.is_local(setting) if provider == link.LAN else link.is_nearby(setting))
    known = link.read("backend")
    if known.get("public") or known.get("state") not in ("up", "down"):
        return True
    return provider == link.LAN == known.get("provider") and link.reached_from_here(known)


def told_page(tunnel, code: str = "") -> str:
    """Say where the page is. On Colab, the machine's local address would lead to the reader's own machine.

    Args:
        tunnel: the page's tunnels.Tunnel.
        code: the backend's access code, if it has one.
    """
    if not tunnel.public and paths.on_colab():
        return "Page: shown below, for you alone. For testers, set TUNNEL to ngrok or cloudflared."
    return f"Page: {link.with_code(tunnel.url, code)}{link.remark(tunnel.public, tunnel.provider)}"


def show_page(port: int, code: str = "", height: int = 720) -> None:
    """Show the page in the notebook; on Colab through its proxy, which only the notebook's owner can use. The page
    reloads when its files change.

    Args:
        code: the backend's access code, if it has one.
    """
    path = "/?live" + link.with_code("", code).removeprefix("/")
    if paths.on_colab():
        colab.show_port(port, path, height)
    else:
        from IPython.display import IFrame, display

        display(IFrame(f"http://127.0.0.1:{port}{path}", width="100%", height=height))


def open_for_editing() -> None:
    """Open the page's English words and its CSS: on Colab in the editor beside the notebook, elsewhere as links."""
    texts, looks = FILES / "words" / "en.json", FILES / "static" / "page.css"
    if paths.on_colab():
        from google.colab import files

        for path in (texts, looks):
            colab.ask_tab(functools.partial(files.view, str(path)), otherwise=f"Open this file yourself: {path}")
    else:
        from IPython.display import FileLink, display

        for path in (texts, looks):
            display(FileLink(os.path.relpath(path)))

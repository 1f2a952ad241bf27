"""What notebook 3 shows: whether the backend answers, and the page itself."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import requests

from .. import link, places
from .page import FILES

_ANSWER_SECONDS = 10


@dataclass(frozen=True)
class BackendState:
    """Whether the backend answers: `code` is "answers", "wants-code", "silent", "unknown" or "elsewhere", `sentence`
    says it to a person, and `model` answers, if any does."""

    code: str
    sentence: str
    model: str = ""

    def __str__(self) -> str:
        return self.sentence


def backend_state(setting: str = "", code: str = "") -> BackendState:
    """Ask the backend at the address in the setting, else in its link file, for its model. Never raises.

    Args:
        code: the backend's access code, if it has one.
    """
    known = {} if setting else link.read("backend")
    url = (setting or link.published_url()).rstrip("/")
    if not url:
        return _why_unknown(known)
    try:
        answer = requests.get(f"{url}/model", headers=link.headers(code), timeout=_ANSWER_SECONDS)
    except requests.RequestException as error:
        return _silent(url, type(error).__name__, known)
    if answer.status_code == 401:
        return BackendState(
            "wants-code", f"The backend at {url} asks for its access code: set ACCESS_CODE to the one of notebook 2."
        )
    try:
        model = f"{answer.json()['name']}/{answer.json()['version']}"
    except (ValueError, KeyError, TypeError):
        return _silent(url, answer.headers.get("ngrok-error-code") or f"status {answer.status_code}", known)
    only_here = "" if _public(url) else " Only this machine reaches it."
    return BackendState("answers", f"The backend at {url} answers with the model {model}.{only_here}", model)


def _silent(url: str, reason: str, known: dict) -> BackendState:
    last = f" Its link was last known to work {_ago(known['time'])}." if known else ""
    return BackendState(
        "silent", f"The backend at {url} does not answer ({reason}).{last} Run notebook 2, then this cell again."
    )


def _public(url: str) -> bool:
    return urlsplit(url).hostname not in ("127.0.0.1", "localhost")


def _why_unknown(known: dict) -> BackendState:
    if known and known["state"] != "stopped":
        return BackendState(
            "elsewhere",
            "Notebook 2 runs on another machine and has no public link: set TUNNEL there to ngrok or cloudflared, "
            "and run its link cell again.",
        )
    stopped = f" It was stopped {_ago(known['time'])}." if known else f" (Looked in {places.link_file('backend')}.)"
    return BackendState("unknown", f"No backend is known: run notebook 2, or set BACKEND_URL.{stopped}")


def _ago(time: str) -> str:
    minutes = (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds() / 60
    return f"{minutes:.0f} minutes ago" if minutes < 120 else f"{minutes / 60:.0f} hours ago"


def show_page(port: int, code: str = "", height: int = 720) -> None:
    """Show the page in the notebook: on Colab through its own proxy, which reaches the notebook's owner alone. It
    loads itself again when its files change.

    Args:
        code: the backend's access code, if it has one.
    """
    path = "/?live" + link.with_code("", code).removeprefix("/")
    if places.on_colab():
        from google.colab import output

        output.serve_kernel_port_as_iframe(port, path=path, height=str(height))
    else:
        from IPython.display import IFrame, display

        display(IFrame(f"http://127.0.0.1:{port}{path}", width="100%", height=height))


def open_for_editing() -> None:
    """Open the page's text and its looks: on Colab in the editor beside the notebook, elsewhere by links."""
    texts, looks = FILES / "templates" / "page.html", FILES / "static" / "page.css"
    if places.on_colab():
        from google.colab import files

        files.view(str(texts))
        files.view(str(looks))
    else:
        from IPython.display import FileLink, display

        for path in (texts, looks):
            display(FileLink(os.path.relpath(path)))

"""The compatibility provider: the package flask-ngrok, made to work with today's ngrok.

flask-ngrok 0.0.25 runs an agent from its own folder, on port 5000 and without a token. It downloads a version that
ngrok refuses, makes it unreadable, waits one second for it and turns its https address into http. Its code runs here
unchanged, but with these parts replaced: https://github.com/gstaff/flask-ngrok/issues/6, 10, 12, 13, 20, 21, 28.
"""

import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import flask_ngrok
import requests

from ..errors import UserError
from ..web import link
from . import authtoken, ngrok_errors
from .base import Connection, LinkRefused, Timing
from .processes import end

_RUN, _START = flask_ngrok._run_ngrok, flask_ngrok.start_ngrok
_API = "http://localhost:4040/api/tunnels"  # where flask-ngrok looks
_PAUSE = 0.1
_LOG = "log"  # the agent's output, in a temporary folder
WORD = (
    "This link uses the package flask-ngrok and ngrok's agent, for compatibility. It works, but TUNNEL=ngrok repairs a "
    "broken link faster."
)


class FlaskNgrokConnection(Connection):
    """The agent, as flask-ngrok starts it, with a link to `port`.

    Raises:
        LinkRefused: ngrok refused the link, or the agent gave no address within `seconds`.
        UserError: the agent is not available, or another one runs on this machine.
    """

    remark = WORD

    def __init__(self, port: int, token: str, domain: str, seconds: float):
        self._agent = _Agent(port, token, domain, seconds)
        _put_parts_around(self._agent)
        try:
            super().__init__(flask_ngrok._run_ngrok())
        except BaseException:
            self._agent.close()
            raise

    def error(self) -> str:
        return "" if self._agent.alive else "ngrok's agent has ended."

    def close(self) -> None:
        self._agent.close()


def run_with_ngrok(app, token: str = "") -> None:
    """Make `app.run()` also open a link, and print it, like flask-ngrok's own `run_with_ngrok(app)`.

    Unlike there, `app.run` keeps its arguments, including any port.

    Args:
        token: ngrok's authtoken; if empty, it is looked for as in `open_tunnel`.

    Raises UserError if there is no token.
    """
    found, _ = authtoken.find_token(token, ask=True)
    if not found:
        raise UserError("ngrok-token-missing", f"ngrok needs an authtoken. {authtoken.get_one()}")
    serve = app.run
    options: dict[str, object] = {}
    app.run = lambda: serve(**options)
    flask_ngrok.run_with_ngrok(app)
    run_beside_the_agent = app.run

    def run(host: str | None = None, port: int | None = None, debug: bool | None = None, **more) -> None:
        port = port or 5000
        options.update(more, host=host, port=port, debug=debug, use_reloader=False)  # else two agents start
        agent = _Agent(port, found, "", Timing().program)
        _put_parts_around(agent)
        print(WORD)
        try:
            run_beside_the_agent()
        finally:
            agent.close()

    app.run = run


class _Agent:
    """ngrok's agent as a process; replaces `subprocess` and `time` in flask-ngrok."""

    def __init__(self, port: int, token: str, domain: str, seconds: float):
        self._seconds = seconds
        self._options = [f"127.0.0.1:{port}", "--log=stdout", *([f"--url=https://{domain}"] if domain else [])]
        self._token = token
        self._process: subprocess.Popen | None = None
        self._folder: Path | None = None

    def start(self, command: list[str]) -> subprocess.Popen:
        """Start the agent, in place of Popen, since flask-ngrok's command has a fixed port 5000 and no token."""
        _refuse_a_second_agent()
        folder = self._folder = Path(tempfile.mkdtemp(prefix="ngrok-agent-"))
        with (folder / _LOG).open("wb") as log:
            self._process = subprocess.Popen(
                [*command[:2], *self._options],
                env={**os.environ, authtoken.NAME: self._token},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self._process

    def wait(self, seconds: float) -> None:
        """Wait until the agent has its address, in place of sleep(1)."""
        deadline = time.monotonic() + self._seconds
        while not _addresses():
            if not self.alive or time.monotonic() > deadline:
                refusal = self._refusal()
                self.close()
                raise refusal
            time.sleep(_PAUSE)

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _refusal(self) -> LinkRefused:
        log = (self._folder / _LOG).read_text(errors="replace") if self._folder else ""
        said = ngrok_errors.without(self._token, log)
        if code := ngrok_errors.code_in(said):
            return LinkRefused("link-refused", ngrok_errors.explain(code, said[-300:]), code)
        return LinkRefused(
            "link-timeout",
            f"ngrok's agent gave no address within {self._seconds:g} s: check that this machine can reach the "
            f"internet. {said[-300:].strip()}",
        )

    def close(self) -> None:
        if self._process:
            end(self._process)
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def _put_parts_around(agent: _Agent) -> None:
    """Replace the functions that flask-ngrok calls with working ones; its own code stays unchanged."""
    place_agent()
    flask_ngrok.os = SimpleNamespace(chmod=lambda path, mode: os.chmod(path, 0o755))  # 777 there is decimal
    flask_ngrok.subprocess = SimpleNamespace(Popen=agent.start)
    flask_ngrok.time = SimpleNamespace(sleep=agent.wait)
    flask_ngrok._run_ngrok = lambda: _RUN().replace("http://", "https://", 1)
    flask_ngrok.start_ngrok = _start_or_say_why


def _start_or_say_why() -> None:
    """Start the agent, and print a UserError: on flask-ngrok's own thread, it would be a traceback under another
    cell."""
    try:
        _START()
    except UserError as error:
        print(error.shown())


def place_agent() -> Path:
    """Put ngrok's agent where flask-ngrok looks for it: a copy of `NGROK_PATH`, else one that pyngrok downloads.

    Raises UserError if neither is available.
    """
    target = Path(tempfile.gettempdir()) / "ngrok" / ("ngrok.exe" if platform.system() == "Windows" else "ngrok")
    if named := os.environ.get("NGROK_PATH"):
        if not os.access(named, os.X_OK) or not Path(named).is_file():
            raise UserError("link-program", f"NGROK_PATH is {named}, which is not a program.")
        _put(target, lambda part: shutil.copy(named, part))
    elif not _current(target):
        _put(target, _download)
    return target


def _current(agent: Path) -> bool:
    """Tell whether the agent is usable. One that flask-ngrok itself downloaded is version 2, and not executable."""
    try:
        said = subprocess.run([agent, "version"], capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    return "version 3" in said


def _put(target: Path, write: Callable[[Path], object]) -> None:
    """Write to a temporary file first: a running agent's file cannot be overwritten, and no half-written one must be
    found."""
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        part = Path(folder) / target.name
        write(part)
        part.replace(target)


def _download(target: Path) -> None:
    from pyngrok.exception import PyngrokError
    from pyngrok.installer import install_ngrok

    try:
        install_ngrok(str(target))
    except (PyngrokError, OSError) as error:
        raise UserError(
            "link-not-downloaded",
            f"ngrok's agent cannot be downloaded ({error}): set NGROK_PATH to one, or set TUNNEL to ngrok, which does "
            "not need it.",
        ) from None


def _refuse_a_second_agent() -> None:
    if _addresses() is not None:
        raise UserError(
            "ngrok-agent-running",
            "Another ngrok agent is already running on this machine (port 4040): stop it, or set TUNNEL to ngrok, "
            "which can run beside it.",
        )


def _addresses() -> list | None:
    """Return the tunnels of an agent on this machine; None if there is no agent."""
    try:
        with link.session(_API) as session:
            return session.get(_API, timeout=2).json().get("tunnels", [])
    except (requests.RequestException, ValueError):
        return None

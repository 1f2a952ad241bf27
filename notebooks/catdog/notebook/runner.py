"""Run the notebooks from a terminal: execute them, relay what they print, and keep servers up until Ctrl-C."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import nbformat
from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from ..paths import ROOT
from ..web import link

FINE_TUNE, BACKEND, FRONTEND = "1_fine_tune.ipynb", "2_backend.ipynb", "3_frontend.ipynb"
COMMANDS = {
    "run": (FINE_TUNE, BACKEND, FRONTEND),
    "train": (FINE_TUNE,),
    "backend": (BACKEND,),
    "frontend": (FRONTEND,),
}
_PATHS = (
    "DATA", "CORRECTIONS_FROM", "MODEL", "VGG16_WEIGHTS", "MODELS_DIR", "DATA_DIR", "CATDOG_CACHE", "TEST_PHOTO",
    "PHOTO",
)  # fmt: skip
_ALIVE_SECONDS = 2
_SHOWN_SECONDS = 0.05
_DRAIN_SECONDS = 10


class NotebookFailed(Exception):
    """A cell raised, or a kernel died; the message is for a person."""


class _Relaying(NotebookClient):
    """A client that executes a notebook, relays what its cells print to the terminal, and times its sections."""

    def __init__(self, name: str):
        path = ROOT / "notebooks" / name
        super().__init__(
            nbformat.read(path, as_version=4),
            timeout=None,
            kernel_name="python3",
            resources={"metadata": {"path": str(path.parent)}},
            on_cell_start=self._begin,
            on_cell_executed=self._end,
        )
        self.name = name
        self.seconds: dict[str, float] = {}
        self.addresses: list[str] = []
        self._section, self.serves = "", False

    def _begin(self, cell, cell_index) -> None:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            self._section = cell.source.splitlines()[0].removeprefix("## ")
            print(f"\n▸ {self._section}", flush=True)
        self._began = time.monotonic()

    def _end(self, cell, cell_index, execute_reply) -> None:
        self.seconds[self._section] = self.seconds.get(self._section, 0) + time.monotonic() - self._began

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"] == "stream":
            text = msg["content"]["text"]
            print(text, end="", flush=True)
            self.addresses += [line for line in text.splitlines() if line.startswith(("Backend: ", "Page: "))]
        return super().process_message(msg, cell, cell_index)

    def run_cells(self) -> None:
        """Execute all cells. Raises NotebookFailed with what the notebook's reader would see."""
        for index, cell in enumerate(self.nb.cells):
            try:
                self.execute_cell(cell, index)
            except CellExecutionError as error:
                shown = [line for output in cell.outputs if output.output_type == "error" for line in output.traceback]
                raise NotebookFailed("\n".join(shown)) from error

    @property
    def alive(self) -> bool:
        return run_sync(self.km.is_alive)()

    def drain(self) -> None:
        """Have the kernel finish the requests in progress, and end."""
        end = time.monotonic() + _DRAIN_SECONDS
        run_sync(self.km.signal_kernel)(signal.SIGTERM)
        while self.alive and time.monotonic() < end:
            time.sleep(0.05)


@contextmanager
def _kernel(name: str, **environment: str) -> Iterator[_Relaying]:
    """Start a notebook's own kernel, which is gone at the end whatever happens."""
    client = _Relaying(name)
    client.create_kernel_manager()
    try:
        # What the kernel prints arrives as messages; its standard output would repeat it.
        client.start_new_kernel(
            cwd=str(ROOT / "notebooks"),
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        client.start_new_kernel_client()
        yield client
    finally:
        with _undisturbed():
            if client.serves and client.alive:
                client.drain()
            if client.kc is not None:
                client.kc.stop_channels()
            if client.km.has_kernel:
                run_sync(client.km.shutdown_kernel)(now=True)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C: a second one while cleaning up would leave a kernel behind."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def fine_tune() -> None:
    """Execute notebook 1, and print how long each section took."""
    print(f"Executing {FINE_TUNE}", flush=True)
    with _kernel(FINE_TUNE) as client:
        client.run_cells()
    print("\nTime by section:")
    shown = {section: seconds for section, seconds in client.seconds.items() if section and seconds >= _SHOWN_SECONDS}
    for section, seconds in shown.items():
        print(f"  {section:{max(map(len, shown))}} {seconds:7.1f} s")


def serve(*names: str) -> None:
    """Execute the notebooks that serve, each in a kernel of its own, and stay until Ctrl-C or until one has died."""
    with ExitStack() as kernels:
        clients: list[_Relaying] = []
        for name in names:
            print(f"\nExecuting {name}", flush=True)
            # Port and public link belong to the backend, which shows the page itself: a free account has one address.
            environment = {"TUNNEL": "none", "PORT": "0" if os.environ.get("PORT") else ""} if clients else {}
            clients.append(kernels.enter_context(_kernel(name, **environment)))
            clients[-1].run_cells()
            clients[-1].serves = True
        addresses = "\n".join(address for client in clients for address in client.addresses)
        print(f"\n{addresses}\nUp and running. Ctrl-C stops everything.", flush=True)
        _wait_while_alive(clients)


def _wait_while_alive(clients: list[_Relaying]) -> None:
    pause, known = threading.Event(), link.read("backend")
    while True:
        for client in clients:
            if not client.alive:
                raise NotebookFailed(f"The kernel of {client.name} died.")
        known = _tell_of_another_link(known, link.read("backend"))
        pause.wait(_ALIVE_SECONDS)


def _tell_of_another_link(before: dict, now: dict) -> dict:
    """Print a new link from the link file, since nobody sees what a kernel prints between cells. Returns what is known
    now."""
    same_service = before and now.get("instance") == before.get("instance")
    if not same_service or now["state"] != "up" or now["url"] == before["url"]:
        return before
    shared = link.with_code(now["url"], os.environ.get("ACCESS_CODE", ""))
    print(f"The link has changed.\nBackend: {shared}", flush=True)
    return now


def _absolute_paths() -> None:
    """Make paths in the environment absolute: kernels run in notebooks/, but a typed path starts where the user is."""
    for name in _PATHS:
        value = os.environ.get(name)
        if value and Path(value).expanduser().exists():
            os.environ[name] = str(Path(value).expanduser().resolve())


def _stop(signum, frame) -> None:
    raise KeyboardInterrupt


def main(command: str) -> int:
    """Run one of `COMMANDS`. Returns the exit status."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), _stop)
    _absolute_paths()
    notebooks = COMMANDS[command]
    try:
        if FINE_TUNE in notebooks:
            fine_tune()
        if served := [name for name in notebooks if name != FINE_TUNE]:
            serve(*served)
    except KeyboardInterrupt:
        # Both would report the interrupted cell.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        print("\nStopped.", flush=True)
        return 0 if command != "train" else 130
    except (NotebookFailed, DeadKernelError) as error:
        print(f"\n{error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        sys.exit(f"usage: python -m catdog.notebook.runner {'|'.join(COMMANDS)}")
    sys.exit(main(sys.argv[1]))

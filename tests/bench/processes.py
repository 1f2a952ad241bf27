"""Servers under test as processes: started, waited for, weighed, ended."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import psutil
from load import ask

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PEERS = ROOT / ".venv" / "peers"
_START_SECONDS = 120


class Server:
    """A script of servers/ on a free port. Raises RuntimeError, with its last words, when it does not come up."""

    def __init__(self, script: str, *arguments: str, log: Path):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        own = PEERS if script.startswith("with_") else None  # what peers bring must not change what we measure of ours
        path = os.pathsep.join(str(folder) for folder in (ROOT / "notebooks", own) if folder)
        self._log = log
        with log.open("w") as file:
            self.process = psutil.Popen(
                [sys.executable, str(HERE / "servers" / script), str(self.port), *arguments],
                env={**os.environ, "PYTHONPATH": path},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, request: tuple[str, bytes, str]) -> None:
        """Until it has answered `request`."""
        end = time.monotonic() + _START_SECONDS
        while True:
            try:
                connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
                ask(connection, request)
                return
            except (OSError, RuntimeError) as error:
                if self.process.poll() is not None or time.monotonic() > end:
                    self.stop()
                    raise RuntimeError(f"{error}; {self._log.read_text()[-500:]}") from error
                time.sleep(0.05)
            finally:
                connection.close()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Awake within, asleep outside: some servers keep a core busy with looking for work."""
        for one in self._family():
            one.resume()
        yield
        self.sleep()

    def sleep(self) -> None:
        for one in self._family():
            one.suspend()

    def cpu_seconds(self) -> float:
        return sum(sum(one.cpu_times()[:2]) for one in self._family())

    def peak_bytes(self) -> int:
        """The most memory that it ever held, its children's added."""
        return sum(_peak(one.pid) for one in self._family())

    def stop(self) -> None:
        for one in self._family():
            one.kill()
        self.process.wait()

    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)] if self.process.poll() is None else []


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)

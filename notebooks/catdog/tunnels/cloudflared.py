"""A link through Cloudflare's quick tunnels: no account, a random address, and no guarantee that it lasts."""

import os
import re
import shutil
import subprocess
import threading
import time
from collections import deque
from pathlib import Path

from .. import packages
from ..errors import UserError
from .base import Connection, LinkRefused
from .local import local_url
from .processes import end

_URL = re.compile(r"https://(?!api\.)[a-z0-9-]+\.trycloudflare\.com")
_REGISTERED = re.compile(r"Registered tunnel connection|Connection [0-9a-f-]+ registered", re.IGNORECASE)
_REGISTERED_SECONDS = 15  # after the address is printed; after an early lookup, resolvers cache that it does not exist
_BUSY = re.compile(r"\b429\b|\b1015\b|Too Many Requests")


class CloudflaredConnection(Connection):
    """A process of Cloudflare's own program, independent of the program's configuration on this machine.

    Raises:
        LinkRefused: Cloudflare is busy, the program ended, or it gave no address within `seconds`.
        UserError: the program is not available.
    """

    def __init__(self, port: int, seconds: float = 30, settle: float = 3):
        command = [executable(), "--config", os.devnull, "tunnel", "--no-autoupdate", "--url", local_url(port)]
        self._process = subprocess.Popen(
            command,
            env={name: value for name, value in os.environ.items() if not name.startswith("TUNNEL")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._said: deque[str] = deque(maxlen=20)
        self._told, self._registered, self._found = threading.Event(), threading.Event(), ""
        self._reader = threading.Thread(target=self._listen, name="cloudflared", daemon=True)
        self._reader.start()
        if not self._told.wait(seconds) or not self._found:
            self.close()
            raise self._refusal(seconds)
        self.registered = self._registered.wait(_REGISTERED_SECONDS) and not self.error()
        time.sleep(settle if self.registered else 0)
        super().__init__(self._found)

    def _listen(self) -> None:
        lines = self._process.stderr
        assert lines is not None  # a pipe
        with lines:
            for line in lines:
                self._said.append(line.strip())
                if _REGISTERED.search(line):
                    self._registered.set()
                if not self._found and (url := _URL.search(line)):
                    self._found = url[0]
                    self._told.set()
        self._told.set()
        self._registered.set()

    def _refusal(self, seconds: float) -> LinkRefused:
        said = "\n".join(self._said)
        if _BUSY.search(said):
            return LinkRefused(
                "link-refused",
                "Cloudflare is not creating more quick tunnels right now: try again in a few minutes, or use a free "
                "ngrok account (TUNNEL=ngrok).",
                "429",
            )
        last = f' Its last message: "{self._said[-1]}".' if self._said else ""
        return LinkRefused(
            "link-timeout",
            f"cloudflared gave no address within {seconds:g} s: check that this machine can reach the internet, and "
            f"run this cell again.{last}",
        )

    def error(self) -> str:
        return "" if self._process.poll() is None else "cloudflared has ended."

    def close(self) -> None:
        end(self._process)
        self._reader.join(timeout=5)


def executable() -> str:
    """Return the program's path: `CLOUDFLARED_PATH`, else the one on the PATH, else a download from Cloudflare.

    Raises UserError if there is none and it cannot be downloaded.
    """
    if named := os.environ.get("CLOUDFLARED_PATH"):
        if not os.access(named, os.X_OK):
            raise UserError("link-program", f"CLOUDFLARED_PATH is {named}, which is not a program.")
        return named
    return shutil.which("cloudflared") or _downloaded()


def _downloaded() -> str:
    packages.install_packages("pycloudflared")
    from pycloudflared import util

    try:
        info = util.get_info()
        return info.executable if Path(info.executable).exists() else util.download(info)
    except (OSError, RuntimeError) as error:
        raise UserError(
            "link-not-downloaded",
            f"cloudflared cannot be downloaded ({error}): install it and set CLOUDFLARED_PATH, or set TUNNEL to ngrok.",
        ) from None

"""Downloads with a progress bar, which end when the server stalls."""

import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import IO

from .progress import bar

_BLOCK = 1 << 16


class DownloadFailed(OSError):
    """A download did not succeed; its text says why."""


def download(url: str, file: IO[bytes], what: str, silence: float = 20, within: float = float("inf")) -> None:
    """Write what a server gives for `url` to `file`, and show a progress bar.

    Args:
        what: stands before the progress bar.
        silence: how many seconds the server may send nothing.
        within: how many seconds all of it may take.

    Raises DownloadFailed for every reason: no network, an error of the server, an answer that stalls or ends early.
    """
    try:
        _download(url, file, what, silence, time.monotonic() + within)
    except (OSError, HTTPException) as error:
        raise DownloadFailed(_reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return str(error)  # with the status
    cause = getattr(error, "reason", error)  # urllib wraps what went wrong with a connection
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


def _download(url: str, file: IO[bytes], what: str, silence: float, deadline: float) -> None:
    with urllib.request.urlopen(url, timeout=silence) as answer:
        size = answer.length
        with bar(what=what, unit="B", total=size, scale=True) as progress:
            # read() waits for a whole block, however slowly its bytes come; read1() does not.
            while block := answer.read1(_BLOCK):
                file.write(block)
                progress.update(len(block))
                if time.monotonic() > deadline:
                    raise TimeoutError("the server is too slow")
            if size is not None and progress.n != size:
                raise ConnectionError(f"the answer ended after {progress.n} of {size} bytes")

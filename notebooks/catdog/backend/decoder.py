"""A decoder: a process that reads photos one by one, for as long as the program that started it runs.

It imports only what reads photos, never the program that started it, so it is ready in a fifth of a second of CPU time.
Its messages are plain bytes: a photo that takes it over can send nothing else to the service.
"""

import contextlib
import importlib
import json
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ..data.images import PhotoRefused, read_photo
from ..data.preprocessing import PREPROCESSING, Preprocessing
from .malloc import give_back_large_blocks

READ = f"{__name__}:read_or_refuse"
PHOTO, REFUSED = b"p", b"r"
_HEADER = struct.Struct("!Q")
_MOST_BYTES = 1536 << 20  # on top of what the process uses when it starts

Outcome: TypeAlias = np.ndarray | tuple[str, str]


def read_or_refuse(data: bytes, pixels: int, preprocessing: Preprocessing = PREPROCESSING) -> Outcome:
    """Read a photo of at most `pixels` with `images.read_photo`. Returns it, or code and message of its refusal."""
    try:
        return read_photo(data, max_pixels=pixels, preprocessing=preprocessing)
    except PhotoRefused as refusal:
        return refusal.code, str(refusal)
    except MemoryError:
        return "photo-unreadable", "Reading this photo takes too much memory. Save it as a new JPEG."


def send(line: socket.socket, *parts: bytes) -> None:
    """Send `parts` as one message. Raises OSError if nobody is at the other end."""
    body = b"".join(_HEADER.pack(len(part)) + part for part in parts)
    line.sendall(_HEADER.pack(len(body)) + body)


def receive(line: socket.socket, most: int = 1 << 40, end: float | None = None) -> list[bytes]:
    """Return the parts of the next message.

    Args:
        most: bytes that it may have.
        end: when all of it must have arrived, by time.monotonic().

    Raises EOFError if the connection is closed, ValueError for more bytes, OSError and TimeoutError as sockets do.
    """
    (size,) = _HEADER.unpack(_exactly(line, _HEADER.size, end))
    if size > most:
        raise ValueError("a message that is too long")
    body, parts = memoryview(_exactly(line, size, end)), []
    while body:
        stop = _HEADER.size + _HEADER.unpack(body[: _HEADER.size])[0]
        parts.append(bytes(body[_HEADER.size : stop]))
        body = body[stop:]
    return parts


def _exactly(line: socket.socket, number: int, end: float | None) -> bytearray:
    found = bytearray(number)
    view = memoryview(found)
    while view:
        if end is not None:
            line.settimeout(max(0.001, end - time.monotonic()))
        read = line.recv_into(view)
        if not read:
            raise EOFError
        view = view[read:]
    return found


def main(port: int, token: str, read: str) -> None:
    """Read photos for the program that listens on `port` of this machine, until it closes the connection."""
    module, name = read.split(":")
    reader: Callable[..., Outcome] = getattr(importlib.import_module(module), name)
    line = socket.create_connection(("127.0.0.1", port))
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    give_back_large_blocks()
    _limit_memory()
    _go_first()
    send(line, token.encode())
    with contextlib.suppress(EOFError, OSError):
        while True:
            seconds, pixels, version, data = receive(line)
            _limit_processor_time(float(seconds))
            found = reader(data, int(pixels), Preprocessing.of(version.decode()))
            _limit_processor_time(0)
            if isinstance(found, np.ndarray):
                send(line, PHOTO, np.ascontiguousarray(found, np.uint8).tobytes())
            else:
                send(line, REFUSED, json.dumps(found).encode())


def _limit_processor_time(seconds: float) -> None:
    """Have the system end this process after `seconds` of processor time, even in C code; 0 removes the limit."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _go_first() -> None:
    """If memory runs out, let the system end this process rather than the service, which starts another."""
    with contextlib.suppress(OSError):  # only Linux has this
        Path("/proc/self/oom_score_adj").write_text("1000")


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows and macOS have no such limit
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + _MOST_BYTES, used + _MOST_BYTES))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.stdin.readline().strip(), sys.argv[2])

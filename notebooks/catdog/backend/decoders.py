"""Processes that decode photos from untrusted clients: one that hangs, crashes or is killed harms nothing else.

Each has its own connection and at most one photo, which belongs to the thread that waits for it. So no photo is lost
between them, and only the process that failed is replaced. Process pools (concurrent.futures, pebble) share queues and
locks: a process that dies at the wrong moment breaks them for all (pebble #119, #153).
"""

import atexit
import contextlib
import functools
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future

import numpy as np

from ..data.preprocessing import Preprocessing
from ..machine import memory, processors
from .decoder import PHOTO, READ, Outcome, receive, send

_EACH_TAKES, _OTHERS_TAKE = 400 << 20, 600 << 20  # bytes: one photo while it is decoded, and the rest of the service
DECODERS = max(1, min(4, processors(), (memory() - _OTHERS_TAKE) // _EACH_TAKES))  # for all requests
_PHOTOS_A_LIFE = 2000  # decoders leak a little
_START_SECONDS = 60  # on a very busy machine
_STARTERS = 2  # permanent threads: decoders must start even when no new thread can
_PAUSES = (0.1, 0.5, 1, 2, 5)  # seconds between attempts to start one, if there is no room for a process
_MOST_WORDS = 64 << 10  # bytes of a refusal, and of the framing around a photo
_WALL = 6  # limit by the clock over limit of processor time, for busy machines


class Slow(Exception):
    """The photo took too long."""


class Crashed(Exception):
    """The photo ended its decoder."""


class Lost(Exception):
    """Something else ended the decoder: the photo is not to blame."""


class NoneFree(Exception):
    """No decoder was free in time."""


class Decoder:
    """One process and `line`, the connection to it. Raises OSError if it cannot be started."""

    def __init__(self, read: str = READ):
        token = secrets.token_hex(16)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._process = _started(listener.getsockname()[1], token, read)
            try:
                self.line = _accepted(listener, self._process, token)
            except BaseException:
                self._process.kill()
                self._process.wait()
                raise
        self.photos, self.handed_out = 0, 0.0

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def begin(self, data: bytes, pixels: int, preprocessing: Preprocessing, seconds: float) -> None:
        """Send it a photo's file. The photo may take `seconds` of processor time, and several times as long by the
        clock, for busy machines. Raises Lost."""
        self._pixels, self._end = preprocessing.pixels, time.monotonic() + _WALL * seconds
        version = preprocessing.version.encode()
        try:
            self.line.settimeout(_WALL * seconds)
            send(self.line, str(seconds).encode(), str(pixels).encode(), version, data)
        except OSError:
            raise Lost from None

    @property
    def seconds_left(self) -> float:
        """Seconds by the clock that its photo may still take."""
        return max(0.0, self._end - time.monotonic())

    def finish(self, left: float) -> Outcome:
        """Return the result of `decoder.read_or_refuse`, waiting `left` seconds at most.

        Raises Slow, Crashed, Lost, and TimeoutError if `left` is over first. After any of them the decoder is useless.
        """
        allowed = self.seconds_left
        try:
            found = self._outcome(time.monotonic() + min(allowed, left))
        except TimeoutError:
            if left < allowed:
                raise
            raise Slow from None
        except (EOFError, OSError):
            raise self._why() from None
        except Exception:  # no intact decoder sends this: the photo has taken it over
            raise Crashed from None
        self.photos += 1
        return found

    def _outcome(self, end: float) -> Outcome:
        most = 3 * self._pixels**2 + _MOST_WORDS
        kind, body = receive(self.line, most, end)
        if kind == PHOTO:
            return np.frombuffer(body, np.uint8).reshape(self._pixels, self._pixels, 3)
        code, message = json.loads(body)
        return str(code), str(message)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self.line.close()

    def _why(self) -> Exception:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        ended = self._process.returncode
        if hasattr(signal, "SIGPROF") and ended == -signal.SIGPROF:
            return Slow()
        return Lost() if ended in (-signal.SIGTERM, -9) else Crashed()


def _started(port: int, token: str, read: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", f"{__package__}.decoder", str(port), read]
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,  # what photos make decoders print is nobody's business
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the service, which ends them
    )
    assert process.stdin is not None  # a pipe
    process.stdin.write(f"{token}\n".encode())  # not an argument: everybody on the machine could read it
    process.stdin.close()
    return process


def _accepted(listener: socket.socket, process: subprocess.Popen, token: str) -> socket.socket:
    """Accept the connection of the process, and of no other program that connects to the port."""
    listener.settimeout(1)
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            line, _ = listener.accept()
        except TimeoutError:
            continue
        try:
            if secrets.compare_digest(receive(line, _MOST_WORDS, time.monotonic() + 5)[0], token.encode()):
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return line
        except Exception:  # another program may connect, and send anything
            pass
        line.close()
    raise OSError("a decoder did not start")


class Decoders:
    """Up to `number` decoders at work, first come, first served, and a spare to replace one that ends."""

    def __init__(self, number: int = DECODERS, read: str = READ):
        self._number, self._read = number, read
        self._ready: list[Decoder] = []
        self._waiting: deque[Future] = deque()
        self._busy, self._closed, self._lock = 0, False, threading.Lock()
        self._missing = threading.Semaphore(number + 1)
        for _ in range(_STARTERS):
            threading.Thread(target=self._start_what_is_missing, name="starts decoders", daemon=True).start()

    @property
    def pids(self) -> list[int]:
        """Process ids of the idle decoders."""
        with self._lock:
            return [decoder.pid for decoder in self._ready]

    def take(self, seconds: float) -> Decoder:
        """Take a decoder for this thread alone, until `give_back`. Raises NoneFree after `seconds`."""
        mine: Future = Future()
        with self._lock:
            self._waiting.append(mine)
        self._hand_out()
        try:
            return mine.result(seconds)
        except TimeoutError:
            if not mine.cancel():  # it came just now
                self.give_back(mine.result())
            raise NoneFree from None

    @property
    def has_free(self) -> bool:
        """Whether a decoder is idle and nobody waits for one."""
        with self._lock:
            return not self._waiting and self._busy < self._number and bool(self._ready)

    def give_back(self, decoder: Decoder, well: bool = True) -> None:
        """Give a decoder back after a photo. One that is not `well`, or has read its share of photos, is replaced."""
        if keep := well and decoder.photos < _PHOTOS_A_LIFE:
            with self._lock:
                self._ready.append(decoder)
        else:
            decoder.end()
        with self._lock:
            self._busy -= 1
        if not keep:
            self._missing.release()
        self._hand_out()

    def close(self) -> None:
        """End the idle decoders. Busy ones end with this process."""
        with self._lock:
            self._closed, ready, self._ready = True, self._ready, []
        self._missing.release(_STARTERS)
        for decoder in ready:
            decoder.end()

    def _hand_out(self) -> None:
        with self._lock:
            while self._waiting and self._busy < self._number and self._ready:
                decoder = self._ready.pop()
                if not decoder.alive:  # killed while it had nothing to do
                    decoder.end()
                    self._missing.release()
                    continue
                waiting = self._waiting.popleft()
                if waiting.set_running_or_notify_cancel():
                    self._busy += 1
                    decoder.handed_out = time.monotonic()
                    waiting.set_result(decoder)
                else:
                    self._ready.append(decoder)

    def _start_what_is_missing(self) -> None:
        failed = 0
        while self._missing.acquire() and not self._closed:
            try:
                self._start()
                failed = 0
            except Exception:  # no room for a process, a file or memory now: try again later
                time.sleep(_PAUSES[min(failed, len(_PAUSES) - 1)])
                failed += 1
                self._missing.release()

    def _start(self) -> None:
        decoder = Decoder(self._read)
        with self._lock:
            if is_wanted := not self._closed:
                self._ready.append(decoder)
        if not is_wanted:
            decoder.end()
        self._hand_out()


@functools.cache
def decoders(read: str = READ) -> Decoders:
    """Return the decoders of this process, shared by everything it serves."""
    found = Decoders(DECODERS, read)
    atexit.register(found.close)
    return found

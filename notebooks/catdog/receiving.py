"""How requests come in: what strangers may send, and hold while they send it, before an app sees anything.

waitress reads a request whole before a thread of the server has anything to do with it, so a slow sender costs a
socket and no thread. What it leaves open is settled here: large bodies are read to their end and thrown away, so that
the sender gets to see the refusal; all bodies together stay within a number of bytes, and none is written to disk;
who sends next to nothing for long is sent away; and the app itself words every refusal.
"""

import io
import threading
import time

from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import WSGITask
from waitress.utilities import Error, RequestEntityTooLarge

REFUSED = "catdog.refused"  # in a request's environ: the status with which the app is to refuse it
_LEAST_RATE = 500  # bytes a second on average, asked for once the server's patience is at an end
_READ_AND_THROWN_AWAY = 1 << 30  # bytes of one body, before the connection is cut


class Budget:
    """So many bytes for all bodies together that are arriving or being answered."""

    def __init__(self, total: int):
        self._left, self._lock = total, threading.Lock()

    def take(self, number: int) -> bool:
        """False, and nothing taken, where there are not so many left; negative numbers give back."""
        with self._lock:
            if number > self._left:
                return False
            self._left -= number
            return True


class _TooSlow(Error):
    code, reason = 408, "Request Timeout"


class _NoRoom(Error):
    code, reason = 503, "Service Unavailable"


class _Nowhere(OverflowableBuffer):
    """Where the body of a request goes that is refused already."""

    def __init__(self):
        super().__init__(1)

    def append(self, s: bytes) -> None:
        pass


class Parser(HTTPRequestParser):
    """Reads one request; `adj.budget` is the `Budget` of its server, `adj.patience` how many seconds it may take at
    any rate."""

    def __init__(self, adj):
        super().__init__(adj)
        self._began, self._read, self._held = time.monotonic(), 0, 0
        self._refusal: Error | None = None

    def received(self, data: bytes) -> int:
        body_before = self.body_bytes_received
        consumed = super().received(data)
        self._read += consumed
        if isinstance(self.error, RequestEntityTooLarge):
            self._refusal = self._refusal or self.error
        elif not self._refusal and not self._hold(self.body_bytes_received - body_before):
            self._refusal = _NoRoom("")
        if self._refusal:
            self._throw_away()
        elif not self.completed and self._too_slow():
            self.error, self.completed, self.expect_continue = _TooSlow(""), True, False
        return consumed

    def close(self) -> None:
        self._give_back()
        super().close()

    def __del__(self):  # of a request that was never finished, nobody closes anything
        self._give_back()

    def _hold(self, number: int) -> bool:
        if number and not self.adj.budget.take(number):
            return False
        self._held += number
        return True

    def _give_back(self) -> None:
        self.adj.budget.take(-self._held)
        self._held = 0

    def _throw_away(self) -> None:
        self._give_back()
        if not isinstance(self.body_rcv.buf, _Nowhere):
            self.body_rcv.buf.close()
            self.body_rcv.buf = _Nowhere()
        # Who asks before sending the body is told at once, and sends none.
        self.completed = (
            self.expect_continue
            or self.body_rcv.completed
            or bool(self.body_rcv.error)
            or self.body_bytes_received > _READ_AND_THROWN_AWAY
            or self._too_slow()
        )
        self.expect_continue = False
        self.error = self._refusal if self.completed else None

    def _too_slow(self) -> bool:
        return self._read < (time.monotonic() - self._began - self.adj.patience) * _LEAST_RATE


class _Refusal(WSGITask):
    """Has the app answer in the place of waitress, in its own words."""

    def __init__(self, channel, request):
        super().__init__(channel, request)
        if not isinstance(request.error, (RequestEntityTooLarge, _NoRoom)):  # its header could not be read
            self.request = HTTPRequestParser(channel.adj)
            self.request.parse_header(b"GET / HTTP/1.0\r\n")
        self._status = request.error.code

    def get_environment(self) -> dict:
        nothing = {"CONTENT_LENGTH": "0", "CONTENT_TYPE": "", "wsgi.input": io.BytesIO()}
        return {**super().get_environment(), **nothing, REFUSED: self._status}

    def execute(self) -> None:
        self.set_close_on_finish()
        super().execute()


class Channel(HTTPChannel):
    parser_class = Parser


class RefusingChannel(Channel):
    """For apps that look for `REFUSED`."""

    error_task_class = _Refusal

"""Limits on incoming requests: what untrusted clients may send, and occupy, before an app sees anything.

waitress reads a whole request before a thread of the server handles it, so a slow sender costs a socket but no thread.
This module adds the rest. It reads bodies that are too large to their end and discards them, so that the sender sees
the rejection. All bodies together stay within a number of bytes, and none is written to disk. Clients that send almost
nothing for long are disconnected. The number of requests in progress per client is limited. And the app itself words
every rejection.
"""

import functools
import io
import ipaddress
import math
import threading
import time

from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import WSGITask
from waitress.utilities import BadRequest, Error, RequestEntityTooLarge

REJECTED_STATUS = "catdog.refused"  # in a request's environ: the status with which the app must reject it
_LEAST_RATE = 500  # bytes per second, checked each time that the server's patience has passed
_PAUSE_SECONDS = 5  # the most of a pause that counts
_READ_AND_THROWN_AWAY = 1 << 30  # bytes of one body, before the connection is closed
HERE = ("127.0.0.1", "::1")
_BESIDE_CHUNKS = 16 << 10  # bytes, plus one more received piece
_NEW_SECONDS = 1  # for which a connection without a request counts as new
_FEW = 6  # requests in progress: as many as a browser's connections to one service
_OF_ONE_CLIENT = 100  # requests arriving or being answered: a school class behind one address


class Share:
    """A budget of `total` for all clients together, and of at most `each` per client.

    Clients on this machine that do not come through a tunnel are only limited by `total`.
    """

    def __init__(self, total: float, each: float = math.inf):
        self._left, self._each, self._lock = total, each, threading.Lock()
        self._taken: dict[str, int] = {}

    def take(self, client: str, number: int = 1) -> bool:
        """Take `number` for a client; return False, and take nothing, if that exceeds a limit."""
        with self._lock:
            mine = self._taken.get(client, 0) + number
            if number > self._left or (mine > self._each and client not in HERE):
                return False
            self._left -= number
            self._taken[client] = mine
            return True

    def give_back(self, client: str, number: int = 1) -> None:
        with self._lock:
            self._left += number
            left = self._taken.get(client, 0) - number
            if left > 0:
                self._taken[client] = left
            else:
                self._taken.pop(client, None)

    def of(self, client: str) -> int:
        """Return how much `client` has taken."""
        return self._taken.get(client, 0)


def client_behind(address: str, forwarded_for: str) -> str:
    """Return the client's address. Behind a tunnel, every request comes from this machine. Only then trust a forwarded
    address, and of several the last, which the tunnel itself added."""
    last = forwarded_for.rpartition(",")[2].strip()
    return last if last and address in HERE else address


def rate_limit_key(client: str) -> str:
    """Return the key under which `client` is counted. For IPv6, that is the address's first half, since one client owns
    all the addresses of its network."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client[:64]
    if address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else str(address)


class _TooSlow(Error):
    code, reason = 408, "Request Timeout"


class _TooMany(Error):
    code, reason = 429, "Too Many Requests"


class _NoRoom(Error):
    code, reason = 503, "Service Unavailable"


class NullBuffer(OverflowableBuffer):
    """A buffer that discards the body of a rejected request."""

    def __init__(self):
        super().__init__(1)

    def append(self, s: bytes) -> None:
        pass


class LimitedRequestParser(HTTPRequestParser):
    """Parser of one request from `address`.

    `adj.bodies` is the server's `Share` in bytes, `adj.under_way` that in requests, and `adj.patience` how many seconds
    may pass in which almost nothing arrives.

    `client` is the sender's `rate_limit_key`, once the header is read.
    """

    def __init__(self, adj, address: str = ""):
        super().__init__(adj)
        self._address, self._held = address, 0
        self._read, self._passed, self._last = 0, 0.0, time.monotonic()
        self._refusal: Error | None = None
        self.client, self._counted = "", False

    def received(self, data: bytes) -> int:
        body_before = self.body_bytes_received
        try:
            consumed = super().received(data)
        except ValueError:  # an address or length that Python cannot parse: waitress would just disconnect
            self._end_with(BadRequest(""))
            return len(data)
        self._read += consumed
        if self.headers_finished and not self.client:
            self.client = rate_limit_key(client_behind(self._address, self.headers.get("X_FORWARDED_FOR", "")))
            self._counted = self.adj.under_way.take(self.client)
            self._refusal = None if self._counted else _TooMany("")
        if isinstance(self.error, RequestEntityTooLarge):
            self._refusal = self._refusal or self.error
        elif not self._refusal and not self._hold(self.body_bytes_received - body_before):
            self._refusal = _NoRoom("")
        if self._says_more_than_it_sends():
            self._end_with(BadRequest(""))
        elif self._refusal:
            self._throw_away()
        elif not self.completed and self._too_slow():
            self._end_with(_TooSlow(""))
        return consumed

    def _end_with(self, error: Error) -> None:
        self.error, self.completed, self.expect_continue = error, True, False

    def _says_more_than_it_sends(self) -> bool:
        """Tell whether there is too much text between chunks or after the last. waitress keeps all of it, and copies it
        with each received piece."""
        beside = (getattr(self.body_rcv, name, b"") for name in ("control_line", "trailer"))
        return any(len(text) > _BESIDE_CHUNKS for text in beside)

    def close(self) -> None:
        self._give_back()
        self._leave()
        super().close()

    def _hold(self, number: int) -> bool:
        if number and not self.adj.bodies.take(self.client, number):
            return False
        self._held += number
        return True

    def _give_back(self) -> None:
        if self._held:
            self.adj.bodies.give_back(self.client, self._held)
        self._held = 0

    def _leave(self) -> None:
        if self._counted:
            self._counted = False
            self.adj.under_way.give_back(self.client)

    def _throw_away(self) -> None:
        self._give_back()
        if self.body_rcv is None:  # there is no body
            self.error = self._refusal
            return
        if not isinstance(self.body_rcv.buf, NullBuffer):
            self.body_rcv.buf.close()
            self.body_rcv.buf = NullBuffer()
        # A client that asks before sending the body gets the answer at once, and sends none.
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
        """Tell whether almost nothing arrived in the last seconds, however much arrived before.

        A pause counts for only a few seconds: the server itself closes connections that stay idle, and it does not read
        while it answers an earlier request.
        """
        now = time.monotonic()
        self._passed += min(now - self._last, _PAUSE_SECONDS)
        self._last = now
        if self._passed < self.adj.patience:
            return False
        slow = self._read < self._passed * _LEAST_RATE
        self._read, self._passed = 0, 0.0
        return slow


class _Refusal(WSGITask):
    """A task in which the app rejects a request, in its own words, instead of waitress."""

    def __init__(self, channel, request):
        super().__init__(channel, request)
        could_be_read = isinstance(request.error, (RequestEntityTooLarge, _TooMany, _NoRoom))
        if not could_be_read or not hasattr(request, "path"):
            self.request = HTTPRequestParser(channel.adj)
            self.request.parse_header(b"GET / HTTP/1.0\r\n")
        self._status = request.error.code

    def get_environment(self) -> dict:
        nothing = {"CONTENT_LENGTH": "0", "CONTENT_TYPE": "", "wsgi.input": io.BytesIO()}
        return {**super().get_environment(), **nothing, REJECTED_STATUS: self._status}

    def execute(self) -> None:
        self.set_close_on_finish()
        super().execute()


class Channel(HTTPChannel):
    is_leaving = False  # to be closed after the answer in progress

    def __init__(self, server, sock, addr, adj, map=None):
        self.parser_class = functools.partial(LimitedRequestParser, address=addr[0])
        super().__init__(server, sock, addr, adj, map)

    @property
    def last_activity(self) -> float:
        """Time of the last activity by the monotonic clock, not by waitress' clock, which can be set."""
        return self._last_activity

    @last_activity.setter
    def last_activity(self, on_the_wall: float) -> None:
        self._last_activity = time.monotonic()

    def handle_close(self) -> None:
        """Release what an incomplete request holds now, rather than at Python's next garbage collection."""
        if self.request:
            self.request.close()
        super().handle_close()

    def readable(self) -> bool:
        """Tell whether to read more; called by the server's loop before each wait."""
        if self.is_leaving and not self.is_answered:
            self.will_close = True
        return super().readable()

    @property
    def is_answered(self) -> bool:
        """Whether one of its requests is being answered, or an answer is being sent."""
        return bool(self.requests or self.total_outbufs_len)

    @property
    def dispensable(self) -> tuple:
        """Sort key for idle channels, the most dispensable first: those without a request for some time; those of
        clients that are unknown or have many requests in progress; new ones; and last all others. Within each group,
        those idle for longest come first."""
        if self.request is None:
            is_new = time.monotonic() - self.last_activity < _NEW_SECONDS
            return 2 if is_new else 0, 0, self.last_activity
        number = self.adj.under_way.of(self.request.client)
        has_few = self.request.client and number <= _FEW
        return 3 if has_few else 1, -number, self.last_activity


class RefusingChannel(Channel):
    """A channel for apps that handle `REJECTED_STATUS`."""

    error_task_class = _Refusal

"""How requests come in: what untrusted clients may send, and hold meanwhile, before an app sees anything.

waitress reads a request whole before a thread of the server has anything to do with it, so a slow sender costs a
socket and no thread. What it leaves open is settled here: large bodies are read to their end and thrown away, so that
the sender gets to see the refusal; all bodies together stay within a number of bytes, and none is written to disk;
who sends next to nothing for long is sent away; nobody has very many requests under way; and the app itself words every
refusal.
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

REJECTED_STATUS = "catdog.refused"  # in a request's environ: the status with which the app is to refuse it
_LEAST_RATE = 500  # bytes a second, each time that the server's patience is at an end
_PAUSE_SECONDS = 5  # of a pause, that count
_READ_AND_THROWN_AWAY = 1 << 30  # bytes of one body, before the connection is cut
HERE = ("127.0.0.1", "::1")
_BESIDE_CHUNKS = 16 << 10  # bytes, and one more piece of what comes
HERE = ("127.0.0.1", "::1")
_NEW_SECONDS = 1  # in which a connection may be without a request
_FEW = 6  # requests under way, as many as a browser keeps connections to one service
_OF_ONE_CLIENT = 100  # requests that are arriving or being answered: a class of pupils behind one address


class Share:
    """So much of something for all clients together, and no more than `each` for one of them, if that is limited.

    Who asks on this machine, through no tunnel, has no limit but that for all.
    """

    def __init__(self, total: float, each: float = math.inf):
        self._left, self._each, self._lock = total, each, threading.Lock()
        self._taken: dict[str, int] = {}

    def take(self, client: str, number: int = 1) -> bool:
        """False, and nothing taken, where there is not so much left."""
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
        """What `client` has taken."""
        return self._taken.get(client, 0)


def client_behind(address: str, forwarded_for: str) -> str:
    """The address of who asks. Behind a tunnel every request comes from this machine; only then is the forwarded
    address believed, and of several the last, which the tunnel itself has added."""
    last = forwarded_for.rpartition(",")[2].strip()
    return last if last and address in HERE else address


def rate_limit_key(client: str) -> str:
    """`client` for counting: of an IPv6 address the first half, for one client has all the others of its network."""
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
    """Where the body of a request goes that is refused already."""

    def __init__(self):
        super().__init__(1)

    def append(self, s: bytes) -> None:
        pass


class LimitedRequestParser(HTTPRequestParser):
    """Reads one request from `address`.

    `adj.bodies` is the `Share` of its server in bytes, `adj.under_way` in requests, and `adj.patience` how many seconds
    may pass in which next to nothing comes.

    `client` is the `rate_limit_key` of who sends it, as soon as its header is read.
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
        except ValueError:  # an address or a length that Python cannot read: waitress would just hang up
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
        """Between chunks, or behind the last: waitress keeps that whole, and copies it with each piece that comes."""
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
        """Whether next to nothing came in the last seconds, however much came before.

        A pause counts for no more than a few of them: who was out of reach is cut by the server if that lasts, and the
        server itself does not read while it answers a request before this one.
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
    """Has the app answer in the place of waitress, in its own words."""

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
    is_leaving = False  # to be closed after the answer that is under way

    def __init__(self, server, sock, addr, adj, map=None):
        self.parser_class = functools.partial(LimitedRequestParser, address=addr[0])
        super().__init__(server, sock, addr, adj, map)

    @property
    def last_activity(self) -> float:
        """By a clock that nobody sets, whatever waitress says."""
        return self._last_activity

    @last_activity.setter
    def last_activity(self, on_the_wall: float) -> None:
        self._last_activity = time.monotonic()

    def handle_close(self) -> None:
        """What a request holds that has not come in whole is given back now, not when Python next tidies up."""
        if self.request:
            self.request.close()
        super().handle_close()

    def readable(self) -> bool:
        """Asked by the server's loop before each wait."""
        if self.is_leaving and not self.is_answered:
            self.will_close = True
        return super().readable()

    @property
    def is_answered(self) -> bool:
        """Whether a request of it is being answered, or its answer sent."""
        return bool(self.requests or self.total_outbufs_len)

    @property
    def dispensable(self) -> tuple:
        """Sorts channels that are not answered by who can be done without, the first first: on which nothing has begun
        though there was time to; of clients that have many requests under way, or do not say who they are; that have
        just come; and last those of everybody else. Of each, those on which nothing came for longest."""
        if self.request is None:
            is_new = time.monotonic() - self.last_activity < _NEW_SECONDS
            return 2 if is_new else 0, 0, self.last_activity
        number = self.adj.under_way.of(self.request.client)
        has_few = self.request.client and number <= _FEW
        return 3 if has_few else 1, -number, self.last_activity


class RefusingChannel(Channel):
    """For apps that look for `REJECTED_STATUS`."""

    error_task_class = _Refusal

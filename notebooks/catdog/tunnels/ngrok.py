"""A link through ngrok's own SDK.

The design follows from the SDK's sessions (1.4 and 1.7). A closed session keeps its connection, and ngrok counts it, so
a healthy session is reused. After a failed reconnect, a session waits two minutes. On a connection that is silent but
not cut, it waits for ever, so such a session is abandoned.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import cache
from pathlib import Path

from .. import __version__
from ..errors import UserError
from . import ngrok_errors
from .base import Connection, LinkRefused, Timing
from .local import local_url

_CLOSE_SECONDS = 2
_TROUBLE = (TimeoutError, ValueError, RuntimeError)  # the SDK raises ValueError, and once closed, RuntimeError
_INTERNET = "check that this machine can reach the internet"
_sessions: dict[tuple[str, str], "_Session"] = {}  # by server and token


class NgrokConnection(Connection):
    """One endpoint.

    Raises:
        LinkRefused: ngrok refused it, or did not answer in time.
        UserError: the SDK is not installed, or NGROK_CA_CERT cannot be read.
    """

    def __init__(self, port: int, token: str, domain: str, timing: Timing):
        self._session = _session(token, timing)
        self._listener, self._cuts = None, self._session.cuts
        try:
            self._listener = _in_loop(self._session.listen(port, domain), timing.ngrok)
        except BaseException as error:
            self.close()
            if isinstance(error, _TROUBLE):
                raise _refusal(error, token, timing) from None
            raise
        super().__init__(self._listener.url())

    def error(self) -> str:
        session = self._session
        return f"ngrok has been silent for {session.silent_seconds:.0f} s." if session.silent else ""

    def suspect(self) -> str:
        seen, self._cuts = self._cuts, self._session.cuts
        return "The connection to ngrok was cut." if seen != self._cuts else ""

    def close(self) -> None:
        listener, self._listener = self._listener, None
        if listener:
            try:
                _in_loop(_closed(listener), _CLOSE_SECONDS)
            except _TROUBLE:
                self._session.give_up()

    def discard(self) -> None:
        self.close()
        self._session.give_up()


class _Session:
    """A connection to ngrok, shared by all endpoints of this process with the same token."""

    def __init__(self, key: tuple[str, str], builder, timing: Timing):
        self._key, self.cuts, self._lost, self._beat, self._timing = key, 0, False, time.monotonic(), timing
        builder.heartbeat_interval(timing.beat)
        builder.heartbeat_tolerance(timing.beat)
        builder.handle_heartbeat(self._heard)
        builder.handle_disconnection(self._cut)
        self._session = _in_loop(_opened(builder.connect), timing.ngrok)
        _sessions[key] = self

    async def listen(self, port: int, domain: str):
        endpoint = self._session.http_endpoint()
        if domain:
            endpoint.domain(domain)
        return await _opened(endpoint.listen_and_forward, local_url(port))

    @property
    def silent_seconds(self) -> float:
        return time.monotonic() - self._beat

    @property
    def silent(self) -> bool:
        return self.silent_seconds > self._timing.silent

    @property
    def healthy(self) -> bool:
        return not self._lost and not self.silent

    def give_up(self) -> None:
        """Close and forget the session, or the SDK may reconnect it later and take the address from the next one."""
        if _sessions.get(self._key) is self:
            del _sessions[self._key]
        with suppress(*_TROUBLE):
            _in_loop(_closed(self._session), _CLOSE_SECONDS)

    def _heard(self, latency) -> None:
        self._lost, self._beat = False, time.monotonic()

    def _cut(self, address, error) -> None:
        self._lost = True
        self.cuts += 1


def _session(token: str, timing: Timing) -> _Session:
    key = (os.environ.get("NGROK_SERVER_ADDR", ""), token)
    known = _sessions.get(key)
    if known and known.healthy:
        return known
    if known:
        known.give_up()
    try:
        return _Session(key, _builder(*key), timing)
    except _TROUBLE as error:
        raise _refusal(error, token, timing) from None


def _builder(server: str, token: str):
    try:
        import ngrok
    except ImportError:
        raise UserError(
            "ngrok-not-installed", "ngrok's SDK is not installed: run `pip install ngrok`, then run this cell again."
        ) from None
    builder = ngrok.SessionBuilder().authtoken(token).client_info("catdog", __version__)
    if server:
        builder.server_addr(server)
    if certificate := os.environ.get("NGROK_CA_CERT"):
        try:
            builder.ca_cert(bytearray(Path(certificate).read_bytes()))
        except OSError as error:
            raise UserError(
                "ngrok-certificate", f"NGROK_CA_CERT is {certificate}, which cannot be read ({error.strerror})."
            ) from None
    return builder


def _refusal(error: Exception, token: str, timing: Timing) -> LinkRefused:
    """Turn an error into a LinkRefused. The SDK raises ValueError(context, ngrok's words, code); without a code, ngrok
    was not reached at all."""
    if isinstance(error, TimeoutError):
        return LinkRefused("link-timeout", f"ngrok did not answer within {timing.ngrok:g} s: {_INTERNET}.")
    _, words, code = (*error.args, "", "", "")[:3]
    words = ngrok_errors.without(token, str(words))
    if not code:
        return LinkRefused("link-unreachable", f"ngrok could not be reached: {_INTERNET}. ({words.strip()})")
    return LinkRefused("link-refused", ngrok_errors.explain(code, words), code)


async def _opened(opening: Callable, *arguments):
    """Return the result of `opening`. If it arrives after the caller stopped waiting, close it, or it would hold the
    address."""
    coming = asyncio.ensure_future(opening(*arguments))
    try:
        return await asyncio.shield(coming)
    except asyncio.CancelledError:
        coming.add_done_callback(_close_what_came)
        raise


def _close_what_came(coming: asyncio.Future) -> None:
    if not coming.cancelled() and not coming.exception():
        asyncio.run_coroutine_threadsafe(_closed(coming.result()), _loop())


async def _closed(part) -> None:
    await part.close()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Return the event loop for the SDK. A notebook already runs one, in which the SDK's calls would only return
    tasks."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="ngrok", daemon=True).start()
    return loop


def _in_loop(work: Coroutine, seconds: float):
    future = asyncio.run_coroutine_threadsafe(work, _loop())
    try:
        return future.result(seconds)
    finally:
        future.cancel()

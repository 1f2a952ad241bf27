"""Serve a Flask app from a notebook: in the background, only once, on a free port, until stopped."""

import atexit
import contextlib
import functools
import logging
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable

from waitress import wasyncore
from waitress.server import create_server

from ..errors import UserError, first_line
from .listener import Accepting, Listener
from .request_limits import REJECTED_STATUS, Channel, RefusingChannel, Share

_THREADS = 32
_CONNECTIONS = 1000  # at a time; a slow sender holds one
_IDLE_SECONDS = 60  # in the middle of a request
_SILENT_SECONDS, _LOOK_SECONDS = 8, 1  # without a request; how often this is checked
_UNDER_WAY = 100  # requests of one client: a school class behind one address
_SHARE_MADE_ROOM = 20  # if there is no room for more, one in so many connections is closed
_NO_FILE_SECONDS = 0.05
_STILL_RUNS_SECONDS = 0.1  # between two checks whether a loop that something waits for still runs
_DRAIN_SECONDS = 5
_LOGGER = logging.getLogger("waitress")
_running: dict[str, "Server"] = {}


class Server:
    """A running server: `port` is its actual port, `url` its address on this machine.

    Args:
        max_body: bytes of a request, at most; larger ones are rejected with 413.
        all_bodies: bytes of all requests that are arriving or being answered, at most half of them for one client;
            beyond that, requests get a 503.
        threads: number of requests that are answered at the same time.
        patience: seconds for which a request may arrive at almost no speed.
        app_refuses: whether `app` itself rejects what never becomes a request to it (see
            `request_limits.REJECTED_STATUS`); if not, waitress does so in plain text.
        drain: seconds that requests in flight may take when the server is stopped.
        silent: seconds after which a connection without a request is closed.
        connections: at the same time; beyond that, the most dispensable are closed. 0: half as many as this process may
            open files, at most 1,000.
        under_way: requests of one client that are arriving or being answered.

    Raises OSError if the port is taken.
    """

    def __init__(
        self,
        app: Callable,
        host: str,
        port: int,
        max_body: int = 64 << 20,
        all_bodies: int = 256 << 20,
        threads: int = _THREADS,
        patience: float = 30,
        app_refuses: bool = False,
        drain: float = _DRAIN_SECONDS,
        silent: float = _SILENT_SECONDS,
        connections: int = 0,
        under_way: int = _UNDER_WAY,
    ):
        # Before waitress, which starts threads even if it cannot listen.
        listener = socket.create_server((host, port))
        self.port = listener.getsockname()[1]
        self._sockets: dict = {}
        self._listeners: dict[str, Listener] = {}  # besides the one at `host`, by address
        self._app, self._refuses, self._drain, self._silent = app, app_refuses, drain, silent
        self._most_connections, self._next_look = connections or _connections(), 0.0
        self._in_flight, self._changed, self._draining = 0, threading.Condition(), False
        self._server = create_server(
            self._guarded,
            map=self._sockets,
            sockets=[listener],
            threads=threads,
            max_request_header_size=32 << 10,
            max_request_body_size=max_body + 1,
            inbuf_overflow=max_body + 1,  # nothing that clients send is written to disk
            connection_limit=1 << 30,  # at its own limit, waitress would accept nobody
            asyncore_use_poll=True,  # select() is limited to 1,024 files
            ident=None,
            clear_untrusted_proxy_headers=False,  # behind a tunnel, they name the client; the app knows which to trust
        )
        settings = self._server.adj
        settings.patience, settings.bodies = patience, Share(all_bodies, all_bodies // 2)
        settings.under_way = Share(math.inf, under_way)
        self._server.channel_class = functools.partial(self._channel, RefusingChannel if app_refuses else Channel)
        self._server.maintenance = self._look_after_connections
        self._accept, self._server.accept = self._server.accept, self._accepted
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.run, name=f"server on port {self.port}", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def listen_at(self, address: str) -> None:
        """Also listen at another address of this machine, on the same port. Idempotent.

        Clients there never count as local.

        Raises OSError if the address is not this machine's, its port is taken, or the server has ended.
        """
        if self.listens_at(address):
            return
        listening = socket.create_server((address, self.port))
        self._in_loop(lambda: self._add_listener(address, listening))
        if not self.listens_at(address):
            listening.close()
            raise OSError("the server has ended")

    def listens_at(self, address: str) -> bool:
        """Tell whether the server listens at `address` through `listen_at`."""
        return self.running and address in self._listeners and self._listeners[address].accepting

    def close_listener(self, address: str) -> None:
        """Undo `listen_at`: accept no more connections there; existing ones end after the answers in progress.
        Idempotent."""
        if self.listens_at(address):
            self._in_loop(self._listeners.pop(address).close)

    def _add_listener(self, address: str, listening: socket.socket) -> None:
        self._listeners[address] = Listener(listening, self._sockets, self._guarded_accept, self._connected)

    def _connected(self, sock: socket.socket, client: tuple) -> Channel | None:
        """Make a channel from an accepted connection, as waitress does; None if it is closed already."""
        try:
            self._server.set_socket_options(sock)
        except OSError:  # on macOS, if the client has disconnected already
            sock.close()
            return None
        return self._server.channel_class(self._server, sock, client, self._server.adj, map=self._sockets)

    def _in_loop(self, work: Callable[[], None]) -> None:
        """Run `work` in the server's only loop, and wait for it. Do nothing if the server is ending."""
        done = threading.Event()

        def work_and_tell() -> None:
            try:
                work()
            finally:
                done.set()

        with self._changed:
            if self._draining or not self.running:
                return
            self._server.trigger.pull_trigger(work_and_tell)
        while not done.wait(_STILL_RUNS_SECONDS) and self.running:
            pass

    def _guarded(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        """Call the app; reject new requests while the server is being stopped."""
        with self._changed:
            refused = self._draining
            self._in_flight += not refused
        if refused and self._refuses:
            return self._app({**environ, REJECTED_STATUS: 503}, start_response)
        if refused:
            return _refuse(environ, start_response)
        try:
            return self._app(environ, start_response)
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def _channel(self, kind: type[Channel], server, sock: socket.socket, *others, **more) -> Channel | None:
        """Make a channel from a connection. If that fails, close the connection, or waitress would close its
        listener."""
        try:
            return kind(server, sock, *others, **more)
        except Exception as error:
            _LOGGER.warning("a connection was dropped: %s", first_line(error))
            sock.close()
            return None

    def _look_after_connections(self, on_the_wall: float) -> None:
        """Close dispensable connections; waitress calls this before each wait."""
        self._server.next_channel_cleanup = 0  # else a clock that is set back would suspend this
        try:
            self._look()
        except Exception as error:  # else it would end the server's only loop
            _LOGGER.warning("connections were not looked after: %s", first_line(error))

    def _look(self) -> None:
        if len(self._channels()) >= self._most_connections:
            self._make_room()
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK_SECONDS
            self._cut_the_silent()

    def _accepted(self) -> tuple | None:
        return self._guarded_accept(self._accept)

    def _guarded_accept(self, accept: Accepting) -> tuple | None:
        """Accept the next connection; None if this process has no file left for it, until others are closed."""
        try:
            return accept()
        except OSError:
            self._make_room()
            time.sleep(_NO_FILE_SECONDS)  # else this would loop without a pause
            return None

    def _make_room(self) -> None:
        """Close some connections, so that clients who keep theirs open do not lock out everybody else."""
        waiting = sorted((one for one in self._channels() if not one.is_answered), key=lambda one: one.dispensable)
        for channel in waiting[: 1 + self._most_connections // _SHARE_MADE_ROOM]:
            channel.will_close = True

    def _cut_the_silent(self) -> None:
        """Close idle connections. Wait longer in the middle of a request, since a sender may have bad reception."""
        now = time.monotonic()
        for channel in self._channels():
            patience = self._silent if channel.request is None else _IDLE_SECONDS
            if not channel.requests and now - channel.last_activity > patience:
                channel.will_close = True

    def _finish_what_is_there(self) -> None:
        """Answer requests in flight, and reject new ones."""
        end = time.monotonic() + self._drain
        with self._changed:
            self._draining = True
            self._changed.wait_for(lambda: not self._in_flight, self._drain)
        while time.monotonic() < end and any(one.is_answered for one in self._channels()):
            time.sleep(0.01)  # waitress does not signal when the last byte of an answer is sent

    def _channels(self) -> list[Channel]:
        return list(self._server.active_channels.values())

    def stop(self) -> None:
        """Answer requests in flight, stop listening, close connections and end the threads. Idempotent."""
        if self.running:
            try:
                self._finish_what_is_there()
            finally:
                self._end()

    def _end(self) -> None:
        if self.running:
            pulled = threading.Event()

            def close_all() -> None:
                pulled.wait()  # an answer that ends may run this first, and close the trigger before it is pulled
                wasyncore.close_all(self._sockets)

            try:
                self._server.trigger.pull_trigger(close_all)
            finally:
                pulled.set()
            self._thread.join(timeout=10)
            self._server.task_dispatcher.shutdown(timeout=5)
            self._app = _refuse  # so that a reference to an ended server does not keep its app in memory


def _refuse(environ: dict, start_response: Callable) -> Iterable[bytes]:
    """Reject a request, as the app of a server that is being stopped."""
    start_response("503 Service Unavailable", [("Retry-After", "5"), ("Content-Length", "0")])
    return [b""]


def serve(app: Callable, name: str, port: int, host: str = "127.0.0.1", **options) -> Server:
    """Serve `app` in the background and return at once. First stop this process' previous server called `name`.

    If another program holds `port`, use a free one, and print it.

    Args:
        name: what is served, such as "backend".
        port: 0 for any free port.
        options: see `Server`.

    Raises UserError if this machine has no room for its threads or files.
    """
    stop(name)
    _drain_at_the_end()
    try:
        server = _on_a_port(app, name, port, host, **options)
    except (OSError, RuntimeError, MemoryError) as error:
        raise UserError(
            "service-no-room",
            f"The {name} could not be started: {first_line(error)}. Close other programs on this machine, restart the "
            "kernel, and run the notebook again.",
        ) from error
    _running[name] = server
    return server


def _on_a_port(app: Callable, name: str, port: int, host: str, **options) -> Server:
    try:
        return Server(app, host, port, **options)
    except OSError:
        server = Server(app, host, 0, **options)
        print(f"Port {port} is taken by another program, so the {name} uses {server.port}.")
        return server


def _connections() -> int:
    """Return the limit on connections: at most half of the files that this process may open."""
    try:
        import resource
    except ImportError:  # Windows
        return 200
    return min(_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


def running_on(port: int) -> Server | None:
    """Return this process' server on `port`; None if there is none."""
    return next((server for server in _running.values() if server.port == port and server.running), None)


def stop_all() -> None:
    """Stop all servers of this process."""
    for name in list(_running):
        stop(name)


@functools.cache
def _drain_at_the_end() -> None:
    """Have requests in flight answered when this process ends, also by SIGTERM, Ctrl-C, or its notebook."""
    # Must run before concurrent.futures shuts down, which is before atexit's functions.
    getattr(threading, "_register_atexit", atexit.register)(stop_all)
    with contextlib.suppress(ValueError):  # not in the main thread
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _drain_and_end)


def _drain_and_end(number: int, frame) -> None:
    stop_all()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)  # SystemExit would end the cell that runs, not the notebook's kernel


def serving(name: str) -> Server | None:
    """Return this process' server called `name`; None if there is none."""
    return _running.get(name)


def stop(name: str) -> bool:
    """Stop this process' server called `name`; return False if there was none."""
    server = _running.get(name)
    if server:
        server.stop()
        if _running.get(name) is server:
            del _running[name]
    return server is not None

"""Serve a Flask app from a notebook: in the background, once, on a port that is free, until stopped."""

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
_CONNECTIONS = 1000  # at a time; who sends slowly holds one
_IDLE_SECONDS = 60  # in the middle of a request
_SILENT_SECONDS, _LOOK_SECONDS = 8, 1  # without having begun one, looked at so often
_UNDER_WAY = 100  # requests of one client: a class of pupils behind one address
_SHARE_MADE_ROOM = 20  # one in so many goes at once, where there is no room for more
_NO_FILE_SECONDS = 0.05
_STILL_RUNS_SECONDS = 0.1  # between two looks whether the loop does, that something waits for
_DRAIN_SECONDS = 5
_LOGGER = logging.getLogger("waitress")
_running: dict[str, "Server"] = {}


class Server:
    """A running server: `port` is the one it really has, `url` its address on this machine.

    Args:
        max_body: bytes of a request, at most; larger ones are refused with 413.
        all_bodies: bytes of all requests together that are arriving or being answered, half of them for one client;
            what is more gets a 503.
        threads: requests that are answered at a time.
        patience: seconds that a request may take to come in, however slowly it comes.
        app_refuses: `app` words the refusals of what never becomes a request to it (see
            `request_limits.REJECTED_STATUS`); without, waitress does so in plain text.
        drain: seconds that requests in flight may take when the server is stopped.
        silent: seconds after which a connection is cut on which no request has begun.
        connections: at a time; for more, those that can best be done without are cut. 0: as many as this process may
            open files for.
        under_way: requests of one client that are arriving or being answered.

    Raises OSError when the port is taken.
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
        # Before waitress, which starts threads even where it cannot listen.
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
            connection_limit=1 << 30,  # beyond its own, waitress would let nobody in
            asyncore_use_poll=True,  # select() knows no more than 1,024 files
            ident=None,
            clear_untrusted_proxy_headers=False,  # behind a tunnel they tell who asks; the app knows whom to believe
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
        """Listen at another address of this machine, too, on the same port. Twice is fine.

        Who connects there is a client like any other, and never taken for this machine.

        Raises OSError where the address is not this machine's or its port is taken, or the server has ended.
        """
        if self.listens_at(address):
            return
        listening = socket.create_server((address, self.port))
        self._in_loop(lambda: self._add_listener(address, listening))
        if not self.listens_at(address):
            listening.close()
            raise OSError("the server has ended")

    def listens_at(self, address: str) -> bool:
        """Whether `listen_at` holds for `address`."""
        return self.running and address in self._listeners and self._listeners[address].accepting

    def close_listener(self, address: str) -> None:
        """Take `listen_at` back: nobody more is accepted there, and who is there gets the answer that is under way.
        Twice is fine."""
        if self.listens_at(address):
            self._in_loop(self._listeners.pop(address).close)

    def _add_listener(self, address: str, listening: socket.socket) -> None:
        self._listeners[address] = Listener(listening, self._sockets, self._guarded_accept, self._connected)

    def _connected(self, sock: socket.socket, client: tuple) -> Channel | None:
        """As waitress does with what its own listener accepts."""
        try:
            self._server.set_socket_options(sock)
        except OSError:  # macOS, where the other side has gone already
            sock.close()
            return None
        return self._server.channel_class(self._server, sock, client, self._server.adj, map=self._sockets)

    def _in_loop(self, work: Callable[[], None]) -> None:
        """Have the server's only loop do it, and wait for that; nothing where the server is ending."""
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
        """The app, and nothing new once the server is being stopped."""
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
        """For a connection; where none can be made of it, it is closed, or waitress would close its listener."""
        try:
            return kind(server, sock, *others, **more)
        except Exception as error:
            _LOGGER.warning("a connection was dropped: %s", first_line(error))
            sock.close()
            return None

    def _look_after_connections(self, on_the_wall: float) -> None:
        """Before each wait for connections."""
        self._server.next_channel_cleanup = 0  # or a clock that is set back would end this for as long
        try:
            self._look()
        except Exception as error:  # it would end the server's only loop
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
        """Who comes next; nobody where this process has no file left for them, until others have gone."""
        try:
            return accept()
        except OSError:
            self._make_room()
            time.sleep(_NO_FILE_SECONDS)  # or this would be tried without end
            return None

    def _make_room(self) -> None:
        """Cut some connections: a crowd that keeps its own open must not keep everybody else out."""
        waiting = sorted((one for one in self._channels() if not one.is_answered), key=lambda one: one.dispensable)
        for channel in waiting[: 1 + self._most_connections // _SHARE_MADE_ROOM]:
            channel.will_close = True

    def _cut_the_silent(self) -> None:
        """Connections on which nothing comes: soon where no request has begun; who stops in the middle of a photo, for
        bad reception, has longer."""
        now = time.monotonic()
        for channel in self._channels():
            patience = self._silent if channel.request is None else _IDLE_SECONDS
            if not channel.requests and now - channel.last_activity > patience:
                channel.will_close = True

    def _finish_what_is_there(self) -> None:
        """Requests in flight are answered, new ones refused."""
        end = time.monotonic() + self._drain
        with self._changed:
            self._draining = True
            self._changed.wait_for(lambda: not self._in_flight, self._drain)
        while time.monotonic() < end and any(one.is_answered for one in self._channels()):
            time.sleep(0.01)  # waitress tells nobody when the last byte of an answer has gone

    def _channels(self) -> list[Channel]:
        return list(self._server.active_channels.values())

    def stop(self) -> None:
        """Answer what is in flight, stop listening, drop the connections, end the threads. Stopping twice is fine."""
        if self.running:
            try:
                self._finish_what_is_there()
            finally:
                self._end()

    def _end(self) -> None:
        if self.running:
            pulled = threading.Event()

            def close_all() -> None:
                pulled.wait()  # an answer that ends may bring this about first, and close what is about to be pulled
                wasyncore.close_all(self._sockets)

            try:
                self._server.trigger.pull_trigger(close_all)
            finally:
                pulled.set()
            self._thread.join(timeout=10)
            self._server.task_dispatcher.shutdown(timeout=5)
            self._app = _refuse  # whoever keeps a server that has ended need not keep what it served


def _refuse(environ: dict, start_response: Callable) -> Iterable[bytes]:
    """An app that is being stopped."""
    start_response("503 Service Unavailable", [("Retry-After", "5"), ("Content-Length", "0")])
    return [b""]


def serve(app: Callable, name: str, port: int, host: str = "127.0.0.1", **options) -> Server:
    """Serve `app` in the background and return at once; a server that this process had under `name` is stopped first.

    Where another program holds `port`, a free one is taken and said.

    Args:
        name: what is served, "backend" for one.
        port: 0 takes any free port.
        options: see `Server`.

    Raises UserError where this machine has no room for its threads or files.
    """
    stop(name)
    _drain_at_the_end()
    try:
        server = _on_a_port(app, name, port, host, **options)
    except (OSError, RuntimeError, MemoryError) as error:
        raise UserError(
            "service-no-room",
            f"The {name} could not be started: {first_line(error)}. Close what else runs on this machine, restart the "
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
    """No more than half of the files that this process may open."""
    try:
        import resource
    except ImportError:  # Windows
        return 200
    return min(_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


def running_on(port: int) -> Server | None:
    """What this process serves on `port`."""
    return next((server for server in _running.values() if server.port == port and server.running), None)


def stop_all() -> None:
    """Stop everything that this process serves."""
    for name in list(_running):
        stop(name)


@functools.cache
def _drain_at_the_end() -> None:
    """Requests in flight are answered when this process ends, or is told to: by SIGTERM, Ctrl-C, or its notebook."""
    # Before those of concurrent.futures, which may take no more work by the time that atexit's come.
    getattr(threading, "_register_atexit", atexit.register)(stop_all)
    with contextlib.suppress(ValueError):  # another thread than the main one
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _drain_and_end)


def _drain_and_end(number: int, frame) -> None:
    stop_all()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)  # SystemExit would end the cell that runs, not the notebook's kernel


def serving(name: str) -> Server | None:
    """Return what this process serves under `name`; None when there is nothing."""
    return _running.get(name)


def stop(name: str) -> bool:
    """Stop what this process serves under `name`; False when there was nothing."""
    server = _running.get(name)
    if server:
        server.stop()
        if _running.get(name) is server:
            del _running[name]
    return server is not None

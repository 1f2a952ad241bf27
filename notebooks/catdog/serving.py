"""Serve a Flask app from a notebook: in the background, once, on a port that is free, until stopped."""

import socket
import threading
import time
from collections.abc import Callable, Iterable

from waitress import wasyncore
from waitress.server import create_server

from .receiving import REFUSED, Budget, Channel, RefusingChannel

_THREADS = 32
_CONNECTIONS = 1000  # at a time; who sends slowly holds one
_IDLE_SECONDS = 60  # in the middle of a request
_SILENT_SECONDS, _LOOK_SECONDS = 8, 1  # without having begun one, looked at so often
_DRAIN_SECONDS = 5
_running: dict[str, "Server"] = {}


class Server:
    """A running server: `port` is the one it really has, `url` its address on this machine.

    Args:
        max_body: bytes of a request, at most; larger ones are refused with 413.
        all_bodies: bytes of all requests together that are arriving or being answered; what is more gets a 503.
        threads: requests that are answered at a time.
        patience: seconds that a request may take to come in, however slowly it comes.
        app_refuses: `app` words the refusals of what never becomes a request to it (see `receiving.REFUSED`); without,
            waitress does so in plain text.
        drain: seconds that requests in flight may take when the server is stopped.
        silent: seconds after which a connection is cut on which no request has begun.

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
    ):
        listener = socket.create_server(
            (host, port)
        )  # before waitress, which starts threads even where it cannot listen
        self.port = listener.getsockname()[1]
        self._sockets: dict = {}
        self._app, self._refuses, self._drain, self._silent = app, app_refuses, drain, silent
        self._in_flight, self._changed, self._draining = 0, threading.Condition(), False
        self._server = create_server(
            self._guarded,
            map=self._sockets,
            sockets=[listener],
            threads=threads,
            max_request_header_size=32 << 10,
            max_request_body_size=max_body + 1,
            inbuf_overflow=max_body + 1,  # nothing that strangers send is written to disk
            connection_limit=_connections(),
            channel_timeout=_IDLE_SECONDS,
            cleanup_interval=_LOOK_SECONDS,
            asyncore_use_poll=True,  # select() knows no more than 1,024 files
            ident=None,
            clear_untrusted_proxy_headers=False,  # behind a tunnel they tell who asks; the app knows whom to believe
        )
        self._server.adj.budget, self._server.adj.patience = Budget(all_bodies), patience
        self._server.channel_class = RefusingChannel if app_refuses else Channel
        self._server.maintenance = self._cut_the_silent
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.run, name=f"server on port {self.port}", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def _guarded(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        """The app, and nothing new once the server is being stopped."""
        with self._changed:
            refused = self._draining
            self._in_flight += not refused
        if refused and self._refuses:
            return self._app({**environ, REFUSED: 503}, start_response)
        if refused:
            start_response("503 Service Unavailable", [("Retry-After", "5"), ("Content-Length", "0")])
            return [b""]
        try:
            return self._app(environ, start_response)
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def _cut_the_silent(self, now: float) -> None:
        """Connections on which nothing comes: soon where no request has begun, or a crowd of them would keep everybody
        out; who stops in the middle of a photo, for bad reception, has longer."""
        for channel in list(self._channels()):
            patience = self._silent if channel.request is None else _IDLE_SECONDS
            if not channel.requests and now - channel.last_activity > patience:
                channel.will_close = True

    def _finish_what_is_there(self) -> None:
        """Requests in flight are answered, new ones refused."""
        end = time.monotonic() + self._drain
        with self._changed:
            self._draining = True
            self._changed.wait_for(lambda: not self._in_flight, self._drain)
        while time.monotonic() < end and any(one.total_outbufs_len for one in list(self._channels())):
            time.sleep(0.01)  # waitress tells nobody when the last byte of an answer has gone

    def _channels(self) -> Iterable:
        return self._server.active_channels.values()

    def stop(self) -> None:
        """Answer what is in flight, stop listening, drop the connections, end the threads. Stopping twice is fine."""
        if self.running:
            self._finish_what_is_there()
            pulled = threading.Event()

            def close_all() -> None:
                pulled.wait()  # an answer that ends may bring this about first, and close what is about to be pulled
                wasyncore.close_all(self._sockets)

            self._server.trigger.pull_trigger(close_all)
            pulled.set()
            self._thread.join(timeout=10)
            self._server.task_dispatcher.shutdown(timeout=5)


def serve(app: Callable, name: str, port: int, host: str = "127.0.0.1", **options) -> Server:
    """Serve `app` in the background and return at once; a server that this process had under `name` is stopped first.

    Where another program holds `port`, a free one is taken and said.

    Args:
        name: what is served, "backend" for one.
        port: 0 takes any free port.
        options: see `Server`.
    """
    stop(name)
    try:
        server = Server(app, host, port, **options)
    except OSError:
        server = Server(app, host, 0, **options)
        print(f"Port {port} is taken by another program, so the {name} uses {server.port}.")
    _running[name] = server
    return server


def _connections() -> int:
    """No more than half of the files that this process may open."""
    try:
        import resource
    except ImportError:  # Windows
        return 200
    return min(_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


def stop(name: str) -> bool:
    """Stop what this process serves under `name`; False when there was nothing."""
    server = _running.pop(name, None)
    if server:
        server.stop()
    return server is not None

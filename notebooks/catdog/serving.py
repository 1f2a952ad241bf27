"""Serve a Flask app from a notebook: in the background, once, on a port that is free, until stopped."""

import socket
import threading
from collections.abc import Callable

from waitress import wasyncore
from waitress.server import create_server

_THREADS = 32  # more than wait for the model at a time, or the page would not load while they do
_running: dict[str, "Server"] = {}


class Server:
    """A running server: `port` is the one it really has, `url` its address on this machine.

    Raises OSError when the port is taken.
    """

    def __init__(self, app: Callable, host: str, port: int, max_body: int):
        listener = socket.create_server(
            (host, port)
        )  # before waitress, which starts threads even where it cannot listen
        self.port = listener.getsockname()[1]
        self._sockets: dict = {}
        self._server = create_server(
            app,
            map=self._sockets,
            sockets=[listener],
            threads=_THREADS,
            max_request_body_size=max_body,
            ident=None,
            clear_untrusted_proxy_headers=False,  # behind a tunnel they tell who asks; the app knows whom to believe
        )
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.run, name=f"server on port {self.port}", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Stop listening, drop the connections, end the threads. Stopping twice is fine."""
        if self.running:
            self._server.trigger.pull_trigger(lambda: wasyncore.close_all(self._sockets))
            self._thread.join(timeout=10)
            self._server.task_dispatcher.shutdown(timeout=5)


def serve(app: Callable, name: str, port: int, host: str = "127.0.0.1", max_body: int = 1 << 30) -> Server:
    """Serve `app` in the background and return at once; a server that this process had under `name` is stopped first.

    Where another program holds `port`, a free one is taken and said.

    Args:
        name: what is served, "backend" for one.
        port: 0 takes any free port.
        max_body: bytes of a request that waitress reads at most. Keep it above the app's own limit, or waitress
            closes the connection where the app would have answered with a reason.
    """
    stop(name)
    try:
        server = Server(app, host, port, max_body)
    except OSError:
        server = Server(app, host, 0, max_body)
        print(f"Port {port} is taken by another program, so the {name} uses {server.port}.")
    _running[name] = server
    return server


def stop(name: str) -> bool:
    """Stop what this process serves under `name`; False when there was nothing."""
    server = _running.pop(name, None)
    if server:
        server.stop()
    return server is not None

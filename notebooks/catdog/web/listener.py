"""An additional address for a server: that of this machine in its local network."""

import socket
import weakref
from collections.abc import Callable

from waitress import wasyncore

from .request_limits import HERE, Channel

Accepting = Callable[[], tuple | None]


class Listener(wasyncore.dispatcher):
    """Listener at an additional address of a server, which treats these connections like its others.

    Its clients never count as local: a connection from a loopback address gets the listener's address. So none of them
    is exempt from limits, and forwarded addresses from them are not trusted.

    Args:
        sock: the listening socket.
        sockets: the server's map of sockets.
        guarded: calls a function that accepts a connection, and handles its errors.
        connected: makes a channel from a connection and its client's address; returns None if it cannot.
    """

    def __init__(
        self,
        sock: socket.socket,
        sockets: dict,
        guarded: Callable[[Accepting], tuple | None],
        connected: Callable[[socket.socket, tuple], Channel | None],
    ):
        self._address, self._guarded, self._connected = sock.getsockname()[0], guarded, connected
        self._channels: weakref.WeakSet[Channel] = weakref.WeakSet()
        super().__init__(sock, sockets)
        self.accepting = True

    def writable(self) -> bool:
        return False

    def accept(self) -> tuple | None:
        return self._guarded(super().accept)

    def handle_accepted(self, sock: socket.socket, client: tuple) -> None:
        shown = self._address if client[0] in HERE else client[0]
        if channel := self._connected(sock, (shown, *client[1:])):
            self._channels.add(channel)

    def close(self) -> None:
        """Stop accepting connections. Existing ones end after the answers in progress."""
        super().close()
        for channel in self._channels:
            channel.is_leaving = True

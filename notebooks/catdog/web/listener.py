"""One more address at which a server listens: that of this machine in its local network."""

import socket
import weakref
from collections.abc import Callable

from waitress import wasyncore

from .request_limits import HERE, Channel

Accepting = Callable[[], tuple | None]


class Listener(wasyncore.dispatcher):
    """Accepts connections at an address for a server, which treats them like its others.

    Who comes by it is never taken for this machine: a connection that shows this machine's own address counts as the
    listener's. So nobody there is exempt from limits, and no forwarded address of theirs is believed.

    Args:
        sock: listens.
        sockets: of the server.
        guarded: calls what accepts a connection, and survives what that raises.
        connected: makes a channel of a connection and its client's address; None where it cannot.
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
        """Accept nobody more. Connections end with the answers that are under way."""
        super().close()
        for channel in self._channels:
            channel.is_leaving = True

"""A notebook's server and the link to it: the part that notebooks 2 and 3 share."""

from ..tunnels import Tunnel, close_tunnel, tunnel_of
from ..web.server import Server, serving, stop


class Served:
    """A server in the background, and the link to it.

    A process has one server of each name. When another one starts under that name, this one stops, and the link belongs
    to the other.

    Args:
        name: of the server, one of `link.NAMES`.
        called: its name in sentences.
        server: as `serve` returns it.
    """

    def __init__(self, name: str, called: str, server: Server):
        self._name, self._called, self._server = name, called, server

    @property
    def url(self) -> str:
        """Its address on this machine."""
        return self._server.url

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def running(self) -> bool:
        return self._server.running

    @property
    def tunnel(self) -> Tunnel | None:
        """The open link, also one from before a restart; None without one."""
        return tunnel_of(self._name) if self._has_the_name else None

    def stop(self) -> None:
        """Stop it, and close its link. Stopping twice is fine; a server that took its place goes on."""
        if self._has_the_name:
            stop(self._name)
            close_tunnel(self._name)

    def __str__(self) -> str:
        return f"The {self._called} {'goes on' if self.running else 'is stopped'}."

    def _repr_pretty_(self, printer, cycle) -> None:
        printer.text(str(self))

    @property
    def _has_the_name(self) -> bool:
        """Whether no other server has taken its place."""
        return serving(self._name) in (None, self._server)

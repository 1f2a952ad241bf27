"""A link for devices in the same local network, such as a classroom's Wi-Fi.

The server itself listens at this machine's address there. Through a relay to 127.0.0.1, every tester would seem to be
at this machine, where limits do not apply.
"""

import ipaddress
import os
import re
import socket

from ..errors import UserError, first_line
from ..web import server
from .base import Connection

_ELSEWHERE = "203.0.113.1", 9  # an address for examples (RFC 5737), only used to find the route; nothing is sent
# Networks of virtual machines, containers or a VPN, where there are no testers.
_VIRTUAL = re.compile(
    r"docker|br-|veth|virbr|vmnet|vboxnet|virtualbox|vmware|vethernet|u?tun|tap|wg|tailscale|zt|ppp", re.IGNORECASE
)


class LanConnection(Connection):
    """A connection for which this process' server on `port` also listens at this machine's local network address.

    Raises UserError if this process has no server on that port, or it cannot listen at the address.
    """

    def __init__(self, port: int):
        self._address, others = _address()
        self._server = _server_on(port)
        try:
            self._server.listen_at(self._address)
        except OSError as error:
            raise UserError(
                "link-port",
                f"The service cannot listen at {self._address}, port {port} ({first_line(error)}): set PORT to another "
                "number, and run all cells from Settings again.",
            ) from error
        except BaseException:  # an interrupted cell must leave nothing open
            self.close()
            raise
        super().__init__(f"http://{self._address}:{port}")
        if others:
            self.remark = (
                f"This machine is in several networks, and the link leads to {self._address}. For devices in another "
                f"network, set the environment variable LAN_ADDRESS to {' or '.join(others)}."
            )

    def error(self) -> str:
        if not self._server.listens_at(self._address):
            return "The service was stopped or restarted."
        return "" if self._address in _addresses() else f"This machine no longer has the address {self._address}."

    def close(self) -> None:
        self._server.close_listener(self._address)


def _server_on(port: int) -> server.Server:
    if found := server.running_on(port):
        return found
    raise UserError(
        "service-unreachable",
        f"No service of this notebook runs on port {port}: run the cell that starts it, then this one, again.",
    )


def _address() -> tuple[str, list[str]]:
    """Return (the address to use, other addresses that testers may need instead)."""
    if wanted := os.environ.get("LAN_ADDRESS", "").strip():
        if wanted in _addresses():
            return wanted, []
        raise UserError(
            "setting-lan-address",
            f"LAN_ADDRESS is {wanted}, but this machine has {', '.join(_addresses()) or 'no address in a network'}: "
            "set it to one of these, or leave it empty.",
        )
    first, *others = sorted(_local_addresses(), key=lambda address: address != _default_route()) or [""]
    if not first:
        raise UserError(
            "link-no-network",
            "This machine is not in a local network: connect it to your testers' Wi-Fi and run this cell again, or set "
            "TUNNEL to cloudflared.",
        )
    return first, others


def _addresses() -> list[str]:
    return [address for addresses in interfaces().values() for address in addresses]


def _local_addresses() -> list[str]:
    """Return the private addresses of real interfaces. At a public address, the link would be open to everybody."""
    real = [addresses for name, addresses in interfaces().items() if not _VIRTUAL.match(name)]
    return [address for addresses in real for address in addresses if _is_local(ipaddress.ip_address(address))]


def _is_local(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.is_private and not address.is_link_local  # link-local: no router has assigned an address


def interfaces() -> dict[str, list[str]]:
    """Return the IPv4 addresses of each network interface that is up, except loopback."""
    import psutil

    up = {name for name, stats in psutil.net_if_stats().items() if stats.isup}
    found = {
        name: [one.address for one in addresses if one.family == socket.AF_INET]
        for name, addresses in psutil.net_if_addrs().items()
        if name in up
    }
    return {name: addresses for name, addresses in found.items() if "127.0.0.1" not in addresses}


def _default_route() -> str:
    """Return the address from which this machine reaches the internet; empty if it does not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(_ELSEWHERE)
        except OSError:
            return ""
        return asking.getsockname()[0]

"""A link for devices in the same local network, such as a classroom's Wi-Fi.

The server itself listens at this machine's address there. A relay to 127.0.0.1 would make every tester look like
somebody at this machine, whom no limit holds.
"""

import ipaddress
import os
import re
import socket

from ..errors import UserError, first_line
from ..web import server
from .base import Connection

_ELSEWHERE = "203.0.113.1", 9  # an address for examples (RFC 5737): which way it would go is asked, nothing is sent
# Networks between this machine and its own virtual machines, containers or a VPN, where no tester is.
_VIRTUAL = re.compile(
    r"docker|br-|veth|virbr|vmnet|vboxnet|virtualbox|vmware|vethernet|u?tun|tap|wg|tailscale|zt|ppp", re.IGNORECASE
)


class LanConnection(Connection):
    """The server of this process on `port` listens at this machine's address in its network, too.

    Raises UserError where this process has no server on that port, and where it cannot listen at the address.
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
                "number, and run the cells from Settings on again.",
            ) from error
        except BaseException:  # an interrupted cell must leave nothing open
            self.close()
            raise
        super().__init__(f"http://{self._address}:{port}")
        if others:
            self.remark = (
                f"This machine is in several networks, and the link leads to {self._address}. For devices in another "
                f"one, set the environment variable LAN_ADDRESS to {' or '.join(others)}."
            )

    def error(self) -> str:
        if not self._server.listens_at(self._address):
            return "The service was stopped or started again."
        return "" if self._address in _addresses() else f"This machine no longer has the address {self._address}."

    def close(self) -> None:
        self._server.close_listener(self._address)


def _server_on(port: int) -> server.Server:
    if found := server.running_on(port):
        return found
    raise UserError(
        "service-unreachable",
        f"The service on port {port} does not run in this notebook: run the cell that starts it, then this one, again.",
    )


def _address() -> tuple[str, list[str]]:
    """(the address to give out, others that testers may be near to)."""
    if wanted := os.environ.get("LAN_ADDRESS", "").strip():
        if wanted in _addresses():
            return wanted, []
        raise UserError(
            "setting-lan-address",
            f"LAN_ADDRESS is {wanted}, but this machine has {', '.join(_addresses()) or 'no address in a network'}: "
            "set it to one of these, or to nothing.",
        )
    first, *others = sorted(_local_addresses(), key=lambda address: address != _default_route()) or [""]
    if not first:
        raise UserError(
            "link-no-network",
            "This machine is in no local network: connect it to your testers' Wi-Fi and run this cell again, or set "
            "TUNNEL to cloudflared.",
        )
    return first, others


def _addresses() -> list[str]:
    return [address for addresses in interfaces().values() for address in addresses]


def _local_addresses() -> list[str]:
    """Those of real interfaces that are not of the whole internet: there, the link would be open to everybody."""
    real = [addresses for name, addresses in interfaces().items() if not _VIRTUAL.match(name)]
    return [address for addresses in real for address in addresses if _is_local(ipaddress.ip_address(address))]


def _is_local(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.is_private and not address.is_link_local  # which stands where no router gave an address


def interfaces() -> dict[str, list[str]]:
    """The IPv4 addresses of each network interface that is up, but for this machine's own."""
    import psutil

    up = {name for name, stats in psutil.net_if_stats().items() if stats.isup}
    found = {
        name: [one.address for one in addresses if one.family == socket.AF_INET]
        for name, addresses in psutil.net_if_addrs().items()
        if name in up
    }
    return {name: addresses for name, addresses in found.items() if "127.0.0.1" not in addresses}


def _default_route() -> str:
    """The address from which this machine reaches the internet; empty where it does not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(_ELSEWHERE)
        except OSError:
            return ""
        return asking.getsockname()[0]

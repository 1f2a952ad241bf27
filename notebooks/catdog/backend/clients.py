"""Who asks?"""

import ipaddress

from flask import request

_HERE = ("127.0.0.1", "::1")


def client() -> str:
    """The address of who asks. Behind a tunnel every request comes from this machine; only then is the forwarded
    address believed, and of several the last, which the tunnel itself has added."""
    if request.remote_addr in _HERE and request.access_route:
        return request.access_route[-1]
    return request.remote_addr or ""


def asks_from_here() -> bool:
    """Whether somebody asks on this very machine, through no tunnel."""
    return client() in _HERE


def household() -> str:
    """The client for counting: of an IPv6 address the first half, for one client has all the others of its network."""
    try:
        address = ipaddress.ip_address(client())
    except ValueError:
        return client()[:64]
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else str(address)

"""Who asks?"""

from flask import request

from ..web import request_limits


def client() -> str:
    """The address of who asks, as `request_limits.client_behind` finds it."""
    return request_limits.client_behind(request.remote_addr or "", request.headers.get("X-Forwarded-For", ""))


def is_local() -> bool:
    """Whether somebody asks on this very machine, through no tunnel."""
    return client() in request_limits.HERE


def rate_limit_key() -> str:
    """Who asks, for counting."""
    return request_limits.rate_limit_key(client())

"""Who asks?"""

from flask import request

from .. import receiving


def client() -> str:
    """The address of who asks, as `receiving.client_behind` finds it."""
    return receiving.client_behind(request.remote_addr or "", request.headers.get("X-Forwarded-For", ""))


def asks_from_here() -> bool:
    """Whether somebody asks on this very machine, through no tunnel."""
    return client() in receiving.HERE


def household() -> str:
    """Who asks, for counting."""
    return receiving.household(client())

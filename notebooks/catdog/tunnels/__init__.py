"""A public link to a local port."""

from collections.abc import Callable
from dataclasses import dataclass, field

from .. import places
from ..errors import SuiteError

PROVIDERS = ("auto", "ngrok", "none")
_open: dict[int, "Tunnel"] = {}


@dataclass(frozen=True)
class Tunnel:
    """An open link: `url` reaches the port, `public` says whether from everywhere; `close()` ends it."""

    url: str
    provider: str
    close: Callable[[], None] = field(default=lambda: None, repr=False)

    @property
    def public(self) -> bool:
        return self.provider != "none"


def open_tunnel(port: int, provider: str = "auto") -> Tunnel:
    """Open a link to `port` of this machine; one that this process had open to it is closed first.

    Args:
        provider: "ngrok" (needs the token NGROK_AUTHTOKEN, from the environment or Colab's secrets), "none" (this
            machine only), or "auto": ngrok where there is a token; else none, and a line that says what to do.

    Raises:
        SuiteError: the provider is unknown, its token is missing, or the link was refused.
    """
    close_tunnel(port)
    if provider not in PROVIDERS:
        raise SuiteError(f'TUNNEL is "{provider}", but must be one of {", ".join(PROVIDERS)}.')
    token = places.secret("NGROK_AUTHTOKEN")
    if provider == "none" or (provider == "auto" and not token):
        if provider == "auto":
            print("No public link yet: put your ngrok authtoken into the secret NGROK_AUTHTOKEN, and run this again.")
        return Tunnel(f"http://127.0.0.1:{port}", "none")
    if not token:
        raise SuiteError(
            "ngrok needs your authtoken: put it into the Colab secret (or environment variable) NGROK_AUTHTOKEN."
        )
    from .ngrok import open_ngrok

    url, close = open_ngrok(port, token)
    _open[port] = Tunnel(url, "ngrok", close)
    return _open[port]


def close_tunnel(port: int) -> None:
    """Close what this process has open to `port`; nothing open is fine."""
    if port in _open:
        _open.pop(port).close()

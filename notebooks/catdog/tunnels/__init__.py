"""Links to a local port, public or within a local network."""

from .. import packages, paths
from ..errors import UserError
from ..web import link
from . import authtoken, ngrok_errors
from .base import Connection, LinkRefused, Timing
from .local import local_url
from .watchdog import Settings, Status, Tunnel

__all__ = [
    "PROVIDERS",
    "Status",
    "Timing",
    "Tunnel",
    "close_tunnel",
    "open_tunnel",
    "require_provider",
    "run_with_ngrok",
    "tunnel_of",
]

PROVIDERS = ("auto", "ngrok", "cloudflared", "flask-ngrok", "lan", "colab", "none")
_PUBLIC = ("ngrok", "cloudflared", "flask-ngrok")
_WITH_TOKEN = ("ngrok", "flask-ngrok")
_PATIENT = Timing()
_open: dict[str, Tunnel] = {}


def open_tunnel(
    port: int,
    provider: str = "auto",
    *,
    name: str = "backend",
    token: str = "",
    domain: str = "",
    timing: Timing = _PATIENT,
) -> Tunnel:
    """Open a link to `port` of this machine, and keep it open.

    A second call with the same arguments keeps a working tunnel; otherwise the previous one is closed first. A link for
    others is returned only once the service itself has answered at its URL.

    Args:
        provider: "ngrok", through its SDK; "cloudflared", without an account; "flask-ngrok", for compatibility; "lan",
            for devices in this machine's local network, without encryption; "colab", a preview for the notebook's owner
            only; "none", this machine only; or "auto": ngrok if there is a token and it works, else the preview or this
            machine, with a line that says what to do.
        name: whose link it is, "backend" or "page"; one process has one of each.
        token: ngrok's authtoken. If empty, NGROK_AUTHTOKEN from the environment or Colab's secrets is used; with the
            provider "ngrok" or "flask-ngrok", an interactive notebook asks for a missing one.
        domain: a domain of your ngrok account, as a bare host; empty for the account's dev domain.
        timing: timeouts and intervals.

    Raises:
        UserError: the provider is unknown, its token is missing, nothing listens on the port, or there is no link.
            "auto" raises only for the port.
    """
    require_provider(provider)
    if provider != "auto":
        return _opened(name, _settings(port, provider, token, domain, timing))
    try:
        return _opened(name, _settings(port, "ngrok", token, domain, timing, ask=False))
    except UserError as reason:
        print(f"No public link: {reason} [{reason.code}]")
    return _preview(name, port)


def require_provider(provider: str) -> None:
    """Raise UserError for a provider that is unknown, or that cannot work here."""
    if provider not in PROVIDERS:
        raise UserError("setting-tunnel", f'TUNNEL is "{provider}", but must be one of {", ".join(PROVIDERS)}.')
    if provider == link.LAN and paths.on_colab():
        raise UserError(
            "setting-tunnel",
            'TUNNEL is "lan", but other devices cannot reach Colab\'s machine: set TUNNEL to cloudflared or ngrok.',
        )


def tunnel_of(name: str = "backend") -> Tunnel | None:
    """Return this process' open link called `name`; None if there is none."""
    return _open.get(name)


def close_tunnel(name: str = "backend") -> None:
    """Close this process' link called `name`, if it is open."""
    if name in _open:
        _open.pop(name).close()


def run_with_ngrok(app, token: str = "") -> None:
    """Support the original project's two lines, `run_with_ngrok(app)` and `app.run()`: see
    `flask_ngrok.run_with_ngrok`."""
    _flask_ngrok().run_with_ngrok(app, token)


def _settings(port: int, provider: str, token: str, domain: str, timing: Timing, ask: bool = True) -> Settings:
    if provider not in _WITH_TOKEN:
        return Settings(port, provider, timing=timing)
    found, why_not = authtoken.find_token(token, ask)
    if not found:
        raise UserError(
            "ngrok-token-missing",
            f"{why_not or 'ngrok needs an authtoken.'} {authtoken.get_one()}",
        )
    return Settings(port, provider, found, _bare_host(domain), timing)


def _bare_host(domain: str) -> str:
    """Strip https:// and a final slash, which people often paste with a domain."""
    return domain.strip().removeprefix("https://").removeprefix("http://").rstrip("/")


def _preview(name: str, port: int) -> Tunnel:
    if paths.on_colab():
        try:
            return _opened(name, Settings(port, "colab"))
        except LinkRefused as refusal:
            print(refusal.shown())
    return _opened(name, Settings(port, "none"))


def _opened(name: str, settings: Settings) -> Tunnel:
    before = _open.get(name)
    if before and before.settings == settings and before.works():
        return before
    close_tunnel(name)
    _refuse_to_collide(name, settings)
    try:
        tunnel = Tunnel(name, settings, settings.provider in _PUBLIC, lambda: _connected(settings))
    except LinkRefused as refusal:
        if refusal.provider_code in ngrok_errors.TOKEN_REFUSED:
            authtoken.forget()
        raise
    _open[name] = tunnel
    if tunnel.remark:
        print(tunnel.remark)
    return tunnel


def _flask_ngrok():
    packages.install_packages("flask-ngrok", "pyngrok")
    from . import flask_ngrok

    return flask_ngrok


def _connected(settings: Settings) -> Connection:
    port, token, domain, timing = settings.port, settings.token, settings.domain, settings.timing
    match settings.provider:
        case "ngrok":
            packages.install_packages("ngrok")
            from .ngrok import NgrokConnection

            return NgrokConnection(port, token, domain, timing)
        case "flask-ngrok":
            return _flask_ngrok().FlaskNgrokConnection(port, token, domain, timing.program)
        case "cloudflared":
            from .cloudflared import CloudflaredConnection

            return CloudflaredConnection(port, timing.program, timing.settle)
        case link.LAN:
            from .lan import LanConnection

            return LanConnection(port)
        case "colab":
            from .local import ColabConnection

            return ColabConnection(port)
        case _:
            return Connection(local_url(port))


def _refuse_to_collide(name: str, settings: Settings) -> None:
    """Raise UserError if another notebook's link, known from its link file, answers on the same domain now.

    A free ngrok account has one domain, and ngrok's own refusal does not say who uses it.
    """
    if settings.provider not in _WITH_TOKEN:
        return
    for other in link.NAMES:
        known = link.read(other)
        same_domain = known.get("provider") in _WITH_TOKEN and known.get("domain") == settings.domain
        if same_domain and not (other == name and known.get("instance") == link.INSTANCE) and link.answers(known, 5):
            shown_too = ", which also shows the page" if other == "backend" else ""
            raise UserError(
                "ngrok-address-taken",
                f"A free ngrok account has one address, and {known['url']} leads to the {other} of another notebook"
                f"{shown_too}. Stop that one, set NGROK_DOMAIN to a second domain of yours, or TUNNEL to cloudflared.",
            )

"""The page of notebook 3 as one object: served, shared, shown and stopped. It loads nothing heavy."""

from ..frontend.page import create_page_app
from ..frontend.words import require_language
from ..tunnels import open_tunnel
from ..web.server import Server, serve
from .page_preview import require_backend_for, show_page, told_page
from .served import Served


class ServedPage(Served):
    """The page while it is served, as `serve_page` returns it."""

    def __init__(self, server: Server, backend_url: str = "", access_code: str = ""):
        super().__init__("page", "page", server)
        self._backend_url, self._access_code = backend_url, access_code

    def open_link(self, provider: str = "none", *, domain: str = "") -> None:
        """Open a link to the page, and print it. A link that works stays.

        Args:
            provider, domain: as for `tunnels.open_tunnel`.

        Raises UserError as `tunnels.open_tunnel` does, and for a public link to a page whose backend testers could not
        reach.
        """
        require_backend_for(provider, self._backend_url)
        tunnel = open_tunnel(self.port, provider, name="page", domain=domain)
        print(told_page(tunnel, self._access_code))

    def show(self, height: int = 720) -> None:
        """Show the page in the notebook; it reloads when its files change."""
        show_page(self.port, self._access_code, height)


def serve_page(backend_url: str = "", *, port: int = 8000, access_code: str = "", language: str = "") -> ServedPage:
    """Serve the page in the background. The page that this process served before is stopped first; its link stays.

    Args:
        backend_url: the link of the backend; if empty, each load looks up the link of notebook 2.
        port: 0 takes any free port.
        access_code: the backend's, if it has one; the page's link then carries it.
        language: one of `frontend.words.languages()`; if empty, that of each browser.

    Raises UserError for an unknown language.
    """
    require_language(language)
    app = create_page_app(backend_url, language=language)
    return ServedPage(serve(app, "page", port), backend_url, access_code)

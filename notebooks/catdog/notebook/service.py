"""The service of notebook 2 as one object: a model that is served, shared, tried, followed and stopped."""

from ..backend.app import create_app, set_model, start
from ..backend.examples import read_examples
from ..backend.hot_reload import ModelWatcher, stop_watching, watch
from ..backend.limits import parse_limits
from ..backend.request_log import REQUESTS, RequestLog
from ..data.feedback import Feedback
from ..engines.selection import AUTO, require_engine
from ..frontend.words import require_language
from ..models.bundle import Bundle
from ..models.classifier import load_classifier
from ..tunnels import open_tunnel
from ..web.server import Server, stop
from . import smoke_test
from .link_panel import Panel, show_panel
from .served import Served


class ModelService(Served):
    """A model that is served, as `serve_model` returns it.

    Attributes:
        versions: which version serves, which one waits, and which were refused and why; it prints as text.
        requests: the last requests of this notebook, also those before a restart; they print as a table.
        panel: the panel that `open_link` has shown; None before.
    """

    def __init__(self, server: Server, versions: ModelWatcher, requests: RequestLog, access_code: str = ""):
        super().__init__("backend", "service", server)
        self.versions, self.requests, self._access_code = versions, requests, access_code
        self.panel: Panel | None = None

    def open_link(self, provider: str = "auto", *, domain: str = "") -> None:
        """Open a link to the service, show its panel, and print what to send to testers. A link that works stays.

        Args:
            provider, domain: as for `tunnels.open_tunnel`.

        Raises UserError as `tunnels.open_tunnel` does.
        """
        tunnel = open_tunnel(self.port, provider, domain=domain)
        self.panel = show_panel(tunnel, self.requests, self._access_code)
        print(self.panel.told)

    def predict(self, photo: bytes) -> dict:
        """Return what `smoke_test.predict` does, through the link, like a tester; without a link, directly."""
        url = self.tunnel.service_url if self.tunnel else self.url
        return smoke_test.predict(url, photo, self._access_code)

    def roll_back(self) -> None:
        """See `ModelWatcher.roll_back`."""
        self.versions.roll_back()

    def take_over(self) -> None:
        """See `ModelWatcher.take_over`."""
        self.versions.take_over()

    def stop(self) -> None:
        """Stop the service, and close its link. Stopping twice is fine; a service that took its place goes on."""
        self.versions.stop()
        super().stop()


def serve_model(
    model: Bundle,
    *,
    follow: str = "",
    engine: str = AUTO,
    port: int = 5000,
    access_code: str = "",
    cors_origins: str = "*",
    limits: str = "",
    corrections: bool = False,
    examples: str = "",
    language: str = "",
) -> ModelService:
    """Serve `model` in the background, and return when it is ready. The service that this process had before is stopped
    first; its link stays.

    Args:
        follow: the setting MODEL, by which `model` was read: empty or a name lets newer versions take over, and
            `name/version` or a folder stays with that version. See `ModelWatcher`.
        engine: as for `load_classifier`.
        port: 0 takes any free port.
        access_code: the code that clients must send; empty answers everybody.
        cors_origins: whose pages may send requests, as for `parse_origins`.
        limits: changes to the defaults, as for `parse_limits`.
        corrections: whether testers may say what a photo really is.
        examples: folder with photos for testers who have none at hand, as for `read_examples`.
        language: that of the page, one of `frontend.words.languages()`; if empty, that of each browser.

    Raises UserError for an invalid setting, and then the previous service goes on; and if no engine can run the model,
    and then nothing is served.
    """
    require_engine(engine)
    require_language(language)
    feedback = Feedback(model.folder.parent.name) if corrections else None
    app = create_app(
        request_log=REQUESTS, limits=parse_limits(limits), feedback=feedback, examples=read_examples(examples),
        ACCESS_CODE=access_code, CORS_ORIGINS=cors_origins, LANGUAGE=language,
    )  # fmt: skip
    stop_watching()  # or the previous service might load a new version meanwhile
    server = start(app, port)
    try:
        print(f"The service listens on {server.url}")
        set_model(app, load_classifier(model, engine))
        print("It is ready: its golden photos give the saved answers.")
        service = ModelService(server, watch(app, follow, engine), REQUESTS, access_code)
    except BaseException:  # an interrupted cell, too: nothing would be left to stop the server with
        stop("backend")
        raise
    _tell_of_link_elsewhere(service)
    return service


def _tell_of_link_elsewhere(service: ModelService) -> None:
    """Print what to do if the link was opened for another port."""
    tunnel = service.tunnel
    if tunnel and tunnel.settings.port != service.port:
        print(f"The link still leads to port {tunnel.settings.port}: run the cell that opens the link, too.")

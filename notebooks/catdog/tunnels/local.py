"""Addresses that are not public: this machine's, and Colab's preview, which only the notebook's owner can open."""

from .base import Connection, LinkRefused

_ANSWER_SECONDS = 10


def local_url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


class ColabConnection(Connection):
    """Colab's own proxy to `port`, for whoever has the notebook open. Raises LinkRefused if Colab gives no address."""

    def __init__(self, port: int):
        from google.colab import output

        try:
            url = output.eval_js(f"google.colab.kernel.proxyPort({port})", timeout_sec=_ANSWER_SECONDS)
        except Exception as error:  # unrelated classes: the tab is closed, the browser refuses, no answer in time
            raise _no_preview(type(error).__name__) from None
        if not isinstance(url, str) or not url:  # Colab's package returns this if nobody answers, as in VS Code
            raise _no_preview("no answer")
        super().__init__(url.rstrip("/"))


def _no_preview(reason: str) -> LinkRefused:
    return LinkRefused(
        "link-timeout",
        f"Colab gave no preview address ({reason}). Keep this tab open and run this cell again; outside the browser, "
        "as in VS Code, set TUNNEL to cloudflared.",
    )

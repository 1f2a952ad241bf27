"""The link panel of notebook 2: the link as text and QR code, whether it works, and how many testers came."""

import threading
from html import escape

import segno

from .. import paths
from ..web import link
from . import colab

_ONLY_HERE = {
    "none": "Only this machine reaches it. For testers, set TUNNEL to ngrok (free account) or cloudflared (none), or, "
    "outside Colab, to lan for those on the same Wi-Fi.",
    "colab": "Shown below, for you alone. For testers, set TUNNEL to ngrok or cloudflared.",
}
_ON_THE_WI_FI = (
    "Devices on the same Wi-Fi reach it, without encryption: others there can read photos and the access code. If a "
    "phone does not open it, see docs/troubleshooting.md."
)
_BOX = "font-family:system-ui,sans-serif;display:flex;flex-wrap:wrap;gap:1.5em;align-items:center;padding:.5em 0"
# Colab's frames may not use the newer clipboard API, and few desktop browsers can share.
_COPY = (
    "const a = this.closest('.catdog-panel').querySelector('a'), done = () => (this.textContent = 'Copied'); "
    "const old = () => { getSelection().selectAllChildren(a); document.execCommand('copy') && done(); }; "
    "navigator.clipboard ? navigator.clipboard.writeText(a.href).then(done, old) : old()"
)
_SHARE = (
    "const url = this.closest('.catdog-panel').querySelector('a').href; "
    "navigator.share ? navigator.share({url}).catch(() => {}) : open('mailto:?body=' + encodeURIComponent(url))"
)
_BUTTONS = f'<p><button onclick="{_COPY}">Copy</button> <button onclick="{_SHARE}">Share</button></p>'
_showing = threading.Event()  # set to end the thread that updates the panel; each showing has its own


class Panel:
    """The state of a link, as HTML in a notebook and as text elsewhere.

    Args:
        tunnel: a tunnels.Tunnel.
        request_log: a `backend.request_log.RequestLog`.
        code: the access code that the link carries, if any.
    """

    def __init__(self, tunnel, request_log, code: str = ""):
        self._tunnel, self._request_log, self._code = tunnel, request_log, code

    @property
    def shared_link(self) -> str:
        """The link that testers get."""
        return link.with_code(self._tunnel.url, self._code)

    @property
    def state(self) -> tuple[str, str]:
        """(color, sentence): the state and, unless it is green, what to do."""
        status = self._tunnel.status
        if status.state != "up":
            return "red", f"{status.detail} (since {status.since:%H:%M:%S})"
        if self._tunnel.provider == link.LAN:
            return "green", f"{status.detail} {_ON_THE_WI_FI}"
        if not self._tunnel.public:
            return "orange", _ONLY_HERE[self._tunnel.provider]
        return "orange" if status.code == "unverified" else "green", status.detail

    @property
    def told(self) -> str:
        """The link as a line of text."""
        if not self._leads_somewhere:
            return "Backend: for you alone, in this notebook."
        return f"Backend: {self.shared_link}{link.remark(self._tunnel.public, self._tunnel.provider)}"

    @property
    def _is_shared(self) -> bool:
        return link.is_shared(self._tunnel.public, self._tunnel.provider)

    @property
    def _leads_somewhere(self) -> bool:
        """Whether a browser can open the link: on Colab, one that is not public leads to the reader's own machine."""
        return self._tunnel.public or not paths.on_colab()

    def __str__(self) -> str:
        return f"{self.shared_link}\n{self.state[1]}\n{self._request_log.summary()}"

    def _repr_pretty_(self, printer, cycle) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        url, (color, sentence) = escape(self.shared_link), self.state
        shown = f'<a href="{url}" target="_blank" rel="noopener">{url}</a>'
        shown = f'<p style="font-size:1.3em">{shown}</p>' if self._leads_somewhere else ""
        shown = f"<p><b>Send this link to your testers</b></p>{shown}{_BUTTONS}" if self._is_shared else shown
        scan = self._qr_code() if self._is_shared else ""
        return (
            f'<div class="catdog-panel"><div style="{_BOX}">{scan}'
            f'<div style="flex:1;min-width:18em;overflow-wrap:anywhere">'
            f'{shown}<p><span style="color:{color}" aria-hidden="true">●</span> {escape(sentence)}</p>'
            f"<p>{escape(self._request_log.summary())}</p></div></div></div>"
        )

    def _qr_code(self) -> str:
        faded = "opacity:.2" if self._tunnel.status.state != "up" else ""
        code = segno.make(self.shared_link, micro=False).svg_inline(scale=5, light="#fff")
        return f'<div role="img" aria-label="QR code of the link" style="{faded}">{code}</div>'


def show_panel(tunnel, request_log, code: str = "", seconds: float = 5) -> Panel:
    """Show the panel and keep it up to date; one shown before stays as it is.

    Args:
        tunnel, request_log, code: as for `Panel`.
        seconds: between two checks for changes.
    """
    from IPython.display import display

    global _showing
    _showing.set()
    _showing, panel = threading.Event(), Panel(tunnel, request_log, code)
    handle = display(panel, display_id=True)
    if handle:  # None outside a notebook
        arguments = panel, handle, _showing, seconds
        threading.Thread(target=_keep_fresh, args=arguments, name="link panel", daemon=True).start()
    if paths.on_colab():
        _let_the_tab_ask(panel)
        if tunnel.provider == "colab":
            colab.show_port(tunnel.settings.port, link.with_code("", code) or "/", 600)
    return panel


# Colab may not show what a thread changes between cells (colabtools #3373), so its tab asks, too.
_ASKS = """
<script>
  (async () => {
    const silent = "<p>The notebook's machine does not answer: run this cell again.</p>";
    for (let missed = 0; globalThis.google?.colab && missed < 3; ) {
      await new Promise((done) => setTimeout(done, 5000));
      const answer = await google.colab.kernel.invokeFunction("catdog.panel", [], {}).catch(() => null);
      const html = answer?.data?.["application/json"]?.html;
      missed = html ? 0 : missed + 1;
      const place = document.querySelector(".catdog-panel");
      if (place && (html || missed === 3)) place.outerHTML = html ?? `<div class="catdog-panel">${silent}</div>`;
    }
  })();
</script>
"""


def _let_the_tab_ask(panel: Panel) -> None:
    from google.colab import output
    from IPython.display import HTML, JSON, display

    output.register_callback("catdog.panel", lambda: JSON({"html": panel._repr_html_()}))
    display(HTML(_ASKS))


def _keep_fresh(panel: Panel, handle, ended: threading.Event, seconds: float) -> None:
    shown = str(panel)
    while not ended.wait(seconds):
        if str(panel) != shown:
            shown = str(panel)
            handle.update(panel)

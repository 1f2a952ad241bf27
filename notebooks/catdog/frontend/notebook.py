"""What notebook 3 shows: whether the backend answers, and the page itself."""

import json
import urllib.request

from .. import link, places

_ANSWER_SECONDS = 10


def backend_state(setting: str = "") -> str:
    """A sentence about the backend at the address in the setting, else in its link file. Never raises."""
    url = (setting or link.published_url()).rstrip("/")
    if not url:
        return f"No backend is known: run notebook 2, or set BACKEND_URL. (Looked in {places.link_file('backend')}.)"
    try:
        request = urllib.request.Request(f"{url}/model", headers={"ngrok-skip-browser-warning": "1"})
        with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as answer:
            card = json.load(answer)
            return f"The backend at {url} answers with the model {card['name']}/{card['version']}."
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "reason", error)
        return f"The backend at {url} does not answer ({reason}): run notebook 2, then this cell again."


def show_page(port: int, height: int = 720) -> None:
    """Show the page in the notebook: on Colab through its own proxy, which reaches the notebook's owner alone."""
    if places.on_colab():
        from google.colab import output

        output.serve_kernel_port_as_iframe(port, height=str(height))
    else:
        from IPython.display import IFrame, display

        display(IFrame(f"http://127.0.0.1:{port}", width="100%", height=height))

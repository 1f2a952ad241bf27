"""ngrok's authtoken: where it comes from. It is never printed, and kept nowhere but in this process' memory."""

import getpass

from .. import settings

NAME = "NGROK_AUTHTOKEN"
GET_ONE = (
    "Get your free authtoken at dashboard.ngrok.com/get-started/your-authtoken, put it into the Colab secret (key "
    f"icon on the left) or environment variable {NAME}"
)
_last: list[str] = []  # for when Colab does not hand over its secret a second time, its tab being asleep


def find_token(given: str = "", ask: bool = False) -> tuple[str, str]:
    """(token, why there is none): the given one, else from environment or Colab's secrets, else the last one found.

    Args:
        ask: where none is found, ask for it in a field that does not show it, if there is somebody to ask.
    """
    if given.strip():
        return settings.clean_token(given)
    found, why = settings.find_secret(NAME)
    if not found and not _last and ask:
        found, why_not = _typed()
        why = why_not or why
    if found:
        _last[:] = [found]
    return "".join(_last), why


def forget() -> None:
    """ngrok has refused the last token."""
    _last.clear()


def _typed() -> tuple[str, str]:
    try:
        from IPython import get_ipython

        if getattr(get_ipython(), "kernel", None):  # elsewhere getpass would wait at a terminal for nobody
            return settings.clean_token(getpass.getpass("Your ngrok authtoken (it will not be shown): "))
    except Exception:  # nobody there: nbclient's kernels raise a class of ipykernel's own
        pass
    return "", ""

"""ngrok's authtoken: where it comes from. It is never printed, and kept nowhere but in this process' memory."""

import getpass

from .. import places

NAME = "NGROK_AUTHTOKEN"
GET_ONE = (
    "Get your free authtoken at dashboard.ngrok.com/get-started/your-authtoken, put it into the Colab secret (key "
    f"icon on the left) or environment variable {NAME}"
)
_typed: list[str] = []


def find_token(given: str = "", ask: bool = False) -> tuple[str, str]:
    """(token, why there is none): the given one, else from environment or Colab's secrets, else as typed before.

    Args:
        ask: where none is found, ask for it in a field that does not show it, if there is somebody to ask.
    """
    found, why = (given.strip(), "") if given else places.find_secret(NAME)
    if not found and not _typed and ask:
        _typed.extend(_ask())
    return (found or "".join(_typed)), why


def forget_typed() -> None:
    """The token that was typed is a wrong one."""
    _typed.clear()


def _ask() -> list[str]:
    try:
        from IPython import get_ipython

        if getattr(get_ipython(), "kernel", None):  # elsewhere getpass would wait at a terminal for nobody
            return [getpass.getpass("Your ngrok authtoken (it is not shown): ").strip()]
    except Exception:  # nobody there: nbclient's kernels raise a class of ipykernel's own
        pass
    return []

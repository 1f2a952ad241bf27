"""ngrok's authtoken, and where to find it. It is never printed, and only kept in this process' memory."""

import getpass

from .. import paths, settings

NAME = "NGROK_AUTHTOKEN"
PAGE = "dashboard.ngrok.com/get-started/your-authtoken"
_last: list[str] = []  # Colab does not return its secret a second time while its tab is asleep


def get_one() -> str:
    """Return a sentence about where to get a token, and what to do with it here."""
    return f"Get your free authtoken at {PAGE}: {what_to_do_with_it()}."


def what_to_do_with_it() -> str:
    """Return how to pass a token here: on Colab a secret, elsewhere an environment variable or Jupyter's input."""
    if paths.on_colab():
        return f"put it into the Colab secret {NAME} (key icon on the left), and run this cell again"
    return (
        f"set the environment variable {NAME} to it and start again, or run this cell again with TUNNEL set to ngrok "
        "and paste it where Jupyter asks for it"
    )


def find_token(given: str = "", ask: bool = False) -> tuple[str, str]:
    """Return (token, why there is none): the given one, else from environment or Colab's secrets, else the last one.

    Args:
        ask: if none is found, ask for it in a hidden input field, if the notebook is interactive.
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
    """Forget the last token, which ngrok has refused."""
    _last.clear()


def _typed() -> tuple[str, str]:
    try:
        from IPython import get_ipython

        if getattr(get_ipython(), "kernel", None):  # elsewhere getpass would wait at a terminal with nobody there
            return settings.clean_token(getpass.getpass(f"Your authtoken from {PAGE} (it will not be shown): "))
    except Exception:  # not interactive: nbclient's kernels raise one of ipykernel's own classes
        pass
    return "", ""

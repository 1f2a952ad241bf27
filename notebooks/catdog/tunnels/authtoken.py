"""ngrok's authtoken: where it comes from. It is never printed, and kept nowhere but in this process' memory."""

import getpass

from .. import paths, settings

NAME = "NGROK_AUTHTOKEN"
PAGE = "dashboard.ngrok.com/get-started/your-authtoken"
_last: list[str] = []  # for when Colab does not hand over its secret a second time, its tab being asleep


def get_one() -> str:
    """Where to get a token, and what to do with it here."""
    return f"Get your free authtoken at {PAGE}: {what_to_do_with_it()}."


def what_to_do_with_it() -> str:
    """On Colab it is a secret; elsewhere an environment variable, or typed where Jupyter asks."""
    if paths.on_colab():
        return f"put it into the Colab secret {NAME} (key icon on the left), and run this cell again"
    return (
        f"set the environment variable {NAME} to it and start again, or run this cell again with TUNNEL set to ngrok "
        "and paste it where Jupyter asks for it"
    )


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
            return settings.clean_token(getpass.getpass(f"Your authtoken from {PAGE} (it will not be shown): "))
    except Exception:  # nobody there: nbclient's kernels raise a class of ipykernel's own
        pass
    return "", ""

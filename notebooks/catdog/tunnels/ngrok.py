"""A link through ngrok's own SDK."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ..errors import SuiteError

_OPEN_SECONDS = 30


def open_ngrok(port: int, token: str) -> tuple[str, Callable[[], None]]:
    """(public https URL, function that closes it).

    Raises SuiteError when ngrok is not installed, refuses or does not answer.
    """
    try:
        import ngrok
    except ImportError:
        raise SuiteError("ngrok's SDK is not installed: run `pip install ngrok`, then run this cell again.") from None

    # In a notebook an event loop is running, and there forward() would return a task: so a thread without one.
    # force_new_session, or a changed token would go unnoticed.
    worker = ThreadPoolExecutor(1, thread_name_prefix="ngrok")
    try:
        listener = worker.submit(ngrok.forward, port, authtoken=token, force_new_session=True).result(_OPEN_SECONDS)
    except TimeoutError:
        raise SuiteError(
            f"ngrok did not answer within {_OPEN_SECONDS} s: look whether this machine reaches the internet."
        ) from None
    except Exception as error:  # the SDK raises ValueError with two or three texts; all of them are worth reading
        raise SuiteError("ngrok refused the link: " + " ".join(str(part) for part in error.args)) from None
    finally:
        worker.shutdown(wait=False)
    return listener.url(), lambda: ngrok.disconnect(listener.url())

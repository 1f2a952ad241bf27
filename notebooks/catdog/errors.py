"""Errors that a person can do something about."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


def first_line(error: Exception, most: int = 120) -> str:
    """What an error of somebody else's says, for the end of a sentence of ours: at most so many characters."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:most]


class SuiteError(Exception):
    """Something a user can put right: the message says what happened and what to do next."""

    def _render_traceback_(self):
        """Called by IPython instead of printing a traceback: in a notebook the message is enough."""
        return [f"⚠ {self}"]


@contextmanager
def for_the_command_line(stopped: str) -> Iterator[None]:
    """A command ends with the message of a SuiteError, or with `stopped` after Ctrl-C, instead of a traceback."""
    try:
        yield
    except SuiteError as error:
        sys.exit(f"⚠ {error}")
    except KeyboardInterrupt:
        sys.exit(stopped)

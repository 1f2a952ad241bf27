"""Errors that a person can do something about."""


class SuiteError(Exception):
    """Something a user can put right: the message says what happened and what to do next."""

    def _render_traceback_(self):
        """Called by IPython instead of printing a traceback: in a notebook the message is enough."""
        return [f"⚠ {self}"]

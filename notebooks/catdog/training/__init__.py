"""From photos to a new model."""

from .. import moved


def __getattr__(name: str):
    """Look up what earlier releases kept in `catdog.training`."""
    return moved.look_up("training", name)

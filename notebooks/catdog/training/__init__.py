"""From photos to a new model."""

from .. import moved


def __getattr__(name: str):
    """What was called `catdog.training` before."""
    return moved.look_up("training", name)

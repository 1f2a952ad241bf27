"""Colab's own editor, which shows a file beside the notebook."""

import os

from .output import MessageError


def view(filepath):
    if not os.path.isfile(filepath):
        raise FileNotFoundError(filepath)
    if os.environ.get("COLAB_TAB") == "error":
        raise MessageError("TypeError: Failed to fetch")
    print(f"Viewing {filepath}")

"""Drive: a folder that appears when it is mounted, unless COLAB_DRIVE is "refused", by the person, or "silent"."""

import os
from pathlib import Path

from .output import MessageError


def mount(mountpoint, force_remount=False, timeout_ms=120_000, readonly=False):
    if os.environ.get("COLAB_DRIVE") == "refused":
        raise MessageError("Error: credential propagation was unsuccessful")
    if os.environ.get("COLAB_DRIVE") == "silent":
        raise ValueError("mount failed")
    (Path(mountpoint) / "MyDrive").mkdir(parents=True, exist_ok=True)
    print(f"Mounted at {mountpoint}")

"""Drive: a folder that appears when it is mounted, unless COLAB_DRIVE is "refused"."""

import os
from pathlib import Path


def mount(mountpoint, force_remount=False, timeout_ms=120_000, readonly=False):
    if os.environ.get("COLAB_DRIVE") == "refused":
        raise ValueError("mount failed")
    (Path(mountpoint) / "MyDrive").mkdir(parents=True, exist_ok=True)
    print(f"Mounted at {mountpoint}")

"""What may happen while a photo is decoded: photos that crash their decoder, or take more memory than there is."""

import os
import signal
import tempfile
import time
from pathlib import Path

import numpy as np
from catdog.backend.decoder import read_or_refuse
from catdog.data.preprocessing import Preprocessing


def vulnerable(data: bytes, pixels: int, preprocessing: Preprocessing):
    """Like the real one, but with a hole."""
    if data.startswith(b"crash"):
        os.abort()
    if data.startswith(b"memory"):
        return read_or_refuse(b"x" * len(bytearray(8 << 30)), pixels, preprocessing)
    return read_or_refuse(data, pixels, preprocessing)


def killed(data: bytes, pixels: int, preprocessing: Preprocessing):
    """Ended by something else: once for a photo that begins with "once", every time for one that says "always"."""
    mark = Path(tempfile.gettempdir(), f"decoder-killed-{os.getppid()}")
    if data.startswith(b"once") and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if data == b"always":
        os.kill(os.getpid(), signal.SIGKILL)
    mark.unlink(missing_ok=True)
    return read_or_refuse(data.removeprefix(b"once"), pixels, preprocessing)


def waits(data: bytes, pixels: int, preprocessing: Preprocessing):
    """Without using the processor: half a second, or for ever."""
    time.sleep(600 if data == b"for ever" else 0.5)
    return read_or_refuse(data, pixels, preprocessing)


def lies(data: bytes, pixels: int, preprocessing: Preprocessing):
    """As a photo might that has taken its decoder over: an array of another size, or a refusal that is none of ours."""
    if data in (b"large", b"small"):
        return np.zeros((4000, 4000, 3) if data == b"large" else (1, 1, 3), np.uint8)
    return ("no-such-code", "x") if data == b"code" else read_or_refuse(data, pixels, preprocessing)

"""What may happen while a photo is decoded: photos that crash their decoder, or take more memory than there is."""

import os

from catdog.backend.decoding import read_or_refuse
from catdog.preprocessing import Preprocessing


def vulnerable(data: bytes, pixels: int, preprocessing: Preprocessing):
    """Like the real one, but with a hole."""
    if data.startswith(b"crash"):
        os.abort()
    if data.startswith(b"memory"):
        return read_or_refuse(b"x" * len(bytearray(8 << 30)), pixels, preprocessing)
    return read_or_refuse(data, pixels, preprocessing)

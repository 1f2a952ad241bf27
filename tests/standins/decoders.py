"""What may happen while a photo is decoded: photos that crash their decoder, or take more memory than there is."""

import os

from catdog.backend.decoding import read_or_refuse


def vulnerable(data: bytes, pixels: int):
    """Like the real one, but with a hole."""
    if data.startswith(b"crash"):
        os.abort()
    if data.startswith(b"memory"):
        return read_or_refuse(b"x" * len(bytearray(8 << 30)), pixels)
    return read_or_refuse(data, pixels)

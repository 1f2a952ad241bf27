"""Read photos from damaged files: truncated JPEGs, and PNGs with too much metadata."""

import io

import numpy as np
from PIL import Image

ENOUGH = 0.75  # of the rows: the subject is seldom in the rest
_START, _END, _TABLE, _SCAN = b"\xff\xd8", b"\xff\xd9", b"\xff\xc4", b"\xff\xda"


def rows_there(data: bytes) -> tuple[float, Image.Image | None]:
    """Return (share of a truncated JPEG's rows that exist, these rows if they are `ENOUGH`); (0, None) for others."""
    share, image = _share(data) if data.startswith(_START) else (0.0, None)
    if image is None or share < ENOUGH:
        return share, None
    return share, image.crop((0, 0, image.width, max(1, int(share * image.height))))


def missing(data: bytes) -> float:
    """Return the share of a JPEG's rows that are missing, 0 to 1; 0 for complete files and other formats."""
    if not data.startswith(_START) or data.rstrip(b"\0").endswith(_END) or _decoded(data) is not None:
        return 0.0
    return 1 - _share(data)[0]


def _share(data: bytes) -> tuple[float, Image.Image | None]:
    """Return (share of the rows that exist, the image with an end marker after the existing data).

    The decoder's output for missing rows depends on the bytes after the cut, that for existing rows does not. So two
    different endings tell them apart. A progressive JPEG that is cut between two scans has all of its rows, in less
    detail.
    """
    for there in (data.rstrip(b"\xff"), data[: max(data.rfind(_TABLE), data.rfind(_SCAN))]):
        one, other = _decoded(there + _END), _decoded(there + b"\x5a" * len(data) + _END)
        if one is not None and other is not None:
            differ = np.flatnonzero((_greys(one) != _greys(other)).any(axis=1))
            return (float(differ[0]) / one.height if len(differ) else 1.0), one
        if one is not None and one.info.get("progressive"):
            return 1.0, one
    return 0.0, None


def _greys(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("L"))


def _decoded(data: bytes) -> Image.Image | None:
    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG", "MPO"))
        image.draft(image.mode, (1344, 1344))
        image.load()
        return image
    except Exception:
        return None


def png_without_extras(data: bytes) -> bytes | None:
    """Return a PNG without its texts, profile and EXIF; None for another file."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return None
    kept, place = [data[:8]], 8
    while place + 8 <= len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] not in (b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf"):
            kept.append(data[place:end])
        place = end
    return b"".join(kept)

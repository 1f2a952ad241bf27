"""Labels from the photos' names."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from ..names import class_name, same

NAMES = "the photos' names"
_NAMED = 0.95  # share of the photos whose names must contain a class
_CAMERA_WORDS = """
    img imgp image images dsc dscn dscf pxl p mg mvimg photo photos picture pic pict foto bild bilder screenshot vid
    video scan frame whatsapp signal received download unnamed untitled copy gopr dji sam sdc cimg imag burst snapshot
    file page thumb thumbnail n no nr number sample test train val valid item fb snapchat instagram telegram mmexport
    pano dcim wechat line kakaotalk
"""  # words before the number in file names that cameras, phones and programs give
_CAMERAS = frozenset(_CAMERA_WORDS.split())
_NUMBERED = (
    re.compile(r"(?P<label>.*?[^\W\d_].*?)(?:[\s._-]*\(?\d+\)?)+(?:[\s._-]*(?:copy|kopie))?", re.IGNORECASE),
    re.compile(r"\d+[\s._-]+(?P<label>[^\W\d_].*)"),
)


def label_in_name(path: str) -> str | None:
    """Return `cat` for `cat.0.jpg`, `cat (3).jpg`, `cat12.png` or `12-cat.jpg`; None for a name without a class."""
    stem = PurePosixPath(path).stem
    for pattern in _NUMBERED:
        if found := pattern.fullmatch(stem):
            label = class_name(found["label"].strip(" ._-("))
            return None if not label or _is_a_cameras(label) else label
    return None


def names_that_label(paths: Sequence[str]) -> bool:
    """Tell whether nearly all of these names contain a class that occurs more than once."""
    found = Counter(same(label) for path in paths if (label := label_in_name(path)))
    often = sum(count for count in found.values() if count > 1)
    return bool(paths) and often >= _NAMED * len(paths)


def _is_a_cameras(label: str) -> bool:
    words = re.findall(r"[^\W\d_]+", label.casefold())
    return not words or words[0] in _CAMERAS

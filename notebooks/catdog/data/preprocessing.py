"""How a photo becomes what the network sees. Training, serving, exports and the page all follow this description."""

import re
from dataclasses import dataclass

from ..errors import UserError

CROP, SQUEEZE = "crop", "squeeze"
FITS = (CROP, SQUEEZE)
_VERSION = "rgb-{}-{}-4"
_MOST_PIXELS = 1024  # a side: whoever can write a card would else decide how much memory the service takes
# 2 refused cut photos, and read deep greys as nearly black.
_SQUEEZED_224 = ("rgb-224-bilinear-3", "rgb-224-bilinear-2")


@dataclass(frozen=True)
class Preprocessing:
    """Upright sRGB on white, brought to a square with Pillow's antialiased bilinear filter.

    By default the aspect ratio is kept. Five-fold cross-validation on 1,200 photos of cats and dogs gives a log loss of
    0.0230 with the middle of the photo, of 0.0249 with a middle of 224 after the shorter side was scaled to 256
    (Simonyan & Zisserman 2014, https://arxiv.org/abs/1409.1556), of 0.0299 squeezed. Where only the ends of long things
    tell the classes apart, squeezing is better; see docs/accuracy.md. A photo that was prepared once stays as it is
    when it is prepared again.

    Attributes:
        pixels: a side of the square.
        fit: `CROP` scales the shorter side to `pixels` and keeps the middle of the longer one; `SQUEEZE` scales both
            sides to `pixels`.
    """

    pixels: int = 224
    fit: str = CROP

    @property
    def version(self) -> str:
        """Identifies it: features and models made by another one are not mixed with these."""
        as_before = (self.pixels, self.fit) == (224, SQUEEZE)
        return _SQUEEZED_224[0] if as_before else _VERSION.format(self.pixels, self.fit)

    @classmethod
    def of(cls, version: str) -> "Preprocessing":
        """The one that `version` names. Raises ValueError for one that is unknown here."""
        if version in _SQUEEZED_224:
            return cls(224, SQUEEZE)
        found = re.fullmatch(_VERSION.format(r"([1-9][0-9]*)", "(crop|squeeze)"), version)
        if not found or int(found[1]) > _MOST_PIXELS:
            raise ValueError(f'the preprocessing "{version}" is unknown')
        return cls(int(found[1]), found[2])


PREPROCESSING = Preprocessing()
PIXELS = (224, 256, 288, 320)  # that notebook 1 offers


def require_preprocessing(pixels: int, fit: str) -> Preprocessing:
    """The one of these settings. Raises UserError where it is not offered: ask before anything is prepared by it."""
    for name, value, offered in (("PIXELS", pixels, PIXELS), ("FIT", fit, FITS)):
        if value not in offered:
            choices = ", ".join(map(str, offered))
            raise UserError("setting-preprocessing", f"{name} must be one of {choices}, not {value}.")
    return Preprocessing(int(pixels), fit)

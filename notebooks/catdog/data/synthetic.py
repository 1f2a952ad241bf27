"""Drawings of cats and dogs, for use when no photos are available.

They show that everything works; a model trained on them knows nothing about real animals.
"""

import io
import math
import random
from pathlib import Path

from PIL import ExifTags, Image, ImageDraw, ImageFilter

CLASSES = ("cat", "dog")
_SIZE = 320
_FURS = ("#3b3a3c", "#8a8784", "#c98a4b", "#e3c79b", "#6d4a33", "#f1ede6", "#a9552d")
_WALLS = ("#b9d3c2", "#cdd7ea", "#efdcc3", "#d9c4dc", "#a7bccb", "#e8e4d4")
_FLOORS = ("#7d6a55", "#5f7a53", "#9a8f86", "#6b7f8d", "#b0926a")
_EYES = ("#7fae3b", "#d6a928", "#4f93c4", "#5a3a22")

Point = tuple[float, float]


def draw(label: str, seed: int) -> Image.Image:
    """Return one drawing, RGB (320, 320). The same label and seed give the same drawing.

    Raises ValueError for a label that is not in `CLASSES`.
    """
    if label not in CLASSES:
        raise ValueError(f"only {' and '.join(CLASSES)} can be drawn, not {label}")
    chance = random.Random(f"{label}-{seed}")
    image = _room(chance)
    pen = ImageDraw.Draw(image)
    x, y, r = chance.uniform(125, 195), chance.uniform(125, 170), chance.uniform(58, 82)
    fur, shade = chance.choice(_FURS), chance.uniform(0.62, 0.8)
    _body(pen, x, y, r, fur)
    (_cat_head if label == "cat" else _dog_head)(pen, x, y, r, fur, _darker(fur, shade), chance)
    tilted = image.rotate(
        chance.uniform(-14, 14), Image.Resampling.BICUBIC, center=(x, y), fillcolor=image.getpixel((2, 2))
    )
    return tilted.filter(ImageFilter.GaussianBlur(chance.uniform(0.3, 1.2)))


def draw_folder(folder: Path, per_class: int = 40) -> Path:
    """Fill `folder`/<class>/ with JPEG drawings; existing files are kept. Returns `folder`."""
    for label in CLASSES:
        (folder / label).mkdir(parents=True, exist_ok=True)
        for seed in range(per_class):
            path = folder / label / f"drawing_{seed:03}.jpg"
            if not path.exists():
                draw(label, seed).save(path, quality=90)
    return folder


def sample_files() -> dict[str, bytes]:
    """Return two small files by name, by which a reader of photos can be compared with `images.read_photo`.

    One lies on its side and the other is transparent in places, which is where readers differ.
    """
    exif, opacity = Image.Exif(), Image.new("L", (_SIZE, _SIZE), 255)
    exif[ExifTags.Base.Orientation] = 6  # to be turned clockwise
    opacity.paste(Image.linear_gradient("L").resize((_SIZE // 2, _SIZE)), (0, 0))
    see_through = draw("dog", 2)
    see_through.putalpha(opacity)
    return {
        "sideways.jpg": _saved(draw("cat", 1).crop((0, 0, _SIZE, 260)), "JPEG", quality=90, exif=exif),
        "see-through.png": _saved(see_through, "PNG"),
    }


def _saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _room(chance: random.Random) -> Image.Image:
    image = Image.new("RGB", (_SIZE, _SIZE), chance.choice(_WALLS))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, chance.uniform(190, 240), _SIZE, _SIZE), fill=chance.choice(_FLOORS))
    left, top = chance.uniform(-20, 240), chance.uniform(5, 60)
    pen.rectangle((left, top, left + 80, top + 80), fill=chance.choice(_WALLS), outline=chance.choice(_FLOORS), width=6)
    return image


def _body(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, fur: str) -> None:
    _ellipse(pen, x, y + 1.9 * r, 1.05 * r, 1.35 * r, _darker(fur, 0.9))
    for side in (-1, 1):
        _ellipse(pen, x + side * 0.5 * r, y + 2.6 * r, 0.3 * r, 0.6 * r, fur)


def _cat_head(pen, x: float, y: float, r: float, fur: str, dark: str, chance: random.Random) -> None:
    for side in (-1, 1):
        pen.polygon(_ear(x, y, r, side, 1.0), fill=fur)
        pen.polygon(_ear(x, y, r, side, 0.6), fill="#d99aa0")
    _ellipse(pen, x, y, r, 0.88 * r, fur)
    for stripe in (-1, 0, 1):
        pen.line(
            (x + 0.2 * r * stripe, y - 0.85 * r, x + 0.14 * r * stripe, y - 0.5 * r), fill=dark, width=int(0.09 * r)
        )
    color = chance.choice(_EYES[:3])
    for side in (-1, 1):
        _ellipse(pen, x + side * 0.42 * r, y - 0.1 * r, 0.2 * r, 0.17 * r, color)
        _ellipse(pen, x + side * 0.42 * r, y - 0.1 * r, 0.05 * r, 0.16 * r, "#111111")
    pen.polygon([(x - 0.11 * r, y + 0.22 * r), (x + 0.11 * r, y + 0.22 * r), (x, y + 0.36 * r)], fill="#c9727c")
    for side in (-1, 1):
        for tilt in (-0.14, 0.0, 0.14):
            pen.line(
                (x + side * 0.2 * r, y + 0.36 * r, x + side * 1.2 * r, y + (0.36 + 1.6 * tilt) * r),
                fill="#f8f8f8",
                width=2,
            )


def _dog_head(pen, x: float, y: float, r: float, fur: str, dark: str, chance: random.Random) -> None:
    _ellipse(pen, x, y, 0.9 * r, r, fur)
    droop = chance.uniform(0.1, 0.35)
    for side in (-1, 1):
        _ellipse(pen, x + side * 0.92 * r, y + droop * r, 0.27 * r, 0.72 * r, dark)
        _ellipse(pen, x + side * 0.36 * r, y - 0.22 * r, 0.13 * r, 0.14 * r, "#2a1a12")
        _ellipse(pen, x + side * 0.39 * r, y - 0.26 * r, 0.04 * r, 0.04 * r, "#ffffff")
    _ellipse(pen, x, y + 0.48 * r, 0.5 * r, 0.4 * r, _lighter(fur, 0.45))
    _ellipse(pen, x, y + 0.28 * r, 0.2 * r, 0.15 * r, "#161414")
    if chance.random() < 0.6:
        _ellipse(pen, x, y + 0.88 * r, 0.16 * r, 0.24 * r, "#d8606c")
    pen.arc((x - 0.3 * r, y + 0.3 * r, x + 0.3 * r, y + 0.75 * r), 20, 160, fill="#161414", width=3)


def _ear(x: float, y: float, r: float, side: int, scale: float) -> list[Point]:
    angles = (math.radians(-90 + side * turn) for turn in (12, 38, 64))
    return [
        (x + reach * math.cos(angle), y + reach * math.sin(angle))
        for angle, reach in zip(angles, (0.8 * r, (0.8 + 0.75 * scale) * r, 0.8 * r))
    ]


def _ellipse(pen: ImageDraw.ImageDraw, x: float, y: float, a: float, b: float, fill: str) -> None:
    pen.ellipse((x - a, y - b, x + a, y + b), fill=fill)


def _darker(color: str, share: float) -> str:
    return _mixed(color, "#000000", 1 - share)


def _lighter(color: str, share: float) -> str:
    return _mixed(color, "#ffffff", share)


def _mixed(color: str, other: str, share: float) -> str:
    channels = zip(bytes.fromhex(color[1:]), bytes.fromhex(other[1:]))
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in channels)

"""The page's icon as PNG, for browsers that take no SVG: python tools/make_icons.py, after a change of icon.svg."""

import io
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from PIL import Image, ImageDraw

FOLDER = Path(__file__).resolve().parents[1] / "notebooks" / "catdog" / "frontend" / "static"
_PAPER = "#f6f7f9"
_FINER = 8  # times a side, and then made small: Pillow draws hard edges
_SHADES = 16

# Side in pixels, the share of it that the drawing takes, and what lies behind: iOS shows transparency as black.
ICONS = {"icon.png": (32, 1.0, None), "touch-icon.png": (180, 0.72, _PAPER)}


def icon(side: int, share: float, paper: str | None) -> Image.Image:
    """Draw icon.svg, which has circles and ellipses of one colour only."""
    svg = ElementTree.parse(FOLDER / "icon.svg").getroot()
    _, _, width, _ = map(float, svg.attrib["viewBox"].split())
    group = svg[0]
    scale, margin = _FINER * side * share / width, _FINER * side * (1 - share) / 2
    mask = Image.new("L", (_FINER * side,) * 2)
    for shape in group:
        x, y = (float(shape.attrib[name]) for name in ("cx", "cy"))
        across, down = (float(shape.attrib.get(name, shape.attrib.get("r", 0))) for name in ("rx", "ry"))
        box = [margin + scale * value for value in (x - across, y - down, x + across, y + down)]
        ImageDraw.Draw(mask).ellipse(box, fill=255)
    mask = mask.resize((side, side), Image.Resampling.BOX)
    ink = Image.new("RGB", mask.size, group.attrib["fill"])
    if paper:
        return Image.composite(ink, Image.new("RGB", mask.size, paper), mask).quantize(_SHADES)
    ink.putalpha(mask)
    return ink


def as_png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def main() -> None:
    for name, how in ICONS.items():
        (FOLDER / name).write_bytes(as_png(icon(*how)))
        print(FOLDER / name)


if __name__ == "__main__":
    sys.exit(main())

"""Names in figures: drawn literally, in a font that has their letters, or else spelt in ASCII."""

import functools
from collections.abc import Callable

import matplotlib.pyplot as plt
from anyascii import anyascii
from matplotlib import font_manager

_FONTS = (  # of other alphabets, as they come with systems and packages
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK KR", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR",
    "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "IPAexGothic", "NanumGothic", "Hiragino Sans", "PingFang SC",
    "Apple SD Gothic Neo", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic", "Arial Unicode MS", "Noto Sans Arabic",
    "Noto Sans Devanagari", "Noto Sans Thai", "Noto Emoji",
)  # fmt: skip
_told: list[str] = []  # once is enough, however many names there are


def with_names(draw: Callable) -> Callable:
    """Decorate a function that draws names of classes and files, so that Matplotlib draws every character literally."""

    @functools.wraps(draw)
    def drawn(*args, **options):
        with plt.rc_context({"text.parse_math": False, "font.family": _families()}):
            return draw(*args, **options)

    return drawn


def drawable(name: str) -> str:
    """Return `name`, with letters that no font here has spelt in ASCII; the first time, that is printed."""
    missing = {letter for letter in name if letter.isprintable() and ord(letter) not in _letters()}
    if not missing:
        return name
    spelt = "".join(anyascii(letter) if letter in missing else letter for letter in name)
    if not _told:
        _told.append(name)
        print(f'No font here has the letters of "{name}": in figures, such names are spelt in ASCII: {spelt}.')
    return spelt


@functools.cache
def _families() -> list[str]:
    there = {font.name for font in font_manager.fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in _FONTS if name in there)]


@functools.cache
def _letters() -> frozenset[int]:
    """Return the code points that the fonts here can draw."""
    paths = [font_manager.findfont(family) for family in _families()]
    return frozenset(code for path in paths for code in font_manager.get_font(path).get_charmap())

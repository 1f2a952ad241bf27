"""Read photos: bytes or a path in, an upright RGB array out, or a PhotoRefused that says why.

Training and serving both read photos here, so the network sees the same pixels in both.
Whatever changes the pixels must change `Preprocessing.version` too.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile
from pillow_heif import register_heif_opener

from ..errors import UserError, first_line
from ..names import printable
from .preprocessing import PREPROCESSING, SQUEEZE, Preprocessing
from .salvage import png_without_extras, rows_there

register_heif_opener()

_KEPT_WHEN_REDUCING = 6  # times the pixels per side that are needed
UNTRUSTED_PIXELS = 25_000_000
OWN_PIXELS = 400_000_000
THUMBNAIL_SIDE = 128
_JPEG_QUALITY = 90
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
FORMATS_IN_WORDS = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC"
_OTHERS = {  # first bytes of files that users often take for photos
    b"\xff\x0a": "JPEG XL", b"\0\0\0\x0cJXL ": "JPEG XL", b"\0\0\0\x0cjP  ": "JPEG 2000", b"%PDF": "PDF",
    b"<svg": "SVG", b"<?xml": "SVG or XML", b"<!DOC": "web page", b"<html": "web page", b"8BPS": "Photoshop",
    b"PK\3\4": "zip", b"\0\0\1\0": "icon",
}  # fmt: skip
_TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_ORIENTATION, _SUB_FILES, _DNG_VERSION = 0x0112, 330, 50706  # tags
_UPRIGHT = 1
_DEEP_BITS = (8, 10, 12, 14, 16)

Image.MAX_IMAGE_PIXELS = None  # `max_pixels` is checked for each photo, from its header, before decoding

_SRGB = ImageCms.createProfile("sRGB")

Prepared = TypeVar("Prepared")


class PhotoRefused(UserError):
    """A photo that cannot be used. The message tells the user why."""


def as_picture(photo: np.ndarray) -> Image.Image:
    """Return a prepared photo, uint8 (pixels, pixels, 3), as a Pillow image."""
    return Image.fromarray(photo)


def as_png(photo: np.ndarray) -> bytes:
    """Return a prepared photo, uint8 (pixels, pixels, 3), as the bytes of a PNG file, which is lossless."""
    file = io.BytesIO()
    as_picture(photo).save(file, "PNG")
    return file.getvalue()


def as_thumbnail(photo: np.ndarray) -> bytes:
    """Return a prepared photo, uint8 (pixels, pixels, 3), as a JPEG of `THUMBNAIL_SIDE` pixels a side."""
    file = io.BytesIO()
    as_picture(photo).resize((THUMBNAIL_SIDE,) * 2, Image.Resampling.BOX).save(file, "JPEG")
    return file.getvalue()


def as_jpeg(photo: np.ndarray) -> bytes:
    """Return a photo, uint8 (height, width, 3), as the bytes of a JPEG file without metadata."""
    file = io.BytesIO()
    as_picture(photo).save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()


def read_photo(
    source: bytes | Path,
    min_side: int = 1,
    max_pixels: int = OWN_PIXELS,
    preprocessing: Preprocessing = PREPROCESSING,
) -> np.ndarray:
    """Decode and preprocess one photo for the network.

    Args:
        source: the file's bytes, or its path.
        min_side: refuse photos whose shorter side has fewer pixels than this.
        max_pixels: refuse photos with more pixels than this, from their header, before decoding. Use
            `UNTRUSTED_PIXELS` for photos from untrusted clients.
        preprocessing: the model's.

    Returns:
        uint8 array (pixels, pixels, 3), RGB in sRGB, upright by its EXIF orientation, transparency on white, the first
        frame of an animation, made square by `preprocessing`. A truncated JPEG gives the rows that it has.

    Raises:
        PhotoRefused: `source` cannot be used. Hostile files cannot raise anything else.
    """
    (photo,) = read_squares(source, [preprocessing], min_side, max_pixels)
    return photo


def read_squares(
    source: bytes | Path, preprocessings: Sequence[Preprocessing], min_side: int = 1, max_pixels: int = OWN_PIXELS
) -> list[np.ndarray]:
    """Decode a photo once, and prepare it as `read_photo` does by each of `preprocessings`, all of the same size."""
    data = source if isinstance(source, bytes) else _read(source)
    image = _opened(data, max_pixels)
    if min(image.size) < min_side:
        raise PhotoRefused(
            "photo-small", f"The photo is too small: {image.width}×{image.height} pixels; it needs {min_side} per side."
        )
    _decode_reduced(image, preprocessings[0].pixels)
    return _prepared(image, data, lambda whole: _squares(whole, preprocessings))


def read_shrunk(source: bytes | Path, longest: int, max_pixels: int = OWN_PIXELS) -> np.ndarray:
    """Decode a photo for people to look at: as `read_photo` does, but with its own aspect ratio.

    Args:
        longest: pixels that the longer side may have. A smaller photo keeps its size.

    Returns:
        uint8 array (height, width, 3), RGB in sRGB, upright, transparency on white.

    Raises PhotoRefused as `read_photo` does.
    """
    data = source if isinstance(source, bytes) else _read(source)
    image = _opened(data, max_pixels)
    _decode_reduced(image, longest)
    return _prepared(image, data, lambda whole: _shrunk(whole, longest))


def _prepared(image: Image.Image, data: bytes, prepare: Callable[[Image.Image], Prepared]) -> Prepared:
    """Return what `prepare` makes of the image, which decodes it; or of the rows that a truncated JPEG has."""
    try:
        return prepare(image)
    except Exception as error:  # decoders raise many kinds of errors on damaged or hostile files
        share, rows = rows_there(data)
        if rows is not None:
            return prepare(rows)
        if share:
            raise PhotoRefused(
                "photo-unreadable", f"The photo is incomplete: it has only {share:.0%} of its rows."
            ) from error
        raise PhotoRefused("photo-unreadable", f"The photo is damaged or incomplete ({first_line(error)}).") from error


def photo_format(source: bytes | Path) -> str:
    """Return the format of the file's content, from its header: one of `FORMATS`, or MPO (several JPEGs in one file,
    which some phones make). Raises PhotoRefused."""
    return photo_header(source)[0]


def photo_header(source: bytes | Path) -> tuple[str, tuple[int, int]]:
    """Return (`photo_format`, (width, height) in pixels as stored, before EXIF rotation). Raises PhotoRefused."""
    image = _opened(source)
    assert image.format is not None  # every image that Pillow opens from a file has one
    return image.format, image.size


def _opened(source: bytes | Path, max_pixels: int = OWN_PIXELS) -> Image.Image:
    data = source if isinstance(source, bytes) else _read(source)
    if not data:
        raise PhotoRefused("photo-empty", "The file is empty.")
    try:
        image = _identified(data)
    except UnidentifiedImageError as error:
        raise _unknown_format(data) from error
    except Exception as error:
        raise PhotoRefused("photo-unreadable", f"The photo's header is damaged ({first_line(error)}).") from error
    if isinstance(image, TiffImageFile) and _is_raw(image, data):
        raise PhotoRefused("photo-format", "This is a camera raw file: save it as JPEG or PNG.")
    if image.width * image.height > max_pixels:
        raise _too_many_pixels(max_pixels)
    return image


def _identified(data: bytes) -> Image.Image:
    """Open an image; a PNG that fails, as with oversized texts or profiles, is opened without them."""
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception:
        bare = png_without_extras(data)
        if bare is None:
            raise
        return Image.open(io.BytesIO(bare), formats=FORMATS)


def _unknown_format(data: bytes) -> PhotoRefused:
    kind = next((kind for start, kind in _OTHERS.items() if data.startswith(start)), "")
    if kind:
        return PhotoRefused("photo-format", f"This is a {kind} file: save it as JPEG or PNG.")
    return PhotoRefused("photo-format", f"This is not a photo in a known format ({FORMATS_IN_WORDS}).")


def _is_raw(image: TiffImageFile, data: bytes) -> bool:
    """Tell whether this is a camera raw file: a TIFF whose first image is a thumbnail."""
    return data[8:10] == b"CR" or any(tag in image.tag_v2 for tag in (_SUB_FILES, _DNG_VERSION))


def _too_many_pixels(most: int) -> PhotoRefused:
    return PhotoRefused(
        "photo-pixels", f"The photo has more than {most / 1e6:g} million pixels: make it smaller first."
    )


def _read(path: Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise PhotoRefused(
            "photo-unreadable",
            f"{printable(path)} can no longer be read ({error.strerror}). Run the notebook again from "
            "*Check them* on; the file is then skipped.",
        ) from error


def _decode_reduced(image: Image.Image, pixels: int) -> None:
    """Let libjpeg halve or quarter large JPEGs while it decodes: 25 ms instead of 70 ms for 12 megapixels.

    As long as six times the needed pixels per side remain, a prepared photo differs by at most 1 of 255 (measured on
    natural images of 12 to 24 megapixels; with artificial edges of one pixel, a thousandth of the values differ by up
    to 4). With four times it is 3 of 255. Photos under 7 megapixels are not reduced.
    """
    if image.format in ("JPEG", "MPO"):
        image.draft(image.mode, (_KEPT_WHEN_REDUCING * pixels,) * 2)


def _squares(image: Image.Image, preprocessings: Sequence[Preprocessing]) -> list[np.ndarray]:
    image, profile = _upright_on_white(image)
    return [np.array(_in_srgb(_as_square(image, one), profile)) for one in preprocessings]


def _shrunk(image: Image.Image, longest: int) -> np.ndarray:
    image, profile = _upright_on_white(image)
    share = longest / max(image.size)
    if share < 1:
        width, height = (max(1, round(share * side)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.array(_in_srgb(image, profile))


def _upright_on_white(image: Image.Image) -> tuple[Image.Image, bytes | None]:
    """Return (the image in RGB or CMYK, 8 bits a channel, and the ICC profile by which to convert it, if any)."""
    profile = image.info.get("icc_profile")
    image = _on_white(_eight_bit(_upright(image)))
    if image.mode not in ("RGB", "CMYK"):
        return image.convert("RGB"), None
    return image, profile


def _as_square(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    square = (preprocessing.pixels,) * 2
    if preprocessing.fit == SQUEEZE:
        return image.resize(square, Image.Resampling.BILINEAR)
    return ImageOps.fit(image, square, Image.Resampling.BILINEAR)


def _upright(image: Image.Image) -> Image.Image:
    """Rotate the image by its EXIF orientation; leave it as it is if the EXIF data cannot be read."""
    try:
        turned = _TURNED.get(image.getexif().get(_ORIENTATION, _UPRIGHT))
    except Exception:  # Pillow raises many kinds of errors on broken EXIF data
        turned = None
    return image if turned is None else image.transpose(turned)


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale greys of more than 8 bits to 8, by the bits in use: cameras store 10, 12 or 14 bits in 16. Pillow's own
    conversion clips everything above 255."""
    if not image.mode.startswith(("I", "F")):
        return image
    greys = np.nan_to_num(np.asarray(image, dtype=np.float32)).clip(0)
    most = float(greys.max(initial=0))
    floats = image.mode == "F" and most <= 1
    top = 1 if floats else next((2**bits - 1 for bits in _DEEP_BITS if most < 2**bits), most)
    return Image.fromarray((greys * (255 / top) + 0.5).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert to sRGB by the photo's ICC profile. Call it after resizing, since converting 50,000 pixels is cheap."""
    if profile:
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(image, own, _SRGB, outputMode="RGB") or image
        except (ImageCms.PyCMSError, OSError):
            pass  # a broken profile is no reason to refuse the photo
    return image.convert("RGB")

"""The one door for photos: bytes or a path in, an upright RGB array out, or a clear refusal.

Training and serving both come through here, so the network never sees pixels in the one that it
would not see in the other. Whatever changes the pixels must change `DOOR` too: features and models
made behind another door are not mixed with ours.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from pillow_heif import register_heif_opener

from .errors import SuiteError, first_line

register_heif_opener()

DOOR = "rgb-224-bilinear-2"
SIDE = 224
_KEPT_WHEN_REDUCING = 6 * SIDE
MAX_PIXELS = 25_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF", "HEIF")
FORMATS_IN_WORDS = "JPEG, PNG, WebP, GIF, BMP, AVIF or HEIC"

_SRGB = ImageCms.createProfile("sRGB")


class PhotoRefused(SuiteError):
    """A photo that cannot come in. The message says it to a person."""


def as_picture(photo: np.ndarray) -> Image.Image:
    """What came through the door, uint8 (224, 224, 3), for libraries that want Pillow's pictures."""
    return Image.fromarray(photo)


def as_png(photo: np.ndarray) -> bytes:
    """What came through the door, uint8 (224, 224, 3), as a file that gives the same pixels again."""
    file = io.BytesIO()
    as_picture(photo).save(file, "PNG")
    return file.getvalue()


def read_photo(source: bytes | Path, min_side: int = 1, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode one photo as the network sees it.

    Args:
        source: the file's bytes, or its path.
        min_side: refuse photos whose shorter side has fewer pixels than this.
        max_pixels: refuse photos that have more, by their header, before anything is decoded.

    Returns:
        uint8 array (224, 224, 3), RGB in sRGB, upright by its EXIF orientation, transparency on white,
        the first frame of an animation, squeezed to the square (aspect ratio not kept) with Pillow's
        antialiased bilinear filter.

    Raises:
        PhotoRefused: whatever else `source` holds. Hostile files can raise nothing else.
    """
    image = _opened(source, max_pixels)
    if min(image.size) < min_side:
        raise PhotoRefused(
            "photo-small", f"The photo is too small: {image.width}×{image.height} pixels, {min_side} a side are needed."
        )
    _decode_reduced(image)
    try:
        return np.array(_prepared(image))
    except Exception as error:  # decoders fail in many ways on damaged or hostile files: every one is a refusal
        raise PhotoRefused("photo-unreadable", f"The photo is damaged or incomplete ({first_line(error)}).") from error


def photo_format(source: bytes | Path) -> str:
    """The format that the file's content shows, from the header alone: one of `FORMATS`, or MPO, several JPEGs in one,
    as some phones make. Raises PhotoRefused."""
    return _opened(source).format


def _opened(source: bytes | Path, max_pixels: int = MAX_PIXELS) -> Image.Image:
    data = source if isinstance(source, bytes) else _read(source)
    if not data:
        raise PhotoRefused("photo-empty", "The file is empty.")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise PhotoRefused("photo-format", f"This is not a photo in a known format ({FORMATS_IN_WORDS}).") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels(max_pixels) from error
    except Exception as error:
        raise PhotoRefused("photo-unreadable", f"The photo's header is damaged ({first_line(error)}).") from error
    if image.width * image.height > max_pixels:
        raise _too_many_pixels(max_pixels)
    return image


def _too_many_pixels(most: int) -> PhotoRefused:
    return PhotoRefused(
        "photo-pixels", f"The photo has more than {most / 1e6:g} million pixels: make it smaller first."
    )


def _read(path: Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise PhotoRefused("photo-unreadable", f"The file cannot be read ({error.strerror}).") from error


def _decode_reduced(image: Image.Image) -> None:
    """Let libjpeg halve or quarter large JPEGs while it decodes: 25 ms instead of 70 ms for 12 megapixels.

    As long as six times as many pixels a side are left as are needed, what comes out of the door differs by at most
    1 of 255 (on natural pictures of 12 to 24 megapixels, measured; artificial edges of one pixel reach 4 in a
    thousandth of the values). At four times it is 3 of 255. No photo under 7 megapixels is touched.
    """
    if image.format in ("JPEG", "MPO"):
        image.draft(image.mode, (_KEPT_WHEN_REDUCING, _KEPT_WHEN_REDUCING))


def _prepared(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    ImageOps.exif_transpose(image, in_place=True)  # in place, or a photo that is upright would be copied
    image = _on_white(_eight_bit(image))
    if image.mode not in ("RGB", "CMYK"):
        image, profile = image.convert("RGB"), None
    return _in_srgb(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), profile)


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit grey scaled to 8 bits: Pillow's own conversion would cut everything above 255 off."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image, dtype=np.float32) / 257 + 0.5).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Colours by the photo's own ICC profile. After resizing, since converting 50,000 pixels is cheap."""
    if profile:
        try:
            return ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), _SRGB, outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError):
            pass  # a broken profile is no reason to refuse the photo
    return image.convert("RGB")

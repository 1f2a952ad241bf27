"""Properties of the one door, on photos that Hypothesis thinks up: the right array or a refusal."""

import io
from functools import cache

import numpy as np
import pytest
from catdog.images import SIDE, PhotoRefused, read_photo
from conftest import encoded
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image

sizes = st.tuples(st.integers(1, 400), st.integers(1, 400))
LOSSY = ("JPEG", "WEBP", "AVIF", "HEIF", "MPO")
_LEAST = 64  # pixels a side: of smaller photos lossy formats keep little
seeds = st.integers(0, 50)
UPRIGHT = {  # what a viewer does to the pixels, by EXIF's orientation
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels, 1),
}
SIDEWAYS = {6: 8, 8: 6}  # what undoes an orientation, where that is another one
KINDS = {  # by mode: formats that hold it, with how far an array may be off on average
    "RGB": {"PNG": 0.01, "JPEG": 4, "WEBP": 6, "AVIF": 6, "HEIF": 6, "BMP": 0.01, "MPO": 4},
    "L": {"PNG": 0.01, "JPEG": 2, "BMP": 0.01},
    "1": {"PNG": 0.01, "BMP": 0.01},
    "P": {"PNG": 0.01, "GIF": 0.01, "BMP": 0.01},
    "RGBA": {"PNG": 1, "WEBP": 6},
    "LA": {"PNG": 1},
    "I;16": {"PNG": 1},
    "CMYK": {"JPEG": 4},
}


def field(size, seed, channels):
    """Smooth, so that lossy formats keep it; uint8 (height, width, channels)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 3, channels), dtype=np.uint8)
    layers = [Image.fromarray(coarse[..., layer]).resize(size, Image.Resampling.BILINEAR) for layer in range(channels)]
    return np.stack([np.asarray(layer) for layer in layers], axis=2)


def photo(mode, size, seed):
    """An image in `mode`, and what it looks like on white: uint8 (height, width, 3)."""
    if mode in ("RGBA", "LA"):
        pixels = field(size, seed, len(mode))
        alpha = pixels[..., -1:] / 255
        return Image.fromarray(pixels), np.round(pixels[..., :-1] * alpha + 255 * (1 - alpha)) * np.ones(3)
    if mode == "I;16":
        grey = field(size, seed, 1)[..., 0].astype(np.uint16)
        return Image.fromarray(grey * 257), np.repeat(grey[..., None], 3, axis=2)
    image = Image.fromarray(field(size, seed, 3)).convert(mode)
    return image, np.asarray(image.convert("RGB"))


def squeezed(pixels):
    return np.asarray(Image.fromarray(pixels.astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def with_orientation(image, kind, orientation, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, kind, exif=exif, **options)


def off(one, other):
    return np.abs(one.astype(float) - other).mean()


@given(st.data(), st.sampled_from(sorted(KINDS)), sizes, seeds)
def test_every_mode_and_format_and_size_looks_as_it_should(data, mode, size, seed):
    kind = data.draw(st.sampled_from(sorted(KINDS[mode])))
    image, looks = photo(mode, size, seed)
    assume(kind not in LOSSY or min(size) >= _LEAST)
    options = {"quality": 95} if kind in LOSSY else {}
    found = read_photo(encoded(image, kind, **options))
    assert found.shape == (SIDE, SIDE, 3)
    assert found.dtype == np.uint8
    assert off(found, squeezed(looks)) <= KINDS[mode][kind]


@settings(max_examples=3 * settings().max_examples // 10)  # each in eight
@given(sizes, seeds, st.sampled_from(("PNG", "JPEG", "WEBP")), st.sampled_from(("RGB", "L")))
def test_all_eight_orientations_give_the_same_array(size, seed, kind, mode):
    assume(kind != "WEBP" or mode == "RGB")
    assume(kind != "JPEG" or min(size) >= _LEAST)
    image, _ = photo(mode, size, seed)
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}}.get(kind, {})
    upright = read_photo(encoded(image, kind, **options))
    for orientation in UPRIGHT:
        undone = UPRIGHT[SIDEWAYS.get(orientation, orientation)](np.asarray(image))
        lies = Image.fromarray(np.ascontiguousarray(undone))
        assert off(read_photo(with_orientation(lies, kind, orientation, **options)), upright) <= 1


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_large_photo_stands_upright_though_it_is_decoded_smaller(orientation):
    pixels = field((4000, 3000), 1, 3)
    undone = UPRIGHT[SIDEWAYS.get(orientation, orientation)](pixels)
    data = with_orientation(Image.fromarray(np.ascontiguousarray(undone)), "JPEG", orientation, quality=90)
    assert off(read_photo(data), squeezed(pixels)) <= 1


def array_or_refusal(data):
    """What the door gives; anything but these two is an error."""
    try:
        found = read_photo(data)
    except PhotoRefused as refusal:
        return refusal
    assert found.shape == (SIDE, SIDE, 3)
    assert found.dtype == np.uint8
    return found


@cache
def whole(kind):
    image, _ = photo("P" if kind == "GIF" else "RGB", (97, 131), 4)
    data = encoded(image, kind)
    return data, read_photo(data)


kinds = st.sampled_from(("PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF", "HEIF"))


@given(kinds, st.floats(0, 1))
def test_a_photo_that_was_cut_is_refused_unless_all_of_it_is_there(kind, part):
    data, looks = whole(kind)
    found = array_or_refusal(data[: int(part * len(data))])
    assert isinstance(found, PhotoRefused) or off(found, looks) == 0


@given(kinds, st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=30))
def test_a_photo_with_other_bytes_in_it_is_an_array_or_a_refusal(kind, changes):
    data = bytearray(whole(kind)[0])
    for place, change in changes:
        data[int(place * len(data))] ^= change
    array_or_refusal(bytes(data))


@given(
    st.sampled_from((b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"RIFF____WEBPVP8 ")), st.binary()
)
@example(b"", b"\0\0\0\x18ftypheic\0\0\0\0")
@example(b"", b"\0\0\0\x18ftypavif\0\0\0\0")
def test_garbage_is_refused(beginning, garbage):
    with pytest.raises(PhotoRefused):
        read_photo(beginning + garbage)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_of_an_animation_the_first_frame(kind):
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("lime", "black", "red")]
    file = io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], duration=50)
    assert off(read_photo(file.getvalue()), np.array([0, 255, 0])) < 3

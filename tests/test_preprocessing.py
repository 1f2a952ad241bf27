"""Properties of what the network sees, on photos that Hypothesis thinks up: the right array or a refusal."""

import io
from functools import cache

import numpy as np
import pytest
from catdog.data.images import PhotoRefused, as_png, read_photo
from catdog.data.pictures import BY
from catdog.data.preprocessing import CROP, FITS, PIXELS, PREPROCESSING, SQUEEZE, Preprocessing, require_preprocessing
from catdog.data.salvage import missing
from conftest import encoded, refused
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image

ALL = tuple(Preprocessing(pixels, fit) for pixels in PIXELS for fit in FITS)
sizes = st.tuples(st.integers(1, 400), st.integers(1, 400))
ways = st.sampled_from(ALL)
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


def middle(size):
    """Left, top, right and bottom of the middle square, which may begin half-way through a pixel."""
    width, height = size
    left, top = max(0, width - height) / 2, max(0, height - width) / 2
    return left, top, left + min(size), top + min(size)


def seen(pixels, preprocessing):
    """What is to come of upright RGB pixels."""
    image, side = Image.fromarray(pixels.astype(np.uint8)), preprocessing.pixels
    box = middle(image.size) if preprocessing.fit == CROP else None
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box))


def with_orientation(image, kind, orientation, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, kind, exif=exif, **options)


def off(one, other):
    return np.abs(one.astype(float) - other).mean()


@given(st.data(), st.sampled_from(sorted(KINDS)), sizes, seeds, ways)
def test_every_mode_and_format_and_size_looks_as_it_should(data, mode, size, seed, preprocessing):
    kind = data.draw(st.sampled_from(sorted(KINDS[mode])))
    image, looks = photo(mode, size, seed)
    assume(kind not in LOSSY or min(size) >= _LEAST)
    options = {"quality": 95} if kind in LOSSY else {}
    found = read_photo(encoded(image, kind, **options), preprocessing=preprocessing)
    assert found.shape == (preprocessing.pixels, preprocessing.pixels, 3)
    assert found.dtype == np.uint8
    assert off(found, seen(looks, preprocessing)) <= KINDS[mode][kind]


@settings(max_examples=3 * settings().max_examples // 10)  # each in eight
@given(sizes, seeds, st.sampled_from(("PNG", "JPEG", "WEBP")), st.sampled_from(("RGB", "L")), ways)
def test_all_eight_orientations_give_the_same_array(size, seed, kind, mode, preprocessing):
    assume(kind != "WEBP" or mode == "RGB")
    assume(kind != "JPEG" or min(size) >= _LEAST)
    image, _ = photo(mode, size, seed)
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}}.get(kind, {})
    upright = read_photo(encoded(image, kind, **options), preprocessing=preprocessing)
    for orientation in UPRIGHT:
        undone = UPRIGHT[SIDEWAYS.get(orientation, orientation)](np.asarray(image))
        lies = with_orientation(Image.fromarray(np.ascontiguousarray(undone)), kind, orientation, **options)
        assert off(read_photo(lies, preprocessing=preprocessing), upright) <= 1


@cache
def large():
    """A photo that is decoded smaller, and what is to come of it in both fits."""
    pixels = field((4000, 3000), 1, 3)
    return pixels, {preprocessing: seen(pixels, preprocessing) for preprocessing in (PREPROCESSING, BY)}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_large_photo_stands_upright_though_it_is_decoded_smaller(orientation):
    pixels, looks = large()
    undone = UPRIGHT[SIDEWAYS.get(orientation, orientation)](pixels)
    data = with_orientation(Image.fromarray(np.ascontiguousarray(undone)), "JPEG", orientation, quality=90)
    for preprocessing, expected in looks.items():
        assert off(read_photo(data, preprocessing=preprocessing), expected) <= 1


# --- the middle of the photo ---


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("stands", [False, True])
def test_of_a_long_photo_the_middle_square(orientation, stands):
    """Red, lime, blue: three squares beside each other or on top of each other, as they are seen upright."""
    thirds = np.repeat(np.uint8([[255, 0, 0], [0, 255, 0], [0, 0, 255]]), 100, axis=0)
    upright = np.repeat(thirds[:, None], 100, axis=1) if stands else np.repeat(thirds[None], 100, axis=0)
    undone = UPRIGHT[SIDEWAYS.get(orientation, orientation)](upright)
    data = with_orientation(Image.fromarray(np.ascontiguousarray(undone)), "PNG", orientation)
    for pixels in PIXELS:
        inside = slice(pixels // 50, -pixels // 50)  # half a pixel of the photo is blended with its neighbour
        assert (read_photo(data, preprocessing=Preprocessing(pixels))[inside, inside] == (0, 255, 0)).all()
    squeezed = read_photo(data, preprocessing=BY)
    ends = (squeezed[9, 112], squeezed[-9, 112]) if stands else (squeezed[112, 9], squeezed[112, -9])
    assert [end.tolist() for end in ends] == [[255, 0, 0], [0, 0, 255]]


@given(sizes, seeds, st.sampled_from(PIXELS))
@example((400, 100), 0, 224)
@example((301, 400), 0, 320)
def test_nothing_from_outside_enters(size, seed, pixels):
    """But for the pixel that the edge of the square goes through or touches: the filter blends neighbours."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    left, top, right, bottom = middle(size)
    blended = max(1, min(size) / pixels) / 2
    rows, columns = np.arange(size[1])[:, None], np.arange(size[0])[None]
    outside = (columns + 1 <= left - blended) | (columns >= right + blended)
    outside = outside | (rows + 1 <= top - blended) | (rows >= bottom + blended)
    other = np.where(outside[..., None], 255 - noise, noise)
    one, two = (
        read_photo(encoded(Image.fromarray(array), "PNG"), preprocessing=Preprocessing(pixels))
        for array in (noise, other)
    )
    assert (one == two).all()


@given(sizes, seeds, ways)
def test_a_prepared_photo_is_unchanged_when_it_is_prepared_again(size, seed, preprocessing):
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    once = read_photo(encoded(Image.fromarray(noise), "PNG"), preprocessing=preprocessing)
    assert (read_photo(as_png(once), preprocessing=preprocessing) == once).all()


def test_a_square_photo_is_the_same_in_both_fits():
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), "PNG")
    assert (read_photo(data, preprocessing=BY) == read_photo(data)).all()


# --- its name ---


def test_each_has_a_version_of_its_own_that_names_it():
    versions = [preprocessing.version for preprocessing in ALL]
    assert len(set(versions)) == len(ALL)
    assert tuple(map(Preprocessing.of, versions)) == ALL
    assert PREPROCESSING.version == "rgb-224-crop-4"  # it stands in saved models
    assert Preprocessing(288, SQUEEZE).version == "rgb-288-squeeze-4"


def test_squeezed_to_224_pixels_it_is_called_as_it_was_before_there_was_another():
    for version in ("rgb-224-bilinear-2", "rgb-224-bilinear-3"):
        assert Preprocessing.of(version) == BY
    assert Preprocessing(224, SQUEEZE).version == BY.version == "rgb-224-bilinear-3"


@pytest.mark.parametrize(
    "version",
    [
        "", "another", "rgb-224-bilinear-1", "rgb-288-bilinear-3", "rgb-288-pad-4", "rgb-224-crop-5", "rgb-crop-4",
        "rgb-224.0-crop-4", "rgb-224-crop-4\n", "bgr-224-crop-4",
        "rgb-0-crop-4", "rgb-0224-crop-4", "rgb--224-crop-4", "rgb-٢٢٤-crop-4",
    ],
)  # fmt: skip
def test_an_unknown_version_is_refused(version):
    with pytest.raises(ValueError, match="unknown"):
        Preprocessing.of(version)


def test_settings_that_are_offered_are_told_from_others():
    assert tuple(require_preprocessing(one.pixels, one.fit) for one in ALL) == ALL
    assert require_preprocessing(224.0, CROP).version == "rgb-224-crop-4"
    for pixels, fit in ((0, CROP), (-224, CROP), (225, CROP), ("224", CROP), (224, "pad")):
        with refused("setting-preprocessing", "PIXELS" if fit == CROP else "FIT"):
            require_preprocessing(pixels, fit)


# --- whatever the bytes are ---


def array_or_refusal(data, preprocessing):
    """What is read; anything but these two is an error."""
    try:
        found = read_photo(data, preprocessing=preprocessing)
    except PhotoRefused as refusal:
        return refusal
    assert found.shape == (preprocessing.pixels, preprocessing.pixels, 3)
    assert found.dtype == np.uint8
    return found


@cache
def whole(kind, preprocessing):
    image, _ = photo("P" if kind == "GIF" else "RGB", (97, 131), 4)
    data = encoded(image, kind)
    return data, read_photo(data, preprocessing=preprocessing)


kinds = st.sampled_from(("PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF", "HEIF"))


@given(kinds, st.floats(0, 1), ways)
@example("JPEG", 0.99, PREPROCESSING)
def test_a_photo_that_was_cut_is_refused_unless_all_of_it_is_there_or_most_of_a_jpegs_rows(kind, part, preprocessing):
    data, looks = whole(kind, preprocessing)
    cut = data[: int(part * len(data))]
    found = array_or_refusal(cut, preprocessing)
    assert isinstance(found, PhotoRefused) or off(found, looks) == 0 or (kind == "JPEG" and 0 < missing(cut) < 0.25)


@given(
    kinds, st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=30), ways
)
def test_a_photo_with_other_bytes_in_it_is_an_array_or_a_refusal(kind, changes, preprocessing):
    data = bytearray(whole(kind, preprocessing)[0])
    for place, change in changes:
        data[int(place * len(data))] ^= change
    array_or_refusal(bytes(data), preprocessing)


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
    frames = [Image.new("RGB", (64, 64), color) for color in ("lime", "black", "red")]
    file = io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], duration=50)
    assert off(read_photo(file.getvalue()), np.array([0, 255, 0])) < 3

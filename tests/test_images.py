"""Every photo upright, in RGB, as the square that the network sees, or a clear refusal."""

import contextlib
import functools
import io
import struct
import zlib

import numpy as np
import pytest
from catdog.data.images import UNTRUSTED_PIXELS, PhotoRefused, photo_format, read_photo
from catdog.data.preprocessing import FITS, PREPROCESSING, SQUEEZE, Preprocessing
from catdog.data.salvage import missing
from conftest import drawing, encoded
from PIL import Image, ImageCms, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

SIDE = PREPROCESSING.pixels
LEFT_RED = Image.new("RGB", (300, 200), "blue")
LEFT_RED.paste("red", (0, 0, 150, 200))


@pytest.fixture(params=FITS)
def fit(request):
    """What holds for the one holds for the other, by which models of before serve."""
    return request.param


@pytest.fixture
def read(fit):
    return functools.partial(read_photo, preprocessing=Preprocessing(fit=fit))


def refused(source, **options) -> PhotoRefused:
    with pytest.raises(PhotoRefused) as caught:
        read_photo(source, **options)
    return caught.value


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "MPO"])
def test_every_format_comes_in(kind, read):
    photo = read(encoded(LEFT_RED, kind))
    assert photo.shape == (SIDE, SIDE, 3)
    assert photo.dtype == np.uint8
    assert np.abs(photo[112, 30].astype(int) - (255, 0, 0)).max() < 8
    assert np.abs(photo[112, 190].astype(int) - (0, 0, 255)).max() < 8


def test_content_not_name_tells_the_format(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(LEFT_RED, "PNG"))
    assert photo_format(path) == "PNG"
    assert (read_photo(path) == read_photo(encoded(LEFT_RED, "PNG"))).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_stand_upright(orientation, read):
    undo = {2: (0, False, True), 3: (180, False, False), 4: (180, False, True), 5: (270, False, True),
            6: (90, False, False), 7: (90, False, True), 8: (270, False, False)}  # fmt: skip
    image = LEFT_RED
    if orientation > 1:
        angle, _, mirrored = undo[orientation]
        image = LEFT_RED.rotate(angle, expand=True)
        image = ImageOps.mirror(image) if mirrored else image
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = read(encoded(image, "PNG", exif=exif))
    assert np.abs(photo.astype(int) - read(encoded(LEFT_RED, "PNG"))).mean() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "RGB"])
def test_modes_look_the_same(mode, read):
    grey = Image.linear_gradient("L").resize((300, 400))
    kind = "TIFF" if mode == "CMYK" else "PNG"
    image = (grey if mode in "1L" else grey.convert("RGB")).convert(mode)
    photo = read(encoded(image, "JPEG" if kind == "TIFF" else kind))
    reference = read(encoded(grey, "PNG"))
    blocks = np.abs(
        photo[..., 0].reshape(28, 8, 28, 8).mean((1, 3)) - reference[..., 0].reshape(28, 8, 28, 8).mean((1, 3))
    )
    assert blocks.mean() < (12 if mode in "1P" else 3)


def test_sixteen_bit_grey_is_scaled_not_cut_off():
    ramp = np.linspace(0, 65535, 256 * 256).reshape(256, 256).astype(np.uint16)
    photo = read_photo(encoded(Image.fromarray(ramp), "PNG"))
    assert 100 < photo.mean() < 156
    assert photo[:10].mean() < 20
    assert photo[-10:].mean() > 235


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_lies_on_white(mode, read):
    image = Image.new("RGBA", (150, 100), (0, 0, 0, 0))
    options = {}
    if mode == "P":
        image, options = Image.new("P", (150, 100), 0), {"transparency": 0}
    photo = read(encoded(image.convert(mode), "PNG", **options))
    assert (photo == 255).all()


@functools.cache
def clouds(width: int, height: int) -> Image.Image:
    """Structure at every scale, weaker the finer it is, as photos have it."""
    random, values = np.random.default_rng(0), np.zeros((height, width, 3), np.float32)
    for octave in range(2, 10):
        noise = random.normal(size=(2**octave, 2**octave, 3)) * 2.0**-octave * 150
        layers = (Image.fromarray(layer.astype(np.float32)) for layer in np.moveaxis(noise, 2, 0))
        values += np.stack([layer.resize((width, height), Image.Resampling.BICUBIC) for layer in layers], axis=2)
    return Image.fromarray(np.clip(128 + values, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("size", "preprocessing", "times"),
    [
        ((4000, 3000), PREPROCESSING, 2),
        ((1400, 5000), PREPROCESSING, 1),
        ((4000, 3000), Preprocessing(fit=SQUEEZE), 2),
        ((5600, 4200), PREPROCESSING, 2),
        ((5600, 4200), Preprocessing(320), 2),
        ((4000, 3000), Preprocessing(288), 1),
    ],
)
def test_large_jpegs_are_decoded_smaller_and_look_the_same(size, preprocessing, times, monkeypatch):
    """As long as the shorter side keeps six times as many pixels as are needed."""
    drafted, draft = [], JpegImageFile.draft

    def noted(image, *how):
        draft(image, *how)
        drafted.append(image.size)

    data = large_jpeg(size)
    monkeypatch.setattr(JpegImageFile, "draft", noted)
    photo = read_photo(data, preprocessing=preprocessing)
    assert drafted[-1] == tuple(side // times for side in size)
    assert min(drafted[-1]) >= 6 * preprocessing.pixels
    monkeypatch.setattr(JpegImageFile, "draft", lambda image, *how: None)
    assert np.abs(photo.astype(int) - read_photo(data, preprocessing=preprocessing)).max() <= 1


@functools.cache
def large_jpeg(size):
    return encoded(clouds(*(round(0.35 * side) for side in size)).resize(size), "JPEG", quality=90)


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (64, 64), color) for color in ("lime", "black")]
    photo = read_photo(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert (photo[0, 0] == (0, 255, 0)).all()


def test_colours_follow_the_icc_profile(read):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    red_for_blue = srgb.replace(b"rXYZ", b"____").replace(b"bXYZ", b"rXYZ").replace(b"____", b"bXYZ")
    plain = read(encoded(LEFT_RED, "PNG"))
    assert np.abs(read(encoded(LEFT_RED, "PNG", icc_profile=srgb)).astype(int) - plain).max() <= 1
    assert np.abs(read(encoded(LEFT_RED, "PNG", icc_profile=red_for_blue)).astype(int) - plain[..., ::-1]).max() <= 1
    assert (read(encoded(LEFT_RED, "PNG", icc_profile=b"broken")) == plain).all()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "photo-empty"),
        (b"just words, whatever the name says", "photo-format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "photo-format"),
        (drawing()[:-2000], "photo-unreadable"),
        (encoded(LEFT_RED, "PNG")[:60], "photo-unreadable"),
        (encoded(Image.new("L", (6000, 6000)), "PNG"), "photo-pixels"),
        (b"\xff\x0a" + bytes(50), "photo-format"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(100), "photo-format"),
    ],
)
def test_refusals(data, code):
    refusal = refused(data, max_pixels=UNTRUSTED_PIXELS)
    assert refusal.code == code
    assert str(refusal).endswith((".", "first.", ")."))


def test_pixels_are_counted_before_decoding():
    header = encoded(Image.new("L", (8, 8)), "PNG")
    huge = (100_000).to_bytes(4, "big") * 2
    checked = b"IHDR" + huge + header[24:29]
    bomb = header[:12] + checked + zlib.crc32(checked).to_bytes(4, "big") + header[33:]
    assert UNTRUSTED_PIXELS < 100_000**2
    assert refused(bomb).code == "photo-pixels"
    assert refused(bomb, max_pixels=UNTRUSTED_PIXELS).code == "photo-pixels"


def test_a_phones_own_photos_are_read_however_many_pixels_they_have():
    data = encoded(clouds(1200, 900).resize((12_000, 9_000)), "JPEG", quality=80)
    assert read_photo(data).shape == (SIDE, SIDE, 3)
    assert refused(data, max_pixels=UNTRUSTED_PIXELS).code == "photo-pixels"


def test_other_formats_that_are_often_taken_for_photos_are_named():
    for data, kind in ((b"\xff\x0a" + bytes(50), "JPEG XL"), (b"%PDF-1.4", "PDF"), (b"PK\3\4" + bytes(50), "zip")):
        assert kind in str(refused(data))


# --- what is beside the picture never costs it ---


def with_exif(exif: bytes, kind="JPEG") -> bytes:
    data = encoded(LEFT_RED, kind)
    if kind == "JPEG":
        return data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]
    return with_chunks((b"eXIf", exif))


def with_chunks(*chunks) -> bytes:
    data = encoded(LEFT_RED, "PNG")
    added = [len(c).to_bytes(4, "big") + kind + c + zlib.crc32(kind + c).to_bytes(4, "big") for kind, c in chunks]
    return data[:33] + b"".join(added) + data[33:]


def tiff(*entries: tuple[int, int, int, bytes]) -> bytes:
    """EXIF of entries (tag, kind, count, value), little-endian."""
    body = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4)


TURNED = (0x112, 3, 1, struct.pack("<HH", 6, 0))


@pytest.mark.parametrize(
    ("exif", "kind", "turned"),
    [
        (b"Exif\0\0GARBAGE!", "JPEG", False),
        (b"abcd", "PNG", False),
        (b"GARBAGE!" * 3, "PNG", False),
        (tiff((0x112, 2, 2, b"6\0\0\0")), "JPEG", False),
        (tiff(TURNED, (0x102, 9, 1, struct.pack("<i", -5))), "JPEG", True),
        (tiff(TURNED, (0x11A, 10, 1, struct.pack("<I", 4))), "JPEG", True),
    ],
)
def test_odd_exif_costs_no_photo(exif, kind, turned):
    photo = read_photo(with_exif(exif, kind))
    top_left, top_right, bottom_left = (photo[y, x].astype(int) for y, x in ((20, 20), (20, 200), (200, 20)))
    assert np.abs(top_left - (top_right if turned else bottom_left)).max() < 40


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 2_000_000))],
        [(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 900_000))] * 80,
        [(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(b"x" * 2_000_000))],
        [(b"iCCP", b"a\0\0" + zlib.compress(b"x" * 1_500_000))],
    ],
    ids=["a long text", "many texts", "an international text", "a large profile"],
)
def test_texts_and_profiles_cost_no_photo(chunks):
    assert (read_photo(with_chunks(*chunks)) == read_photo(encoded(LEFT_RED, "PNG"))).all()


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_deep_greys_are_as_bright_as_they_were_meant(bits, read):
    grey = np.asarray(clouds(300, 200).convert("L"))
    deep = np.round(grey.astype(float) / grey.max() * (2**bits - 1)).astype(np.uint16)
    shallow = read(encoded(Image.fromarray(np.round(grey / grey.max() * 255).astype(np.uint8)), "PNG"))
    assert np.abs(read(encoded(Image.fromarray(deep), "PNG")).astype(int) - shallow).max() <= 1


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
@pytest.mark.parametrize("lost", [1, 2, 23, 400])
def test_of_a_cut_jpeg_the_rows_that_are_there_are_read(options, lost, read):
    data = encoded(clouds(600, 400), "JPEG", quality=90, **options)
    share = missing(data[:-lost])
    assert 0 <= share < 0.25
    assert missing(data) == missing(data + b"trailer" * 100) == 0
    rows = Image.open(io.BytesIO(data)).crop((0, 0, 600, int(400 * (1 - share))))
    photo, expected = read(data[:-lost]), read(encoded(rows, "PNG"))
    assert np.abs(photo[: SIDE // 2].astype(int) - expected[: SIDE // 2]).mean() < 4


def test_a_jpeg_of_which_too_little_is_there_is_refused_with_the_share():
    data = encoded(clouds(600, 400), "JPEG", quality=90)
    assert "% of its rows" in str(refused(data[: len(data) // 2]))
    assert missing(data[: len(data) // 2]) > 0.3


def test_too_small_only_where_asked():
    tiny = encoded(Image.new("RGB", (31, 400)), "PNG")
    assert read_photo(tiny).shape == (SIDE, SIDE, 3)
    assert refused(tiny, min_side=32).code == "photo-small"


def test_a_path_that_is_not_there(tmp_path):
    assert refused(tmp_path / "nothing.jpg").code == "photo-unreadable"


def test_garbage_never_gets_through_as_anything_but_a_refusal():
    good, chance = drawing("dog", 3, "PNG"), np.random.default_rng(0)
    for _ in range(60):
        bad = bytearray(good)
        for place in chance.integers(8, len(good), 20):
            bad[place] = chance.integers(256)
        with contextlib.suppress(PhotoRefused):
            assert read_photo(bytes(bad)).shape == (SIDE, SIDE, 3)


def test_bytes_and_path_are_the_same(tmp_path):
    path = tmp_path / "cat.jpg"
    path.write_bytes(drawing())
    assert (read_photo(path) == read_photo(drawing())).all()
    assert (read_photo(io.BytesIO(drawing()).getvalue()) == read_photo(path)).all()

"""Example photos that the author offers: which are taken, what is left of them, and who gets them."""

import base64
import io
import os

import numpy as np
import pytest
from catdog.backend.app import create_app
from catdog.backend.examples import LONGEST_SIDE, read_examples, require_examples
from catdog.backend.limits import Limits
from catdog.data.images import OWN_PIXELS, PhotoRefused, as_jpeg, read_photo, read_shrunk
from conftest import drawing, encoded, refused
from PIL import Image, ImageCms
from test_backend import is_problem, parts

FROM_AFAR = {"X-Forwarded-For": "203.0.113.7"}
LEFT_RED = Image.new("RGB", (1200, 800), "blue")
LEFT_RED.paste("red", (0, 0, 600, 800))


def folder_of(path, **files):
    """Files by their names, with a dash for each underscore; a name that ends in "jpg" and so on has its ending."""
    path.mkdir(exist_ok=True)
    for name, data in files.items():
        stem, _, ending = name.rpartition("_")
        (path / f"{stem}.{ending}").write_bytes(data)
    return str(path)


def opened(photo):
    return Image.open(io.BytesIO(photo))


# --- what is made of a photo ---


def test_a_photo_is_made_small_with_its_own_aspect_ratio():
    small = read_shrunk(encoded(LEFT_RED), 512)
    assert (small.shape, small.dtype) == ((341, 512, 3), np.uint8)
    assert np.abs(small[170, 100].astype(int) - (255, 0, 0)).max() < 8
    assert np.abs(small[170, 400].astype(int) - (0, 0, 255)).max() < 8


@pytest.mark.parametrize(
    ("size", "wanted"), [((300, 200), (300, 200)), ((512, 512), (512, 512)), ((9000, 3), (512, 1))]
)
def test_it_is_never_made_larger(size, wanted):
    height, width, _ = read_shrunk(encoded(Image.new("RGB", size), "PNG"), 512).shape
    assert (width, height) == wanted


def test_it_stands_upright_by_its_exif_and_nothing_tells_so_any_more(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    (photo,) = read_examples(folder_of(tmp_path / "e", a_jpg=encoded(LEFT_RED, exif=exif)))
    shown = opened(photo)
    assert shown.size == (341, 512)
    assert np.abs(np.subtract(shown.getpixel((170, 100)), (255, 0, 0))).max() < 8  # what was left is at the top
    assert not shown.getexif()


def test_place_time_texts_and_previews_stay_with_the_author(tmp_path):
    exif = Image.Exif()
    exif[0x010F], exif[0x0132] = "Camera of mine", "2026:05:04 03:02:01"
    exif.get_ifd(0x8825)[1], exif.get_ifd(0x8825)[2] = "N", (52.0, 31.0, 12.0)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = encoded(LEFT_RED, exif=exif, comment=b"at home", icc_profile=profile)
    assert opened(file).getexif().get_ifd(0x8825)
    (photo,) = read_examples(folder_of(tmp_path / "e", a_jpg=file))
    shown = opened(photo)
    assert shown.format == "JPEG"
    assert not shown.getexif()
    assert shown.info.keys() <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    for part in (b"Exif", b"Camera", b"2026:", b"home", b"ICC_PROFILE"):
        assert part in file
        assert part not in photo


def test_it_is_on_white_and_in_the_colours_that_its_profile_means(tmp_path):
    see_through = Image.new("RGBA", (60, 40), (0, 0, 0, 0))
    (white,) = read_examples(folder_of(tmp_path / "e", a_png=encoded(see_through, "PNG")))
    assert opened(white).getpixel((30, 20)) == (255, 255, 255)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    red_for_blue = srgb.replace(b"rXYZ", b"____").replace(b"bXYZ", b"rXYZ").replace(b"____", b"bXYZ")
    plain, turned = (read_shrunk(encoded(LEFT_RED, "PNG", icc_profile=one), 512) for one in (srgb, red_for_blue))
    assert np.abs(turned.astype(int) - plain[..., ::-1]).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "MPO"])
def test_every_format_that_is_read_elsewhere_comes_out_as_a_jpeg(tmp_path, kind):
    (photo,) = read_examples(folder_of(tmp_path / "e", a_photo=encoded(LEFT_RED, kind)))
    shown = opened(photo)
    assert (shown.format, shown.size) == ("JPEG", (512, 341))
    assert np.abs(np.subtract(shown.getpixel((100, 170)), (255, 0, 0))).max() < 12


def test_of_a_truncated_photo_the_rows_that_are_there_are_shown():
    noise = Image.effect_noise((600, 400), 90).convert("RGB")
    data = encoded(noise)
    small = read_shrunk(data[: int(len(data) * 0.9)], 512)
    assert small.shape[1] == 512
    assert 240 < small.shape[0] < 341
    with pytest.raises(PhotoRefused):
        read_shrunk(data[: len(data) // 3], 512)


def test_pixels_are_counted_before_anything_is_decoded():
    with pytest.raises(PhotoRefused) as caught:
        read_shrunk(encoded(Image.new("1", (6000, 6000)), "PNG"), 512, max_pixels=25_000_000)
    assert caught.value.code == "photo-pixels"
    assert OWN_PIXELS >= 200_000_000  # what phones make


def test_real_photos_are_small_files_that_the_model_sees_alike(real_photos):
    for path in sorted((real_photos / "test" / "cat").iterdir())[:4]:
        photo = as_jpeg(read_shrunk(path, LONGEST_SIDE))
        assert max(opened(photo).size) <= LONGEST_SIDE
        assert len(photo) < 200_000
        assert np.abs(read_photo(photo).astype(int) - read_photo(path)).mean() < 4


# --- which photos are taken ---


def test_of_ten_photos_the_first_four_by_name_are_taken(tmp_path, capsys):
    files = {f"photo-{number}_png": drawing("cat", number, "PNG") for number in range(9, -1, -1)}
    found = read_examples(folder_of(tmp_path / "e", **files))
    assert found == tuple(as_jpeg(read_shrunk(drawing("cat", number, "PNG"), 512)) for number in range(4))
    names = ", ".join(f"photo-{number}.png" for number in range(4))
    assert capsys.readouterr().out == f"Examples for testers: {names}\n"


def test_what_is_not_a_photo_is_skipped_and_told_with_the_reason(tmp_path, capsys):
    folder = folder_of(
        tmp_path / "e", a_txt=b"words", b_jpg=drawing()[:-3000], c_jpg=b"", d_pdf=b"%PDF-1.4", e_jpg=drawing()
    )
    (tmp_path / "e" / ".DS_Store").write_bytes(b"of the Finder")
    (tmp_path / "e" / "Thumbs.db").write_bytes(b"of Windows")
    (tmp_path / "e" / "folder.jpg").mkdir()
    assert len(read_examples(folder)) == 1
    *told, last = capsys.readouterr().out.splitlines()
    assert last == "Examples for testers: e.jpg"
    for line, (name, why) in zip(
        told,
        [("a.txt", "not a photo"), ("b.jpg", "incomplete"), ("c.jpg", "empty"), ("d.pdf", "PDF")],
        strict=True,
    ):
        assert line.startswith(f"Not an example: {name}: ")
        assert why in line


def test_a_large_file_is_not_even_read(tmp_path, capsys):
    folder = folder_of(tmp_path / "e", film_mp4=b"", photo_jpg=drawing())
    os.truncate(tmp_path / "e" / "film.mp4", 1 << 40)
    assert len(read_examples(folder)) == 1
    assert "Not an example: film.mp4: The file has more than 25 MB." in capsys.readouterr().out


def test_of_many_files_that_are_no_photos_only_some_are_told(tmp_path, capsys):
    files = {f"{number}_txt": b"words" for number in range(100, 123)}
    read_examples(folder_of(tmp_path / "e", **files, photo_jpg=drawing()))
    told = capsys.readouterr().out.splitlines()
    assert len([line for line in told if line.startswith("Not an example: ")]) == 10
    assert "Nor are 13 more files." in told


def test_a_name_that_could_write_to_the_notebook_is_printed_harmlessly(tmp_path, capsys):
    (tmp_path / "more\nwords.txt").write_bytes(b"words")
    (tmp_path / "two\nlines.jpg").write_bytes(drawing())
    read_examples(str(tmp_path))
    skipped, offered = capsys.readouterr().out.splitlines()
    assert skipped.startswith("Not an example: more words.txt: ")
    assert offered == "Examples for testers: two lines.jpg"


@pytest.mark.parametrize("nothing", ["", "  "])
def test_without_a_folder_there_are_none(nothing, capsys):
    assert read_examples(nothing) == ()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("path", ["nowhere", "a.jpg", "\0", "x" * 5000, "~nobody-of-this-name"])
def test_a_folder_that_is_not_there_is_told_in_a_sentence(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jpg").write_bytes(drawing())
    with refused("setting-examples", "is not a readable folder", "Set EXAMPLES"):
        read_examples(path)


def test_a_folder_without_a_photo_is_told_too(tmp_path, capsys):
    folder = folder_of(tmp_path / "e", a_txt=b"words")
    folder_of(tmp_path / "e" / "cat", a_jpg=drawing())
    with refused("setting-examples", "holds no photo", "folders in it are not looked at"):
        read_examples(folder)
    assert "Not an example: a.txt" in capsys.readouterr().out
    with refused("setting-examples", "holds no photo"):
        require_examples(folder)
    assert capsys.readouterr().out == ""


def test_the_path_may_begin_with_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder_of(tmp_path / "e", a_jpg=drawing())
    assert len(read_examples(" ~/e ")) == 1


# --- who gets them ---


def test_they_come_under_names_that_tell_nothing(classifier, tmp_path):
    folder = folder_of(tmp_path / "e", cat_jpg=drawing("cat"), dog_jpg=drawing("dog"))
    client = create_app(classifier, examples=read_examples(folder)).test_client()
    told = client.get("/examples")
    assert set(told.json) == {"examples"}
    assert [one["filename"] for one in told.json["examples"]] == ["example-1.jpg", "example-2.jpg"]
    photos = [base64.b64decode(one["image"], validate=True) for one in told.json["examples"]]
    assert photos == list(read_examples(folder))
    assert b"cat" not in told.data
    assert client.get("/model").json["examples"] == 2
    answers = client.post("/predict", data=parts(*(("x", photo) for photo in photos))).json["predictions"]
    assert [answer["label"] for answer in answers] == ["cat", "dog"]


def test_without_any_the_list_is_empty_and_they_need_no_model(classifier):
    assert create_app(classifier).test_client().get("/examples").json == {"examples": []}
    assert len(create_app(None, examples=[drawing()]).test_client().get("/examples").json["examples"]) == 1


@pytest.mark.parametrize("code", ["", "for-testers"])
def test_they_count_among_a_clients_requests_once_each(classifier, code):
    app = create_app(classifier, limits=Limits(requests_per_minute=3), examples=[drawing()], ACCESS_CODE=code)
    client, headers = app.test_client(), {**FROM_AFAR, "Authorization": f"Bearer {code}"}
    assert [client.get("/examples", headers=headers).status_code for _ in range(3)] == [200] * 3
    assert is_problem(client.get("/examples", headers=headers), "too-many-requests")
    assert client.get("/examples", headers={**headers, "X-Forwarded-For": "203.0.113.8"}).status_code == 200


def test_the_description_says_what_they_are(client):
    spec = client.get("/openapi.json").json
    asked = spec["paths"]["/examples"]["get"]
    assert asked["tags"] == ["Photos"]
    assert {"200", "401", "429"} <= set(asked["responses"])
    assert asked["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/Examples")
    example = spec["components"]["schemas"]["Example"]
    assert set(example["required"]) == {"filename", "image"}
    assert f"{LONGEST_SIDE} pixels" in example["properties"]["image"]["description"]
    assert spec["components"]["schemas"]["Card"]["properties"]["examples"]["type"] == "integer"

"""How photos come in: formats, folders, zips, the clipboard, the camera; and how small they are on their way."""

import base64
import io
import zipfile

import numpy as np
import pytest
from browser import ONCE, choose, expect_connected, expect_data, labels, names, photo, wait_until_done
from browser import browser as browser
from browser import page as page
from browser import service as service
from browser import watched as watched
from catdog.data.images import read_photo
from catdog.data.synthetic import draw
from conftest import drawing, encoded
from PIL import Image
from playwright.sync_api import expect


def large(label="cat", seed=1, size=(2000, 1500)):
    return draw(label, seed).resize(size, Image.Resampling.BICUBIC)


def drop(page, *paths):
    """Files and folders of this machine, as from its desktop."""
    devtools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    box = page.locator("#drop").bounding_box()
    for kind in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, "x": box["x"] + 9, "y": box["y"] + 9, "data": data})


def as_zip(files, method=zipfile.ZIP_STORED):
    """With an extra field in each header, as other programs write it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name)
            entry.extra = b"\x99\x99\x04\x00more"
            zipped.writestr(entry, data, method)
    return packed.getvalue()


@ONCE
def test_every_format_is_answered_like_the_file_itself(page, backend, client):
    formats = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "AVIF": "avif", "BMP": "bmp", "HEIF": "heic"}
    photos = [
        photo(f"{size[0]}.{ending}", encoded(large("dog", 3, size), kind), "" if kind == "HEIF" else f"image/{ending}")
        for kind, ending in formats.items()
        for size in ((240, 240), (900, 700))
    ]
    page.goto(backend.url)
    choose(page, *photos)
    wait_until_done(page, len(photos))
    answers = client.post(
        "/predict", data={"images": [(io.BytesIO(item["buffer"]), item["name"]) for item in photos]}
    ).json["predictions"]
    assert labels(page) == [answer["label"] for answer in answers]


def test_folders_are_dropped_with_all_that_is_in_them(page, backend, tmp_path):
    for name in ("set/b/2.jpg", "set/a/10.jpg", "set/a/9.jpg", "set/a/deep/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(drawing("cat", len(name)))
    (tmp_path / "set" / "notes.txt").write_text("words")
    (tmp_path / "single.jpg").write_bytes(drawing())
    page.goto(backend.url)
    drop(page, tmp_path / "set", tmp_path / "single.jpg")
    wait_until_done(page, 5)
    assert names(page) == ["9.jpg", "10.jpg", "1.jpg", "2.jpg", "single.jpg"]
    expect_data(page.locator("#notice"), code="not-photos", skipped=1)


@ONCE
def test_more_than_a_hundred_files_of_a_folder(page, backend, tmp_path):
    """A browser gives them a hundred at a time."""
    (tmp_path / "many").mkdir()
    for seed in range(130):
        (tmp_path / "many" / f"{seed}.png").write_bytes(encoded(Image.new("RGB", (8, 8), (seed % 20, 0, 0)), "PNG"))
    page.goto(backend.url)
    drop(page, tmp_path / "many")
    wait_until_done(page, 130)
    assert names(page) == [f"{seed}.png" for seed in range(130)]


@ONCE
def test_a_folder_can_be_chosen(page, backend, tmp_path):
    for name in ("cat/1.jpg", "dog/2.jpg"):
        (tmp_path / "set" / name).parent.mkdir(parents=True)
        (tmp_path / "set" / name).write_bytes(drawing())
    page.goto(backend.url)
    page.set_input_files("#folder", tmp_path / "set")
    wait_until_done(page, 2)
    assert page.locator(".card .filename").evaluate_all("all => all.map(one => one.title)") == [
        "set/cat/1.jpg",
        "set/dog/2.jpg",
    ]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_photos_come_out_of_a_zip(page, watched, service, method):
    files = {"set/a/1.jpg": drawing("cat", 1), "set/b/ü.png": drawing("dog", 2, "PNG")}
    others = {"set/": b"", "set/notes.txt": b"words", "__MACOSX/set/a/._1.jpg": b"x", "set/.hidden.jpg": b"x"}
    page.goto(service.url)
    choose(page, photo("photos.zip", as_zip({**files, **others}, method), "application/zip"))
    wait_until_done(page, 2)
    assert names(page) == ["1.jpg", "ü.png"]
    assert set(labels(page)) <= {"cat", "dog"}
    assert watched.files["1.jpg"] == files["set/a/1.jpg"]


def locked(data):
    """As if with a password: the flag in the one entry's two headers."""
    with_flag = bytearray(data)
    with_flag[6] |= 1
    with_flag[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(with_flag)


@ONCE
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"PK but no zip", "zip-unreadable"),
        (as_zip({"a.jpg": drawing()})[40:], "zip-unreadable"),
        (as_zip({"notes.txt": b"words"}), "zip-empty"),
    ],
)
def test_a_zip_that_is_none_is_told(page, backend, data, code):
    page.goto(backend.url)
    choose(page, photo("p.zip", data, "application/zip"), photo("a.jpg", drawing()))
    wait_until_done(page, 1)
    expect_data(page.locator("#notice"), code=code)
    expect(page.locator("#notice")).to_contain_text("p.zip")


@ONCE
def test_a_file_of_a_zip_that_cannot_be_unpacked_fails_alone(page, backend):
    page.goto(backend.url)
    choose(page, photo("p.zip", locked(as_zip({"a.jpg": drawing()})), ""), photo("b.jpg", drawing()))
    wait_until_done(page, 2)
    assert labels(page)[0] == "file-unreadable"
    expect(page.locator(".card .label").first).to_contain_text("a.jpg")
    assert labels(page)[1] in ("cat", "dog")


@ONCE
def test_a_picture_is_pasted(page, backend):
    page.goto(backend.url)
    page.evaluate(
        """(data) => {
      const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
      const clipboardData = new DataTransfer();
      clipboardData.items.add(new File([bytes], "image.png", {type: "image/png"}));
      document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true}));
    }""",
        base64.b64encode(drawing("dog", 1, "PNG")).decode(),
    )
    wait_until_done(page, 1)
    assert names(page) == ["image.png"]


CARRIED = {
    "an address": ({"text/uri-list": "https://elsewhere.example/a.jpg"}, "is-link"),
    "a picture of a page": ({"text/html": '<img src="https://elsewhere.example/a.jpg">'}, "is-link"),
    "an address as text": ({"text/plain": "https://elsewhere.example/a.jpg"}, "is-link"),
    "words": ({"text/plain": "a word", "text/html": "<b>a word</b>"}, "is-text"),
    "nothing": ({}, "nothing-found"),
}


def carry(page, what, data, target="body"):
    page.evaluate(
        """([what, data, target]) => {
      const carried = new DataTransfer();
      for (const [kind, text] of Object.entries(data)) carried.setData(kind, text);
      const how = {bubbles: true, cancelable: true};
      const event = what === "drop" ? new DragEvent("drop", {dataTransfer: carried, ...how})
        : new ClipboardEvent("paste", {clipboardData: carried, ...how});
      document.querySelector(target).dispatchEvent(event);
    }""",
        [what, data, target],
    )


@ONCE
@pytest.mark.parametrize("carried", CARRIED)
@pytest.mark.parametrize("what", ["drop", "paste"])
def test_what_brings_no_photo_gets_a_sentence(page, backend, what, carried):
    data, code = CARRIED[carried]
    page.goto(backend.url)
    expect_connected(page)
    carry(page, what, data)
    expect_data(page.locator("#notice"), code=code)
    expect(page.locator("#notice")).not_to_be_empty()


@ONCE
def test_a_code_is_pasted_without_a_word(page, backend):
    page.goto(backend.url)
    expect_connected(page)
    carry(page, "paste", {"text/plain": "a-code"}, "#code")
    assert page.locator("#notice").text_content() == ""


@ONCE
def test_a_folder_without_a_file_is_told(page, backend, tmp_path):
    (tmp_path / "empty").mkdir()
    page.goto(backend.url)
    drop(page, tmp_path / "empty")
    expect_data(page.locator("#notice"), code="nothing-found")


@ONCE
def test_dropped_files_are_read_though_their_entries_are_not(page, backend, tmp_path):
    """As in Safari, for what another program drags there; and what cannot be read is counted."""
    page.add_init_script("""
      const entryOf = DataTransferItem.prototype.webkitGetAsEntry;
      DataTransferItem.prototype.webkitGetAsEntry = function () {
        const entry = entryOf.call(this);
        const lost = (done, failed) => failed(new DOMException("no path", "NotFoundError"));
        if (entry.isFile) Object.getPrototypeOf(entry).file = lost; // of those in folders, too
        return entry;
      };
    """)
    (tmp_path / "set").mkdir()
    for name in ("a.jpg", "set/b.jpg", "set/c.jpg"):
        (tmp_path / name).write_bytes(drawing())
    page.goto(backend.url)
    drop(page, tmp_path / "a.jpg", tmp_path / "set")
    wait_until_done(page, 1)
    assert names(page) == ["a.jpg"]
    expect_data(page.locator("#notice"), code="files-unreadable", unreadable=2)


@ONCE
@pytest.mark.parametrize(
    "broken",
    [
        "DataTransferItem.prototype.getAsFile = () => null",
        "DataTransferItem.prototype.getAsFile = () => { throw new Error('not now'); }",
    ],
)
def test_a_dropped_file_that_cannot_be_read_is_told(page, backend, tmp_path, broken):
    page.add_init_script(broken)
    (tmp_path / "a.jpg").write_bytes(drawing())
    page.goto(backend.url)
    drop(page, tmp_path / "a.jpg")
    expect_data(page.locator("#notice"), code="files-unreadable", unreadable=1)


def test_a_phone_offers_its_rear_camera_and_a_desk_its_folders(browser, backend):
    for touch in (True, False):
        context = browser.new_context(has_touch=touch, is_mobile=touch)
        tab = context.new_page()
        tab.goto(backend.url)
        expect(tab.locator("label[for=camera]")).to_be_visible(visible=touch)
        expect(tab.locator("label[for=folder]")).to_be_visible(visible=not touch)
        assert tab.locator("#camera").get_attribute("capture") == "environment"
        assert tab.locator("#photos").get_attribute("accept") == "image/*"  # or Android offers files alone
        tab.set_input_files("#camera", [photo("taken.jpg", drawing())])
        wait_until_done(tab, 1)
        context.close()


# Small on the wire


@ONCE
def test_a_phones_photo_becomes_small_and_loses_where_it_was_taken(page, watched, service):
    noise = np.random.default_rng(0).normal(0, 12, (3000, 4000, 3))
    pixels = np.clip(np.asarray(large(size=(4000, 3000)), np.float32) + noise, 0, 255).astype(np.uint8)
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"  # GPS
    data = encoded(Image.fromarray(pixels), quality=90, exif=exif)
    assert len(data) > 3_000_000
    page.goto(service.url)
    choose(page, photo("IMG_1.jpg", data))
    wait_until_done(page, 1)
    small = watched.files["IMG_1.jpg"]
    assert len(small) < 80_000
    image = Image.open(io.BytesIO(small))
    assert (image.format, image.size) == ("JPEG", (512, 384))
    assert not image.getexif()


@ONCE
def test_a_setting_sends_originals(page, watched, service):
    data = encoded(large(), quality=95)
    page.goto(service.url)
    page.click("#drop summary")
    page.check("#originals")
    choose(page, photo("a.jpg", data))
    wait_until_done(page, 1)
    assert watched.files == {"a.jpg": data}


@ONCE
@pytest.mark.parametrize("bitmaps", [True, False])
def test_what_is_made_small_is_what_the_door_would_have_seen(page, watched, service, bitmaps):
    """Upright by all eight EXIF orientations, transparency on white, long ones not squeezed to nothing; also in a
    browser whose bitmaps would lie on their side."""
    if not bitmaps:
        page.add_init_script("""
          const make = window.createImageBitmap;
          window.createImageBitmap = async (file) => {
            const bytes = new Uint8Array(await file.arrayBuffer());
            const exif = bytes.findIndex((_, i) => String.fromCharCode(...bytes.subarray(i, i + 4)) === "Exif");
            if (exif >= 0) bytes[exif] = 0;
            return make(new Blob([bytes]));
          };
        """)
    upright = large("cat", 4, (2400, 1800))
    turned = {1: [], 2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}  # Pillow's numbers of the inverse turns
    photos = []
    for orientation, turns in turned.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        image = upright
        for turn in turns:
            image = image.transpose(Image.Transpose(turn))
        photos.append(photo(f"{orientation}.jpg", encoded(image, quality=97, exif=exif)))
    clear = upright.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    photos.append(photo("clear.png", encoded(clear, "PNG"), "image/png"))
    photos.append(photo("long.jpg", encoded(large("cat", 4, (4000, 500)), quality=97)))
    grey = Image.fromarray((np.asarray(upright.convert("L"), np.uint16) * 257).astype(np.uint16))
    photos.append(photo("grey16.png", encoded(grey, "PNG"), "image/png"))
    page.goto(service.url)
    choose(page, *photos)
    wait_until_done(page, len(photos))
    for item in photos:
        small = watched.files[item["name"]]
        assert len(small) < len(item["buffer"]) / 2
        off = np.abs(read_photo(small).astype(int) - read_photo(item["buffer"]))
        assert off.mean() < 2, item["name"]


@ONCE
def test_small_photos_get_the_answers_of_the_originals(page, backend, real_photos, real_classifier):
    """Enlarged, so that there is something to be made small. `make bench` looks at more of them."""
    paths = sorted((real_photos / "test").rglob("*.jpg"))[::10]
    page.goto(backend.url)
    expect_connected(page)
    resize = """async (data) => {
      const {small} = await import("/page/resize.js");
      const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
      const file = new Blob([bytes], {type: "image/jpeg"});
      const out = new Uint8Array(await (await small({open: async () => file})).arrayBuffer());
      return btoa(Array.from(out, (value) => String.fromCharCode(value)).join(""));
    }"""
    before, after = [], []
    for path in paths:
        image = Image.open(path).convert("RGB")
        enlarged = encoded(image.resize([4 * side for side in image.size], Image.Resampling.BICUBIC), quality=92)
        small = base64.b64decode(page.evaluate(resize, base64.b64encode(enlarged).decode()))
        assert len(small) <= 100_000
        before.append(read_photo(enlarged))
        after.append(read_photo(small))
    before, after = (real_classifier.predict(np.stack(photos)) for photos in (before, after))
    assert (before.argmax(axis=1) == after.argmax(axis=1)).all()
    assert np.abs(before - after).mean() < 0.005

"""The site, whose model is inside the browser, in Chromium, Firefox and WebKit: from a plain host, and without one."""

import contextlib
import dataclasses
import io
import json
import zipfile

import numpy as np
import pytest
from browser import photo
from catdog.data.feedback_zip import corrections_in
from catdog.data.images import read_photo
from catdog.data.synthetic import draw
from catdog.models.grad_cam import grad_cam
from conftest import drawing, encoded, until
from PIL import Image, ImageCms
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import expect
from selenium.common.exceptions import WebDriverException
from standins.network import model_on
from standins.site import Host, SlimNetwork, site_files, with_service_worker, write
from tabs import BROWSERS
from test_browser_file_input import as_zip

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:setting remote_server_addr:DeprecationWarning"),  # Selenium warns itself
]

MODEL, STATUS, TROUBLE, NOTICE, OFFLINE = "#model", "#status", "#trouble p", "#notice", "#offline"
PHOTOS, ARCHIVE, MORE, CARD, OPEN = "#photos", "#archive", "#drop summary", ".card", ".card .open"
WHY, WHY_WORDS, NO, NEITHER, CORRECTION = (
    "#why",
    "#why-words",
    "#no",
    '#truths [data-label="?none"]',
    "#correction-words",
)
KEPT, SAVE, REMOVE = "#corrections p", "#save-corrections", "#remove-corrections"
HAS_NEWER = "async () => Boolean((await navigator.serviceWorker.getRegistration())?.waiting)"
COMPARE = """about => {
  window.further = {}; // name → share of values that are further from Python's than 2 of 255
  import("./page/decoding.js").then(({ networkPixels }) => {
    for (const { photo } of document.querySelectorAll(".card"))
      photo.open().then(async (file) => {
        const found = await networkPixels(file, about);
        const wanted = new Uint8Array(await (await fetch(`wanted/${photo.name}`)).arrayBuffer());
        window.further[photo.name] = found.filter((value, i) => Math.abs(value - wanted[i]) > 2).length / found.length;
      });
  });
}"""
ANSWERS = """css => Array.from(document.querySelectorAll(css), ({dataset, photo}) =>
  dataset.state === "done" ? photo.answer.probabilities : dataset.code)"""


CHROMIUM = pytest.mark.parametrize("open_tab", ["chromium"], indirect=True)  # where browsers hardly differ


@pytest.fixture(scope="module", params=BROWSERS)
def open_tab(request, tmp_path_factory):
    with BROWSERS[request.param](tmp_path_factory.mktemp("home")) as open_tab:
        yield open_tab


@pytest.fixture
def tab(open_tab, tmp_path):
    folder = tmp_path / "chosen"
    folder.mkdir()
    tab = open_tab(folder)
    yield tab
    complaints = tab.complaints()
    tab.close()
    assert not complaints


@pytest.fixture(scope="module")
def network():
    return SlimNetwork()


@pytest.fixture(scope="module")
def model(network, shipped):
    return model_on(network, shipped)


@pytest.fixture(scope="module")
def made():
    return {}


@pytest.fixture
def files(network, model, site_runtime, made):
    if not made:
        made.update(site_files(network, model))
    return made


@pytest.fixture
def host(files, tmp_path):
    """A host that serves the site from a subfolder, as GitHub Pages does."""
    folder = tmp_path / "host"
    write(folder / "pets", files)
    host = Host(folder)
    host.folder, host.url = folder / "pets", f"{host.url}pets/"
    yield host
    host.stop()


@pytest.fixture
def probabilities(network, model):
    """probabilities(*files): what the model says in Python."""

    def ask(*items):
        photos = np.stack([read_photo(item["buffer"], preprocessing=model.preprocessing) for item in items])
        return model.head.probabilities(network.features(photos))

    return ask


def drawings(count):
    return [photo(f"{seed}.jpg", drawing("cat" if seed % 2 else "dog", seed)) for seed in range(count)]


def expect_ready(tab):
    tab.expect_data(MODEL, classes="cat, dog")


def expect_answers(tab, wanted):
    """Wait until all have answers, which are close to those `wanted`, (n, classes)."""
    tab.expect_data(STATUS, done=len(wanted), failed=0, working=False)
    found = [[one["cat"], one["dog"]] for one in tab.run(ANSWERS, CARD)]
    assert np.abs(np.array(found) - wanted).max() < 0.02


def expect_offline(tab):
    tab.expect_data(OFFLINE, offline=True)


def test_photos_are_answered_without_a_service(tab, host, probabilities):
    photos = drawings(6)
    tab.show(host)
    tab.choose(PHOTOS, *photos)
    expect_answers(tab, probabilities(*photos))


def test_it_works_without_its_host_after_the_first_visit(tab, host, probabilities):
    one, other = drawings(2)
    tab.show(host)
    tab.choose(PHOTOS, one)
    expect_answers(tab, probabilities(one))
    expect_offline(tab)
    host.stop()
    tab.show(host)
    expect_ready(tab)
    tab.expect_count(1, CARD)
    tab.choose(PHOTOS, other)
    expect_answers(tab, probabilities(one, other))


@CHROMIUM
def test_nothing_large_is_fetched_twice(tab, host):
    tab.show(host)
    expect_ready(tab)
    expect_offline(tab)
    fetched = [path for path in host.asked if path.endswith(".bin")]
    assert len(fetched) == len(set(fetched)), fetched


def test_a_new_version_takes_over_as_a_whole_when_the_page_is_opened_again(tab, host, files, network, model):
    tab.show(host)
    expect_offline(tab)
    newer = dataclasses.replace(model, card=dataclasses.replace(model.card, version="2027-01-01-000000"))
    write(host.folder, site_files(network, newer))
    host.asked.clear()

    tab.show(host)
    until(lambda: patient(tab, HAS_NEWER))
    tab.show(host)
    until(lambda: patient(tab, "() => document.querySelector('#model').dataset.model") == newer.id)
    assert "/pets/model/network.bin" not in host.asked  # has not changed
    host.stop()
    tab.show(host)
    tab.expect_data(MODEL, model=newer.id)


def patient(tab, script):
    """What the script gives, or nothing while the page loads itself again."""
    with contextlib.suppress(PlaywrightError, WebDriverException):
        return tab.run(script)


@CHROMIUM
def test_half_of_a_new_version_is_not_taken(tab, host, files):
    tab.show(host)
    expect_offline(tab)
    newer = with_service_worker({**files, "page/page.css": files["page/page.css"] + b"/**/"})
    write(host.folder, {"service_worker.js": newer["service_worker.js"]})  # the style sheet is not there yet
    tab.show(host)
    until(lambda: "/pets/page/page.css" in host.asked)
    tab.expect(None, "async () => (await navigator.serviceWorker.getRegistration()).waiting")
    expect_ready(tab)
    tab.forgive("")


def test_many_photos_have_a_bar_and_can_be_cancelled(tab, host):
    photos = drawings(40)
    tab.show(host)
    expect_ready(tab)
    tab.choose(PHOTOS, *photos)
    tab.expect(True, "() => document.querySelector('#progress').value > 2")
    tab.click("#cancel")
    tab.expect_data(STATUS, working=False)
    done = int(tab.run("() => document.querySelector('#status').dataset.done"))
    assert 0 < done < 40
    tab.click("#go-on")
    tab.expect_data(STATUS, done=40, all=40, failed=0, working=False)
    assert tab.texts(".card .filename") == [item["name"] for item in photos]


@CHROMIUM
def test_a_field_test(tab, host, model, probabilities):
    photos = drawings(8)
    folders = ["cat" if i % 2 else "dog" for i in range(8)]
    answers = np.array(model.classes)[probabilities(*photos).argmax(axis=1)]
    packed = as_zip({f"{folder}/{item['name']}": item["buffer"] for folder, item in zip(folders, photos)})
    tab.show(host)
    tab.click(MORE)
    tab.choose(ARCHIVE, photo("sorted.zip", packed, "application/zip"))
    tab.expect_data("#accuracy", right=(answers == folders).sum(), known=8)


def test_a_heat_map_is_that_of_the_service(tab, host, network, model, probabilities):
    (one,) = drawings(1)
    tab.show(host)
    tab.choose(PHOTOS, one)
    expect_answers(tab, probabilities(one))
    tab.click(OPEN)
    tab.click(WHY)
    label = model.classes[int(probabilities(one).argmax())]
    tab.expect_data(WHY_WORDS, state="shown", label=label)
    found = tab.run("label => document.querySelector('.card').photo.heatmaps.get(label).heatmap", label)
    activations = network.activations(read_photo(one["buffer"])[None])
    wanted = grad_cam(activations[0], model.head, model.classes.index(label), model.architecture)
    assert np.abs(np.array(found) - wanted).max() < 0.05


RUBBISH = {
    "empty.jpg": b"",
    "words.jpg": b"these are words, not a photo",
    "page.png": b"<!doctype html><html>",
    "damaged.png": drawing(kind="PNG")[:200],
    "cut.jpg": drawing()[: len(drawing()) // 3],
    "cut.png": drawing(kind="PNG")[: len(drawing(kind="PNG")) // 3],
    "cut.gif": drawing(kind="GIF")[: len(drawing(kind="GIF")) // 3],
    "cut.bmp": drawing(kind="BMP")[: len(drawing(kind="BMP")) // 3],
    "cut.webp": drawing(kind="WEBP")[: len(drawing(kind="WEBP")) // 3],
    "gigapixel.png": encoded(Image.new("1", (40_000, 30_000)), "PNG"),
}


def test_rubbish_is_refused_as_the_service_refuses_it(tab, host, client):
    files = [(io.BytesIO(content), name) for name, content in RUBBISH.items()]
    answers = client.post("/predict", data={"images": files}).json["predictions"]
    wanted = [answer["error"]["type"].split("#")[1] for answer in answers]
    assert {"photo-empty", "photo-format", "photo-unreadable", "photo-pixels"} == set(wanted)
    tab.show(host)
    expect_ready(tab)
    tab.choose(PHOTOS, *(photo(name, content) for name, content in RUBBISH.items()))
    tab.expect_data(STATUS, all=len(RUBBISH), working=False)
    assert tab.run(ANSWERS, CARD) == wanted
    assert not tab.run("() => document.querySelector('#retry-all').checkVisibility()")
    tab.forgive("")


def _photos_of_all_kinds():
    cat = draw("cat", 3)
    exif, wide = Image.Exif(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif[0x0112] = 6
    see_through = cat.convert("RGBA")
    see_through.putalpha(Image.linear_gradient("L").resize(cat.size))
    return {
        "plain.jpg": encoded(cat),
        "large.jpg": encoded(cat.resize((2600, 1700), Image.Resampling.BICUBIC)),
        "sideways.jpg": encoded(cat.crop((0, 0, 320, 200)), exif=exif),
        "gray.jpg": encoded(cat.convert("L")),
        "profile.jpg": encoded(cat, icc_profile=wide),
        "see-through.png": encoded(see_through, "PNG"),
        "palette.gif": encoded(cat.convert("P"), "GIF"),
        "tall.webp": encoded(cat.crop((0, 0, 90, 320)), "WEBP", lossless=True),
        "bitmap.bmp": encoded(cat, "BMP"),
        "tiny.png": encoded(cat.resize((20, 31)), "PNG"),
        "nearly-whole.jpg": encoded(cat)[: int(0.93 * len(encoded(cat)))],
    }


def test_pixels_are_pythons(tab, host, model):
    photos = _photos_of_all_kinds()
    tab.show(host)
    expect_ready(tab)
    tab.choose(PHOTOS, *(photo(name, content) for name, content in photos.items()))
    tab.expect_data(STATUS, done=len(photos), failed=0, working=False)
    wanted = {name: read_photo(content, preprocessing=model.preprocessing) for name, content in photos.items()}
    write(host.folder, {f"wanted/{name}": pixels.tobytes() for name, pixels in wanted.items()})
    tab.run(COMPARE, {"pixels": 224, "fit": model.preprocessing.fit})
    tab.expect(len(photos), "() => Object.keys(window.further).length")
    assert {name: share for name, share in tab.run("() => window.further").items() if share > 0.001} == {}


def test_a_correction_stays_on_the_device(tab, host, model):
    (one,) = drawings(1)
    tab.show(host)
    tab.choose(PHOTOS, one)
    tab.expect_data(CARD, state="done")
    tab.click(OPEN)
    tab.click(NO)
    tab.click(NEITHER)
    tab.expect_data(CORRECTION, code="sent", label="?none")
    tab.expect_data(KEPT, corrections=1)
    tab.show(host)
    tab.expect_data(KEPT, corrections=1)
    tab.run("""() => {
      const keep = (bytes) => (window.saved = Array.from(new Uint8Array(bytes)));
      URL.createObjectURL = (file) => (file.arrayBuffer().then(keep), "#saved");
    }""")
    tab.click(SAVE)
    tab.expect(True, "() => Boolean(window.saved)")
    (kept,) = corrections_in_bytes(bytes(tab.run("() => window.saved")))
    assert kept.label is None
    assert kept.said["model"] == model.id
    assert np.abs(kept.photo.astype(int) - read_photo(one["buffer"], preprocessing=model.preprocessing)).max() <= 2
    tab.click(REMOVE)
    tab.expect_visible(SAVE, False)


@CHROMIUM
def test_only_what_was_saved_is_removed(tab, host):
    tab.show(host)
    tab.run("() => { URL.createObjectURL = () => '#saved'; }")
    tab.choose(PHOTOS, *drawings(2))
    tab.expect_data(STATUS, done=2, working=False)
    for count, card in enumerate((":first-child", ":last-child"), 1):
        tab.click(f"{CARD}{card} .open")
        tab.click(NO)
        tab.click(NEITHER)
        tab.expect_data(KEPT, corrections=count)
        tab.click("#close")
        if count == 1:
            tab.click(SAVE)
            tab.expect_visible(REMOVE)
    tab.expect_visible(REMOVE, False)  # the second one is not saved
    tab.run("css => document.querySelector(css).click()", REMOVE)
    tab.expect_data(KEPT, corrections=1)


@CHROMIUM
def test_a_heat_map_for_a_class_of_another_model_is_refused(tab, host):
    tab.show(host)
    tab.choose(PHOTOS, *drawings(1))
    tab.expect_data(CARD, state="done")
    tab.run("""() => import("./page/service.js").then(async ({ ask }) => {
      const form = new FormData();
      form.append("images", await document.querySelector(".card").photo.open(), "x.jpg");
      form.append("label", "wolf");
      ask("explain", { body: form }).catch(({ code }) => (window.code = code));
    })""")
    tab.expect("label-unknown", "() => window.code ?? ''")


def corrections_in_bytes(data):
    archive = io.BytesIO(data)
    archive.name = "corrections.zip"
    assert zipfile.ZipFile(archive).testzip() is None
    return list(corrections_in(archive))


@CHROMIUM
def test_where_other_answers_are_computed_none_is_shown(tab, host, files):
    about = json.loads(files["model/model.json"])
    about["golden"][1]["probabilities"] = [0.5, 0.5]
    write(host.folder, with_service_worker({**files, "model/model.json": json.dumps(about).encode()}))
    tab.show(host)
    tab.expect_data(TROUBLE, code="answers-differ")
    tab.choose(PHOTOS, *drawings(1))
    tab.expect_data(CARD, state="waiting")


@CHROMIUM
def test_where_the_canvas_is_changed_it_says_so(tab, host, files):
    noise = b"""const read = OffscreenCanvasRenderingContext2D.prototype.getImageData;
    OffscreenCanvasRenderingContext2D.prototype.getImageData = function (...place) {
      const found = read.apply(this, place);
      found.data[0] ^= 1;
      return found;
    };\n"""
    script = files["page/network_worker.js"]
    write(host.folder, with_service_worker({**files, "page/network_worker.js": script + noise}))
    tab.show(host)
    tab.expect_data(TROUBLE, code="canvas-changed")


@CHROMIUM
def test_a_model_that_stops_is_told_and_the_next_photo_is_tried_anew(tab, host, files):
    stops = b"addEventListener('message', ({ data }) => data.file?.name === 'x.jpg' && setTimeout(() => { throw 1; }));"
    write(
        host.folder, with_service_worker({**files, "page/network_worker.js": files["page/network_worker.js"] + stops})
    )
    (one,) = drawings(1)
    tab.show(host)
    tab.choose(PHOTOS, {**one, "name": "x.jpg"})
    tab.expect_data(CARD, state="failed", code="model-stopped")
    tab.choose(PHOTOS, one)
    tab.expect_data(STATUS, done=1, failed=1, working=False)


@CHROMIUM
def test_a_model_that_does_not_come_is_told_and_tried_again(tab, host, files):
    (host.folder / "model/network.bin").unlink()
    tab.show(host)
    tab.expect_data(TROUBLE, code="model-missing")
    write(host.folder, {"model/network.bin": files["model/network.bin"]})
    tab.click("#again")
    expect_ready(tab)
    tab.forgive("network.bin")
    tab.forgive("Failed to load resource")


@CHROMIUM
@pytest.mark.parametrize(("locale", "language"), [("de-AT", "de"), ("nl", "en"), ("ar", "ar")])
def test_it_speaks_the_language_of_the_browser(open_tab, network, model, tmp_path, site_runtime, locale, language):
    write(tmp_path / "host", site_files(network, model, ""))
    host = Host(tmp_path / "host")
    tab = open_tab(tmp_path)
    page = tab.page.context.browser.new_context(locale=locale).new_page()
    page.goto(f"{host.url}#kept")
    expect(page.locator(MODEL)).to_have_attribute("data-classes", "cat, dog")
    assert page.locator("html").get_attribute("lang") == language
    assert page.url.endswith("#kept")
    page.context.close()
    tab.close()
    host.stop()


@CHROMIUM
def test_axe_finds_nothing(open_tab, host, tmp_path):
    from axe_playwright_python.sync_playwright import Axe

    tab = open_tab(tmp_path)
    tab.show(host, phone=True)
    tab.choose(PHOTOS, *drawings(2))
    tab.expect_data(STATUS, done=2, working=False)
    tab.click(OPEN)
    tab.click(NO)
    tab.click(NEITHER)
    tab.expect_data(KEPT, corrections=1)
    assert not Axe().run(tab.page).response["violations"]
    tab.click("#close")
    tab.click("#about summary")
    assert not Axe().run(tab.page).response["violations"]
    tab.expect(True, "() => document.documentElement.scrollWidth <= innerWidth")
    tab.close()

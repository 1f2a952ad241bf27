"""What a tester needs, in Chromium, Firefox and WebKit. The other tests of the page run in Chromium alone."""

import io

import numpy as np
import pytest
from browser import Watched, photo
from catdog.backend.app import create_app
from catdog.data.feedback import Feedback
from catdog.data.images import read_photo
from catdog.data.synthetic import draw
from catdog.web.server import Server
from conftest import drawing, encoded, until
from PIL import Image
from tabs import BROWSERS, Listening
from test_browser_file_input import as_zip
from werkzeug import Response

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:setting remote_server_addr:DeprecationWarning"),  # Selenium warns itself
]

# The page's parts.
MODEL, STATUS, TROUBLE, NOTICE = "#model", "#status", "#trouble p", "#notice"
PHOTOS, ARCHIVE, MORE = "#photos", "#archive", "#drop summary"
CODE, GO_ON, REFUSAL = "#code", "#access button", "#refusal"
CARD, OPEN, FILE_NAME, THUMBNAIL = ".card", ".card .open", ".card .filename", ".card img"
DETAIL, WHY, WHY_WORDS, HEAT = "#detail", "#why", "#why-words", "#detail canvas"
NO, NEITHER, CORRECTION = "#no", '#truths [data-label="?none"]', "#correction-words"
ACCURACY, CONFUSION = "#accuracy", "#confusion tbody tr"

FAILED_REQUEST = "Failed to load resource"  # in Chromium's words; the others log nothing
SIZE_OF_IMAGE = """css => {
  const image = document.querySelector(css);
  return image?.complete ? [image.naturalWidth, image.naturalHeight] : [0, 0];
}"""


@pytest.fixture(scope="module", params=BROWSERS)
def open_tab(request, tmp_path_factory):
    with BROWSERS[request.param](tmp_path_factory.mktemp("home")) as open_tab:
        yield open_tab


@pytest.fixture
def tab(open_tab, tmp_path, serve):
    """An empty tab; at the end the browser may not have complained. It is closed before what is served in it stops."""
    tab = open_tab(tmp_path)
    yield tab
    complaints = tab.complaints()
    tab.close()
    assert not complaints


@pytest.fixture
def serve():
    """serve(app) serves an app, as long as the test runs, and returns the server."""
    running = []

    def start(app, port=0):
        running.append(Server(Listening(app), "127.0.0.1", port))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def said(client):
    """said(*photos): the classes that the service says, if it is asked without the page."""

    def ask(*photos):
        files = [(io.BytesIO(item["buffer"]), item["name"]) for item in photos]
        answers = client.post("/predict", data={"images": files}).json["predictions"]
        return [answer["label"] for answer in answers]

    return ask


def drawings(count):
    return [photo(f"{seed}.jpg", drawing("cat" if seed % 2 else "dog", seed)) for seed in range(count)]


def expect_answers(tab, wanted):
    """A class for each card; of a photo that has none, the code of the reason."""
    tab.expect(
        wanted,
        "css => Array.from(document.querySelectorAll(css), ({dataset}) => "
        "dataset.state === 'done' ? dataset.label : dataset.code)",
        CARD,
    )


def expect_connected(tab):
    tab.expect_data(MODEL, classes="cat, dog")


def misbehaving(environ, start_response):
    """A page with everything in it that a browser complains of."""
    page = "<!doctype html><head><title>x</title></head><script src='bad.js'></script><script>refused()</script>"
    script = "console.error('logged'); Promise.reject(Error('rejected')); throw Error('thrown')"
    policy = {"Content-Security-Policy": "script-src 'self'"}
    is_script = environ["PATH_INFO"] == "/bad.js"
    answer = Response(script, mimetype="text/javascript") if is_script else Response(page, 200, policy, "text/html")
    return answer(environ, start_response)


def test_what_a_browser_complains_of_is_heard(tab, serve):
    """Or the other tests would pass, whatever it is."""
    tab.show(serve(misbehaving))
    for words in ("logged", "rejected", "thrown", "script-src"):
        until(lambda words=words: any(words in said for said in tab.complaints()))
        tab.forgive(words)


def test_the_page_knows_its_model(tab, app, classifier, serve):
    tab.show(serve(app))
    expect_connected(tab)
    tab.expect_data(MODEL, model=classifier.bundle.id)


def test_one_photo_is_answered_and_shown(tab, app, serve, said):
    (one,) = drawings(1)
    tab.show(serve(app))
    tab.choose(PHOTOS, one)
    expect_answers(tab, said(one))
    assert tab.texts(FILE_NAME) == [one["name"]]
    tab.expect([320, 320], SIZE_OF_IMAGE, THUMBNAIL)


def test_a_phones_photo_that_lies_on_its_side_is_sent_and_shown_upright(tab, app, serve):
    """12 megapixels, which the page makes small. Browsers resize by methods of their own."""
    upright = draw("cat", 4).resize((3000, 4000), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: to be turned clockwise
    sideways = encoded(upright.transpose(Image.Transpose.ROTATE_90), quality=90, exif=exif)
    watched = Watched(app)
    tab.show(serve(watched))
    tab.choose(PHOTOS, photo("IMG_1.jpg", sideways))
    tab.expect_data(CARD, state="done")
    sent = watched.files["IMG_1.jpg"]
    assert Image.open(io.BytesIO(sent)).size == (384, 512)
    assert np.abs(read_photo(sent).astype(int) - read_photo(sideways)).mean() < 4
    tab.expect([384, 512], SIZE_OF_IMAGE, THUMBNAIL)


def test_forty_photos_are_sent_once_each_and_stay_in_order(tab, app, serve, said):
    photos, watched = drawings(40), Watched(app)
    tab.show(serve(watched))
    tab.choose(PHOTOS, *photos)
    tab.expect_data(STATUS, done=40, all=40, failed=0, working=False)
    expect_answers(tab, said(*photos))
    assert tab.texts(FILE_NAME) == [item["name"] for item in photos]
    assert watched.answered == {item["name"]: 1 for item in photos}


def test_a_file_that_is_not_a_photo_is_told_and_the_others_are_answered(tab, app, serve, said):
    before, after = drawings(2)
    tab.show(serve(app))
    tab.choose(PHOTOS, before, photo("words.jpg", b"words"), photo("empty.jpg", b""), after)
    expect_answers(tab, [*said(before), "photo-format", "photo-empty", *said(after)])


def test_photos_come_out_of_a_zip(tab, app, serve, said):
    photos = drawings(4)
    packed = as_zip({**{f"set/{item['name']}": item["buffer"] for item in photos}, "set/notes.txt": b"words"})
    tab.show(serve(app))
    tab.click(MORE)
    tab.choose(ARCHIVE, photo("photos.zip", packed, "application/zip"))
    expect_answers(tab, said(*photos))
    assert tab.texts(FILE_NAME) == [item["name"] for item in photos]


def test_photos_wait_for_the_access_code(tab, classifier, serve, said):
    (one,) = drawings(1)
    tab.show(serve(create_app(classifier, ACCESS_CODE="right-code")))
    tab.choose(PHOTOS, one)
    tab.expect_data(CARD, state="waiting", code="code-missing")
    tab.enter(CODE, "wrong-code")
    tab.click(GO_ON)
    tab.expect_data(REFUSAL, code="code-wrong")
    tab.enter(CODE, "right-code")
    tab.click(GO_ON)
    expect_answers(tab, said(one))
    tab.expect_visible(CODE, False)
    tab.forgive(FAILED_REQUEST)


def test_a_lost_link_is_told_and_the_page_goes_on_when_it_is_back(tab, app, serve, said):
    photos, watched = drawings(6), Watched(app)
    server = serve(watched)
    tab.show(server)
    expect_connected(tab)
    tab.choose(PHOTOS, *photos[:2])
    expect_answers(tab, said(*photos[:2]))
    server.stop()
    tab.choose(PHOTOS, *photos[2:])
    tab.expect_data(TROUBLE, code="unreachable")
    tab.expect_count(4, f'{CARD}[data-state="waiting"]')
    serve(watched, server.port)
    expect_answers(tab, said(*photos))
    tab.expect_visible(TROUBLE, False)
    tab.forgive(FAILED_REQUEST)
    assert watched.answered == {item["name"]: 1 for item in photos}


def test_where_a_script_does_not_come_the_page_says_so(tab, app, serve):
    def without_page_js(environ, start_response):
        if environ["PATH_INFO"] != "/page/page.js":
            return app(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/javascript")])
        return [b""]

    tab.show(serve(without_page_js))
    tab.expect_data(MODEL, code="too-old")
    assert "Safari 15.4" in tab.texts(MODEL)[0]
    tab.forgive(FAILED_REQUEST)


def test_a_heat_map_says_why(tab, app, serve, said):
    (one,) = drawings(1)
    tab.show(serve(app))
    tab.choose(PHOTOS, one)
    expect_answers(tab, said(one))
    tab.click(OPEN)
    tab.expect_visible(HEAT, False)
    tab.click(WHY)
    tab.expect_data(WHY_WORDS, state="shown", label=said(one)[0])
    tab.expect_visible(HEAT)
    assert tab.run(
        "css => { const heat = document.querySelector(css); "
        "return heat.getContext('2d').getImageData(0, 0, heat.width, heat.height).data.some(Boolean); }",
        HEAT,
    )


def test_a_correction_reaches_the_author(tab, classifier, serve, own_places):
    feedback = Feedback("pets")
    tab.show(serve(create_app(classifier, feedback=feedback)))
    tab.choose(PHOTOS, *drawings(1))
    tab.expect_data(CARD, state="done")
    tab.click(OPEN)
    tab.click(NO)
    tab.click(NEITHER)
    tab.expect_data(CORRECTION, code="sent", label="?none")
    assert [one.label for one in feedback.all()] == [None]


def test_a_field_test_by_csv(tab, app, serve, said):
    photos = drawings(6)
    labels = said(*photos)
    really = ["dog" if label == "cat" else "cat" for label in labels[:2]] + labels[2:]
    rows = "".join(f"{item['name']},{label}\n" for item, label in zip(photos, really))
    tab.show(serve(app))
    tab.choose(PHOTOS, *photos)
    expect_answers(tab, labels)
    tab.click(MORE)
    tab.choose(ARCHIVE, photo("labels.csv", f"file,label\n{rows}".encode(), "text/csv"))
    tab.expect_data(NOTICE, code="labels-read", labels=6)
    tab.expect_data(ACCURACY, right=4, known=6, share="66.7%")
    pairs = list(zip(really, labels))
    tab.expect(
        [[pairs.count((row, column)) for column in ("cat", "dog")] for row in ("cat", "dog")],
        "css => Array.from(document.querySelectorAll(css), ({cells}) => "
        "Array.from(cells, (cell) => +cell.textContent).slice(1))",
        CONFUSION,
    )


def test_nothing_is_wider_than_a_phone(tab, app, serve):
    def expect_no_wider():
        tab.expect(True, "() => innerWidth === 390 && document.documentElement.scrollWidth <= innerWidth")

    tab.show(serve(app), phone=True)
    expect_connected(tab)
    expect_no_wider()
    tab.choose(PHOTOS, photo("a-very-long-name-" * 12 + ".jpg", drawing()), photo("words.jpg", b"words"))
    tab.expect_data(STATUS, done=1, failed=1, working=False)
    expect_no_wider()
    tab.click(OPEN)
    tab.expect_visible(DETAIL)
    expect_no_wider()

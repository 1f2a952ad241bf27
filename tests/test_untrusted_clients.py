"""Whatever comes to the link: a sensible answer, in one shape, and the service goes on."""

import base64
import contextlib
import io
import json
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests
from catdog.backend import decoding
from catdog.backend.admission import Admission
from catdog.backend.app import create_app, start
from catdog.backend.batching import DeadlinePassed
from catdog.backend.decoders import decoders
from catdog.backend.limits import Limits, parse_limits
from catdog.backend.problems import KINDS, Problem
from catdog.backend.service import service_of
from catdog.data.feedback import Feedback
from catdog.data.images import read_photo
from catdog.data.pictures import BY
from catdog.data.preprocessing import Preprocessing
from catdog.engines import open_engine
from catdog.engines.base import OPENVINO_FP32
from catdog.frontend.page import create_page_app
from catdog.models.classifier import Answer, Classifier
from catdog.web import request_limits
from catdog.web.server import Server, stop
from conftest import drawing, encoded, refused, until
from PIL import Image
from standins.hostile import jpeg_of_many_scans, png_that_says, raw
from standins.network import model_on
from test_backend import is_problem, parts
from test_batching import Gate

PHOTOS = 8
FROM_AFAR = {"X-Forwarded-For": "203.0.113.7"}


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture
def gated(classifier, gate, monkeypatch):
    """gated(**limits): the service on a real port, its network held by `gate`."""
    monkeypatch.setattr(classifier, "answer", lambda photos: [Answer(row, True, True) for row in gate.predict(photos)])

    def gated(**limits):
        return start(create_app(classifier, limits=Limits(**limits)), 0)

    yield gated
    gate.open.set()
    stop("backend")


def served(classifier, **limits):
    return create_app(classifier, limits=Limits(**limits)).test_client()


def post(url, *photos, **options):
    files = [("images", (f"{number}.jpg", io.BytesIO(photo))) for number, photo in enumerate(photos)]
    return requests.post(f"{url}/predict", files=files, timeout=60, **options)


# --- one shape for every refusal ---


def refusal_of_a_photo(data):
    return lambda classifier: served(classifier, decode_seconds=0.3, photo_bytes=3 << 20).post(
        "/explain", data={"images": (io.BytesIO(data), "x")}
    )


def repeated(times, ask, **limits):
    def answer(classifier):
        client = served(classifier, **limits)
        return [ask(client) for _ in range(times)][-1]

    return answer


def with_code(**headers):
    return lambda classifier: (
        create_app(classifier, ACCESS_CODE="for-testers").test_client().get("/model", headers=headers)
    )


def from_the_server(status):
    return lambda classifier: served(classifier).get("/", environ_base={request_limits.REJECTED_STATUS: status})


def broken_network(classifier):
    app = create_app(classifier)
    service_of(app).model = object()
    return app.test_client().post("/predict", data=parts(("x", drawing())))


def never_in_time(classifier):
    read = "standins.decoders:waits"
    app = create_app(classifier, limits=Limits(request_timeout=0.5), READ_PHOTO=read)
    until(lambda: decoders(read).pids)  # or all the time goes by in the line
    return app.test_client().post("/predict", data=parts(("x", b"for ever")))


EVERY_PROBLEM = {
    "bad-request": from_the_server(400),
    "no-photo": lambda classifier: served(classifier).post("/predict", data=b"x"),
    "bad-json": lambda classifier: served(classifier).post("/", data=b"[]"),
    "photo-empty": refusal_of_a_photo(b""),
    "code-missing": with_code(),
    "code-wrong": with_code(Authorization="Bearer another"),
    "not-found": lambda classifier: served(classifier).get("/../etc/passwd"),
    "method-not-allowed": lambda classifier: served(classifier).delete("/predict"),
    "too-slow": from_the_server(408),
    "request-too-large": lambda classifier: served(classifier, request_bytes=1000).post("/", data=b"0" * 2000),
    "too-many-photos": lambda classifier: served(classifier, photos=2).post("/predict", data=parts(*[("x", b"")] * 3)),
    "photo-too-large": refusal_of_a_photo(b"0" * (4 << 20)),
    "photo-pixels": refusal_of_a_photo(png_that_says(100_000, 100_000)),
    "photo-format": refusal_of_a_photo(b"words"),
    "photo-unreadable": refusal_of_a_photo(drawing()[:-3000]),
    "photo-slow": refusal_of_a_photo(jpeg_of_many_scans(20_000)),
    "label-unknown": lambda classifier: served(classifier).post(
        "/explain", data={"images": (io.BytesIO(drawing()), "x"), "label": "owl"}
    ),
    "corrections-off": lambda classifier: served(classifier).post("/corrections", data=parts(("x", drawing()))),
    "corrections-full": lambda classifier: (
        create_app(classifier, feedback=Feedback("full", most=0))
        .test_client()
        .post("/corrections", data=parts(("x", drawing())))
    ),
    "too-many-requests": repeated(2, lambda client: client.post("/predict", headers=FROM_AFAR), requests_per_minute=1),
    "header-too-large": from_the_server(431),
    "internal": broken_network,
    "not-implemented": from_the_server(501),
    "not-ready": lambda classifier: served(None).get("/readyz"),
    "overloaded": lambda classifier: served(classifier, max_queue=1).post("/predict", data=parts(*[("x", b"")] * 2)),
    "deadline": never_in_time,
}
NEVER_OF_A_REQUEST = {"photo-small"}  # training asks for it, serving does not


@pytest.mark.parametrize("slug", sorted(KINDS.keys() - NEVER_OF_A_REQUEST))
def test_every_problem_there_is_has_the_one_shape(classifier, slug):
    answer = EVERY_PROBLEM[slug](classifier)
    assert is_problem(answer, slug)
    assert ("Retry-After" in answer.headers) == (answer.status_code in (429, 503))
    assert answer.headers["X-Request-ID"]


def test_the_description_lists_every_problem(client):
    spec = client.get("/openapi.json").json
    described = {
        title
        for operations in spec["paths"].values()
        for operation in operations.values()
        for response in operation["responses"].values()
        for title in response.get("description", "").split("; ")
    }
    of_no_operation = NEVER_OF_A_REQUEST | {"not-found", "method-not-allowed"}
    assert {kind.title for slug, kind in KINDS.items() if slug not in of_no_operation} <= described


@pytest.mark.parametrize(
    ("sent", "slug"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "bad-request"),
        (b"GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", "bad-request"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nwhat\r\n", "bad-request"),
        ((b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000)[:32768], "header-too-large"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "not-implemented"),
        (b"POST /predict HTTP/1.1\r\nContent-Length: 90000000\r\nExpect: 100-continue\r\n\r\n", "request-too-large"),
        (b"BREW /predict HTTP/1.1\r\nConnection: close\r\n\r\n", "method-not-allowed"),
    ],
)
def test_what_is_no_http_gets_the_same_shape(backend, sent, slug):
    status, headers, problem = raw(backend.port, sent)
    assert (status, problem["type"]) == (KINDS[slug].status, f"/docs#{slug}")
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"]
    assert "server" not in headers
    assert requests.get(f"{backend.url}/healthz", timeout=10).status_code == 200


# --- limits ---


def test_who_sends_too_much_gets_to_see_the_refusal(backend):
    """Behind a tunnel, a connection that is reset would be an error without a reason."""
    answer = requests.post(f"{backend.url}/predict", data=b"0" * (80 << 20), timeout=60)
    assert is_problem_of(answer, "request-too-large")
    chunks = (b"0" * (1 << 20) for _ in range(80))
    assert is_problem_of(requests.post(f"{backend.url}/predict", data=chunks, timeout=60), "request-too-large")


def is_problem_of(answer, slug):
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == f"/docs#{slug}"
    return answer.status_code == KINDS[slug].status


def test_all_bodies_together_stay_within_memory(app):
    server = Server(app, "127.0.0.1", 0, all_bodies=3 << 20, app_refuses=True)
    half = b"POST /predict HTTP/1.1\r\nContent-Length: 2500000\r\n\r\n" + b"0" * 2_000_000
    with socket.create_connection(("127.0.0.1", server.port)) as holds_two_megabytes:
        holds_two_megabytes.sendall(half)
        until(lambda: server._server.adj.bodies._left < 1_200_000)
        answer = requests.post(server.url, data=b"0" * 2_000_000, timeout=30)
        assert is_problem_of(answer, "overloaded")
        assert answer.headers["Retry-After"]
        assert is_problem_of(requests.post(server.url, data=b"0" * 500_000, timeout=30), "bad-json")
    until(lambda: server._server.adj.bodies._left == 3 << 20)
    assert is_problem_of(requests.post(server.url, data=b"0" * 2_000_000, timeout=30), "bad-json")
    until(lambda: server._server.adj.bodies._left == 3 << 20)
    server.stop()


def test_nothing_that_is_sent_is_written_to_disk(backend, monkeypatch):
    def write(*arguments, **options):
        raise AssertionError("a temporary file")

    for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp"):
        monkeypatch.setattr(f"tempfile.{name}", write)
    monkeypatch.setattr("waitress.buffers.TempfileBasedBuffer.newfile", write)
    photo = drawing("dog", 2, "BMP") + bytes(4 << 20)
    assert post(backend.url, photo, photo).json()["predictions"][0]["label"]


def test_who_begins_fast_and_then_dribbles_is_sent_away(app):
    server = Server(app, "127.0.0.1", 0, patience=0.2, app_refuses=True)
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as slow:
        slow.sendall(b"POST /predict HTTP/1.1\r\nContent-Length: 5000000\r\n\r\n" + bytes(1_000_000))
        received = b""
        with contextlib.suppress(ConnectionError):
            for _ in range(50):
                slow.sendall(b"x")
                slow.settimeout(0.1)
                with contextlib.suppress(TimeoutError):
                    received = received or slow.recv(12)
                if received:
                    break
        assert received == b"HTTP/1.1 408"
    server.stop()


def test_one_client_holds_no_more_than_half_of_the_memory_for_bodies(app):
    server = Server(app, "127.0.0.1", 0, all_bodies=1 << 20, app_refuses=True)

    def holding(client):
        held = socket.create_connection(("127.0.0.1", server.port))
        header = f"POST /predict HTTP/1.1\r\nX-Forwarded-For: {client}\r\nContent-Length: 500000\r\n\r\n"
        held.sendall(header.encode() + bytes(400_000))
        return held

    def sent_by(client):
        photo = {"images": ("x", bytes(300_000))}
        return requests.post(f"{server.url}/predict", files=photo, headers={"X-Forwarded-For": client}).status_code

    with holding("203.0.113.7"):
        until(lambda: server._server.adj.bodies.of("203.0.113.7") >= 400_000)
        assert sent_by("203.0.113.7") == 503
        assert sent_by("203.0.113.8") == 200
    server.stop()


def test_who_dribbles_is_sent_away(app):
    server = Server(app, "127.0.0.1", 0, patience=0.05, app_refuses=True)
    for sent in (b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as slow:
            answer = b""
            while b"/docs#too-slow" not in answer:
                if not answer:
                    slow.sendall(sent)
                sent = b"x"
                slow.settimeout(0.01 if not answer else 20)
                with contextlib.suppress(TimeoutError):
                    received = slow.recv(65536)
                    assert received, answer
                    answer += received
        assert b" 408 " in answer
    server.stop()


def test_photos_are_limited_one_by_one_and_the_others_answered(classifier):
    small, large = (encoded(Image.new("RGB", (side, side)), "PNG") for side in (300, 301))
    client = served(classifier, photo_bytes=5000, pixels=300 * 300)
    photos = [small, b"words", large, small + bytes(5000), small]
    answer = client.post("/predict", data=parts(*[("x", photo) for photo in photos])).json
    told = [item.get("error", {}).get("type", "/docs#label") for item in answer["predictions"]]
    assert told == [f"/docs#{slug}" for slug in ("label", "photo-format", "photo-pixels", "photo-too-large", "label")]


def test_a_client_has_so_many_requests_a_minute_and_others_have_theirs(classifier):
    client = served(classifier, requests_per_minute=3)

    def ask(address, times=1, at="127.0.0.1"):
        headers = {"X-Forwarded-For": address} if address else {}
        return [
            client.post("/predict", headers=headers, environ_base={"REMOTE_ADDR": at}).status_code for _ in range(times)
        ]

    assert ask("203.0.113.7", 4) == [400, 400, 400, 429]
    assert ask("203.0.113.8") == [400]
    assert ask("198.51.100.1, 203.0.113.7") == [429]  # the last is the tunnel's word, the others are anybody's
    assert ask("2001:db8::1", 3) == [400, 400, 400]
    assert ask("2001:db8::2") == [429]  # the same network
    assert ask("2001:db8:0:1::1") == [400]
    assert ask("192.0.2.1", 4, at="198.51.100.9") == [400, 400, 400, 429]
    assert ask("192.0.2.2", at="198.51.100.9") == [429]  # forged: it comes through no tunnel
    assert ask("", 5) == [400] * 5  # who sits at this machine
    assert client.get("/", headers=FROM_AFAR).status_code == 200
    told = client.post("/predict", headers=FROM_AFAR)
    assert 1 <= int(told.headers["Retry-After"]) <= 60


def test_codes_are_not_guessed(classifier):
    client = create_app(classifier, limits=Limits(wrong_codes=3), ACCESS_CODE="for-testers").test_client()

    def ask(code, address="203.0.113.7"):
        headers = {"Authorization": f"Bearer {code}", "X-Forwarded-For": address}
        return client.get("/model", headers=headers).status_code

    assert [ask("for-testers") for _ in range(5)] == [200] * 5
    assert [ask(f"guess-{number}") for number in range(4)] == [401, 401, 401, 429]
    assert ask("for-testers") == 200  # of a class that shares an address, one pupil may be guessing
    assert ask("guess-4", "203.0.113.8") == 401
    assert client.get("/model", headers=FROM_AFAR).status_code == 401


@pytest.mark.parametrize("path", ["/model", "/metrics", "/examples", "/predict"])
def test_codes_can_be_tried_no_more_often_than_photos_sent(classifier, path):
    limits = Limits(wrong_codes=2, requests_per_minute=5)
    client = create_app(classifier, limits=limits, ACCESS_CODE="for-testers").test_client()

    def ask(code, address="203.0.113.7"):
        headers = {"Authorization": f"Bearer {code}", "X-Forwarded-For": address}
        return client.open(path, method="POST" if path == "/predict" else "GET", headers=headers).status_code

    assert [ask(f"guess-{number}") for number in range(5)] == [401, 401, 429, 429, 429]
    assert ask("for-testers") == 429
    assert ask("for-testers", "203.0.113.8") in (200, 400)


def test_one_client_leaves_places_and_the_queue_to_others(gated, gate):
    server = gated(max_concurrent=8, max_queue=8, photos=2, request_timeout=6000)

    def sent_by(client, photos=1):
        return post(server.url, *[drawing()] * photos, headers={"X-Forwarded-For": client} if client else {})

    with ThreadPoolExecutor(12) as clients:
        first = [clients.submit(sent_by, "203.0.113.7", 2) for _ in range(4)]
        until(lambda: sum(one.done() for one in first) == 2)  # four photos wait or are computed
        assert all(is_problem_of(one.result(), "overloaded") for one in first if one.done())
        other = clients.submit(sent_by, "203.0.113.8")
        author = clients.submit(sent_by, "")
        waiting = service_of(server._app).admission._waiting
        until(lambda: waiting.of("203.0.113.8") == waiting.of("127.0.0.1") == 1)
        gate.open.set()
        assert [one.result().status_code for one in (other, author)] == [200, 200]


def test_photos_that_were_not_tried_do_not_count_as_slow(classifier):
    limits = Limits(decode_seconds=0.3, slow_photos=4)
    client = create_app(classifier, limits=limits).test_client()
    bomb = jpeg_of_many_scans(20_000)
    for _ in range(2):
        answer = client.post("/predict", data=parts(*[("x", bomb)] * 5), headers=FROM_AFAR)
        assert answer.status_code == 200  # two of five were tried
    assert client.post("/predict", data=parts(("x", bomb)), headers=FROM_AFAR).status_code == 429


@pytest.mark.parametrize("in_time", [256, 60, 10])
def test_one_client_leaves_others_what_can_be_answered_in_time(app, in_time):
    admission = Admission(Limits())

    @contextlib.contextmanager
    def sent_by(client, number):
        asking = {"headers": {"X-Forwarded-For": client}, "environ_base": {"REMOTE_ADDR": "127.0.0.1"}}
        with app.test_request_context(**asking), admission.photos(number, in_time):
            yield

    with sent_by("203.0.113.7", in_time // 2), sent_by("203.0.113.8", in_time // 2):
        for client in ("203.0.113.7", "203.0.113.8"):
            with pytest.raises(Problem, match="waiting"), sent_by(client, 1):
                pass
    with sent_by("203.0.113.7", 64):  # a request by itself, however slow the network is
        pass
    assert not admission._waiting._taken


def test_slow_photos_count_also_where_there_was_no_answer_in_time(classifier, monkeypatch):
    def too_late(*_, spent, **__):
        spent.slow += 1
        raise DeadlinePassed

    monkeypatch.setattr(decoding, "decode", too_late)
    client = served(classifier, slow_photos=1)
    statuses = [client.post("/predict", data=parts(("x", drawing())), headers=FROM_AFAR).status_code for _ in range(2)]
    assert statuses == [504, 429]


def test_limits_are_set_in_words():
    assert parse_limits("") == Limits()
    assert parse_limits(" photos=16, pixels=1_000_000 request_timeout=2.5") == Limits(
        photos=16, pixels=10**6, request_timeout=2.5
    )
    for wrong in (
        "photo=1",
        "photos",
        "photos=many",
        "photos=0",
        "photos=-1",
        "request_timeout=nan",
        "request_timeout=inf",
        "request_timeout=1e9",
        "decode_seconds=1e9",
    ):
        with refused("setting-limits"):
            parse_limits(wrong)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("waiting", "max_queue"),
        ("requests", "max_concurrent"),
        ("held_bytes", "max_bytes_in_flight"),
        ("seconds", "request_timeout"),
        ("per_minute", "requests_per_minute"),
    ],
)
def test_limits_by_their_names_of_before_are_taken_and_the_new_one_is_said(old, new, capsys):
    assert parse_limits(f"photos=16 {old}=7") == Limits(photos=16, **{new: 7})
    (said,) = capsys.readouterr().out.splitlines()
    assert old in said
    assert new in said
    assert parse_limits(f"{new}=7") == Limits(**{new: 7})
    assert not capsys.readouterr().out


# --- what a photo does to its decoder ---


def test_photos_that_hang_or_crash_are_told_and_take_nothing_with_them(classifier):
    client = create_app(
        classifier, limits=Limits(decode_seconds=1), READ_PHOTO="standins.decoders:vulnerable"
    ).test_client()
    bad = {"hangs": jpeg_of_many_scans(20_000), "crashes": b"crash", "eats": b"memory"}
    photos = [("good", drawing("cat", 1))]
    for name, data in bad.items():
        photos += [(name, data), ("good", drawing("cat", 1))]
    predictions = client.post("/predict", data=parts(*photos)).json["predictions"]
    told = {item["filename"]: item["error"]["type"] for item in predictions if "error" in item}
    assert told == {
        "hangs": "/docs#photo-slow",
        "crashes": "/docs#photo-unreadable",
        "eats": "/docs#photo-unreadable",
    }
    good = [item["probabilities"] for item in predictions if item["filename"] == "good"]
    assert len(good) == 4
    assert all(one == good[0] for one in good)


def test_photos_are_decoded_as_the_model_was_trained_on_them():
    photo, words = encoded(Image.linear_gradient("L").resize((300, 200)), "PNG"), b"words"
    for preprocessing in (Preprocessing(), Preprocessing(288), BY):
        found, refusal = decoding.decode([photo, words], 10**6, 60, lambda: 60, preprocessing=preprocessing)
        assert (found == read_photo(photo, preprocessing=preprocessing)).all()
        assert refusal.kind.slug == "photo-format"


@pytest.mark.slow
def test_one_client_does_not_keep_the_decoders_busy(classifier):
    client = served(classifier, decode_seconds=0.3, slow_photos=2)
    bomb = jpeg_of_many_scans(20_000)

    def ask(headers):
        return client.post("/predict", data=parts(*[("x", bomb)] * 12, ("y", drawing())), headers=headers)

    first = ask(FROM_AFAR).json["predictions"]
    assert {item["error"]["type"] for item in first} == {"/docs#photo-slow"}  # after two, no other was tried
    assert is_problem(ask(FROM_AFAR), "too-many-requests")
    other = client.post("/predict", data=parts(("y", drawing())), headers={"X-Forwarded-For": "203.0.113.9"})
    assert other.json["predictions"][0]["label"]


def test_a_photo_that_breaks_the_network_is_told_and_the_others_are_answered(classifier, monkeypatch):
    marked, real = drawing("dog", 5), classifier.answer
    (culprit,) = decoding.decode([marked], 10**7, 60, lambda: 60)

    def breaks(photos):
        if any((photo == culprit).all() for photo in photos):
            raise SystemExit("broken")
        return real(photos)

    monkeypatch.setattr(classifier, "answer", breaks)
    client = create_app(classifier).test_client()
    answer = client.post("/predict", data=parts(("a", drawing()), ("b", marked), ("c", drawing())))
    assert answer.status_code == 200
    assert [item.get("error", {}).get("type") for item in answer.json["predictions"]] == [None, "/docs#internal", None]
    assert is_problem(client.post("/", data=json.dumps({"image": _base64(marked)})), "internal")
    assert client.post("/predict", data=parts(("a", drawing()))).json["predictions"][0]["label"]


def _base64(data):
    return base64.b64encode(data).decode()


# --- load ---


def test_of_32_requests_exactly_those_with_a_place_are_answered(gated, gate):
    server = gated(max_queue=8)
    with ThreadPoolExecutor(32) as clients:
        first = clients.submit(post, server.url, drawing())
        assert gate.entered.wait(30)
        others = [clients.submit(post, server.url, drawing()) for _ in range(31)]
        until(lambda: sum(other.done() for other in others) == 23)
        refused = [other.result() for other in others if other.done()]
        assert requests.get(f"{server.url}/healthz", timeout=5).status_code == 200
        gate.open.set()
        answers = [first.result(), *(other.result() for other in others)]
    assert Counter(answer.status_code for answer in answers) == {200: 9, 503: 23}
    for answer in refused:
        assert is_problem_of(answer, "overloaded")
        assert int(answer.headers["Retry-After"]) > 0


def test_while_all_places_are_taken_the_page_loads_and_the_next_is_refused_before_its_body_is_looked_at(gated, gate):
    server = gated(max_concurrent=3)
    with ThreadPoolExecutor(3) as clients:
        asked = [clients.submit(post, server.url, drawing())]
        assert gate.entered.wait(30)  # alone: two that come together would go through the network together
        asked += [clients.submit(post, server.url, drawing()) for _ in range(2)]
        until(lambda: "catdog_queue_photos 2.0" in requests.get(f"{server.url}/metrics", timeout=5).text)
        assert is_problem_of(requests.post(f"{server.url}/predict", data=b"x", timeout=5), "overloaded")
        assert requests.get(server.url, timeout=5).status_code == 200
        gate.open.set()
        assert [one.result().status_code for one in asked] == [200] * 3
    assert is_problem_of(requests.post(f"{server.url}/predict", data=b"x", timeout=5), "no-photo")


def test_no_answer_in_time_is_told_and_gives_its_places_back(gated, gate):
    server = gated(request_timeout=0.5, max_queue=1)
    with ThreadPoolExecutor(1) as clients:
        first = clients.submit(post, server.url, drawing())
        assert gate.entered.wait(30)
        for _ in range(2):
            assert is_problem_of(post(server.url, drawing()), "overloaded")  # it had not even begun
        assert is_problem_of(first.result(), "deadline")
        gate.open.set()
    until(lambda: post(server.url, drawing()).status_code == 200)


@pytest.mark.slow
def test_eight_threads_get_the_answers_that_they_would_get_one_by_one(slim, shipped):
    engine = open_engine(OPENVINO_FP32, slim)
    server = Server(create_app(Classifier(model_on(engine, shipped), engine)), "127.0.0.1", 0)
    photos = [drawing(("cat", "dog")[seed % 2], seed) for seed in range(PHOTOS)]
    alone = [post(server.url, photo).json()["predictions"][0]["probabilities"] for photo in photos]

    def ask_all(shift):
        """In an order and in requests of a size of its own."""
        order, size, found = np.roll(np.arange(PHOTOS), shift), 1 + shift % 4, {}
        with requests.Session() as session:
            for begin in range(0, PHOTOS, size):
                places = order[begin : begin + size]
                files = [("images", (str(place), photos[place])) for place in places]
                predictions = session.post(f"{server.url}/predict", files=files, timeout=60).json()["predictions"]
                assert [item["filename"] for item in predictions] == [str(place) for place in places]
                found.update((int(item["filename"]), item["probabilities"]) for item in predictions)
        return found

    with ThreadPoolExecutor(8) as threads:
        everything = list(threads.map(ask_all, range(8)))
    assert [len(found) for found in everything] == [PHOTOS] * 8
    server.stop()
    off = [abs(found[place]["cat"] - alone[place]["cat"]) for found in everything for place in range(PHOTOS)]
    assert max(off) <= 1e-3
    assert np.ptp([one["cat"] for one in alone]) > 0.2


def test_half_sent_requests_block_nobody(backend):
    halves = [
        b"POST /predict HTTP/1.1\r\nContent-Le",
        b"POST /predict HTTP/1.1\r\nContent-Length: 1000\r\n\r\nhalf",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf",
    ]
    connections = [socket.create_connection(("127.0.0.1", backend.port)) for _ in range(150)]
    try:
        for number, connection in enumerate(connections):
            connection.sendall(halves[number % 3])
        assert post(backend.url, drawing()).status_code == 200
        assert requests.get(f"{backend.url}/healthz", timeout=5).status_code == 200
    finally:
        for connection in connections:
            connection.close()


# --- seen from outside ---


def test_metrics_count_what_happened(classifier):
    client = create_app(classifier, limits=Limits(photos=4)).test_client()
    client.post("/predict", data=parts(("a", drawing()), ("b", b"words"), ("c", drawing())))
    client.post("/predict", data=parts(*[("x", b"")] * 5))
    client.get("/thought/up/by/a/client")
    client.open("/predict", method="BREW")
    answer = client.get("/metrics")
    assert answer.content_type.startswith("text/plain")
    lines = answer.text.splitlines()
    for line in (
        'catdog_requests_total{method="POST",route="/predict",status="200"} 1.0',
        'catdog_requests_total{method="GET",route="unknown",status="404"} 1.0',
        'catdog_requests_total{method="other",route="unknown",status="405"} 1.0',
        'catdog_request_seconds_count{route="/predict"} 2.0',
        "catdog_photos_total 3.0",
        'catdog_rejections_total{reason="photo-format"} 1.0',
        'catdog_rejections_total{reason="too-many-photos"} 1.0',
        "catdog_batch_photos_count 1.0",
        "catdog_batch_photos_sum 2.0",
        "catdog_queue_photos 0.0",
        f'catdog_model_info{{model="{classifier.bundle.id}"}} 1.0',
        "catdog_model_reloads_total 1.0",
    ):
        assert line in lines, line
    assert "thought" not in answer.text


def test_the_log_has_a_line_a_request_that_its_answer_names(classifier, own_cache):
    app = create_app(classifier, ACCESS_CODE="for-testers")
    answer = app.test_client().post(
        "/predict?token=secret-token",
        data=parts(("secret-name.jpg", drawing()), ("b", b"secret-words")),
        headers={"Authorization": "Bearer for-testers", "X-Request-ID": "forged", **FROM_AFAR},
    )
    text = (own_cache / "backend.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines[0]["event"] == "model"
    line = lines[-1]
    assert line["request_id"] == answer.headers["X-Request-ID"] != "forged"
    told = {key: line[key] for key in ("event", "route", "method", "status", "photos", "refusals", "client")}
    assert told == {
        "event": "request", "route": "/predict", "method": "POST", "status": 200, "photos": 2,
        "refusals": ["photo-format"], "client": "203.0.113.7",
    }  # fmt: skip
    assert time.strptime(line["time"][:19], "%Y-%m-%dT%H:%M:%S")
    assert "secret" not in text
    assert "for-testers" not in text


@pytest.mark.parametrize("path", ["/", "/page/page.js", "/docs", "/healthz", "/openapi.json", "/metrics", "/nothing"])
def test_headers_that_keep_browsers_careful(client, path):
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "Server" not in headers


@pytest.mark.parametrize("path", ["/", "/page/page.js"])
def test_the_page_of_its_own_has_them_too(path):
    headers = create_page_app("http://127.0.0.1:5000").test_client().get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("name", ["CORS_ORIGINS", "ORIGINS"])  # as notebooks call it that were saved before
def test_pages_of_which_addresses_may_ask_is_a_setting(classifier, name):
    client = create_app(classifier, **{name: "https://one.example, https://two.example:8000"}).test_client()

    def allowed(origin):
        return client.get("/healthz", headers={"Origin": origin}).headers.get("Access-Control-Allow-Origin")

    for origin in ("https://one.example", "https://two.example:8000"):
        assert allowed(origin) == origin
    for origin in ("https://two.example", "https://oneXexample", "https://one.example.evil.example", "null"):
        assert allowed(origin) is None
    for wrong in ("", "one.example", "https://one.example/path", "https://one.example *"):
        with refused("setting-origins"):
            create_app(classifier, **{name: wrong})


# --- what is not read at all ---


BOMBS = {
    "lists": b"[" + b"[]," * 3_000_000 + b"1]",
    "objects": b'{"a":' * 1_000_000,
    "keys": b"{" + b",".join(b'"%d":1' % number for number in range(500_000)) + b"}",
    "text without an end": b'{"image": "' + b"A" * 10_000_000,
    "escapes": b'{"image": "' + b"\\" * 10_000_001,
    "nested": b'{"a": {"image": "QUJD"}}',
}


@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS)
def test_json_that_is_no_photo_is_never_parsed(client, body, monkeypatch):
    """66 MB of brackets held the process for ten seconds."""
    parsed, loads = [], json.loads
    monkeypatch.setattr("catdog.backend.uploads.json.loads", lambda text: parsed.append(text) or loads(text))
    assert is_problem(client.post("/", data=body), "bad-json")
    assert all(len(text) < 1000 for text in parsed)  # the answer's own


def test_the_photo_in_json_has_a_limit_of_its_own(classifier):
    client = served(classifier, photo_bytes=1000)
    body = json.dumps({"image": base64.b64encode(b"x" * 3000).decode()})
    assert is_problem(client.post("/", data=body), "photo-too-large")


@pytest.mark.parametrize(
    "form",
    [
        lambda text: text.rstrip("="),
        lambda text: text.replace("+", "-").replace("/", "_"),
        lambda text: text.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
        lambda text: text.replace("+", " "),
        lambda text: "\r\n".join(text[start : start + 76] for start in range(0, len(text), 76)),
        lambda text: "data:image/png;charset=utf-8;base64," + text,
    ],
)
def test_base64_is_read_in_whatever_clear_form_it_comes(client, form):
    photo = drawing("dog", 3)
    wanted = client.post("/", data=json.dumps({"image": base64.b64encode(photo).decode()})).json
    text = form(base64.b64encode(photo).decode())
    assert client.post("/", data=json.dumps({"size": 3, "name": 'a"b', "image": text, "more": [1]})).json == wanted
    assert client.post("/", data=json.dumps({"image": text}).replace("/", "\\/")).json == wanted


def test_what_is_no_base64_is_told_as_such(client):
    for text in ("not base64!", "QUJDR", "ÄÖÜ", "%" * 1_000_000, "%41" * 300_000, "😀" + "A" * 1_000_000):
        answer = client.post("/", data=json.dumps({"image": text}))
        assert is_problem(answer, "bad-json")
        assert "base64" in answer.json["detail"]

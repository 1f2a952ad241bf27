"""The HTTP contract."""

import base64
import io
import json
import re

import numpy as np
import pytest
from catdog.backend.app import create_app
from catdog.backend.limits import Limits
from catdog.backend.problems import KINDS
from catdog.backend.request_log import RequestLog
from catdog.backend.service import service_of
from catdog.data.images import read_photo
from catdog.notebook import smoke_test
from catdog.web import link
from conftest import drawing, encoded, refused
from PIL import Image


def parts(*files):
    return {"images": [(io.BytesIO(data), name) for name, data in files]}


def is_problem(response, slug=None):
    problem = response.get_json()
    assert response.mimetype == "application/problem+json"
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["status"] == response.status_code
    assert problem["detail"].endswith(".")
    if slug:
        assert problem["type"] == f"/docs#{slug}"
        assert KINDS[slug].status == response.status_code
    return True


def test_one_photo(client, classifier):
    answer = client.post("/predict", data=parts(("rex.png", drawing("dog", 2, "PNG"))))
    assert answer.status_code == 200
    assert answer.json["model"] == classifier.bundle.id
    (prediction,) = answer.json["predictions"]
    assert prediction["filename"] == "rex.png"
    assert set(prediction["probabilities"]) == {"cat", "dog"}
    assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert prediction["label"] == max(prediction["probabilities"], key=prediction["probabilities"].get)


def test_a_small_picture_comes_where_it_is_asked_for(client, classifier):
    photos = {**parts(("a.heic", drawing("dog", 2, "HEIF")), ("words.jpg", b"words")), "thumbnails": "1"}
    answered, refused_one = client.post("/predict", data=photos).json["predictions"]
    data = base64.b64decode(answered["thumbnail"])
    picture = Image.open(io.BytesIO(data))
    assert (picture.format, picture.size) == ("JPEG", (128, 128))
    assert len(data) < 20_000
    seen = Image.fromarray(read_photo(drawing("dog", 2, "HEIF"))).resize((128, 128))
    assert np.abs(np.asarray(picture, int) - np.asarray(seen, int)).mean() < 8
    assert set(refused_one) == {"filename", "error"}


@pytest.mark.parametrize("value", [None, "0", "", "no"])
def test_no_picture_comes_by_itself(client, value):
    asked = {} if value is None else {"thumbnails": value}
    (answered,) = client.post("/predict", data={**parts(("a.png", drawing())), **asked}).json["predictions"]
    assert "thumbnail" not in answered


def test_a_batch_of_eight_with_two_bad_ones_in_order(client):
    photos = [(f"{seed}.jpg", drawing("cat" if seed % 2 else "dog", seed)) for seed in range(8)]
    photos[2], photos[5] = ("words.jpg", b"a text file renamed"), ("empty.jpg", b"")
    predictions = client.post("/predict", data=parts(*photos)).json["predictions"]
    assert [item["filename"] for item in predictions] == [name for name, _ in photos]
    assert [("error" in item) for item in predictions] == [i in (2, 5) for i in range(8)]
    assert predictions[2]["error"]["type"] == "/docs#photo-format"
    assert predictions[2]["error"]["status"] == 415
    assert predictions[5]["error"]["type"] == "/docs#photo-empty"
    for number in (0, 1, 3, 4, 6, 7):
        alone = client.post("/predict", data=parts(photos[number])).json["predictions"][0]
        for label, p in alone["probabilities"].items():
            assert predictions[number]["probabilities"][label] == pytest.approx(p, abs=1e-3)


def test_nothing_but_bad_photos_is_still_an_answer(client):
    answer = client.post("/predict", data=parts(("a", b"x"), ("b", b"")))
    assert answer.status_code == 200
    assert all("error" in item for item in answer.json["predictions"])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "HEIF"])
@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded; charset=UTF-8", "application/json", "text/plain", None]
)
@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_the_original_contract(client, kind, content_type, prefix):
    body = json.dumps({"image": prefix + base64.b64encode(drawing("cat", 4, kind)).decode()})
    answer = client.post("/", data=body, content_type=content_type)
    assert answer.status_code == 200
    assert set(answer.json) == {"prediction"}
    assert set(answer.json["prediction"]) == {"cat", "dog"}


def test_both_contracts_say_the_same(client):
    photo = drawing("dog", 9)
    original = client.post("/", data=json.dumps({"image": base64.b64encode(photo).decode()})).json["prediction"]
    assert client.post("/predict", data=parts(("x", photo))).json["predictions"][0]["probabilities"] == original


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"image": 7}',
        b'{"image": "%%%"}',
        b"{broken",
        b"\xff\xfe",
        b'{"image": null}',
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded"])
def test_bodies_that_are_not_the_original_contract(client, body, content_type):
    assert is_problem(client.post("/", data=body, content_type=content_type), "bad-json")


@pytest.mark.parametrize(
    ("data", "slug"),
    [
        (b"", "photo-empty"),
        (b"words", "photo-format"),
        (drawing()[:-3000], "photo-unreadable"),
        (encoded(Image.new("1", (6000, 6000)), "PNG"), "photo-pixels"),
    ],
)
def test_bad_photos_in_the_original_contract(client, data, slug):
    assert is_problem(client.post("/", data=json.dumps({"image": base64.b64encode(data).decode()})), slug)


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"data": {"other": "x"}},
        {"data": b"raw bytes", "content_type": "image/jpeg"},
        {"data": b"no boundary", "content_type": "multipart/form-data"},
        {"data": b"--b\r\ncut", "content_type": "multipart/form-data; boundary=b"},
    ],
)
def test_requests_without_a_photo(client, request_):
    assert is_problem(client.post("/predict", **request_), "no-photo")


def test_limits(classifier):
    client = create_app(classifier, limits=Limits(photos=2, request_bytes=100_000)).test_client()
    assert is_problem(client.post("/predict", data=parts(*[("x", b"")] * 3)), "too-many-photos")
    assert is_problem(client.post("/predict", data=parts(("x", b"0" * 200_000))), "request-too-large")
    assert is_problem(client.post("/", data=b"0" * 200_000), "request-too-large")


def test_other_addresses_and_methods(client):
    assert is_problem(client.get("/nothing/here"), "not-found")
    wrong = client.get("/predict")
    assert is_problem(wrong, "method-not-allowed")
    assert "POST" in wrong.headers["Allow"]


def test_alive_ready_and_card(client, classifier):
    assert client.get("/healthz").json == {"status": "alive", "instance": link.INSTANCE}
    assert client.get("/readyz").json == {"status": "ready"}
    told = client.get("/model").json
    card = json.loads(json.dumps(classifier.bundle.card.as_json()))
    assert {name: told[name] for name in ("name", "classes", "metrics", "synthetic")} == {
        name: card[name] for name in ("name", "classes", "metrics", "synthetic")
    }
    assert told["thresholds"].items() >= card["thresholds"].items()
    assert (told["drawings"], told["thresholds"]["sure"]) == (card["synthetic"], card["thresholds"]["confidence"])
    assert told["examples"] == 0
    assert not {"judged", "trained_on"} & told.keys()  # which photos there are is nobody's business


def test_alive_but_not_ready_without_a_model():
    client = create_app(None).test_client()
    assert client.get("/healthz").status_code == 200
    for answer in (
        client.get("/readyz"),
        client.get("/model"),
        client.post("/predict", data=parts(("x", b"x"))),
        client.post("/", data="{}"),
    ):
        assert is_problem(answer, "not-ready")
        assert answer.headers["Retry-After"]


def test_what_breaks_is_a_problem_too_and_goes_to_the_log(classifier, own_cache):
    app = create_app(classifier)
    service_of(app).model = object()
    assert is_problem(app.test_client().post("/predict", data=parts(("x", drawing()))), "internal")
    assert "AttributeError" in (own_cache / "backend.log").read_text()


def test_without_the_access_code_nothing_of_the_model_is_told(classifier):
    client = create_app(classifier, limits=Limits(wrong_codes=100), ACCESS_CODE="for-testers").test_client()
    calls = (
        lambda **options: client.get("/model", **options),
        lambda **options: client.get("/examples", **options),
        lambda **options: client.post("/", data=json.dumps({"image": base64.b64encode(drawing()).decode()}), **options),
        lambda **options: client.post("/predict", data=parts(("x", drawing())), **options),
    )
    for call in calls:
        missing = call()
        assert is_problem(missing, "code-missing")
        assert missing.headers["WWW-Authenticate"] == "Bearer"
        assert is_problem(call(headers={"Authorization": "Basic Zm9yLXRlc3RlcnM="}), "code-missing")
        for wrong in ("for-tester", "for-testers2", "für"):
            assert is_problem(call(headers={"Authorization": f"Bearer {wrong}"}), "code-wrong")
        assert call(headers={"Authorization": "Bearer for-testers"}).status_code == 200
    for path in ("/", "/page/page.js", "/healthz", "/readyz", "/docs", "/openapi.json"):
        assert client.get(path).status_code == 200


def test_the_notebook_tries_the_service_as_a_tester_would(backend, tmp_path):
    answer = smoke_test.predict(backend.url, smoke_test.photo_or_drawing())
    assert answer["label"] in answer["probabilities"]
    with refused("service-refused"):
        smoke_test.predict(backend.url, b"words")
    with refused("service-unreachable", "http://127.0.0.1:9"):
        smoke_test.predict("http://127.0.0.1:9", b"")
    with refused("test-photo-unreadable", "nothing.jpg", "TEST_PHOTO"):
        smoke_test.photo_or_drawing(str(tmp_path / "nothing.jpg"))


def test_the_access_code_may_be_asked_for_from_another_origin(classifier):
    client = create_app(classifier, ACCESS_CODE="for-testers").test_client()
    ask = {
        "Origin": "https://page.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization, ngrok-skip-browser-warning",
    }
    preflight = client.options("/model", headers=ask)
    assert preflight.status_code == 200
    assert "authorization" in preflight.headers["Access-Control-Allow-Headers"].lower()
    refusal = client.get("/model", headers={"Origin": "https://page.example"})
    assert refusal.status_code == 401
    assert refusal.headers["Access-Control-Allow-Origin"] == "*"


def test_the_access_code_is_never_written_down(classifier, own_cache):
    app = create_app(classifier, ACCESS_CODE="for-testers")
    app.test_client().get("/model", headers={"Authorization": "Bearer for-testers"})
    app.test_client().post("/predict", headers={"Authorization": "Bearer another-guess"})
    app.logger.warning("something to write")
    written = (own_cache / "backend.log").read_text() + service_of(app).request_log.table()
    assert "something to write" in written
    assert "for-testers" not in written
    assert "another-guess" not in written


@pytest.mark.parametrize("code", ["short", "with space", "x" * 65, "schlüssel", "a#b?c=d&e"])
def test_a_code_that_no_link_can_carry_is_refused(code):
    with refused("setting-access-code"):
        create_app(None, ACCESS_CODE=code)


@pytest.mark.parametrize("path", ["/predict", "/"])
def test_cors_preflight_and_answers(client, path):
    ask = {
        "Origin": "https://page.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "ngrok-skip-browser-warning, content-type",
    }
    preflight = client.options(path, headers=ask)
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert "ngrok-skip-browser-warning" in preflight.headers["Access-Control-Allow-Headers"].lower()
    refusal = client.post(path, data=b"x", headers={"Origin": "https://page.example"})
    assert refusal.status_code == 400
    assert refusal.headers["Access-Control-Allow-Origin"] == "*"
    assert refusal.headers["Access-Control-Expose-Headers"] == "Retry-After, X-Request-ID"


def test_the_description_is_made_from_the_code_and_complete(classifier):
    spec = create_app(classifier, ACCESS_CODE="for-testers").test_client().get("/openapi.json").json
    assert spec["openapi"].startswith("3.")
    described = {(path, method.upper()) for path, operations in spec["paths"].items() for method in operations}
    assert described == {
        ("/predict", "POST"),
        ("/explain", "POST"),
        ("/corrections", "POST"),
        ("/", "GET"),
        ("/", "POST"),
        ("/examples", "GET"),
        ("/healthz", "GET"),
        ("/readyz", "GET"),
        ("/model", "GET"),
        ("/metrics", "GET"),
    }
    predict = spec["paths"]["/predict"]["post"]
    assert "multipart/form-data" in predict["requestBody"]["content"]
    assert {"200", "400", "401", "413", "503"} <= set(predict["responses"])
    assert "application/problem+json" in predict["responses"]["400"]["content"]
    assert predict["security"]
    explain = spec["paths"]["/explain"]["post"]
    assert explain["requestBody"]["content"]["multipart/form-data"]["schema"]["$ref"].endswith("/PhotoToExplain")
    assert {"images", "label"} == set(spec["components"]["schemas"]["PhotoToExplain"]["properties"])
    assert {"200", "400", "401", "413", "415", "422", "503"} <= set(explain["responses"])
    assert explain["security"]
    assert spec["components"]["securitySchemes"]["BearerAuth"]["scheme"] == "bearer"
    assert "*/*" in spec["paths"]["/"]["post"]["requestBody"]["content"]


def test_without_a_code_the_description_asks_for_none(client):
    spec = client.get("/openapi.json").json
    assert "security" not in spec["paths"]["/predict"]["post"]


@pytest.mark.parametrize("name", ["request_log", "visits"])  # as notebooks call it that were saved before
def test_requests_are_noted_where_the_notebook_says(classifier, name):
    log = RequestLog()
    create_app(classifier, **{name: log}).test_client().get("/nothing/here")
    assert log.last.status == 404


def test_the_docs_explain_every_problem(client):
    # It has the address at which it is read: that of Ray, too.
    page = re.sub(r"http://[^/]+/predict", "http://localhost/predict", client.get("/docs").text)
    calls = re.findall("<h2 id=.*><code>(.*)</code>", page)
    assert calls[0] == "POST /predict"
    assert calls.index("POST /corrections") < calls.index("GET /examples") < calls.index("GET /")
    assert calls[-4:] == ["GET /model", "GET /readyz", "GET /healthz", "GET /metrics"]
    assert '<pre tabindex="0">curl -F images=@rex.jpg -F images=@tom.png http://localhost/predict</pre>' in page
    for slug in KINDS:
        assert f'id="{slug}"' in page
    assert "http://" not in page.replace("http://localhost/predict", "")
    assert "https://" not in page


def test_the_request_log_names_the_client_but_no_photo(classifier):
    app = create_app(classifier)
    client = app.test_client()
    client.post(
        "/predict", data=parts(("secret.jpg", b"x"), ("b", b"")), headers={"X-Forwarded-For": "6.6.6.6, 203.0.113.7"}
    )
    client.post(
        "/predict",
        data=parts(("c", b"x")),
        headers={"X-Forwarded-For": "203.0.113.8"},
        environ_base={"REMOTE_ADDR": "198.51.100.1"},
    )
    client.get("/healthz")
    table = service_of(app).request_log.table()
    assert "203.0.113.7" in table
    assert "198.51.100.1" in table
    assert "203.0.113.8" not in table
    assert "6.6.6.6" not in table
    assert "POST /predict" in table
    assert "secret" not in table
    assert "healthz" not in table
    assert service_of(create_app(classifier)).request_log.table() == "No requests yet."

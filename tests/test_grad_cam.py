"""Why: the heat map is Grad-CAM, on every engine, and the service gives it; and when the model is not sure."""

import dataclasses
import io
import json
import shutil

import numpy as np
import pytest
from catdog.backbones.architectures import VGG16
from catdog.backend.app import create_app
from catdog.backend.limits import Limits
from catdog.data.feedback import Feedback
from catdog.data.images import read_photo
from catdog.data.preprocessing import SQUEEZE
from catdog.engines import open_engine
from catdog.engines.base import NAMES, TENSORFLOW, EngineUnavailable
from catdog.engines.quantization import quantize
from catdog.models import bundle
from catdog.models.arrays import sealed
from catdog.models.bundle import BundleRefused
from catdog.models.card import CARD
from catdog.models.classifier import Classifier
from catdog.models.grad_cam import grad_cam
from catdog.models.head import Head
from catdog.models.ood import OODDetector
from conftest import drawing, encoded, refused, without_thresholds
from PIL import Image
from test_backend import is_problem, parts

SIDE = 14


BEFORE = dataclasses.replace(VGG16.at(224, SQUEEZE), pooling=("max",), unit_length=False)
CASES = {
    "today": VGG16,
    "today at 288 pixels": VGG16.at(288),
    "before": BEFORE,
    "the mean": dataclasses.replace(VGG16, pooling=("mean",), unit_length=False),
    "the mean at length 1": dataclasses.replace(VGG16, pooling=("mean",)),
}


@pytest.fixture(scope="module", params=CASES)
def case(request, slim):
    """The slim network with features of today and of before: (backbone, photos, a last layer)."""
    architecture, chance = CASES[request.param], np.random.default_rng(5)
    drawn = [drawing(label, seed) for label, seed in (("cat", 1), ("dog", 2), ("dog", 5))]
    photos = np.stack([read_photo(photo, preprocessing=architecture.preprocessing) for photo in drawn])
    head = Head(chance.normal(size=(architecture.size, 2)).astype(np.float32), np.zeros(2, np.float32))
    return dataclasses.replace(slim, architecture=architecture), photos, head


@pytest.fixture(scope="module")
def with_gradients(case):
    """Grad-CAM as the paper has it: (photos, classes, cells, cells), through the whole Keras network and its
    gradients."""
    import keras
    import tensorflow as tf

    backbone, photos, head = case
    engine = open_engine(TENSORFLOW, backbone)
    network = keras.Model(engine.model.input, [engine.model.get_layer("block5_conv3").output, engine.model.output])
    maps = []
    for number in range(2):
        with tf.GradientTape() as tape:
            activations, features = network(photos.astype(np.float32), training=False)
            logits = features @ head.kernel + head.bias
            wanted = tf.reduce_sum(logits[:, number])
        weights = tf.reduce_mean(tape.gradient(wanted, activations), axis=(1, 2), keepdims=True)
        maps.append(tf.nn.relu(tf.reduce_sum(weights * activations, axis=-1)).numpy())
    return np.stack(maps, axis=1)


def test_the_closed_form_is_grad_cam(case, with_gradients):
    backbone, photos, head = case
    grid_size = backbone.architecture.grid_size
    found = open_engine(TENSORFLOW, backbone).activations(photos)
    assert found.shape == (3, grid_size, grid_size, 512)
    assert found.dtype == np.float32
    for activations, maps in zip(found, with_gradients):
        for number in range(2):
            heat = grad_cam(activations, head, number, backbone.architecture)
            assert heat.shape == maps[number].shape == (grid_size, grid_size)
            assert heat.max() == 1
            assert np.abs(heat - maps[number] / maps[number].max()).max() < 1e-4


@pytest.fixture(scope="module")
def int8(case):
    return quantize(case[0], case[1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", ["today", "today at 288 pixels", "before"], indirect=True)
def test_every_engine_gives_the_same_picture(name, case, int8, with_gradients):
    backbone, photos, head = case
    try:
        engine = open_engine(name, backbone, int8)
    except EngineUnavailable as reason:
        pytest.skip(str(reason))
    found, architecture = engine.activations(photos), backbone.architecture
    features = engine.features(photos)
    assert np.abs(architecture.pool(found) - features).max() < 1e-3 * features.max()
    for activations, maps in zip(found, with_gradients):
        for number in range(2):
            heat = grad_cam(activations, head, number, architecture)
            assert np.corrcoef(heat.ravel(), maps[number].ravel())[0, 1] > 0.95
    assert engine.activations(photos[:0]).shape == (0, architecture.grid_size, architecture.grid_size, 512)


def test_where_nothing_speaks_for_a_class_nothing_is_hot():
    everywhere = np.ones((SIDE, SIDE, 512), np.float32)
    against = {one: Head(-np.ones((one.size, 2), np.float32), np.zeros(2, np.float32)) for one in (VGG16, BEFORE)}
    assert not grad_cam(everywhere, against[BEFORE], 0, BEFORE).any()
    for architecture, head in against.items():
        assert not grad_cam(0 * everywhere, head, 0, architecture).any()


def test_the_heat_is_where_the_animal_is(real_classifier, real_photos):
    """A real cat in the left or in the right half of a grey picture."""
    cats = [Image.open(path).convert("RGB").resize((224, 224)) for path in sorted((real_photos / "test/cat").iterdir())]
    followed = 0
    for cat in cats[:10]:
        centres = []
        for left in (0, 224):
            picture = Image.new("RGB", (448, 224), "grey")
            picture.paste(cat, (left, 0))
            _, heat = real_classifier.explain(np.asarray(picture.resize((224, 224))), "cat")
            centres.append((heat.sum(axis=0) * np.arange(SIDE)).sum() / heat.sum())
        followed += centres[0] < 6.5 < centres[1]
    assert followed >= 9


def test_an_answer_with_its_reason(client, classifier):
    answer = client.post("/explain", data=parts(("a.jpg", drawing("dog", 3)))).json
    (prediction,) = client.post("/predict", data=parts(("a.jpg", drawing("dog", 3)))).json["predictions"]
    assert answer["model"] == classifier.bundle.id
    assert answer["target"] == answer["label"] == prediction["label"]
    for label, p in prediction["probabilities"].items():
        assert answer["probabilities"][label] == pytest.approx(p, abs=1e-3)
    heat = np.array(answer["heatmap"])
    assert heat.shape == (SIDE, SIDE)
    assert (heat.min() >= 0, heat.max()) == (True, 1)


def test_an_answer_says_which_part_of_the_photo_the_heat_covers(client, classifier, earlier_classifier):
    """The same photo, with something beside it: the middle square is all that a model of today sees."""
    alone, beside = Image.open(io.BytesIO(drawing("dog", 3, "PNG"))), Image.new("RGB", (640, 320), "red")
    beside.paste(alone, (160, 0))
    for one, fit, same in ((classifier, "crop", True), (earlier_classifier, "squeeze", False)):
        service = create_app(one).test_client()
        answers = [service.post("/explain", data=parts(("a", encoded(photo, "PNG")))).json for photo in (alone, beside)]
        assert [answer["fit"] for answer in answers] == [fit, fit]
        heats = [np.array(answer["heatmap"]) for answer in answers]
        assert (np.abs(np.subtract(*heats)).mean() < 0.02) == same


def test_names_of_before_say_the_same_for_one_release(classifier, own_places):
    """Those of a script that was written for the version before, and marked for whoever writes a new one."""
    client = create_app(classifier, feedback=Feedback("pets")).test_client()
    answers = {
        "Prediction": client.post("/predict", data=parts(("a.jpg", drawing("dog", 3)))).json["predictions"][0],
        "Explanation": client.post("/explain", data=parts(("a.jpg", drawing("dog", 3)))).json,
        "Correction": client.post("/corrections", data=parts(("a.jpg", drawing("dog", 3)))).json,
    }
    names_of_before = {
        "Prediction": {"sure": "confident", "familiar": "in_distribution"},
        "Explanation": {
            "sure": "confident", "familiar": "in_distribution", "heat": "heatmap", "explained": "target",
        },
        "Correction": {"kept": "label"},
    }  # fmt: skip
    schemas = client.get("/openapi.json").json["components"]["schemas"]
    for schema, names in names_of_before.items():
        described = schemas[schema]["properties"]
        assert set(answers[schema]) <= set(described)
        assert {name for name, field in described.items() if field.get("deprecated")} == set(names)
        for before, today in names.items():
            assert answers[schema][before] == answers[schema][today]
            assert f"`{today}`" in described[before]["description"]


def test_another_class_can_be_asked_about(client):
    heats = []
    for label in ("cat", "dog"):
        answer = client.post("/explain", data={**parts(("a.jpg", drawing("dog", 3))), "label": label}).json
        assert answer["target"] == label
        heats.append(answer["heatmap"])
    assert heats[0] != heats[1]


def test_what_cannot_be_explained_is_refused(client):
    refusal = client.post("/explain", data={**parts(("a.jpg", drawing())), "label": "giraffe"})
    assert is_problem(refusal, "label-unknown")
    assert refusal.json["detail"] == "The model does not know this class. It knows cat, dog."
    assert is_problem(client.post("/explain"), "no-photo")
    assert is_problem(client.post("/explain", data=parts(("a", drawing()), ("b", drawing()))), "too-many-photos")
    assert is_problem(client.post("/explain", data=parts(("a.jpg", b"words"))), "photo-format")
    assert is_problem(client.post("/explain", data=parts(("a.jpg", b""))), "photo-empty")
    assert is_problem(create_app().test_client().post("/explain", data=parts(("a", drawing()))), "not-ready")


def test_a_full_queue_explains_nothing(classifier):
    client = create_app(classifier, limits=Limits(max_queue=0)).test_client()
    assert is_problem(client.post("/explain", data=parts(("a", drawing()))), "overloaded")


def test_reasons_are_for_those_with_the_code(classifier):
    client = create_app(classifier, ACCESS_CODE="for-testers").test_client()
    assert is_problem(client.post("/explain", data=parts(("a", drawing()))), "code-missing")
    answer = client.post("/explain", data=parts(("a", drawing())), headers={"Authorization": "Bearer for-testers"})
    assert answer.status_code == 200


# Not sure


def test_the_service_says_when_the_models_threshold_is_not_reached(classifier):
    photos = [(f"{seed}.jpg", drawing("dog", seed)) for seed in range(6)]
    plain = create_app(classifier).test_client().post("/predict", data=parts(*photos)).json["predictions"]
    assert [item["confident"] for item in plain] == [item["in_distribution"] for item in plain] == [True] * 6
    limit = float(np.median([max(item["probabilities"].values()) for item in plain]))
    careful = create_app(
        Classifier(without_thresholds(classifier.bundle, confidence=limit), classifier.engine)
    ).test_client()
    found = careful.post("/predict", data=parts(*photos)).json["predictions"]
    assert [item["confident"] for item in found] == [max(item["probabilities"].values()) >= limit for item in found]
    assert {item["confident"] for item in found} == {True, False}
    unsure = next(name for (name, _), item in zip(photos, found) if not item["confident"])
    assert careful.post("/explain", data=parts((unsure, dict(photos)[unsure]))).json["confident"] is False


def test_a_photo_that_is_unlike_all_is_never_sure(classifier):
    photos = np.stack([read_photo(drawing("dog", seed)) for seed in range(2)])
    features = classifier.engine.features(photos)
    centers = (features[:1] / np.linalg.norm(features[:1])).repeat(2, axis=0)
    limit = float(OODDetector(centers, 0).distances(features)[1]) / 2
    knowing = dataclasses.replace(classifier.bundle, ood_detector=OODDetector(centers, limit))
    client = create_app(Classifier(knowing, classifier.engine)).test_client()
    known, strange = [(f"{seed}.jpg", drawing("dog", seed)) for seed in range(2)]
    found = client.post("/predict", data=parts(known, strange)).json["predictions"]
    assert [(item["confident"], item["in_distribution"]) for item in found] == [(True, True), (False, False)]
    assert client.post("/explain", data=parts(strange)).json["in_distribution"] is False


@pytest.mark.parametrize("sure", [1.1, -0.1, "high", None, float("nan"), [0.5]])
def test_a_card_with_a_threshold_that_is_none_is_refused(shipped, tmp_path, sure):
    folder = shutil.copytree(shipped.folder, tmp_path / "model")
    card = {**shipped.card.as_json(), "thresholds": {"confidence": sure, "ood_distance": 0.5}}
    (folder / CARD).write_text(json.dumps(sealed(card)))
    with refused("model-damaged", kind=BundleRefused):
        bundle.read(folder)

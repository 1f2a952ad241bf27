"""The shipped model on photos that it never saw, through the notebook's way and through HTTP."""

import numpy as np
import pytest
import requests
from catdog.backend.app import create_app
from catdog.data.dataset import check
from catdog.data.folders import TEST
from catdog.data.images import read_photo
from catdog.data.sources import PhotoFolder
from catdog.engines import open_engine
from catdog.engines.base import OPENVINO_FP32, OPENVINO_INT8
from catdog.engines.parity import compare
from catdog.models.classifier import Classifier
from catdog.training.features import FeatureCache, compute_features
from catdog.web.server import Server
from conftest import drawing

BATCH = 10


@pytest.fixture(scope="module")
def unseen(real_photos, real_classifier, backbone):
    """The test photos with the features that notebook 1 would compute: (photos, targets, features)."""
    dataset = check(PhotoFolder(real_photos, "photos"))
    photos = dataset.of(TEST)
    features = compute_features(photos, real_classifier.engine, FeatureCache(backbone))
    return photos, dataset.targets(photos), features


def test_it_tells_cats_from_dogs(unseen, shipped):
    photos, targets, features = unseen
    right = shipped.head.probabilities(features).argmax(axis=1) == targets
    assert len(photos) == 100
    assert right.mean() >= 0.98


def test_what_it_is_sure_of_is_right_and_drawings_are_unlike_all(unseen, shipped, real_classifier):
    _, targets, features = unseen
    classifier = Classifier(shipped, real_classifier.engine)
    answers = classifier._answers(features)
    sure = np.array([answer.confident for answer in answers])
    right = np.array([answer.probabilities.argmax() for answer in answers]) == targets
    assert sure.mean() >= 0.95
    assert (~right[sure]).sum() <= 2
    drawn = np.stack([read_photo(drawing(label, seed)) for label in ("cat", "dog") for seed in range(4)])
    assert not any(answer.confident or answer.in_distribution for answer in classifier.answer(drawn))


def test_the_service_says_what_the_notebook_computed(unseen, shipped, real_classifier):
    photos, features = unseen[0][::8], unseen[2][::8]
    expected = shipped.head.probabilities(features)
    server, served = Server(create_app(real_classifier), "127.0.0.1", 0), []
    for start in range(0, len(photos), BATCH):
        files = [("images", (photo.path.name, photo.path.read_bytes())) for photo in photos[start : start + BATCH]]
        served += requests.post(f"{server.url}/predict", files=files, timeout=120).json()["predictions"]
    server.stop()
    probabilities = np.array([[item["probabilities"][label] for label in shipped.classes] for item in served])
    assert [item["filename"] for item in served] == [photo.path.name for photo in photos]
    assert [item["label"] for item in served] == [shipped.classes[number] for number in expected.argmax(axis=1)]
    assert np.abs(probabilities - expected).max() <= 1e-3


def test_the_int8_network_answers_as_float32_does(unseen, shipped, backbone):
    photos, targets, _ = unseen
    photos, targets = photos[::5], targets[::5]
    engines = [open_engine(name, backbone, shipped.int8) for name in (OPENVINO_INT8, OPENVINO_FP32)]
    store = FeatureCache(backbone)
    answers = [shipped.head.probabilities(compute_features(photos, engine, store)) for engine in engines]
    assert not compare(*answers).failure
    right = [(answer.argmax(axis=1) == targets).mean() for answer in answers]
    assert abs(right[0] - right[1]) <= 0.005

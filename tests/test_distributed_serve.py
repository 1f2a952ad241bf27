"""The backend on Ray Serve keeps the contract: the tests of the Flask service are asked of it, over HTTP."""

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests
import werkzeug
from catdog.backend.batching import BatchingQueue, PhotoQueue, QueueFull
from catdog.backend.deadline import Deadline, DeadlinePassed
from catdog.engines.base import OPENVINO_INT8
from catdog.models.card import Thresholds
from catdog.models.classifier import load_classifier
from catdog.models.writer import publish
from catdog.web import link
from conftest import ROOT, drawing, refused, until
from family import family
from werkzeug.test import Client

pytest.importorskip("ray.serve", reason="needs what requirements-scale.txt names")
import ray_serve
from catdog.distributed.cluster import connect
from catdog.distributed.serve import Replicas, serve
from test_backend import (  # noqa: F401
    test_a_batch_of_eight_with_two_bad_ones_in_order,
    test_alive_ready_and_card,
    test_bad_photos_in_the_original_contract,
    test_bodies_that_are_not_the_original_contract,
    test_both_contracts_say_the_same,
    test_cors_preflight_and_answers,
    test_nothing_but_bad_photos_is_still_an_answer,
    test_one_photo,
    test_other_addresses_and_methods,
    test_requests_without_a_photo,
    test_the_docs_explain_every_problem,
    test_the_original_contract,
    test_without_a_code_the_description_asks_for_none,
)
from test_grad_cam import (  # noqa: F401
    test_an_answer_with_its_reason,
    test_another_class_can_be_asked_about,
    test_what_cannot_be_explained_is_refused,
)
from test_untrusted_clients import (  # noqa: F401
    test_headers_that_keep_browsers_careful,
    test_the_description_lists_every_problem,
)

pytestmark = [pytest.mark.ray, pytest.mark.weights]

# Those of a connection; and Serve's proxy says what it is, which it cannot be told not to.
NOT_PASSED_ON = ("connection", "content-length", "host", "keep-alive", "transfer-encoding", "server")


@pytest.fixture(scope="module")
def model(shipped, tmp_path_factory):
    """The shipped model as a version without thresholds; most tests send drawings, unlike the photos that it knows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELS_DIR", str(tmp_path_factory.mktemp("models")))
        card = dataclasses.replace(shipped.card, thresholds=Thresholds())
        return publish("pets", card, shipped.head, shipped.golden_photos, shipped.golden_probabilities, shipped.int8)


@pytest.fixture(scope="module")
def classifier(model):
    return load_classifier(model, OPENVINO_INT8)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def url(model):
    """The service with two replicas of the network."""
    connect()
    port = free_port()
    serve.start(http_options={"port": port})
    app = ray_serve.build(
        {"MODEL": str(model.folder), "ENGINE": OPENVINO_INT8, "MAX_REPLICAS": "2", "MIN_REPLICAS": "2"}
    )
    serve.run(app, name="default", logging_config={"log_level": "WARNING"})  # as `serve run` does
    yield f"http://127.0.0.1:{port}"
    serve.shutdown()


@pytest.fixture
def client(url, monkeypatch):
    """A test client whose requests go out over HTTP."""

    def forward(environ, start_response):
        asked = werkzeug.Request(environ)
        answer = requests.request(
            asked.method, url + asked.full_path.removesuffix("?"), data=asked.get_data(), headers=_passed_on(asked)
        )
        return werkzeug.Response(answer.content, answer.status_code, _passed_on(answer))(environ, start_response)

    monkeypatch.setattr(link, "INSTANCE", requests.get(f"{url}/healthz").json()["instance"])
    return Client(forward)


def _passed_on(message):
    return {name: value for name, value in message.headers.items() if name.lower() not in NOT_PASSED_ON}


def test_a_body_that_does_not_say_how_long_it_is(url, model):
    files = {"images": ("rex.jpg", drawing("dog", 2))}
    prepared = requests.Request("POST", f"{url}/predict", files=files).prepare()
    answer = requests.post(
        prepared.url, data=iter([prepared.body]), headers={"Content-Type": prepared.headers["Content-Type"]}
    )
    assert answer.json()["predictions"] == requests.post(prepared.url, files=files).json()["predictions"]
    assert answer.json()["model"] == model.id


def test_knobs_that_do_not_exist_or_do_not_fit_are_told():
    with refused("setting-unknown", "MODLE", "MODEL, ENGINE"):
        ray_serve.build({"MODLE": "pets"})
    with refused("setting-type", "MAX_REPLICAS", '"many"'):
        ray_serve.build({"MAX_REPLICAS": "many"})
    with refused("setting-type", "MIN_REPLICAS", '"few"'):
        ray_serve.build({"FEWEST": "few"})


class StandIn:
    """A network that answers each photo with its first number, once it is `open`."""

    def __init__(self):
        self.answer, self.open, self.cancelled = self, threading.Event(), 0

    def remote(self, photo):
        return StandInResponse(self, photo)


class StandInResponse:
    def __init__(self, network, photo):
        self._network, self._photo = network, photo

    def result(self, timeout_s):
        if not self._network.open.wait(timeout_s):
            raise TimeoutError
        return int(self._photo.flat[0])

    def cancel(self):
        self._network.cancelled += 1


def test_the_line_before_replicas_is_what_the_service_asks_for():
    network = StandIn()
    queue = Replicas(network, 3)
    assert isinstance(queue, PhotoQueue)
    assert isinstance(BatchingQueue(list), PhotoQueue)
    with queue.reserve(2) as reservation:
        with pytest.raises(QueueFull), queue.reserve(2):
            pass
        assert queue.queued == 2
        with pytest.raises(DeadlinePassed) as caught:
            reservation.predict(np.full((1, 2, 2, 3), 7, np.uint8), Deadline(0.01))
        assert type(caught.value) is DeadlinePassed
        assert network.cancelled == 1
        assert queue.queued == 1  # what was sent waits within Serve
    assert queue.queued == 0
    network.open.set()
    with queue.reserve(3) as reservation:
        assert reservation.predict(np.stack([np.full((2, 2, 3), number, np.uint8) for number in (4, 5)])) == [4, 5]
        assert reservation.run(lambda: "explained") == "explained"
    assert queue.queued == 0


def network_replicas():
    return family(os.getpid(), "Replica", "Network")


def test_no_request_is_lost_with_a_replica(url, classifier):
    statuses, ended = [], threading.Event()
    photos = [drawing(label, seed) for label in ("cat", "dog") for seed in range(3)]

    def ask(photo):
        while not ended.is_set():
            statuses.append(
                requests.post(f"{url}/predict", files={"images": ("x.jpg", photo)}, timeout=120).status_code
            )

    asking = [threading.Thread(target=ask, args=[photo]) for photo in photos]
    for thread in asking:
        thread.start()
    until(lambda: len(statuses) > 20, 120)
    first, second = network_replicas()
    first.kill()
    answered = len(statuses)
    until(lambda: len(statuses) > answered + 20, 120)
    until(lambda: len({one.pid for one in network_replicas()} - {first.pid, second.pid}) == 1, 120)
    answered = len(statuses)
    until(lambda: len(statuses) > answered + 20, 120)
    ended.set()
    for thread in asking:
        thread.join()
    assert set(statuses) == {200}


def test_make_ray_serve_obeys_its_knobs_refuses_what_is_too_much_and_ends(model):
    port = free_port()
    knobs = {
        "PORT": port, "MODEL": model.folder, "ENGINE": OPENVINO_INT8, "ACCESS_CODE": "for-testers", "MAX_REPLICAS": 1,
        "LIMITS": "photos=4 max_queue=4", "PYTHONPATH": ROOT / "notebooks",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, ROOT / "deploy" / "ray_serve.py"],
        env={**os.environ, **{name: str(value) for name, value in knobs.items()}},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == f"The service is at http://127.0.0.1:{port}. Press Ctrl-C to stop it.\n"
        url = f"http://127.0.0.1:{port}/predict"
        assert requests.post(url, files={"images": drawing()}).json()["type"] == "/docs#code-missing"

        def ask(photos):
            files = [("images", drawing("cat", seed)) for seed in range(photos)]
            return requests.post(url, files=files, headers={"Authorization": "Bearer for-testers"})

        assert ask(5).json()["type"] == "/docs#too-many-photos"
        assert len(ask(4).json()["predictions"]) == 4
        with ThreadPoolExecutor(8) as crowd:
            answers = list(crowd.map(ask, [4] * 24))
        refused = [answer.json()["type"] for answer in answers if answer.status_code != 200]
        assert 0 < len(refused) < 24
        assert set(refused) == {"/docs#overloaded"}
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 1
    finally:
        process.kill()
    with pytest.raises(requests.ConnectionError):
        requests.get(url)

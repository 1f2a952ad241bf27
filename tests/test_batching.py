"""Photos of many requests together, first come first served, never more than the queue holds."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from catdog.backend import routes
from catdog.backend.app import create_app, use
from catdog.backend.batching import BatchingQueue, QueueFull
from conftest import drawing
from test_backend import is_problem, parts


class Gate:
    """A network that holds each batch until `open` is set, and remembers what it was given."""

    def __init__(self):
        self.open, self.entered, self.batches = threading.Event(), threading.Event(), []

    def predict(self, photos):
        self.batches.append(photos[:, 0, 0, 0].tolist())
        self.entered.set()
        assert self.open.wait(30)
        return np.stack([photos[:, 0, 0, 0], photos[:, 0, 0, 0] + 1], axis=1).astype(np.float32)


def marked(*numbers):
    return np.stack([np.full((224, 224, 3), number, np.uint8) for number in numbers])


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()


def wait_until(queue, waiting):
    while len(queue._waiting) != waiting:
        threading.Event().wait(0.001)


def test_what_comes_in_meanwhile_goes_together_and_everyone_gets_their_own(gate):
    queue = BatchingQueue(gate.predict, most=4)
    with ThreadPoolExecutor(8) as clients:
        asked = [clients.submit(queue.predict, marked(0))]
        assert gate.entered.wait(30)
        for number in range(1, 6):
            asked.append(clients.submit(queue.predict, marked(10 * number, 10 * number + 1)))
            wait_until(queue, 2 * number)
        gate.open.set()
        answers = [future.result(30) for future in asked]
    assert gate.batches == [[0], [10, 11, 20, 21], [30, 31, 40, 41], [50, 51]]
    assert answers[3].tolist() == [[30, 31], [31, 32]]
    assert answers[0].tolist() == [[0, 1]]


def test_a_full_queue_refuses_at_once_and_takes_no_part(gate):
    queue = BatchingQueue(gate.predict, capacity=3)
    with ThreadPoolExecutor(3) as clients:
        first = clients.submit(queue.predict, marked(1))
        assert gate.entered.wait(30)
        second = clients.submit(queue.predict, marked(2, 3))
        wait_until(queue, 2)
        with pytest.raises(QueueFull):
            queue.predict(marked(4, 5))
        assert len(queue._waiting) == 2
        gate.open.set()
        assert first.result(30).shape == (1, 2)
        assert second.result(30).shape == (2, 2)
    assert queue.predict(marked(6)).shape == (1, 2)


def test_another_task_has_its_turn_between_the_batches(gate):
    queue, order = BatchingQueue(gate.predict, most=1, capacity=3), []
    with ThreadPoolExecutor(4) as clients:
        first = clients.submit(queue.predict, marked(1))
        assert gate.entered.wait(30)
        task = clients.submit(queue.run, lambda: order.append(len(gate.batches)) or "done")
        while not queue._others:
            threading.Event().wait(0.001)
        later = clients.submit(queue.predict, marked(2, 3))
        wait_until(queue, 2)
        with pytest.raises(QueueFull):  # it waits like a photo
            queue.run(lambda: None)
        with pytest.raises(QueueFull):
            queue.predict(marked(4))
        gate.open.set()
        assert task.result(30) == "done"
        assert [future.result(30).shape for future in (first, later)] == [(1, 2), (2, 2)]
    assert order == [1]  # after the batch that was under way, before those that came later
    assert queue.run(lambda: 5) == 5


def test_a_task_that_breaks_leaves_its_place():
    queue = BatchingQueue(lambda photos: photos, capacity=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            queue.run(lambda: 1 / 0)


def test_what_breaks_one_batch_leaves_the_next_alone():
    def breaks(photos):
        if photos[0, 0, 0, 0] == 13:
            raise RuntimeError("thirteen")
        return np.zeros((len(photos), 2), np.float32)

    queue = BatchingQueue(breaks)
    with pytest.raises(RuntimeError, match="thirteen"):
        queue.predict(marked(13))
    assert queue.predict(marked(1)).shape == (1, 2)


def test_the_worker_ends_with_its_queue():
    queue = BatchingQueue(lambda photos: np.zeros((len(photos), 2), np.float32))
    queue.predict(marked(1))
    (worker,) = queue._worker._threads
    del queue
    worker.join(10)
    assert not worker.is_alive()


def test_a_full_queue_is_a_503_with_a_time_to_try_again(classifier, gate, monkeypatch):
    app = create_app(MAX_WAITING=1)
    monkeypatch.setattr(classifier, "predict", gate.predict)
    use(app, classifier)
    client = app.test_client()
    with ThreadPoolExecutor(2) as others:
        others.submit(app.test_client().post, "/predict", data=parts(("a", drawing())))
        assert gate.entered.wait(30)
        answer = client.post("/predict", data=parts(("b", drawing()), ("c", drawing())))
        gate.open.set()
    assert is_problem(answer, "overloaded")
    assert int(answer.headers["Retry-After"]) > 0


def test_few_threads_decode_for_all_requests(classifier, monkeypatch):
    names, real = set(), routes.read_photo
    monkeypatch.setattr(routes, "read_photo", lambda data: names.add(threading.current_thread().name) or real(data))
    client = create_app(classifier).test_client()
    photos = [("a.png", drawing("cat"))] * 12
    assert client.post("/predict", data=parts(*photos)).status_code == 200
    assert 1 <= len(names) <= os.cpu_count()
    assert all(name.startswith("decoder") for name in names)


def test_alive_before_it_is_ready(classifier):
    app = create_app()
    client = app.test_client()
    assert client.get("/healthz").status_code == 200
    assert is_problem(client.get("/readyz"), "not-ready")
    assert is_problem(client.post("/predict", data=parts(("a", drawing()))), "not-ready")
    use(app, classifier)
    assert client.get("/readyz").status_code == 200
    assert client.post("/predict", data=parts(("a", drawing()))).status_code == 200

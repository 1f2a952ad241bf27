"""Photos of many requests together, first come first served, never more than the queue holds."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from catdog.backend import readiness
from catdog.backend.app import create_app, set_model
from catdog.backend.batching import BatchingQueue, Deadline, DeadlinePassed, NotBegun, QueueFull
from catdog.backend.problems import Problem
from catdog.backend.service import service_of
from conftest import drawing, until
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


def predict(queue, photos, left=None):
    with queue.reserve(len(photos)) as reservation:
        return reservation.predict(photos, left)


def test_what_comes_in_meanwhile_goes_together_and_everyone_gets_their_own(gate):
    queue = BatchingQueue(gate.predict, max_batch_size=4)
    with ThreadPoolExecutor(8) as clients:
        asked = [clients.submit(predict, queue, marked(0))]
        assert gate.entered.wait(30)
        for number in range(1, 6):
            asked.append(clients.submit(predict, queue, marked(10 * number, 10 * number + 1)))
            until(lambda: len(queue._waiting) == 2 * number)  # noqa: B023
        gate.open.set()
        answers = [np.stack(future.result(30)) for future in asked]
    assert gate.batches == [[0], [10, 11, 20, 21], [30, 31, 40, 41], [50, 51]]
    assert answers[3].tolist() == [[30, 31], [31, 32]]
    assert answers[0].tolist() == [[0, 1]]
    assert queue.queued == 0


def test_what_is_run_has_its_turn_however_many_photos_keep_coming(gate):
    """Each batch that is answered brings new photos, as clients do."""
    order = []

    def predict_and_get_more(photos):
        assert gate.open.wait(30)
        order.append("batch")
        if len(order) < 20:
            queue.put(marked(0))
        return list(photos)

    queue = BatchingQueue(predict_and_get_more)
    for _ in range(5):
        queue.put(marked(0))
    run = queue.run(lambda: order.append("run"))
    gate.open.set()
    run.result(30)
    assert order[:3].count("run") == 1  # after the batch that was begun, and the one of all that waited


def test_where_no_thread_can_be_started_the_next_photos_ask_anew(monkeypatch):
    queue = BatchingQueue(list)
    with monkeypatch.context() as patch:
        patch.setattr(
            threading.Thread, "start", lambda self: (_ for _ in ()).throw(RuntimeError("can't start new thread"))
        )
        with pytest.raises(RuntimeError):
            predict(queue, marked(1))
    assert queue.queued == 0
    assert len(predict(queue, marked(1))) == 1


def test_a_full_queue_refuses_at_once_and_takes_no_part(gate):
    queue = BatchingQueue(gate.predict, max_queue_size=3)
    with ThreadPoolExecutor(3) as clients:
        first = clients.submit(predict, queue, marked(1))
        assert gate.entered.wait(30)
        second = clients.submit(predict, queue, marked(2, 3))
        until(lambda: len(queue._waiting) == 2)
        with pytest.raises(QueueFull):
            predict(queue, marked(4, 5))
        assert queue.queued == 2
        gate.open.set()
        assert len(first.result(30)) == 1
        assert len(second.result(30)) == 2
    assert len(predict(queue, marked(6))) == 1


def test_places_are_kept_while_photos_are_decoded_and_given_back_by_those_that_are_none():
    queue = BatchingQueue(lambda photos: photos[:, 0, 0, :2].astype(np.float32), max_queue_size=3)
    with queue.reserve(3) as reservation:
        with pytest.raises(QueueFull), queue.reserve(1):
            pass
        assert len(reservation.predict(marked(1))) == 1
        assert queue.queued == 2
    assert queue.queued == 0
    with pytest.raises(ZeroDivisionError), queue.reserve(3):
        1 / 0  # noqa: B018
    assert queue.queued == 0


def test_another_task_has_its_turn_between_the_batches(gate):
    queue, order = BatchingQueue(gate.predict, max_batch_size=1), []
    with ThreadPoolExecutor(4) as clients, queue.reserve(1) as reservation:
        first = clients.submit(predict, queue, marked(1))
        assert gate.entered.wait(30)
        task = clients.submit(reservation.run, lambda: order.append(len(gate.batches)) or "done")
        until(lambda: queue._worker._work_queue.qsize() == 1)
        later = clients.submit(predict, queue, marked(2, 3))
        until(lambda: len(queue._waiting) == 2)
        gate.open.set()
        assert task.result(30) == "done"
        assert [len(future.result(30)) for future in (first, later)] == [1, 2]
        assert order == [1]  # after the batch that was under way, before those that came later
        with pytest.raises(ZeroDivisionError):
            reservation.run(lambda: 1 / 0)
        assert reservation.run(lambda: 5) == 5


def test_what_waits_beyond_its_deadline_is_taken_back(gate):
    queue = BatchingQueue(gate.predict, max_batch_size=1, max_queue_size=4)
    with ThreadPoolExecutor(1) as clients:
        running = clients.submit(predict, queue, marked(1))
        assert gate.entered.wait(30)
        with pytest.raises(DeadlinePassed):
            predict(queue, marked(2, 3), Deadline(0.01))
        with pytest.raises(DeadlinePassed), queue.reserve(1) as reservation:
            reservation.run(lambda: gate.batches.append("too late"), Deadline(0.01))
        assert queue.queued == 0
        gate.open.set()
        assert len(running.result(30)) == 1
    predict(queue, marked(4))
    assert gate.batches == [[1], [4]]


def test_what_has_not_begun_soon_enough_is_sent_away_however_long_it_would_wait(gate):
    queue = BatchingQueue(gate.predict, max_batch_size=1, max_queue_size=4, begin_within=0.01)
    with ThreadPoolExecutor(1) as clients:
        running = clients.submit(predict, queue, marked(1))
        assert gate.entered.wait(30)
        with pytest.raises(NotBegun):
            predict(queue, marked(2, 3), Deadline(30))
        with pytest.raises(NotBegun), queue.reserve(1) as reservation:
            reservation.run(lambda: gate.batches.append("too late"), Deadline(30))
        assert queue.queued == 0
        gate.open.set()
        assert len(running.result(30)) == 1  # which had begun
    assert gate.batches == [[1]]


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit, MemoryError])
def test_the_photo_that_breaks_the_network_is_alone_with_it(kind):
    def breaks(photos):
        if 13 in photos[:, 0, 0, 0]:
            raise kind("thirteen")
        return photos[:, 0, 0, :2].astype(np.float32)

    queue = BatchingQueue(breaks)
    one, thirteen, two = predict(queue, marked(1, 13, 2))
    assert isinstance(thirteen, kind)
    assert one.tolist() == [1, 1]
    assert two.tolist() == [2, 2]
    assert len(predict(queue, marked(1))) == 1


def test_the_worker_ends_with_its_queue():
    queue = BatchingQueue(lambda photos: np.zeros((len(photos), 2), np.float32))
    predict(queue, marked(1))
    (worker,) = queue._worker._threads
    del queue
    worker.join(10)
    assert not worker.is_alive()


def test_a_decoder_that_refuses_the_tiny_photo_is_told_and_the_network_is_not_asked(classifier, monkeypatch):
    app = create_app(classifier)
    monkeypatch.setattr(readiness, "_TINY", b"no photo")
    monkeypatch.setattr(service_of(app).model.queue, "_predict", lambda photos: pytest.fail("asked"))
    with app.test_request_context(), pytest.raises(Problem, match="not a photo"):
        readiness.try_a_photo(service_of(app).model)


def test_alive_before_it_is_ready(classifier):
    app = create_app()
    client = app.test_client()
    assert client.get("/healthz").status_code == 200
    assert is_problem(client.get("/readyz"), "not-ready")
    assert is_problem(client.post("/predict", data=parts(("a", drawing()))), "not-ready")
    set_model(app, classifier)
    assert client.get("/readyz").status_code == 200
    assert client.post("/predict", data=parts(("a", drawing()))).status_code == 200

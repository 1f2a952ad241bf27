"""What happens to a machine: no room on the disk, a folder that is gone, a clock that is set, a network that breaks,
few files, little memory. Each is told in a sentence, nothing is lost, and the service recovers by itself."""

import io
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests
from catdog import files, machine, paths
from catdog.backend import hot_reload
from catdog.backend.app import create_app, set_model, start
from catdog.backend.batching import BatchingQueue, QueueFull
from catdog.backend.decoder import read_or_refuse
from catdog.backend.decoders import Decoder
from catdog.backend.limits import Limits
from catdog.backend.rates import MovingWindow
from catdog.backend.service import service_of
from catdog.data.feedback import Feedback
from catdog.models import writer
from catdog.web.server import stop
from conftest import ROOT, drawing, encoded, refused, until
from PIL import Image
from test_backend import is_problem, parts


def fill(folder):
    try:
        with (folder / "others").open("wb", buffering=0) as others:
            while True:
                others.write(bytes(1 << 12))
    except OSError:
        pass


@pytest.fixture
def disk(tmp_path, own_places, monkeypatch):
    """A disk of its own for models, corrections, cache and log, which `fill(disk)` fills."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    for name in ("MODELS_DIR", "DATA_DIR", "CATDOG_CACHE"):
        monkeypatch.setenv(name, str(folder / name.lower()))
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def ask(app, seed=0):
    return app.test_client().post("/predict", data=parts(("x", drawing("cat", seed))))


def publish(classifier):
    model = classifier.bundle
    return writer.publish("pets", model.card, model.head, model.golden_photos, model.golden_probabilities)


def test_a_full_disk_takes_no_model_no_correction_and_no_line_of_the_log_and_all_else_goes_on(disk, classifier, capfd):
    feedback = Feedback("pets")
    app = create_app(classifier, feedback=feedback)
    versions = hot_reload.ModelWatcher(app, "", classifier.engine.name)
    log = disk / "catdog_cache" / "backend.log"

    def correct():
        return app.test_client().post("/corrections", data={"images": (io.BytesIO(drawing()), "x"), "label": "cat"})

    assert ask(app).status_code == 200
    fill(disk)
    told = len(log.read_bytes())
    assert [ask(app, seed).status_code for seed in range(100)] == [200] * 100  # more lines than the last block takes
    assert is_problem(correct(), "corrections-full")
    with refused("model-not-saved", "No space left on device", "free some disk space"):
        publish(classifier)
    assert not versions.poll()
    assert not feedback.all()
    assert not list(feedback.folder.iterdir())
    (disk / "others").unlink()
    assert correct().status_code == 201
    assert len(feedback.all()) == 1
    assert ask(app).status_code == 200
    assert len(log.read_bytes()) > told
    assert publish(classifier).folder in list(hot_reload.bundle.versions("pets"))
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_log_whose_folder_was_deleted_is_written_anew(own_cache, classifier):
    app = create_app(classifier)
    assert ask(app).status_code == 200
    shutil.rmtree(own_cache)
    assert ask(app).status_code == 200
    assert '"status": 200' in (own_cache / "backend.log").read_text(encoding="utf-8")


def test_a_full_disk_for_what_is_computed_costs_time_and_nothing_else(disk, capsys):
    path = paths.cache_file("twin", "x", ".npz")
    fill(disk)
    files.write_if_possible(path, lambda file: np.savez(file, array=np.zeros(1 << 20)))
    assert "No space left on device" in capsys.readouterr().out
    assert [found.name for found in path.parent.iterdir()] == []


def test_a_models_folder_that_is_gone_stops_nothing_and_is_made_anew(own_places, classifier):
    app = create_app(classifier)
    published = publish(classifier)
    versions = hot_reload.watch(app, "pets", classifier.engine.name, seconds=0.01)
    try:
        shutil.rmtree(published.folder.parents[1])
        assert ask(app).status_code == 200
        with refused("version-no-earlier"):
            versions.roll_back()
        assert app.test_client().get("/model").status_code == 200
        assert publish(classifier).folder.is_dir()
    finally:
        hot_reload.stop_watching()


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_set_changes_no_limit(monkeypatch, classifier, hours):
    client = create_app(classifier, limits=Limits(requests_per_minute=2)).test_client()

    def asked(address):
        return client.post("/predict", headers={"X-Forwarded-For": address}).status_code

    assert [asked("203.0.113.7") for _ in range(3)] == [400, 400, 429]
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + 3600 * hours)
    assert asked("203.0.113.7") == 429
    assert [asked("203.0.113.8") for _ in range(3)] == [400, 400, 429]


def test_a_window_moves_and_forgets(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    window = MovingWindow(2, seconds=60)
    assert [window.hit("a"), window.hit("a"), window.hit("a"), window.hit("b")] == [True, True, False, True]
    now[0] = 59.5
    assert (window.has_room("a"), window.wait("a")) == (False, 1)
    now[0] = 60
    assert window.hit("a")
    monkeypatch.setattr("catdog.backend.rates._FORGET_FROM", 2)
    assert window.has_room("only asked for")
    now[0] = 200
    assert window.hit("c")
    assert list(window._times) == ["c"]


def test_a_network_that_breaks_is_told_and_serves_again_once_it_can(monkeypatch, classifier):
    app = create_app(classifier)
    service_of(app).readiness._fresh = 0
    client = app.test_client()
    assert client.get("/readyz").status_code == 200

    def broken(photos):
        raise RuntimeError("CUDA error: out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(service_of(app).model.queue, "_predict", broken)
        for _ in range(3):
            answer = ask(app)
            assert answer.json["predictions"][0]["error"]["status"] == 500
            assert "CUDA" not in answer.text
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
    assert ask(app).json["predictions"][0]["label"]
    assert client.get("/readyz").status_code == 200


@pytest.mark.slow
def test_twenty_starts_in_a_row_leave_one_service_on_one_port(classifier):
    def once(port):
        app = create_app(classifier)
        server = start(app, port)
        set_model(app, classifier)
        photo = {"images": ("x", drawing())}
        assert requests.post(f"{server.url}/predict", files=photo, timeout=60).status_code == 200
        return server.port

    port = once(0)
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    try:
        assert {once(port) for _ in range(20)} == {port}
        until(lambda: threading.active_count() <= before[0] + 1)  # the network of the last but one may be ending
        assert len(os.listdir("/proc/self/fd")) <= before[1] + 2
    finally:
        stop("backend")


SERVES = """
import resource, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from catdog.models import bundle
from catdog.backend.app import create_app, start
from catdog.models.classifier import Classifier
from catdog.paths import SHIPPED_MODEL
from standins.network import StandInNetwork, model_on

network = StandInNetwork()
print(start(create_app(Classifier(model_on(network, bundle.read(SHIPPED_MODEL)), network)), 0).url, flush=True)
time.sleep(600)
"""


def test_with_64_files_it_serves_and_a_crowd_keeps_nobody_out(own_places):
    path = {"PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in ("notebooks", "tests"))}
    program = [sys.executable, "-c", SERVES]
    with subprocess.Popen(program, env=os.environ | path, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()

        def post(seed):
            files = [("images", (f"{seed}", drawing("cat", seed)))]
            answer = requests.post(f"{url}/predict", files=files, timeout=60)
            return answer.status_code

        try:
            with ThreadPoolExecutor(24) as clients:
                statuses = list(clients.map(post, range(96)))
            assert set(statuses) <= {200, 503}
            assert statuses.count(200) > 48
            assert requests.get(f"{url}/healthz", timeout=30).status_code == 200
        finally:
            process.kill()


def test_until_the_first_photo_the_pace_is_that_of_the_golden_ones(classifier):
    """Or a slow network would have let in more than it can answer before anybody knows."""
    assert 0 < classifier.seconds_each < 60
    queue = BatchingQueue(lambda photos: photos, patience=30, seconds_each=1)
    with queue.reserve(20), queue.reserve(10), pytest.raises(QueueFull), queue.reserve(1):
        pass


@pytest.mark.parametrize(
    ("files", "megabytes"),
    [
        ({"memory/work/memory.limit_in_bytes": 1 << 30}, 1024),
        ({"memory/memory.limit_in_bytes": 1 << 30, "memory/work/memory.limit_in_bytes": 9223372036854771712}, 1024),
        ({"memory/work/memory.limit_in_bytes": "rubbish"}, 8192),
        ({}, 8192),
    ],
)
def test_memory_is_what_the_group_allows(tmp_path, monkeypatch, files, megabytes):
    for name, limit in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{limit}\n")
    (tmp_path / "membership").write_text("4:memory:/work\n0::/work\n")
    monkeypatch.setattr(machine, "_GROUPS", tmp_path)
    monkeypatch.setattr(machine, "_MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(machine, "_of_the_machine", lambda: 8 << 30)
    assert machine.memory() >> 20 == megabytes
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "memory.max").write_text(f"{512 << 20}\n")
    assert machine.memory() >> 20 == 512


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux chooses by such a score")
def test_where_memory_runs_out_the_system_ends_a_decoder_and_not_the_service():
    decoder = Decoder()
    try:
        score = Path(f"/proc/{decoder.pid}/oom_score_adj")
        assert score.read_text().strip() == "1000"
    finally:
        decoder.end()


def test_a_photo_that_no_memory_is_left_for_is_told(monkeypatch):
    def none_left(*_, **__):
        raise MemoryError

    monkeypatch.setattr("catdog.backend.decoder.read_photo", none_left)
    code, sentence = read_or_refuse(encoded(Image.new("RGB", (64, 64))), 1 << 20)
    assert code == "photo-unreadable"
    assert "memory" in sentence

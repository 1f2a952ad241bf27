"""Past one machine: labels of very many photos as Parquet, each once, whatever is killed on the way."""

import gzip
import os
import shutil
import socket
import subprocess
import sys

import numpy as np
import psutil
import pytest
from catdog.data.images import read_photo
from catdog.engines.base import OPENVINO_INT8
from conftest import ROOT, drawing, refused, until
from family import family

pytest.importorskip("ray", reason="needs what requirements-scale.txt names")
parquet = pytest.importorskip("pyarrow.parquet")
from catdog.distributed import parquet_table
from catdog.distributed.cluster import connect
from catdog.distributed.label import label
from catdog.distributed.storage import StorageFolder

pytestmark = [pytest.mark.ray, pytest.mark.weights]

PER_FILE = 8


@pytest.fixture
def photos(tmp_path):
    """Sixty drawings in two folders, of which each is to be labelled once."""
    for number in range(60):
        folder = tmp_path / "photos" / ("a", "b")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(drawing(("cat", "dog")[number % 2], number % 6))
    return tmp_path / "photos"


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    monkeypatch.setattr(parquet_table, "_LEAST", PER_FILE)


def rows(out):
    found = parquet.read_table(out).to_pylist()
    return sorted(found, key=lambda row: row["path"])


def test_rows_say_what_the_service_says_and_only_new_photos_are_looked_at(photos, tmp_path, real_classifier, shipped):
    (photos / "notes.txt").write_text("no photo")
    (photos / ".hidden.jpg").write_bytes(drawing())
    out = tmp_path / "labels.parquet"
    assert str(label(str(photos), str(out), engine=OPENVINO_INT8)) == (
        "60 photos done, 1 refused (reasons in the column refused)."
    )
    first = rows(out)
    assert [row["path"] for row in first] == sorted(map(str, photos.rglob("[!.]*.*")))
    assert {row["model"] for row in first} == {shipped.id}
    *labelled, refused = first
    assert refused["refused"].startswith("This is not a photo in a known format")
    assert refused["label"] is refused["confident"] is refused["sure"] is refused["probabilities"] is None
    expected = real_classifier.predict(np.stack([read_photo(drawing(("cat", "dog")[n % 2], n % 6)) for n in range(6)]))
    for row in labelled:
        said = expected[int(row["path"].rpartition("/")[2].removesuffix(".jpg")) % 6]
        assert np.abs([row["probabilities"]["cat"], row["probabilities"]["dog"]] - said).max() < 2e-3
        assert row["label"] == ("cat", "dog")[int(said.argmax())]
        assert row["refused"] is None

    shutil.copy(photos / "a" / "0.jpg", photos / "new.jpg")
    again = label(str(photos), str(out), engine=OPENVINO_INT8)
    assert (again.photos, again.refused, again.before) == (1, 0, 61)
    assert len(rows(out)) == 62
    assert label(str(photos), str(out)).before == 62


@pytest.fixture
def driver(photos, tmp_path):
    """driver() starts `make ray-label` as a process of its own, with `more_modules` in its path."""
    started = []

    def start(more_modules="", **environment):
        parts = "from catdog.distributed import __main__ as command, parquet_table as table"
        program = f"{parts}; table._LEAST = {PER_FILE}; command.main()"
        process = subprocess.Popen(
            [sys.executable, "-c", program, "label"],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT / "notebooks"), str(more_modules)))),
                "LABEL_PHOTOS": str(photos),
                "LABELS_OUT": str(tmp_path / "labels.parquet"),
                "ENGINE": OPENVINO_INT8,
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def workers(process, at_least=1):
    found = family(process.pid, "MapWorker")
    assert len(found) >= at_least
    return found


def test_with_a_worker_and_the_driver_killed_each_photo_is_there_once(photos, tmp_path, driver):
    out = tmp_path / "labels.parquet"

    def files():
        return len(list(out.glob("*.parquet")))

    process = driver()
    until(lambda: files() >= 1, 90)
    working = workers(process)
    process.kill()
    _, alive = psutil.wait_procs(working, timeout=30)
    assert not alive
    before = files()
    assert 1 <= before < 8
    kept = {path: path.stat().st_mtime_ns for path in out.glob("*.parquet")}

    process = driver()
    until(lambda: files() > before, 90)
    workers(process)[0].kill()
    said, _ = process.communicate(timeout=120)
    assert not process.returncode, said
    assert f"{60 - before * PER_FILE} photos done, 0 refused" in said
    assert [row["path"] for row in rows(out)] == sorted(map(str, photos.rglob("*.jpg")))
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_photo_that_kills_its_worker_is_refused_and_the_others_are_not(photos, tmp_path, driver, monkeypatch):
    (photos / "poison.jpg").write_text("poison")
    (tmp_path / "sitecustomize.py").write_text(
        "import os, catdog.data.images as images\n"
        "good = images.read_photo\n"
        "def read_photo(photo, *rest, **options):\n"
        "    return os.kill(os.getpid(), 9) if photo == b'poison' else good(photo, *rest, **options)\n"
        "images.read_photo = read_photo\n"
        "read_photo.__module__ = 'catdog.data.images'\n"
    )
    process = driver(more_modules=tmp_path)
    said, _ = process.communicate(timeout=180)
    assert not process.returncode, said
    assert "60 photos done, 1 refused" in said
    (refused,) = (row for row in rows(tmp_path / "labels.parquet") if row["refused"])
    assert refused["path"].endswith("poison.jpg")
    assert refused["refused"] == "The photo is damaged and could not be decoded."
    assert not list((tmp_path / "labels.parquet").glob(".*"))


@pytest.fixture
def cluster(monkeypatch):
    """Two machines with a processor each, as far as Ray can tell; they know nothing of this checkout."""
    from ray.cluster_utils import Cluster

    monkeypatch.delenv("PYTHONPATH", raising=False)
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    yield made.address
    made.shutdown()


def test_on_a_cluster_the_same_command_uses_every_machine(cluster, photos, tmp_path, driver):
    process = driver(RAY_ADDRESS=cluster)
    until(lambda: len({worker.ppid() for worker in workers(psutil.Process(), at_least=0)}) == 2, 120)
    said, _ = process.communicate(timeout=180)
    assert not process.returncode, said
    assert "60 photos done, 0 refused" in said
    assert [row["path"] for row in rows(tmp_path / "labels.parquet")] == sorted(map(str, photos.rglob("*.jpg")))


def test_a_cluster_that_is_not_there_is_told_at_once(driver):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        process = driver(RAY_ADDRESS=address)
        said, _ = process.communicate(timeout=60)
    assert process.returncode
    assert said.endswith("[cluster-unreachable]\n")
    assert "Traceback" not in said


def test_other_applications_of_a_cluster_go_on(monkeypatch):
    serving = pytest.importorskip("catdog.distributed.serve", reason="needs what requirements-scale.txt names")

    @serving.serve.deployment(ray_actor_options={"num_cpus": 0})
    class Nothing:
        pass

    connect()
    monkeypatch.setenv("RAY_ADDRESS", "this one")
    try:
        with serving.served(Nothing.bind(), 0):
            serving.serve.run(Nothing.bind(), name="theirs", route_prefix="/theirs")
            assert set(serving.serve.status().applications) == {serving.APP, "theirs"}
        assert set(serving.serve.status().applications) == {"theirs"}
    finally:
        serving.serve.shutdown()


@pytest.fixture
def bucket(photos):
    """s3://pets with the photos in it, as a URI of pyarrow's."""
    server = pytest.importorskip("moto.server", reason="needs what tests/requirements-scale.txt names")
    moto = server.ThreadedMotoServer(port=0)
    moto.start()
    host, port = moto.get_host_and_port()
    place = StorageFolder.of(
        f"s3://key:secret@pets/photos?scheme=http&endpoint_override={host}:{port}&allow_bucket_creation=true"
    )
    place.create()
    for path in photos.rglob("*.jpg"):
        with place.system.open_output_stream(f"{place.path}/{path.parent.name}/{path.name}") as file:
            file.write(path.read_bytes())
    yield place.name
    moto.stop()


def test_photos_and_table_in_object_storage(bucket):
    out = bucket.replace("/photos", "/labels.parquet")
    assert str(label(bucket, out, engine=OPENVINO_INT8)) == "60 photos done, 0 refused (reasons in the column refused)."
    assert label(bucket, out).before == 60
    found = [path for table in StorageFolder.of(out).tables(["path"]) for path in table["path"].to_pylist()]
    assert sorted(found) == StorageFolder.of(bucket).files()
    assert found[0].startswith("pets/photos/")


def test_what_cannot_be_is_told_in_a_sentence(photos, tmp_path, monkeypatch):
    out = str(tmp_path / "labels.parquet")
    (tmp_path / "nothing").mkdir()
    with refused("photos-missing"):
        label(str(tmp_path / "nothing"), out)
    with refused("folder-unusable"):
        label(str(tmp_path / "gone"), out)
    with refused("folder-unusable"):
        label("nonsense://bucket/photos", out)
    with refused("engine-unknown", '"cuda"'):
        label(str(photos), out, engine="cuda")
    row = {"path": "x", "label": None, "model": "other/1"}
    StorageFolder.of(out).create()
    StorageFolder.of(out).write("a.parquet", parquet_table.pyarrow.Table.from_pylist([row]))
    with refused("folder-other-table", "other/1"):
        label(str(photos), out)


def test_nothing_of_it_is_loaded_by_the_notebooks():
    modules = "catdog.training.save, catdog.backend.app, catdog.training.pruned_models"
    program = f"import {modules}, sys; print('ray' in sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", program, "label"], capture_output=True, text=True, cwd=ROOT / "notebooks"
    )
    assert said.stdout.strip() == "False", said


def test_what_lies_in_the_folder_is_found_once_whatever_else_is_there(tmp_path, monkeypatch):
    photos = tmp_path / "photos"
    for name in ("a/1.jpg", ".hidden/2.jpg", "a/.3.jpg", "labels.parquet/x.parquet", "labels.parquet.jpg"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(b"x")
    (photos / "a" / "again").symlink_to(photos)
    (tmp_path / "link").symlink_to(photos)
    monkeypatch.chdir(tmp_path)
    expected = [f"{photos}/{name}" for name in ("a/1.jpg", "labels.parquet.jpg")]
    for name in (str(photos), "photos/", "./link/../photos", "link"):
        place = StorageFolder.of(name)
        assert place.files(but=StorageFolder.of(f"{name}/labels.parquet")) == expected
    assert len(place.files()) == 3
    with refused("folder-holds-photos"):
        label(str(photos), "link")


def test_odd_files_are_told(tmp_path):
    place = StorageFolder.of(str(tmp_path))
    (tmp_path / "film.jpg").touch()
    os.truncate(tmp_path / "film.jpg", 300 << 20)
    with pytest.raises(OSError, match="larger than 256 MB"):
        place.read(f"{tmp_path}/film.jpg")
    (tmp_path / "photo.jpg.gz").write_bytes(gzip.compress(b"photo"))
    assert place.read(f"{tmp_path}/photo.jpg.gz").startswith(b"\x1f\x8b")
    (tmp_path / "other.parquet").touch()
    with refused("folder-other-files", "other.parquet"):
        list(place.tables(["path"]))
    os.mkdir(os.fsencode(str(tmp_path)) + b"/caf\xe9")
    (tmp_path / os.fsdecode(b"caf\xe9") / "1.jpg").touch()
    with refused("photo-name", r"caf\udce9/1.jpg"):
        place.files()

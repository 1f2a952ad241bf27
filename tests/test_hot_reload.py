"""Another version takes over while requests come in: none is lost, and a bad version is left out."""

import base64
import dataclasses
import io
import json
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import requests
from catdog.backbones.architectures import VGG16
from catdog.backend import hot_reload, log, routes
from catdog.backend.app import create_app, set_model, start
from catdog.backend.hot_reload import ModelWatcher
from catdog.backend.service import service_of
from catdog.data.images import read_photo
from catdog.data.preprocessing import CROP, SQUEEZE
from catdog.engines.base import NAMES, OPENVINO_INT8, OPENVINO_PRUNED, EngineUnavailable
from catdog.engines.int8 import Int8Params
from catdog.models import bundle
from catdog.models.arrays import sealed
from catdog.models.card import CARD, Card
from catdog.models.classifier import Classifier, _run_alike, load_classifier
from catdog.models.head import Head
from catdog.models.housekeeping import delete_version
from catdog.models.writer import publish
from catdog.notebook.page_preview import backend_state
from catdog.paths import SHIPPED_MODEL
from catdog.web.server import stop
from conftest import EARLIER_MODEL, drawing, encoded, refused, until, with_backbone
from PIL import Image

PHOTOS = [drawing(label, seed) for seed in range(4) for label in ("cat", "dog")]


@pytest.fixture
def save(own_places, classifier):
    """save(number): a version of "pets" like the one on the stand-in network, but with a last layer of its own."""
    model = classifier.bundle

    def save(number, name="pets", **changes):
        head = Head(model.head.kernel, model.head.bias + np.float32(number / 50) * np.float32([1, -1]))
        logits = np.log(model.golden_probabilities) + (head.bias - model.head.bias)
        golden = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        known = ("classes", "backbone", "preprocessing", "synthetic", "parity", "metrics")
        card = Card(**{key: getattr(model.card, key) for key in known})
        return publish(name, dataclasses.replace(card, **changes), head, model.golden_photos, golden, model.int8)

    return save


@pytest.fixture
def app(save, classifier):
    """Serves pets, on the engine of `classifier`."""
    app = create_app()
    set_model(app, load_classifier(save(0), classifier.engine.name, reuse_engine_of=classifier, say=lambda words: None))
    yield app
    hot_reload.stop_watching()


def ask(url, photos, client=requests):
    files = [("images", (str(number), io.BytesIO(photo))) for number, photo in enumerate(photos)]
    return client.post(f"{url}/predict", files=files, timeout=60)


def test_twenty_versions_take_over_under_load_and_no_request_is_lost(app, save, classifier):
    asked = PHOTOS[:1]
    features = classifier.engine.features(np.stack([read_photo(photo) for photo in asked]))
    heads = {service_of(app).model.classifier.bundle.id: bundle.read(bundle.find("pets")).head}
    versions, ended, answers = ModelWatcher(app, "pets", classifier.engine.name), threading.Event(), []
    server = start(app, 0)

    def go_on_asking():
        with requests.Session() as client:
            while not ended.is_set():
                answers.append(ask(server.url, asked, client))

    with ThreadPoolExecutor(3) as clients:
        going = [clients.submit(go_on_asking) for _ in range(3)]
        try:
            for number in range(1, 21):
                saved = save(number)
                heads[saved.id] = saved.head
                assert versions.poll()
                assert not versions.poll()
                seen = len(answers)
                until(lambda: len(answers) > seen)  # noqa: B023
        finally:
            ended.set()
        for client in going:
            client.result(60)
    stop("backend")
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["model"] for answer in answers}) > 15
    for answer in answers:
        told = [[item["probabilities"][label] for label in ("cat", "dog")] for item in answer.json()["predictions"]]
        assert np.abs(np.array(told) - heads[answer.json()["model"]].probabilities(features)).max() < 2e-3


def test_what_answers_without_an_engine_to_share_gives_way_too(app, save, classifier, monkeypatch):
    model, asked_for = service_of(app).model, []
    other = SimpleNamespace(bundle=model.classifier.bundle, engine=SimpleNamespace(name=classifier.engine.name))
    service_of(app).model = routes.Model(other, model.queue)

    def load(found, wanted, reuse_engine_of, say):
        asked_for.append(reuse_engine_of)
        return load_classifier(found, wanted, classifier, say)

    monkeypatch.setattr(hot_reload, "load_classifier", load)
    saved = save(1)
    assert ModelWatcher(app, "pets", classifier.engine.name).poll()
    assert service_of(app).model.classifier.bundle.id == saved.id
    assert asked_for == [None]


@pytest.mark.parametrize(
    "damage",
    [
        "cut", "flipped", pytest.param("another backbone", marks=pytest.mark.weights), "another preprocessing",
        "other answers", "no files",
    ],
)  # fmt: skip
def test_a_version_that_does_not_pass_is_left_out_and_the_old_one_goes_on(app, save, classifier, damage):
    serving = service_of(app).model.classifier.bundle.id
    bad = save(1)
    path, card = bad.folder / bundle.HEAD, json.loads((bad.folder / CARD).read_text())
    changes = {
        "another backbone": {"backbone": {**card["backbone"], "fingerprint": "x"}},
        "another preprocessing": {"preprocessing": "x"},
    }
    if damage in changes:
        (bad.folder / CARD).write_text(json.dumps(sealed({**card, **changes[damage]})))
    data = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(data[:-100])
    if damage == "flipped":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    if damage == "no files":
        path.unlink()
    if damage == "other answers":
        probabilities = np.roll(bad.golden_probabilities, 1, axis=1)
        shutil.rmtree(bad.folder)
        bad = publish("pets", bad.card, bad.head, bad.golden_photos, probabilities, bad.int8)
    versions = ModelWatcher(app, "pets", classifier.engine.name)
    assert not versions.poll()
    assert not versions.poll()
    assert "Not taken: " in str(versions)
    assert str(bad.folder) in str(versions)
    answer = app.test_client().post("/predict", data={"images": [(io.BytesIO(PHOTOS[0]), "x")]})
    assert answer.json["model"] == serving
    good = save(2)
    assert versions.poll()
    assert good.id in str(versions)
    assert "Not taken" not in str(versions)


def test_a_version_that_breaks_whatever_reads_it_hides_no_good_one(app, save, classifier, monkeypatch):
    good, bad = save(1), save(2)
    read = bundle.read

    def breaks(folder):
        if folder == bad.folder:
            raise RuntimeError("nobody expected this")
        return read(folder)

    monkeypatch.setattr(bundle, "read", breaks)
    versions = ModelWatcher(app, "pets", classifier.engine.name)
    assert versions.poll()
    assert versions.serving.id == good.id


def test_a_version_that_failed_for_a_reason_that_passes_has_another_chance(app, save, classifier, monkeypatch):
    middle, newest = save(1), save(2)
    load, failed = hot_reload.load_classifier, []

    def fails_once(found, *arguments, **options):
        if found.id == newest.id and not failed:
            failed.append(True)
            raise MemoryError("no room for another engine")
        return load(found, *arguments, **options)

    monkeypatch.setattr(hot_reload, "load_classifier", fails_once)
    versions = ModelWatcher(app, "pets", classifier.engine.name)
    assert versions.poll()
    assert versions.serving.id == middle.id
    assert "Not taken" in str(versions)
    assert not versions.poll()  # not at once again
    monkeypatch.setattr(hot_reload.time, "monotonic", lambda now=time.monotonic: now() + 61)
    assert versions.poll()
    assert versions.serving.id == newest.id
    assert "Not taken" not in str(versions)


def test_a_newest_version_that_is_still_on_its_way_takes_over_once_it_is_there(app, save, classifier):
    complete, coming = save(1), save(2)
    head = (coming.folder / bundle.HEAD).read_bytes()
    (coming.folder / bundle.HEAD).write_bytes(head[:-10])
    versions = ModelWatcher(app, "pets", classifier.engine.name)
    assert versions.poll()
    assert versions.serving.id == complete.id
    (coming.folder / bundle.HEAD).write_bytes(head)
    assert versions.poll()
    assert versions.serving.id == coming.id


def test_a_version_that_answers_nothing_that_is_a_number_does_not_take_over(app, save, classifier):
    bad = save(1)
    head = Head(np.full_like(bad.head.kernel, 3e38), bad.head.bias)
    shutil.rmtree(bad.folder)
    publish("pets", bad.card, head, bad.golden_photos, bad.golden_probabilities, bad.int8)
    versions = ModelWatcher(app, "pets", classifier.engine.name)
    assert not versions.poll()
    assert "Not taken" in str(versions)


def test_bad_versions_are_told_once_each_however_often_they_are_looked_at(app, own_cache, save, classifier):
    log.write_to_file(app.logger)  # into a folder of its own
    versions = ModelWatcher(app, "pets", classifier.engine.name)
    bad = [save(number).folder for number in (1, 2)]
    for folder in bad:
        (folder / "head.npz").write_bytes(b"damaged")
    assert not any(versions.poll() for _ in range(5))
    told = [line for line in (own_cache / "backend.log").read_text().splitlines() if "model refused" in line]
    assert len(told) == 2
    assert str(versions).count("Not taken: ") == 2
    shutil.rmtree(bad[0])
    versions.poll()
    assert str(versions).count("Not taken: ") == 1


def test_what_comes_from_drive_file_by_file_is_taken_once_it_is_whole(app, save, classifier):
    versions = ModelWatcher(app, "pets", classifier.engine.name)
    path = save(1).folder / bundle.HEAD
    late = path.rename(path.with_suffix(".late"))
    assert not versions.poll()
    late.rename(path)
    assert versions.poll()


def test_back_and_no_further_than_there_are_versions(app, save, classifier):
    first = versions = ModelWatcher(app, "pets", classifier.engine.name)
    first = versions.serving.id
    second, third = save(1), save(2)
    assert versions.poll()
    assert versions.serving.id == third.id
    versions.roll_back()
    assert versions.serving.id == first  # what was served before, not what was never looked at
    assert not versions.poll()  # and there it stays
    with refused("version-no-earlier", first):
        versions.roll_back()
    fourth = save(3)
    assert versions.poll()
    assert versions.serving.id == fourth.id

    again = ModelWatcher(app, "pets", classifier.engine.name)  # knows of none that was served: the one saved before
    again.roll_back()
    assert again.serving.id == third.id
    again.roll_back()
    assert again.serving.id == second.id


def test_a_model_keeps_its_name_in_any_script_on_its_way_to_testers(app, save, classifier):
    saved = save(1, name="猫狗")
    assert bundle.find("猫狗") == saved.folder
    set_model(app, load_classifier(saved, classifier.engine.name, reuse_engine_of=classifier, say=lambda words: None))
    server = start(app, 0)
    assert requests.get(f"{server.url}/model", timeout=5).json()["name"] == "猫狗"
    assert ask(server.url, PHOTOS[:1]).json()["model"] == saved.id
    assert requests.get(f"{server.url}/metrics", timeout=5).ok
    assert backend_state(server.url).model == saved.id
    stop("backend")


@pytest.mark.parametrize("wanted", ["", "pets"])
def test_a_link_keeps_its_subject_until_you_say_otherwise(app, save, classifier, wanted):
    versions = ModelWatcher(app, wanted, classifier.engine.name)
    with refused("version-none-waiting", versions.serving.id):
        versions.take_over()
    served = versions.serving.id
    save(1, name="flowers")
    flowers = save(1, name="flowers")  # another model, whatever it knows; a second newer at least
    assert not versions.poll()
    assert (flowers.id in str(versions)) == (wanted == "")
    ours = save(2)
    for _ in range(2):  # which makes it newer than those flowers, whatever the clock says
        others = save(3, classes=["daisy", "rose"])
    assert versions.poll()  # what both of them wait for is no reason to miss ours
    assert versions.serving.id == ours.id != served
    assert f"{others.id}, with the classes daisy, rose" in str(versions)
    versions.take_over()
    assert versions.serving.id == others.id
    assert "TAKE_OVER" not in str(versions)
    versions.roll_back()
    assert versions.serving.id == ours.id
    again = ModelWatcher(app, wanted, classifier.engine.name)
    save(4)
    assert again.poll()
    again.roll_back()
    assert again.serving.id == ours.id  # never to one with another subject, which this service did not have


def test_in_the_background_unless_it_is_pinned_and_only_one_follows(app, save, classifier):
    serving = service_of(app).model.classifier.bundle
    pinned = hot_reload.watch(app, serving.id, classifier.engine.name)
    assert pinned.pinned
    threads = threading.active_count()
    assert not hot_reload.watch(app, "pets", classifier.engine.name, seconds=0.01).pinned
    versions = hot_reload.watch(app, "pets", classifier.engine.name, seconds=0.01)
    until(lambda: threading.active_count() == threads + 1)
    saved = save(1)
    until(lambda: versions.serving.id == saved.id)
    hot_reload.stop_watching()
    until(lambda: threading.active_count() == threads)


@pytest.mark.weights
def test_an_engine_is_shared_only_where_its_parameters_are_the_same(shipped):
    other = Int8Params(
        {**shipped.int8.arrays, "block1_conv1/scale": 1.0001 * shipped.int8.arrays["block1_conv1/scale"]}
    )
    first = load_classifier(shipped, OPENVINO_INT8)
    assert load_classifier(shipped, OPENVINO_INT8, reuse_engine_of=first).engine is first.engine
    changed = load_classifier(dataclasses.replace(shipped, int8=other), OPENVINO_INT8, reuse_engine_of=first)
    assert changed.engine.engine_id != first.engine.engine_id


def as_of(model, preprocessing=None, **backbone):
    """A model whose card tells of another preprocessing or backbone."""
    return dataclasses.replace(model, card=with_backbone(model.card, preprocessing, **backbone))


def test_an_engine_is_shared_only_for_photos_of_the_same_size_and_the_same_features(shipped, earlier):
    pruned = dataclasses.replace(shipped, pruned=SimpleNamespace(network=shipped.int8))
    others = [as_of(pruned, VGG16.at(*pair).preprocessing.version) for pair in ((288, CROP), (224, SQUEEZE))]
    others += [as_of(pruned, features="max(block5_pool)"), as_of(pruned, fingerprint="another")]
    for name in NAMES:
        assert _run_alike(name, pruned, as_of(pruned))
        assert not any(_run_alike(name, pruned, other) for other in others)
        assert not any(_run_alike(name, other, pruned) for other in others)
    for name in (OPENVINO_INT8, OPENVINO_PRUNED):
        assert not _run_alike(name, pruned, dataclasses.replace(pruned, int8=None, pruned=None))
    assert earlier.card.backbone.fingerprint == shipped.card.backbone.fingerprint


def test_beside_a_model_for_another_size_an_engine_is_opened(classifier, monkeypatch):
    larger = as_of(classifier.bundle, VGG16.at(288).preprocessing.version)
    opened = []

    def open_engine(name, backbone, int8):
        opened.append(backbone.architecture.pixels)
        raise EngineUnavailable("engine-not-installed", "It is not there.")

    monkeypatch.setattr("catdog.models.classifier.open_engine", open_engine)
    public = classifier.engine.backbone
    again = load_classifier(classifier.bundle, "stand-in", reuse_engine_of=classifier, public=public)
    assert again.engine is classifier.engine
    with refused("engine-unusable"):
        load_classifier(larger, "stand-in", reuse_engine_of=classifier, public=public)
    assert opened == [288]


# --- from a model that was saved before to one of today ---

WIDE = Image.new("RGB", (640, 320), "black")
WIDE.paste(Image.open(io.BytesIO(drawing("dog", 3, "PNG"))), (160, 0))


@pytest.fixture
def both(own_places, classifier, earlier_classifier, monkeypatch):
    """A model of before and one of today, on the stand-in network, both saved as versions of "pets"."""
    engines = {one.bundle.architecture: one.engine for one in (classifier, earlier_classifier)}
    monkeypatch.setattr("catdog.models.bundle.load_backbone", lambda name: classifier.engine.backbone)
    monkeypatch.setattr(
        "catdog.models.classifier.open_engine", lambda name, backbone, int8: engines[backbone.architecture]
    )
    return [
        publish("pets", model.card, model.head, model.golden_photos, model.golden_probabilities)
        for model in (earlier_classifier.bundle, classifier.bundle)
    ]


def told(answer):
    (prediction,) = answer.json["predictions"]
    return answer.json["model"], [prediction["probabilities"][label] for label in ("cat", "dog")]


def test_each_version_gets_photos_as_it_was_trained_on_them(both, classifier, earlier_classifier):
    before, today = both
    photo = encoded(WIDE, "PNG")
    expected = {
        model.id: one.predict(read_photo(photo, preprocessing=model.preprocessing)[None])[0]
        for model, one in ((before, earlier_classifier), (today, classifier))
    }
    squeezed, cropped = (read_photo(photo, preprocessing=model.preprocessing)[None] for model in both)
    assert np.abs(earlier_classifier.predict(cropped)[0] - expected[before.id]).max() > 0.05
    assert np.abs(classifier.predict(squeezed)[0] - expected[today.id]).max() > 0.05
    app = create_app()
    set_model(app, Classifier(before, earlier_classifier.engine))
    versions = ModelWatcher(app, "pets", classifier.engine.name)

    def ask_all():
        client = app.test_client()
        said, probabilities = told(client.post("/predict", data={"images": [(io.BytesIO(photo), "x")]}))
        assert np.abs(probabilities - expected[said]).max() < 1e-5
        explained = client.post("/explain", data={"images": [(io.BytesIO(photo), "x")]}).json
        assert explained["model"] == said
        assert explained["probabilities"] == pytest.approx(dict(zip(("cat", "dog"), probabilities)), abs=1e-3)
        body = json.dumps({"image": base64.b64encode(photo).decode()})
        assert client.post("/", data=body).json["prediction"]["cat"] == pytest.approx(probabilities[0], abs=1e-5)
        return said, explained["fit"]

    assert ask_all() == (before.id, SQUEEZE)
    assert versions.poll()
    assert ask_all() == (today.id, CROP)
    versions.roll_back()
    assert ask_all() == (before.id, SQUEEZE)


@pytest.mark.weights
def test_the_shipped_model_takes_over_from_the_one_that_was_shipped_before(own_places):
    home = own_places / "models_dir" / "cats-and-dogs"
    before = bundle.read(shutil.copytree(EARLIER_MODEL, home / "2026-11-24-144701"))
    app, photo = create_app(), encoded(WIDE, "PNG")
    set_model(app, load_classifier(before, OPENVINO_INT8, say=lambda words: None))
    versions = ModelWatcher(app, "cats-and-dogs", OPENVINO_INT8)
    today = bundle.read(shutil.copytree(SHIPPED_MODEL, home / SHIPPED_MODEL.name))
    for model, fit in ((before, SQUEEZE), (today, CROP)):
        assert versions.serving.id == model.id
        serving = service_of(app).model.classifier
        assert serving.engine.architecture == model.architecture
        expected = serving.predict(read_photo(photo, preprocessing=model.preprocessing)[None])[0]
        explained = app.test_client().post("/explain", data={"images": [(io.BytesIO(photo), "x")]}).json
        assert (explained["model"], explained["fit"]) == (model.id, fit)
        assert [explained["probabilities"][label] for label in ("cat", "dog")] == pytest.approx(expected, abs=1e-3)
        assert versions.poll() == (model is before)


def test_who_asks_while_another_version_takes_over_is_answered_by_the_one_that_the_photo_was_read_for(
    both, classifier, earlier_classifier, monkeypatch
):
    app, decoded = create_app(), routes.decoded
    set_model(app, Classifier(both[0], earlier_classifier.engine))

    def meanwhile(*arguments):
        set_model(app, Classifier(both[1], classifier.engine))
        return decoded(*arguments)

    monkeypatch.setattr(routes, "decoded", meanwhile)
    photo = encoded(WIDE, "PNG")
    said, probabilities = told(app.test_client().post("/predict", data={"images": [(io.BytesIO(photo), "x")]}))
    assert said == both[0].id
    squeezed = read_photo(photo, preprocessing=both[0].preprocessing)
    assert np.abs(probabilities - earlier_classifier.predict(squeezed[None])[0]).max() < 1e-5


def test_a_look_that_breaks_is_followed_by_the_next(app, save, classifier, monkeypatch):
    versions = hot_reload.watch(app, "pets", classifier.engine.name, seconds=0.01)
    broken, found = threading.Event(), bundle.versions

    def breaks_once(model):
        if not broken.is_set():
            broken.set()
            raise OSError("the Drive is gone")
        return found(model)

    monkeypatch.setattr(bundle, "versions", breaks_once)
    saved = save(1)
    until(lambda: broken.is_set() and versions.serving.id == saved.id)


def test_a_service_goes_on_when_its_version_is_deleted_and_follows_its_model_as_before(app, save, classifier):
    versions = ModelWatcher(app, "pets", classifier.engine.name)
    save(1)
    newest = save(2)
    assert versions.poll()
    save(3, name="flowers")
    delete_version(newest.id)
    assert not versions.poll()  # neither for an older version nor for another model
    assert "Not taken" not in str(versions)
    answer = app.test_client().post("/predict", data={"images": [(io.BytesIO(PHOTOS[0]), "x")]})
    assert answer.json["model"] == newest.id == versions.serving.id
    save(4)  # which may get the time of the one that was deleted
    latest = save(5)
    assert versions.poll()
    assert versions.serving.id == latest.id


def test_what_was_served_before_and_is_deleted_is_passed_over_on_the_way_back(app, save, classifier):
    versions = ModelWatcher(app, "pets", classifier.engine.name)
    first = versions.serving
    second = save(1)
    assert versions.poll()
    third = save(2)
    assert versions.poll()
    delete_version(second.id)
    versions.roll_back()
    assert (versions.serving.id, third.folder.exists()) == (first.id, True)
    assert not versions.poll()
    assert "Not taken" not in str(versions)


def test_a_version_that_waits_and_is_deleted_waits_no_more(app, save, classifier):
    versions = ModelWatcher(app, "", classifier.engine.name)
    flowers = [save(number, name="flowers") for number in (1, 2)]
    assert not versions.poll()
    assert versions.waiting.id == flowers[1].id
    delete_version(flowers[1].id)
    assert "waits" not in str(versions)
    with refused("version-none-waiting"):
        versions.take_over()
    flowers += [save(number, name="flowers") for number in (3, 4)]
    assert not versions.poll()
    versions.take_over()
    assert versions.serving.id == flowers[-1].id


def test_a_version_that_is_deleted_while_it_is_looked_at_is_not_taken(app, save, classifier, monkeypatch):
    versions, newest, read_card = ModelWatcher(app, "pets", classifier.engine.name), save(1), bundle.read_card

    def too_late(folder):
        if folder == newest.folder and folder.exists():
            delete_version(newest.id)
        return read_card(folder)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(bundle, "read_card", too_late)
        assert not versions.poll()
    assert not newest.folder.exists()
    assert not versions.poll()
    assert "Not taken" not in str(versions)


def test_a_version_whose_files_are_gone_goes_on(app, save, classifier):
    save(1)
    versions = ModelWatcher(app, "pets", classifier.engine.name)
    save(2)
    assert versions.poll()
    versions.serving.folder.rename(versions.serving.folder.with_name(".gone"))
    assert not versions.poll()  # an older one is left, which was never looked at
    answer = app.test_client().post("/predict", data={"images": [(io.BytesIO(PHOTOS[0]), "x")]})
    assert answer.json["model"] == versions.serving.id

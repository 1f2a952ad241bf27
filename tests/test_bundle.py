"""Saved models: whole or not at all, verified before they serve, and readable by plain Keras."""

import json
import os
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from catdog import bundle
from catdog.bundle import BundleRefused
from catdog.classifier import Classifier
from catdog.confidence import Confidence
from catdog.dataset import check
from catdog.evaluation import evaluate
from catdog.export_metadata import LOADS_IN
from catdog.familiarity import Familiarity
from catdog.features import FeatureStore
from catdog.head import Head
from catdog.images import DOOR
from catdog.proving import Engines
from catdog.publishing import publish
from catdog.saving import _golden, golden_photos, save_model
from catdog.sources import PhotoFolder
from catdog.stored import digest
from catdog.training import Fit
from conftest import refused


def a_head(classes=2, seed=0):
    chance = np.random.default_rng(seed)
    return Head(chance.normal(size=(512, classes), scale=0.003).astype(np.float32), np.zeros(classes, np.float32))


def confident(head):
    familiarity = Familiarity(np.full((2, 512), 0.01, np.float32), 0.5)
    return Confidence(head, familiarity, 1.0, 0.75, 0.99, 0.9, 0.99, 100)


@pytest.fixture(autouse=True)
def places(own_places):
    return own_places


@pytest.fixture
def saved(stand_in, shipped):
    """save(name, drawings=…, classes=…): a small model as `publish` saves it, without the complete network."""

    def save(name="pets", drawings=False, classes=("cat", "dog"), seed=0):
        head, photos = a_head(len(classes), seed), shipped.golden_photos[:2]
        card = {
            "classes": list(classes), "drawings": drawings, "image_door": DOOR, "metrics": {},
            "backbone": {"name": "VGG16", "fingerprint": stand_in.fingerprint},
        }  # fmt: skip
        return publish(name, card, head, photos, head.probabilities(stand_in.features(photos)))

    return save


def change_card(model, **changes):
    path = model.folder / bundle.CARD
    path.write_text(json.dumps(bundle.sealed({**json.loads(path.read_text()), **changes})))


def test_what_is_written_is_read(saved):
    model = saved()
    again = bundle.read(bundle.find("pets"))
    assert again.id == model.id == f"pets/{model.folder.name}"
    assert again.classes == ("cat", "dog")
    assert (again.head.kernel == a_head().kernel).all()
    assert (again.golden_photos == model.golden_photos).all()
    assert sum(path.stat().st_size for path in model.folder.iterdir()) < 200_000


def test_the_newest_is_found_and_any_other_by_its_version(saved):
    models = [saved(seed=seed) for seed in range(3)]
    assert bundle.find("pets") == models[-1].folder
    assert bundle.find(models[0].id) == models[0].folder
    assert bundle.find(str(models[1].folder)) == models[1].folder
    assert len({model.id for model in models}) == 3


def test_drawings_are_served_only_when_they_are_asked_for(saved, shipped):
    assert bundle.find() == shipped.folder
    drawn = saved("drawings", drawings=True)
    assert bundle.find() == shipped.folder
    assert bundle.find("drawings") == drawn.folder
    real = saved("pets")
    assert bundle.find() == real.folder


def test_ones_own_model_comes_before_the_shipped_one_whatever_the_clock_said(saved):
    folder = saved().folder
    old = folder.rename(folder.with_name("2001-01-01-000000"))
    assert bundle.find() == old


def test_without_the_shipped_model_none_is_found(monkeypatch, own_places):
    monkeypatch.setattr("catdog.places.SHIPPED_MODEL", own_places / "gone")
    with refused("model-missing"):
        bundle.find()


def test_a_model_that_is_not_there_is_named_with_those_that_are(saved):
    saved("pets")
    with refused("model-missing", '"owls"', "cats-and-dogs, pets"):
        bundle.find("owls")


@pytest.mark.parametrize("name", ["", "../elsewhere", "Käfer", "a b", "/tmp/x", "x/y"])
def test_names_are_names_of_folders(saved, name):
    with refused("model-name"):
        saved(name)


@pytest.mark.parametrize("file", [bundle.HEAD, bundle.GOLDEN, bundle.CARD])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "empty"])
def test_damaged_files_are_refused(saved, file, damage):
    path = saved().folder / file
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 0xFF
    path.write_bytes({"cut": data[:-20], "flipped": data, "empty": b"", "gone": b""}[damage])
    if damage == "gone":
        path.unlink()
    with pytest.raises(BundleRefused):
        bundle.read(path.parent)


@pytest.mark.parametrize("engines", [None, [], {"openvino-int8": {"agreement": 1.0}}, {"openvino-int8": 1}])
def test_a_card_with_proofs_of_no_known_form_is_refused(saved, engines):
    model = saved()
    change_card(model, engines=engines)
    with refused("model-damaged", kind=BundleRefused):
        bundle.read(model.folder)


def test_a_card_with_another_byte_anywhere_is_refused(saved):
    path = saved().folder / bundle.CARD
    whole = path.read_bytes()
    bundle.read_card(path.parent)
    for place in [*range(0, len(whole) - 90, 7), whole.index(b'"cat"') + 1]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(BundleRefused):
            bundle.read_card(path.parent)


def test_a_card_from_before_cards_had_a_digest_is_read(saved):
    path = saved().folder / bundle.CARD
    path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "digest"}))
    assert bundle.read(path.parent).classes == ("cat", "dog")


def test_pickles_are_never_loaded(saved, tmp_path):
    model, flag = saved(), tmp_path / "executed"

    class Bomb:
        def __reduce__(self):
            return (flag.write_text, ("boom",))

    np.savez(model.folder / bundle.HEAD, kernel=np.array([Bomb()], dtype=object), bias=np.zeros(2))
    flag.unlink(missing_ok=True)
    change_card(model, files={**model.card["files"], bundle.HEAD: digest(model.folder / bundle.HEAD)})
    with pytest.raises(BundleRefused):
        bundle.read(model.folder)
    assert not flag.exists()


def test_arrays_must_fit_the_classes(saved):
    model = saved()
    change_card(model, classes=["cat", "dog", "owl"])
    with refused("model-damaged", "3 classes", kind=BundleRefused):
        bundle.read(model.folder)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"backbone": {"name": "VGG16", "fingerprint": "sha256:other"}}, "model-other-weights"),
        ({"image_door": "another"}, "model-other-preprocessing"),
    ],
)
def test_another_base_or_door_is_refused(saved, stand_in, change, code):
    model = saved()
    change_card(model, **change)
    with refused(code, kind=BundleRefused):
        Classifier(bundle.read(model.folder), stand_in)


def test_golden_photos_must_still_give_what_was_saved(saved, stand_in):
    model = saved()
    assert Classifier(model, stand_in).predict(model.golden_photos).shape == (2, 2)
    model.golden_probabilities[0] += (0.01, -0.01)
    with refused("model-answers-changed", kind=BundleRefused):
        Classifier(model, stand_in)


@pytest.mark.parametrize("dogs", [2, 4, 8])  # of 24 drawings: it takes nearly all for cats
def test_golden_photos_are_of_every_class_that_the_model_sees(classifier, dogs):
    features, head = classifier.engine.features(golden_photos()), classifier.bundle.head
    lead = np.sort(np.diff(features @ head.kernel + head.bias)[:, 0])
    shift = lead[-dogs - 1 : len(lead) - dogs + 1].mean()
    head = Head(head.kernel, head.bias + np.array([shift, 0], np.float32))
    everything = head.probabilities(features)
    clear = everything[np.abs(everything[:, 0] - everything[:, 1]) >= 0.3]
    photos, probabilities = _golden(SimpleNamespace(exact_features=classifier.engine.features), head)
    assert len(photos) == len(probabilities) == 6
    assert set(probabilities.argmax(axis=1)) == set(clear.argmax(axis=1)) == {0, 1}
    assert (np.abs(probabilities[:, 0] - probabilities[:, 1]) >= 0.3).all()


def test_a_save_that_breaks_off_leaves_no_version(saved):
    first = saved()

    def disk_full(folder):
        (folder / "model.keras").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with refused("model-not-saved", "No space left on device"):
        publish(
            "pets", {**first.card}, first.head, first.golden_photos, first.golden_probabilities, add_files=disk_full
        )
    assert [path.name for path in first.folder.parent.iterdir()] == [first.folder.name]
    assert bundle.find("pets") == first.folder


@pytest.fixture
def trained(drawings, slim):
    dataset = check(PhotoFolder(drawings, "drawings", drawings=True))
    fit = Fit(a_head(), {"loss": [1.0]}, 1, {"seed": 0})
    report = evaluate(np.empty((0, 2)), np.empty(0, int), dataset.classes)
    engines = Engines(dataset, slim, FeatureStore(slim), "tensorflow")
    return dataset, fit, confident(fit.head), {"test": report}, engines


@pytest.mark.slow
def test_saving_again_without_a_change_saves_nothing(trained, capsys):
    model = save_model("", *trained)
    assert model.id.startswith("drawings/")
    assert model.card["drawings"]
    assert save_model("", *trained).id == model.id
    assert model.id in capsys.readouterr().out
    changed = trained[0], trained[1], confident(a_head(seed=1)), *trained[3:]
    worse = SimpleNamespace(is_worse=True)
    assert save_model("", *changed, unless_worse=worse).id == model.id
    assert model.id in capsys.readouterr().out
    latest = save_model("", *changed, unless_worse=SimpleNamespace(is_worse=False))
    assert latest.id != model.id
    change_card(latest, loads_in={})  # as of a version whose model.keras older versions of Keras refuse
    assert save_model("", *changed).id != latest.id
    keeps_what_is_known_of_sureness(model, trained[2])


def keeps_what_is_known_of_sureness(model, confidence):
    assert (model.sure_from, model.familiarity.limit) == (0.75, 0.5)
    assert (model.familiarity.centers == confidence.familiarity.centers).all()
    assert model.card["confidence"]["target"] == 0.99
    for thresholds in ({"sure": 0.75}, {"sure": 0.75, "far": 0}, {"sure": 0.75, "far": "x"}):
        change_card(model, thresholds=thresholds)
        with refused("model-damaged", kind=BundleRefused):
            bundle.read(model.folder)


@pytest.mark.slow
def test_drawings_never_take_the_name_of_a_model_of_photos(trained):
    with refused("model-name-taken", "cats-and-dogs", "MODEL_NAME"):
        save_model("cats-and-dogs", *trained)


PLAIN_KERAS = """
import sys, numpy as np, keras
assert not any("catdog" in path for path in sys.path)
golden = np.load(sys.argv[1])
for file in sys.argv[2:]:
    model = keras.models.load_model(file, compile=False)
    told = model.predict(golden["photos"].astype("float32"), verbose=0)
    print(float(np.abs(told - golden["probabilities"]).max()))
"""


@pytest.mark.slow
def test_plain_keras_gives_the_same_probabilities_from_raw_rgb(trained, tmp_path):
    model = save_model("", *trained, save_h5=True)
    assert model.card["loads_in"] == LOADS_IN
    with zipfile.ZipFile(model.folder / "model.keras") as file:
        told = json.loads(file.read("metadata.json"))
    assert told["class_names"] == list(model.classes)
    assert (told["thresholds"], told["model"]) == (model.card["thresholds"], "drawings")
    without_suite = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    files = [str(model.folder / name) for name in (bundle.GOLDEN, "model.keras", "model.h5")]
    done = subprocess.run(
        [sys.executable, "-c", PLAIN_KERAS, *files], capture_output=True, text=True, cwd=tmp_path, env=without_suite
    )
    assert done.returncode == 0, done.stderr[-2000:]
    apart = [float(line) for line in done.stdout.splitlines()]
    assert len(apart) == 2
    assert max(apart) <= 1e-3
    assert model.golden_probabilities.std() > 0.05


def test_the_shipped_model_is_small_real_and_proven(shipped):
    assert shipped.id.startswith("cats-and-dogs/")
    assert shipped.classes == ("cat", "dog")
    assert not shipped.card["drawings"]
    assert shipped.card["metrics"]["test"]["accuracy"] >= 0.97
    assert (shipped.folder / bundle.HEAD).stat().st_size < 20_000
    drawings = {photo.tobytes() for photo in golden_photos()}
    assert all(photo.tobytes() in drawings for photo in shipped.golden_photos)
    assert shipped.twin
    assert not shipped.proofs["openvino-int8"].objection
    assert "right on 97.0% of 100 test photos" in shipped.describe()

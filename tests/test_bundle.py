"""Saved models: whole or not at all, verified before they serve, and readable by plain Keras."""

import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
from catdog.backbones.architectures import VGG16
from catdog.backbones.vgg16_weights import LAYERS
from catdog.data.dataset import Dataset, Photo, check
from catdog.data.images import read_photo
from catdog.data.preprocessing import PREPROCESSING, SQUEEZE, Preprocessing
from catdog.data.sources import PhotoFolder
from catdog.engines import open_engine
from catdog.engines.base import OPENVINO_FP32, OPENVINO_INT8, TENSORFLOW
from catdog.engines.parity import EarlierPrunedParityCheck, PrunedParityCheck
from catdog.models import bundle
from catdog.models.arrays import digest, sealed
from catdog.models.bundle import BundleRefused
from catdog.models.card import (
    CARD,
    CLASS_MEANS,
    SCHEMA,
    BackboneOfCard,
    Card,
    DataOfCard,
    PrunedCard,
    Thresholds,
    read_card,
)
from catdog.models.card_before import with_names_of_before
from catdog.models.classifier import Classifier, load_classifier
from catdog.models.export_metadata import LOADS_IN
from catdog.models.head import Head
from catdog.models.listing import versions_table
from catdog.models.ood import OODDetector
from catdog.models.writer import publish
from catdog.training.calibration import CalibratedHead
from catdog.training.engine_selection import EngineSelection
from catdog.training.features import FeatureCache
from catdog.training.linear_head import FitResult, no_logits
from catdog.training.metrics import evaluate
from catdog.training.save import _golden, _is_the_same, golden_photos, save_model
from catdog.training.trained_head import TrainedHead
from conftest import EARLIER_MODEL, ROOT, drawing, refused


def a_head(classes=2, seed=0):
    chance = np.random.default_rng(seed)
    kernel = chance.normal(size=(VGG16.size, classes), scale=3).astype(np.float32)
    return Head(kernel, np.zeros(classes, np.float32))


def confident(head):
    ood_detector = OODDetector(np.full((2, VGG16.size), 0.01, np.float32), 0.5)
    return CalibratedHead(head, ood_detector, 1.0, 0.75, 0.99, 0.9, 0.99, 0.98, 1.0, 100, True)


@pytest.fixture(autouse=True)
def places(own_places):
    return own_places


@pytest.fixture
def saved(stand_in, shipped):
    """save(name, synthetic=…, classes=…): a small model as `publish` saves it, without the complete network."""

    def save(name="pets", synthetic=False, classes=("cat", "dog"), seed=0):
        head, photos = a_head(len(classes), seed), shipped.golden_photos[:2]
        backbone = BackboneOfCard("VGG16", stand_in.fingerprint, VGG16.features)
        card = Card(classes, backbone, PREPROCESSING.version, synthetic=synthetic)
        return publish(name, card, head, photos, head.probabilities(stand_in.features(photos)))

    return save


def change_card(model, **changes):
    path = model.folder / CARD
    path.write_text(json.dumps(sealed({**json.loads(path.read_text()), **changes})))


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
    drawn = saved("drawings", synthetic=True)
    assert bundle.find() == shipped.folder
    assert bundle.find("drawings") == drawn.folder
    real = saved("pets")
    assert bundle.find() == real.folder


def test_ones_own_model_comes_before_the_shipped_one_whatever_the_clock_said(saved):
    folder = saved().folder
    old = folder.rename(folder.with_name("2001-01-01-000000"))
    assert bundle.find() == old


def test_without_the_shipped_model_none_is_found(monkeypatch, own_places):
    monkeypatch.setattr("catdog.paths.SHIPPED_MODEL", own_places / "gone")
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


@pytest.mark.parametrize("file", [bundle.HEAD, bundle.GOLDEN, CARD])
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


@pytest.mark.parametrize("parity", [None, [], {"openvino-int8": {"agreement": 1.0}}, {"openvino-int8": 1}])
def test_a_card_with_parity_checks_of_no_known_form_is_refused(saved, parity):
    model = saved()
    change_card(model, parity=parity)
    with refused("model-damaged", kind=BundleRefused):
        bundle.read(model.folder)


def test_a_card_with_another_byte_anywhere_is_refused(saved):
    path = saved().folder / CARD
    whole = path.read_bytes()
    read_card(path.parent)
    for place in [*range(0, len(whole) - 90, 7), whole.index(b'"cat"') + 1]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(BundleRefused):
            read_card(path.parent)


def test_a_card_from_before_cards_had_a_digest_is_read(saved):
    path = saved().folder / CARD
    path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "digest"}))
    assert bundle.read(path.parent).classes == ("cat", "dog")


def test_pickles_are_never_loaded(saved, tmp_path):
    model, flag = saved(), tmp_path / "executed"

    class Bomb:
        def __reduce__(self):
            return (flag.write_text, ("boom",))

    np.savez(model.folder / bundle.HEAD, kernel=np.array([Bomb()], dtype=object), bias=np.zeros(2))
    flag.unlink(missing_ok=True)
    change_card(model, files={**model.card.files, bundle.HEAD: digest(model.folder / bundle.HEAD)})
    with pytest.raises(BundleRefused):
        bundle.read(model.folder)
    assert not flag.exists()


def test_arrays_must_fit_the_classes(saved):
    model = saved()
    change_card(model, classes=["cat", "dog", "owl"])
    with refused("model-damaged", "3 classes", kind=BundleRefused):
        bundle.read(model.folder)


def test_another_base_is_refused(saved, stand_in):
    model = saved()
    change_card(model, backbone={**asdict(model.card.backbone), "fingerprint": "sha256:other"})
    with refused("model-other-weights", kind=BundleRefused):
        Classifier(bundle.read(model.folder), stand_in)


@pytest.mark.parametrize(
    "change",
    [
        {"preprocessing": "another"},
        {"preprocessing": "rgb-224-crop-5"},
        {"backbone": {"features": "median(block5_conv3)"}},
        {"backbone": {"name": "ResNet50"}},
        {"backbone": {"name": "EfficientNet-Lite0"}},  # which has never had these features
        {"schema": SCHEMA + 1},
    ],
)
def test_what_another_release_saved_is_refused(saved, change):
    model = saved()
    backbone = {**asdict(model.card.backbone), **change.get("backbone", {})}
    change_card(model, **{**change, "backbone": backbone})
    with refused("model-other-release", kind=BundleRefused):
        bundle.read(model.folder)


def test_a_card_without_its_preprocessing_is_damaged(saved):
    model = saved()
    path = model.folder / CARD
    card = {key: value for key, value in json.loads(path.read_text()).items() if key != "preprocessing"}
    path.write_text(json.dumps(sealed({**card, "image_door": PREPROCESSING.version})))
    with refused("model-damaged", kind=BundleRefused):
        bundle.read(model.folder)


def test_an_engine_for_other_photos_or_features_does_not_run_it(saved, stand_in, earlier):
    model = saved()
    for architecture in (VGG16.at(288), VGG16.at(224, SQUEEZE), earlier.architecture):
        engine = SimpleNamespace(name=TENSORFLOW, fingerprint=stand_in.fingerprint, architecture=architecture)
        with pytest.raises(ValueError, match="the engine is made for"):
            Classifier(model, engine)


def test_golden_photos_must_still_give_what_was_saved(saved, stand_in):
    model = saved()
    assert Classifier(model, stand_in).predict(model.golden_photos).shape == (2, 2)
    model.golden_probabilities[0] += (0.01, -0.01)
    with refused("model-answers-changed", kind=BundleRefused):
        Classifier(model, stand_in)


@pytest.mark.parametrize("dogs", [3, 5, 8])  # of 24 drawings: it takes nearly all for cats
def test_golden_photos_are_of_every_class_that_the_model_sees(classifier, dogs):
    features, head = classifier.engine.features(golden_photos()), classifier.bundle.head
    head = Head(4 * head.kernel, 4 * head.bias)  # sure of some
    lead = np.sort(np.diff(features @ head.kernel + head.bias)[:, 0])
    shift = lead[-dogs - 1 : len(lead) - dogs + 1].mean()
    head = Head(head.kernel, head.bias + np.array([shift, 0], np.float32))
    everything = head.probabilities(features)
    clear = everything[np.abs(everything[:, 0] - everything[:, 1]) >= 0.3]
    engines = SimpleNamespace(exact_features=classifier.engine.features, backbone=classifier.engine.backbone)
    photos, probabilities = _golden(engines, head)
    assert len(photos) == len(probabilities) == 6
    assert set(probabilities.argmax(axis=1)) == set(clear.argmax(axis=1)) == {0, 1}
    assert (np.abs(probabilities[:, 0] - probabilities[:, 1]) >= 0.3).all()


def test_a_save_that_breaks_off_leaves_no_version(saved, monkeypatch):
    first, save = saved(), np.savez_compressed

    def disk_full(path, **arrays):
        save(path, **arrays)
        if path.name == bundle.GOLDEN:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", disk_full)
    with refused("model-not-saved", "No space left on device"):
        publish("pets", first.card, first.head, first.golden_photos, first.golden_probabilities)
    assert [path.name for path in first.folder.parent.iterdir()] == [first.folder.name]
    assert bundle.find("pets") == first.folder


@pytest.fixture
def trained(drawings, slim):
    return trained_on(drawings, slim)


def trained_on(drawings, backbone, wanted=TENSORFLOW):
    """What `save_model` takes, with a last layer at random."""
    dataset = check(PhotoFolder(drawings, "drawings", synthetic=True))
    fit = FitResult(a_head(), no_logits(np.zeros(0, int), 2))
    report = evaluate(np.empty((0, 2)), np.empty(0, int), dataset.classes)
    engines = EngineSelection(dataset, backbone, FeatureCache(backbone), wanted)
    return dataset, TrainedHead(fit, confident(fit.head), {"test": report}), engines


@pytest.mark.slow
def test_saving_again_without_a_change_saves_nothing(trained, capsys):
    model = save_model("", *trained)
    assert model.id.startswith("drawings/")
    assert model.card.synthetic
    assert save_model("", *trained).id == model.id
    assert model.id in capsys.readouterr().out
    changed = trained[0], dataclasses.replace(trained[1], calibrated=confident(a_head(seed=1))), trained[2]
    worse = SimpleNamespace(is_worse=True, is_unseen=True)
    assert save_model("", *changed, unless_worse=worse).id == model.id
    assert model.id in capsys.readouterr().out
    latest = save_model("", *changed, unless_worse=SimpleNamespace(is_worse=False))
    assert latest.id != model.id
    assert not (latest.folder / "model.keras").exists()
    change_card(latest, loads_in={})  # as of a version whose model.keras older versions of Keras refuse
    assert save_model("", *changed).id == latest.id  # which has none
    again = save_model("", *changed, save_keras=True)
    assert again.id != latest.id
    assert (again.folder / "model.keras").exists()
    keeps_what_is_known_of_confidence(model, trained[1].calibrated)


@pytest.mark.slow
def test_the_complete_network_is_written_on_request_and_added_to_a_version_that_lacks_it(trained, capsys):
    model = save_model("", *trained)
    without = {path.name for path in model.folder.iterdir()}
    assert not {"model.keras", "model.h5"} & without
    card = (model.folder / CARD).read_bytes()
    for options, added in (({"save_h5": True}, {"model.h5"}), ({"save_keras": True}, {"model.h5", "model.keras"})):
        assert save_model("", *trained, **options).id == model.id
        assert {path.name for path in model.folder.iterdir()} == without | added
    written = {name: (model.folder / name).stat().st_mtime_ns for name in ("model.keras", "model.h5")}
    assert save_model("", *trained, save_keras=True, save_h5=True).id == model.id
    assert {name: (model.folder / name).stat().st_mtime_ns for name in written} == written
    assert (model.folder / CARD).read_bytes() == card
    assert capsys.readouterr().out.count("Nothing has changed") == 3
    (model.folder / "model.keras").unlink()
    (model.folder / ".keras-being-written").mkdir()  # of a process that was killed
    assert save_model("", *trained, save_keras=True).id == model.id
    assert {path.name for path in model.folder.iterdir()} == without | {"model.h5", "model.keras"}


NO_KERAS = """
import sys

sys.modules["keras"] = sys.modules["tensorflow"] = None  # importing them would fail
from types import SimpleNamespace
import numpy as np
from catdog.backbones.architectures import VGG16, Backbone
from catdog.data.dataset import Dataset
from catdog.models.head import Head
from catdog.models.ood import OODDetector
from catdog.training.calibration import CalibratedHead
from catdog.training.linear_head import FitResult, no_logits
from catdog.training.save import save_model
from catdog.training.trained_head import TrainedHead

backbone, size = Backbone(VGG16, {}, "f"), VGG16.size
head = Head(np.random.default_rng(0).normal(size=(size, 2)).astype(np.float32), np.zeros(2, np.float32))
detector = OODDetector(np.full((2, size), 0.01, np.float32), 0.5)
calibrated = CalibratedHead(head, detector, 1.0, 0.75, 0.99, 0.9, 0.99, 0.98, 1.0, 100, True)
engines = SimpleNamespace(
    backbone=backbone, chosen=SimpleNamespace(name="another"), int8=None, parity_checks=lambda head: {},
    exact_features=lambda photos: np.random.default_rng(1).normal(size=(len(photos), size)).astype(np.float32),
)
trained = TrainedHead(FitResult(head, no_logits(np.zeros(0, int), 2)), calibrated, {})
dataset = Dataset("pets", ("cat", "dog"), (), ())
first = save_model("pets", dataset, trained, engines)
assert save_model("pets", dataset, trained, engines).id == first.id
print(first.id)
"""


def test_a_save_that_writes_no_file_of_keras_loads_no_keras():
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "notebooks")}
    done = subprocess.run([sys.executable, "-c", NO_KERAS], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert bundle.read(bundle.find("pets")).id == done.stdout.splitlines()[-1]


def keeps_what_is_known_of_confidence(model, calibrated):
    assert (model.confidence_threshold, model.ood_detector.limit) == (0.75, 0.5)
    assert (model.ood_detector.centers == calibrated.ood_detector.centers).all()
    assert model.card.calibration["target"] == 0.99
    for distance in ({}, {"ood_distance": 0}, {"ood_distance": "x"}):
        change_card(model, thresholds={"confidence": 0.75, **distance})
        with refused("model-damaged", kind=BundleRefused):
            bundle.read(model.folder)


@pytest.fixture
def saved_card(stand_in):
    """saved_card(photos, …): the model that so many photos trained."""

    def save(train, valid=0, judgement=None, seed=0, **options):
        numbers = {"train": range(train), "valid": range(10**6, 10**6 + valid), "test": range(2 * 10**6, 2 * 10**6 + 3)}
        photos = [
            Photo(None, ("cat", "dog")[number % 2], split, f"{number:016x}" + "0" * 48)
            for split, some in numbers.items()
            for number in some
        ]
        dataset, head = Dataset("pets", ("cat", "dog"), tuple(photos), ()), a_head(seed=seed)
        engines = SimpleNamespace(
            backbone=stand_in.backbone, chosen=stand_in, int8=None, reference=SimpleNamespace(model=None),
            exact_features=stand_in.features, parity_checks=lambda head: {},
        )  # fmt: skip
        fit = FitResult(head, no_logits(np.zeros(0, int), 2))
        trained = TrainedHead(fit, confident(head), {})
        return save_model("pets", dataset, trained, engines, judgement=judgement, **options)

    return save


def test_the_card_names_the_photos_that_trained(saved_card):
    judgement = SimpleNamespace(by="test", as_card=dict, reports={})
    card = saved_card(3, 2, judgement).card
    assert card.trained_on == tuple(f"{number:016x}" for number in (0, 1, 2, 10**6, 10**6 + 1))
    assert saved_card(3, seed=1).card.trained_on is None  # photos in storage are not all known


def test_of_very_many_photos_the_card_names_none_and_of_many_it_stays_small(saved_card):
    answers = {f"{number:016x}": number % 2 for number in range(5000)}
    judgement = SimpleNamespace(
        by="cross-validation", reports={}, as_card=lambda: {"by": "cross-validation", "answers": answers}
    )
    many = saved_card(4000, 1000, judgement)
    assert len(read_card(many.folder).trained_on) == 5000
    assert (many.folder / CARD).stat().st_size < 1 << 19
    assert saved_card(4001, 1000, judgement, seed=1).card.trained_on is None


def test_only_a_comparison_by_unseen_photos_keeps_a_worse_model_from_being_saved(saved_card):
    first = saved_card(3)
    for is_unseen, seed in ((True, 1), (False, 2)):
        comparison = SimpleNamespace(is_worse=True, is_unseen=is_unseen)
        assert (saved_card(3, seed=seed, unless_worse=comparison).id == first.id) == is_unseen


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
    model = save_model("", *trained, save_keras=True, save_h5=True)
    assert model.card.loads_in == LOADS_IN
    with zipfile.ZipFile(model.folder / "model.keras") as file:
        told = json.loads(file.read("metadata.json"))
    assert told["class_names"] == list(model.classes)
    assert (told["thresholds"], told["model"]) == (asdict(model.card.thresholds), "drawings")
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


def test_the_shipped_model_is_small_real_and_passes_its_checks(shipped):
    assert shipped.id.startswith("cats-and-dogs/")
    assert shipped.classes == ("cat", "dog")
    assert not shipped.card.synthetic
    assert shipped.card.metrics["test"]["accuracy"] >= 0.98
    assert shipped.card.metrics["cross-validation"]["accuracy"] >= 0.99
    assert (shipped.architecture, shipped.preprocessing) == (VGG16, PREPROCESSING)
    assert (shipped.folder / bundle.HEAD).stat().st_size < 20_000
    drawings = {photo.tobytes() for photo in golden_photos()}
    assert all(photo.tobytes() in drawings for photo in shipped.golden_photos)
    assert shipped.int8
    assert not shipped.parity_checks["openvino-int8"].failure
    assert "right on 98.0% of 100 test photos" in shipped.describe()


# --- photos of other sizes ---


def test_golden_photos_are_as_large_as_the_model_takes_them():
    for pixels in (224, 288):
        photos = golden_photos(Preprocessing(pixels))
        assert photos.shape == (24, pixels, pixels, 3)
        assert (photos[0] == read_photo(drawing("cat", 1000, "PNG"), preprocessing=Preprocessing(pixels))).all()


def test_golden_photos_of_another_size_are_refused(saved):
    model = saved()
    change_card(model, preprocessing=Preprocessing(288).version)
    with refused("model-damaged", kind=BundleRefused):
        bundle.read(model.folder)


@pytest.mark.slow
def test_a_model_for_288_pixels_is_saved_read_and_served(drawings, slim, slim_288, own_cache):
    from catdog.quiet_keras import keras

    small = save_model("", *trained_on(drawings, slim))
    arguments = trained_on(drawings, slim_288, OPENVINO_INT8)
    model = bundle.read(save_model("", *arguments, save_keras=True).folder)
    assert save_model("", *arguments).id == model.id != small.id
    for backbone, same in ((slim, True), (slim_288, False)):
        engines = SimpleNamespace(backbone=backbone, int8=None)
        assert _is_the_same(small, arguments[0], arguments[1].calibrated, engines, None) == same
    assert model.card.preprocessing == "rgb-288-crop-4"
    assert model.preprocessing == Preprocessing(288)
    assert model.golden_photos.shape == (6, 288, 288, 3)
    photo = read_photo(drawing("dog", 3), preprocessing=model.preprocessing)
    expected = model.head.probabilities(open_engine(OPENVINO_FP32, slim_288).features(photo[None]))
    complete = keras.models.load_model(model.folder / "model.keras", compile=False)
    assert np.abs(complete.predict_on_batch(photo[None].astype(np.float32)) - expected).max() < 1e-3
    served = load_classifier(model, OPENVINO_FP32, public=slim)  # without its size: the model's own counts
    assert served.engine.architecture.pixels == 288
    assert np.abs(served.predict(photo[None]) - expected).max() < 1e-3
    answer, heat = served.explain(photo)
    assert heat.shape == (18, 18)
    assert np.abs(answer.probabilities - expected).max() < 1e-3


def test_versions_are_listed_with_what_one_chooses_by(saved, shipped):
    good, bad = saved("birds"), saved("birds")
    (bad.folder / CARD).write_text("{")
    lines = versions_table().splitlines()
    assert lines[0].split() == ["version", "saved", "(UTC)", "photos", "right", "judged", "by", "MB", "kept"]
    assert [line.split()[0] for line in lines[1:]] == [f"birds/{bad.folder.name}", good.id, shipped.id]
    assert "cannot be read [model-damaged]" in lines[1]
    assert "98.0%" in lines[3]
    assert "100 test photos" in lines[3]
    assert "1,200" in lines[3]
    assert len(versions_table("birds").splitlines()) == 3


# --- models that were saved before ---


def test_a_card_of_the_schema_before_is_read_in_todays_words(earlier):
    before = json.loads((EARLIER_MODEL / CARD).read_text())
    assert (before["schema"], before["image_door"]) == (1, "rgb-224-bilinear-2")
    card, backbone = earlier.card, before["backbone"]
    assert "tuned" not in backbone
    assert (card.preprocessing, card.classes, card.synthetic) == (before["image_door"], ("cat", "dog"), False)
    assert (card.name, card.version, card.created) == tuple(before[key] for key in ("name", "version", "created"))
    assert card.thresholds == Thresholds(before["thresholds"]["sure"], before["thresholds"]["far"])
    assert card.calibration["coverage"] == before["confidence"]["answered"]
    assert card.calibration["selective_accuracy"] == before["confidence"]["right"]
    assert card.data == DataOfCard(*(before["data"][key] for key in ("name", "digest", "photos", "left_out")))
    assert {name: parity.as_card() for name, parity in card.parity.items()} == before["engines"]
    assert card.backbone == BackboneOfCard(
        backbone["name"],
        backbone["fingerprint"],
        backbone["features"],
        tuple(backbone.get("tuned", ())),
        backbone["engine"],
    )
    assert (card.metrics, card.files, card.libraries) == (before["metrics"], before["files"], before["libraries"])


def test_what_a_card_says_of_a_pruned_model_is_found_again_by_todays_and_earlier_names(shipped):
    parity = EarlierPrunedParityCheck(0.99, 0.1, -0.5, 0.7, 0.5, 100)
    pruned = PrunedCard(Thresholds(0.8, 0.6), parity, {"macs_reduction": 2.0, "digest": "d", "metrics": {}})
    card = dataclasses.replace(shipped.card, pruned=pruned)
    today = card.as_json()
    assert Card.from_json(json.loads(json.dumps(today))) == card
    before = {
        **json.loads((shipped.folder / CARD).read_text()),
        "compact": {
            "times_less": 2.0, "digest": "d", "metrics": {}, "thresholds": {"sure": 0.8, "far": 0.6},
            "proof": {"agreement": 0.99, "lost": 0.1, "low": -0.5, "high": 0.7, "allowed": 0.5, "photos": 100},
        },
    }  # fmt: skip
    assert before["schema"] == 2 < SCHEMA
    assert Card.from_json(before) == card
    shown = with_names_of_before(today)  # what `/model` answers
    assert shown["compact"]["proof"].items() >= before["compact"]["proof"].items()
    assert shown["compact"]["thresholds"]["sure"] == 0.8
    assert shown["compact"]["times_less"] == 2.0
    assert shown["confidence"].items() >= json.loads((shipped.folder / CARD).read_text())["confidence"].items()


PARITY = {
    "accuracy_drop": 0.3, "low": -0.4, "high": 0.9, "upper_bound": 0.8, "calibration_error": 0.012,
    "reference_calibration_error": 0.01, "agreement": 0.99, "reference_agreement": 0.985,
    "max_drop": 0.5, "photos": 800,
}  # fmt: skip
OF_BEFORE = ("accuracy_drop", "low", "high", "agreement", "max_drop", "photos")


def card_with(shipped, parity):
    """A card as JSON with this parity check of a pruned model."""
    pruned = {"thresholds": {"confidence": 0.8, "ood_distance": 0.6}, "parity": parity}
    return {**json.loads(json.dumps(shipped.card.as_json())), "pruned": pruned}


def test_a_card_holds_all_figures_of_the_check_of_a_pruned_model(shipped):
    card = Card.from_json(card_with(shipped, PARITY))
    assert card.pruned.parity == PrunedParityCheck(**PARITY)
    assert card.as_json()["pruned"]["parity"] == PARITY
    assert with_names_of_before(card.as_json())["compact"]["proof"].items() >= {**PARITY, "lost": 0.3}.items()


@pytest.mark.parametrize(
    "nonsense",
    [
        {name: PARITY[name] for name in PARITY if name != "upper_bound"},
        {name: PARITY[name] for name in PARITY if name != "photos"},
        {name: PARITY[name] for name in (*OF_BEFORE, "calibration_error")},
        {name: PARITY[name] for name in OF_BEFORE if name != "low"},
        {**PARITY, "another": 1.0},
        {**PARITY, "calibration_error": "low"},
        {**PARITY, "calibration_error": None},
        {**PARITY, "calibration_error": -0.1},
        {**PARITY, "reference_calibration_error": 1.5},
        {**PARITY, "agreement": 99.0},
        {**PARITY, "reference_agreement": -1},
        {**PARITY, "reference_agreement": float("nan")},
        {**PARITY, "upper_bound": 1.0},
        {**PARITY, "max_drop": 1000},
        {**PARITY, "photos": 0.5},
        {},
    ],
)
def test_a_check_of_a_pruned_model_that_makes_no_sense_is_refused(shipped, nonsense):
    Card.from_json(card_with(shipped, {name: PARITY[name] for name in OF_BEFORE}))
    with pytest.raises((TypeError, ValueError, KeyError)):
        Card.from_json(card_with(shipped, nonsense))


def test_a_model_of_before_keeps_its_features_its_preprocessing_and_what_it_knows(earlier):
    architecture = earlier.architecture
    assert (architecture.pooling, architecture.unit_length, architecture.size) == (("max",), False, 512)
    assert (architecture.name, architecture.activations, architecture.grid_size) == ("VGG16", "block5_conv3", 14)
    assert earlier.preprocessing == Preprocessing(224, SQUEEZE)
    assert earlier.head.kernel.shape == (512, 2)
    assert earlier.int8.layers == LAYERS
    assert 0.5 < earlier.confidence_threshold < 1
    assert earlier.ood_detector.limit == earlier.card.thresholds.ood_distance
    assert "right on 97.0% of 100 test photos" in earlier.describe()


@pytest.fixture
def earlier_saved(own_places):
    """In the folder of models, as it lies where somebody trained before."""
    version = json.loads((EARLIER_MODEL / CARD).read_text())["version"]
    return shutil.copytree(EARLIER_MODEL, own_places / "models_dir" / "cats-and-dogs" / version)


def test_a_model_of_before_is_found_beside_todays(earlier_saved, saved):
    assert bundle.find("cats-and-dogs") == earlier_saved
    today = saved("cats-and-dogs")
    assert bundle.find("cats-and-dogs") == today.folder
    assert bundle.earlier(today.folder)[0] == earlier_saved


@pytest.mark.parametrize(
    ("change", "code"),
    [({"image_door": "another"}, "model-other-release"), ({"image_door": None}, "model-damaged"),
     ({"schema": 0}, "model-other-release"), ({"classes": ["cat", "owl", "dog"]}, "model-damaged")],
)  # fmt: skip
def test_a_model_of_before_is_checked_as_any_other(earlier_saved, change, code):
    path = earlier_saved / CARD
    card = {**json.loads(path.read_text()), **change}
    path.write_text(json.dumps({**card, "name": "another"}))
    with refused("model-other-release" if "schema" in change else "model-damaged", kind=BundleRefused):
        bundle.read(earlier_saved)
    path.write_text(json.dumps(sealed({key: value for key, value in card.items() if value is not None})))
    with refused(code, kind=BundleRefused):
        bundle.read(earlier_saved)


@pytest.mark.parametrize("name", [OPENVINO_FP32, OPENVINO_INT8, TENSORFLOW])
def test_a_model_of_before_still_gives_the_answers_that_were_saved_with_it(earlier_saved, backbone, name):
    model = bundle.read(bundle.find("cats-and-dogs"))
    served = load_classifier(model, name, public=backbone)
    assert served.engine.architecture == model.architecture != backbone.architecture
    off = np.abs(served.predict(model.golden_photos) - model.golden_probabilities).max()
    assert off < (0.03 if name == OPENVINO_INT8 else bundle.TOLERANCE)
    assert np.ptp(model.golden_probabilities[:, 0]) > 0.1


# --- folders that somebody made to break whoever looks at them ---


def saying(text):
    return lambda path: path.write_text(text)


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def with_card(**changes):
    def change(path):
        path.write_text(json.dumps(sealed({**json.loads(path.read_text()), **changes})))

    return change


HOSTILE = {
    "deep lists": saying("[" * 200_000),
    "deep objects": saying('{"a":' * 100_000),
    "very large": saying('"' + "a" * 20_000_000 + '"'),
    "a pipe": pipe,
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a loop": lambda path: (path.unlink(), path.symlink_to(path.name)),
    **{
        f"{name} {value!r:.20}": with_card(**{name: value})
        for name, values in {
            "classes": (None, [], "ab", [["a"], ["b"]], [1, 2], ["a", "a"], ["a" * 2000, "b"]),
            "files": (None, ["head.npz"], {"head.npz": 1}, {"../../secret": "x"}),
            "version": (5, "x\ny", ""),
            "backbone": ([], {"name": ["a"], "fingerprint": "x", "features": "y"}, {"name": "VGG16"}),
            "metrics": (
                "x",
                {"test": {"accuracy": 10**400}},
                {"test": {"photos": "many"}},
                {"test": {"accuracy": float("nan")}},
                {"test": 3},
            ),
            "thresholds": ({"confidence": float("nan")}, {"confidence": -1}, [], {"confidence": "x"}, {"sure": 0.5}),
            "parity": (
                [1],
                {"openvino-int8": 3},
                {"openvino-int8": {"agreement": "x", "mean_difference": 0, "photos": 1}},
            ),
            "judged_by": ([], 1),
            "judged": ({"answers": 5}, {"answers": {"a": "b"}}, {"right": 5}, {"wrong": [[1]]}),
            "training": (json.loads("[" * 700 + "]" * 700), {"C": float("nan")}),
            "data": ({"photos": {"train": {"cat": "12"}}}, {"excluded": 2.5}, {"excluded": True}),
            "preprocessing": ("rgb-3000-crop-4",),
        }.items()
        for value in values
    },
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_card_is_refused_in_a_sentence_and_hides_no_good_model(saved, change):
    good, bad = saved(), saved()
    change(bad.folder / CARD)
    with pytest.raises(BundleRefused) as refusal:
        bundle.read(bad.folder)
    assert refusal.value.code in ("model-damaged", "model-other-release")
    assert "\n" not in str(refusal.value)
    assert good.folder in list(bundle.versions())
    assert bad.folder not in list(bundle.versions())


def zipped(**members):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as arrays:
        for name, content in members.items():
            arrays.writestr(f"{name}.npy", content)
    return data.getvalue()


def as_npy(array):
    data = io.BytesIO()
    np.save(data, array)
    return data.getvalue()


WHOLE = zipped(kernel=as_npy(np.zeros((1024, 2), np.float32)), bias=as_npy(np.zeros(2, np.float32)))
AFTER_NAME = WHOLE.index(b"kernel.npy") + len("kernel.npy")
DIRECTORY = b"PK\x01\x02\x14\x03\x14\x00"  # what each entry of a zip's begins with; flags and kind follow
HOSTILE_ARRAYS = {
    "an array alone": as_npy(np.zeros(3)),
    "no dimensions": zipped(kernel=as_npy(np.float32(1)), bias=as_npy(np.float32(1))),
    "broken deflate": WHOLE[:AFTER_NAME] + b"\xff" * 40 + WHOLE[AFTER_NAME + 40 :],
    "unknown compression": WHOLE.replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00\x00\x08", b"PK\x01\x02\x14\x03\x14\x00\x00\x00\x63"
    ),
    "encrypted": WHOLE.replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"),
    "a header without end": zipped(kernel=b"\x93NUMPY\x01\x00\x10\x00{'descr': ((((((((", bias=b""),
    "text": zipped(kernel=as_npy(np.array(["a"])), bias=as_npy(np.array(["a"]))),
    "nothing": b"",
}


@pytest.mark.parametrize("file", [bundle.HEAD, bundle.GOLDEN, CLASS_MEANS])
@pytest.mark.parametrize("content", HOSTILE_ARRAYS.values(), ids=HOSTILE_ARRAYS)
def test_hostile_arrays_are_refused_in_a_sentence(saved, file, content):
    model = saved()
    (model.folder / file).write_bytes(content)
    with_card(files={**model.card.files, file: digest(model.folder / file)})(model.folder / CARD)
    with refused("model-damaged", kind=BundleRefused):
        bundle.read(model.folder)


def test_where_the_newest_version_is_damaged_the_one_before_is_read_and_that_is_said(saved):
    good, other, bad = saved(), saved("birds"), saved()
    other.folder.rename(other.folder.with_name(f"{good.folder.name}-2"))  # between them, and takes the place of none
    name = bad.folder.parent.name
    (bad.folder / bundle.HEAD).write_bytes(b"cut")
    said = []
    assert bundle.read_newest(name, said.append).folder == good.folder
    assert bundle.read_newest("", said.append).folder == good.folder
    assert len(said) == 2
    assert str(bad.folder) in said[0]
    with refused("model-damaged", kind=BundleRefused):  # it is named
        bundle.read_newest(f"{name}/{bad.folder.name}", said.append)
    (good.folder / bundle.HEAD).write_bytes(b"cut")
    with refused("model-damaged", kind=BundleRefused):
        bundle.read_newest(name, said.append)


def test_arrays_that_claim_to_be_huge_and_files_that_are_none_are_refused(saved):
    model = saved()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 45,)})
    with zipfile.ZipFile(model.folder / bundle.HEAD, "w") as arrays:
        for name in ("kernel", "bias"):
            arrays.writestr(f"{name}.npy", header.getvalue() + b"x")
    with_card(files={**model.card.files, bundle.HEAD: digest(model.folder / bundle.HEAD)})(model.folder / CARD)
    with refused("model-damaged", kind=BundleRefused):
        bundle.read(model.folder)
    other = saved()
    pipe(other.folder / bundle.HEAD)
    with refused("model-damaged", kind=BundleRefused):
        bundle.read(other.folder)

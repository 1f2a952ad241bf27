"""Other backbones behind the same door and the same engines, and a block that is unfrozen.

ImageNet's weights of the others may be out of reach: here they have random ones, which flow through the same code.
"""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from catdog import bundle, lite0
from catdog.backbone import ARCHITECTURES, VGG16, load_backbone
from catdog.bundle import BundleRefused
from catdog.card import CARD
from catdog.classifier import Classifier, load_classifier
from catdog.comparison import compare
from catdog.confidence import fit_confidence
from catdog.dataset import check
from catdog.engines import OPENVINO_FP32, OPENVINO_INT8, TENSORFLOW, EngineUnavailable, open_engine
from catdog.evaluation import evaluate
from catdog.features import FeatureStore, features_by_split
from catdog.images import read_photo
from catdog.proving import Engines
from catdog.saving import save_model
from catdog.sources import PhotoFolder
from catdog.stored import sealed
from catdog.training import fit_head, unseen_logits
from catdog.unfreezing import unfrozen
from conftest import drawing, refused
from standins.network import SMALL, save_random

OTHERS = sorted(set(ARCHITECTURES) - {VGG16.name, lite0.NAME})  # keras.applications has them


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory):
    """random_weights(name, seed): Keras' own network with weights that let signals through, and a file of them."""
    folder, known = tmp_path_factory.mktemp("weights"), {}

    def made(name, seed=0):
        path = folder / f"{name}-{seed}.weights.h5"
        if path not in known:
            known[path] = save_random(name, path, seed)
        return known[path], str(path)

    return made


@pytest.fixture
def loaded(random_weights, monkeypatch):
    """loaded(name, seed): such a backbone as notebook 1 loads it."""

    def load(name, seed=0):
        monkeypatch.setenv(f"{name.upper()}_WEIGHTS", random_weights(name, seed)[1])
        return load_backbone(name)

    return load


@pytest.fixture(scope="module")
def photos():
    return np.stack([read_photo(drawing(label, seed)) for label, seed in (("cat", 1), ("dog", 2), ("dog", 5))])


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_every_engine_computes_what_keras_does(name, loaded, random_weights, photos):
    backbone, architecture, (plain, _) = loaded(name), ARCHITECTURES[name], random_weights(name)
    expected = plain.predict_on_batch(photos.astype(np.float32))
    assert expected.std(axis=0).max() > 1e-3
    for engine in (open_engine(TENSORFLOW, backbone), open_engine(OPENVINO_FP32, backbone)):
        activations, features = engine.activations(photos), engine.features(photos)
        assert activations.shape == (3, architecture.cells, architecture.cells, architecture.size)
        assert np.abs(activations - expected).max() < 1e-3 * np.abs(expected).max()
        assert np.abs(features - expected.mean(axis=(1, 2))).max() < 1e-3 * np.abs(expected).max()
        assert features.dtype == activations.dtype == np.float32
        assert engine.features(photos[:0]).shape == (0, architecture.size)
    with refused("engine-vgg16-only", kind=EngineUnavailable):
        open_engine(OPENVINO_INT8, backbone)


@pytest.fixture(scope="module")
def pets(drawings):
    return check(PhotoFolder(drawings, "pets"))


def trained(dataset, engines, name="pets"):
    """As notebook 1 does it: (data, head, the saved model)."""
    data = features_by_split(dataset, engines.chosen, engines.store)
    fit = fit_head(*data["train"], *data["valid"], classes=2, epochs=20)
    unseen = unseen_logits(*data["train"], *data["valid"], fit, frozen=not engines.backbone.tuned)
    confidence = fit_confidence(fit.head, data["train"], data["valid"], unseen)
    reports = {
        split: evaluate(confidence.head.probabilities(data[split][0]), data[split][1], dataset.classes)
        for split in ("valid", "test")
    }
    return data, confidence.head, save_model(name, dataset, fit, confidence, reports, engines)


@pytest.mark.slow
def test_a_model_on_another_backbone_is_trained_saved_compared_and_served(loaded, pets, own_places, photos):
    from catdog.frameworks import keras

    backbone = loaded(SMALL)
    engines = Engines(pets, backbone, FeatureStore(backbone), OPENVINO_FP32)
    assert engines.twin is None
    data, head, model = trained(pets, engines)
    assert model.card["backbone"]["name"] == SMALL
    assert model.head.kernel.shape == (960, 2)
    complete = keras.models.load_model(model.folder / "model.keras")
    assert complete.predict_on_batch(photos.astype(np.float32)).shape == (3, 2)
    served = load_classifier(bundle.read(model.folder), OPENVINO_FP32)
    assert np.abs(served.predict(photos) - head.probabilities(engines.chosen.features(photos))).max() < 1e-5
    answer, heat = served.explain(photos[0])
    assert heat.shape == (7, 7)
    assert np.abs(answer.probabilities - served.predict(photos[:1])[0]).max() < 1e-5

    class Other:
        fingerprint = "another"

    same, apart = (compare("pets", pets, head, data["test"][0], one) for one in (backbone, Other))
    assert same.right_before == same.right_now == apart.right_before
    loaded(SMALL, seed=1)
    with refused("model-other-weights", kind=BundleRefused):
        load_classifier(bundle.read(model.folder), OPENVINO_FP32)


@pytest.mark.slow
def test_weights_that_cannot_be_had_are_told_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVNEXTTINY_WEIGHTS", str(tmp_path / "gone.h5"))
    with refused("weights-missing", "ConvNeXtTiny", "CONVNEXTTINY_WEIGHTS", "BACKBONE"):
        load_backbone("ConvNeXtTiny")

    def out_of_reach(*args, **options):
        raise Exception("URL fetch failure on https://server.example: None -- unreachable")

    monkeypatch.delenv("CONVNEXTTINY_WEIGHTS")
    monkeypatch.setattr("keras.src.applications.convnext.file_utils.get_file", out_of_reach)
    with refused("weights-missing", "URL fetch failure"):
        load_backbone("ConvNeXtTiny")
    with refused("backbone-unknown", "ResNet50", "BACKBONE", "VGG16, EfficientNet-Lite0, MobileNetV3Large"):
        load_backbone("ResNet50")


def test_a_card_with_an_unknown_backbone_is_refused(shipped, tmp_path):
    card = {**shipped.card, "backbone": {**shipped.card["backbone"], "name": "ResNet50"}}
    (tmp_path / CARD).write_text(json.dumps(sealed(card)))
    with refused("model-other-release", kind=BundleRefused):
        bundle.read(tmp_path)


# Unfreezing


@pytest.fixture
def frozen(pets, slim, own_places):
    return Engines(pets, slim, FeatureStore(slim), TENSORFLOW)


@pytest.mark.slow
def test_block_5_is_trained_once_saved_with_the_model_and_served(frozen, slim, pets, photos, monkeypatch):
    from catdog import tuning

    engines = unfrozen(frozen, "block5", pets, OPENVINO_FP32, epochs=1)
    changed = {name for name in frozen.backbone.weights
               if (engines.backbone.weights[name] != frozen.backbone.weights[name]).any()}  # fmt: skip
    assert changed == {f"block5_conv{number}/{part}" for number in (1, 2, 3) for part in ("kernel", "bias")}
    monkeypatch.setattr(tuning, "train_block5", None)
    again = unfrozen(frozen, "block5", pets, OPENVINO_FP32, epochs=1)
    assert again.backbone.fingerprint == engines.backbone.fingerprint != frozen.backbone.fingerprint
    _, head, model = trained(pets, engines)
    assert set(model.tuned) == changed
    served = load_classifier(bundle.read(model.folder), OPENVINO_FP32, public=slim)
    expected = head.probabilities(engines.reference.features(photos))
    assert np.abs(served.predict(photos) - expected).max() < 1e-3
    with refused("model-other-weights", kind=BundleRefused):
        Classifier(bundle.read(model.folder), frozen.reference)
    assert unfrozen(frozen, "nothing", pets, TENSORFLOW) is frozen


@pytest.mark.parametrize("damage", ["shape", "name", "nan"])
def test_tuned_arrays_that_do_not_fit_are_refused(slim, damage):
    array = slim.weights["block5_conv1/bias"].copy()
    array[0] = np.nan if damage == "nan" else 7
    tuned = {"block9/bias" if damage == "name" else "block5_conv1/bias": array[:9] if damage == "shape" else array}
    with pytest.raises(ValueError, match="makes no sense"):
        slim.with_tuned(tuned)


def test_what_cannot_be_unfrozen_is_told(pets):
    frozen, small = (
        SimpleNamespace(backbone=SimpleNamespace(architecture=one)) for one in (VGG16, ARCHITECTURES[SMALL])
    )
    with refused("setting-unfreeze", '"nothing"', '"block5"', '"all"'):
        unfrozen(frozen, "all", pets, TENSORFLOW)
    with refused("setting-unfreeze", "VGG16"):
        unfrozen(small, "block5", pets, TENSORFLOW)


def test_photos_that_the_backbone_was_trained_on_judge_no_confidence():
    chance, targets = np.random.default_rng(0), np.arange(60) % 2
    features = chance.normal(size=(60, 8)).astype(np.float32) + targets[:, None]
    valid = features[:40] / 2, targets[:40]
    fit = fit_head(features, targets, *valid, classes=2, epochs=5)
    unseen = unseen_logits(features, targets, *valid, fit, frozen=False)
    assert np.isnan(unseen).all()
    found = fit_confidence(fit.head, (features, targets), valid, unseen)
    assert found.photos == 40
    assert found.familiarity.limit == np.quantile(found.familiarity.distances(valid[0]), 0.98)

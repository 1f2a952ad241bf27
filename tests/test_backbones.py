"""Other backbones, other sizes of photos, and a block that is unfrozen, behind the same engines.

ImageNet's weights of the others may be out of reach: here they have random ones, which flow through the same code.
"""

import dataclasses
import json
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from catdog import paths
from catdog.backbones import lite0
from catdog.backbones.architectures import ARCHITECTURES, VGG16, Backbone, architecture_of, load_backbone
from catdog.data.dataset import check
from catdog.data.images import read_photo
from catdog.data.preprocessing import FITS, PIXELS, PREPROCESSING, Preprocessing
from catdog.data.sources import PhotoFolder
from catdog.engines import open_engine, selection
from catdog.engines.base import OPENVINO_FP32, OPENVINO_INT8, TENSORFLOW, EngineUnavailable
from catdog.models import bundle
from catdog.models.arrays import sealed
from catdog.models.bundle import BundleRefused
from catdog.models.card import CARD
from catdog.models.classifier import Classifier, load_classifier
from catdog.models.ood import centers_of, distance_limit
from catdog.training import engine_selection, pruned_models
from catdog.training.calibration import calibrate
from catdog.training.comparison import compare
from catdog.training.engine_selection import EngineSelection
from catdog.training.evaluation import judge
from catdog.training.features import FeatureCache, features_by_split
from catdog.training.fine_tuning import fine_tuned
from catdog.training.linear_head import fit_head
from catdog.training.save import save_model
from catdog.training.trained_head import train_head
from conftest import drawing, refused, with_backbone
from PIL import Image
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

    def load(name, seed=0, pixels=224):
        monkeypatch.setenv(f"{name.upper()}_WEIGHTS", random_weights(name, seed)[1])
        return load_backbone(name, pixels)

    return load


@pytest.fixture(scope="module")
def photos():
    return np.stack([read_photo(drawing(label, seed)) for label, seed in (("cat", 1), ("dog", 2), ("dog", 5))])


def resized(plain, name, pixels):
    """Keras' own network for photos of another size."""
    from catdog.quiet_keras import keras

    if pixels == 224:
        return plain
    larger = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(pixels, pixels, 3))
    larger.set_weights(plain.get_weights())
    return larger


@pytest.mark.slow
@pytest.mark.parametrize(("name", "pixels"), [(SMALL, 288), *((name, 224) for name in OTHERS)])
def test_every_engine_computes_what_keras_does(name, pixels, loaded, random_weights, photos):
    backbone, architecture, (plain, _) = (
        loaded(name, pixels=pixels),
        ARCHITECTURES[name].at(pixels),
        random_weights(name),
    )
    photos = np.stack([np.asarray(Image.fromarray(photo).resize((pixels, pixels))) for photo in photos])
    expected = resized(plain, name, pixels).predict_on_batch(photos.astype(np.float32))
    assert expected.std(axis=0).max() > 1e-3
    for engine in (open_engine(TENSORFLOW, backbone), open_engine(OPENVINO_FP32, backbone)):
        activations, features = engine.activations(photos), engine.features(photos)
        assert activations.shape == (3, architecture.grid_size, architecture.grid_size, architecture.size)
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
    found = train_head(data, dataset.classes, frozen=not engines.backbone.fine_tuned)
    model = save_model(name, dataset, found, engines, save_keras=True, judgement=judge(dataset, data, found))
    return data, found.calibrated.head, model


@pytest.mark.slow
def test_a_model_on_another_backbone_is_trained_saved_compared_and_served(loaded, pets, own_places, photos):
    from catdog.quiet_keras import keras

    backbone = loaded(SMALL)
    engines = EngineSelection(pets, backbone, FeatureCache(backbone), OPENVINO_FP32)
    assert engines.int8 is None
    data, head, model = trained(pets, engines)
    assert model.card.backbone.name == SMALL
    assert model.head.kernel.shape == (960, 2)
    complete = keras.models.load_model(model.folder / "model.keras")
    assert complete.predict_on_batch(photos.astype(np.float32)).shape == (3, 2)
    served = load_classifier(bundle.read(model.folder), OPENVINO_FP32)
    assert np.abs(served.predict(photos) - head.probabilities(engines.chosen.features(photos))).max() < 1e-5
    answer, heat = served.explain(photos[0])
    assert heat.shape == (7, 7)
    assert np.abs(answer.probabilities - served.predict(photos[:1])[0]).max() < 1e-5

    other = Backbone(backbone.architecture, {}, "another")
    same, apart = (compare("pets", pets, head, data["test"][0], one) for one in (backbone, other))
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
    card = with_backbone(shipped.card, name="ResNet50")
    (tmp_path / CARD).write_text(json.dumps(sealed(card.as_json())))
    with refused("model-other-release", kind=BundleRefused):
        bundle.read(tmp_path)


# Unfreezing


@pytest.fixture(params=["slim", "slim_288"])
def frozen(request, pets, slim, own_places):
    backbone = request.getfixturevalue(request.param)
    return EngineSelection(pets, backbone, FeatureCache(backbone), TENSORFLOW)


@pytest.mark.slow
def test_block_5_is_trained_once_saved_with_the_model_and_served(frozen, slim, pets, monkeypatch):
    from catdog.training import last_block

    engines = fine_tuned(frozen, "block5", pets, OPENVINO_FP32, epochs=1)
    changed = {name for name in frozen.backbone.weights
               if (engines.backbone.weights[name] != frozen.backbone.weights[name]).any()}  # fmt: skip
    assert changed == {f"block5_conv{number}/{part}" for number in (1, 2, 3) for part in ("kernel", "bias")}
    monkeypatch.setattr(last_block, "train_block5", None)
    again = fine_tuned(frozen, "block5", pets, OPENVINO_FP32, epochs=1)
    assert again.backbone.fingerprint == engines.backbone.fingerprint != frozen.backbone.fingerprint
    _, head, model = trained(pets, engines)
    assert set(model.fine_tuned) == changed
    served = load_classifier(bundle.read(model.folder), OPENVINO_FP32, public=slim)
    expected = head.probabilities(engines.reference.features(model.golden_photos))
    assert np.abs(served.predict(model.golden_photos) - expected).max() < 1e-3
    assert model.architecture == served.engine.architecture == frozen.backbone.architecture
    with refused("model-other-weights", kind=BundleRefused):
        Classifier(bundle.read(model.folder), frozen.reference)
    assert fine_tuned(frozen, "nothing", pets, TENSORFLOW) is frozen


@pytest.mark.parametrize("damage", ["shape", "name", "nan"])
def test_tuned_arrays_that_do_not_fit_are_refused(slim, damage):
    array = slim.weights["block5_conv1/bias"].copy()
    array[0] = np.nan if damage == "nan" else 7
    tuned = {"block9/bias" if damage == "name" else "block5_conv1/bias": array[:9] if damage == "shape" else array}
    with pytest.raises(ValueError, match="not valid"):
        slim.with_fine_tuned(tuned)


def test_what_cannot_be_unfrozen_is_told(pets):
    frozen, small = (
        SimpleNamespace(backbone=SimpleNamespace(architecture=one)) for one in (VGG16, ARCHITECTURES[SMALL])
    )
    with refused("setting-unfreeze", '"nothing"', '"block5"', '"all"'):
        fine_tuned(frozen, "all", pets, TENSORFLOW)
    with refused("setting-unfreeze", "VGG16"):
        fine_tuned(small, "block5", pets, TENSORFLOW)


def test_photos_that_the_backbone_was_trained_on_judge_no_confidence():
    chance, targets = np.random.default_rng(0), np.arange(60) % 2
    features = chance.normal(size=(60, 8)).astype(np.float32) + targets[:, None]
    data = {"train": (features, targets), "valid": (features[:40] / 2, targets[:40])}
    fit = fit_head(data, 2, frozen=False)
    assert np.isnan(fit.out_of_fold[:60]).all()
    assert np.isfinite(fit.out_of_fold[60:]).all()
    found = calibrate(fit, data)
    assert found.photos == 40
    assert (found.ood_detector.centers == centers_of(features, targets, 2)).all()
    assert found.ood_detector.limit == pytest.approx(distance_limit(found.ood_detector.distances(data["valid"][0])))


# Photos of other sizes


@pytest.mark.parametrize(("pixels", "grid_size"), [(224, 14), (256, 16), (288, 18), (320, 20)])
def test_the_grid_follows_from_the_size(pixels, grid_size):
    assert VGG16.at(pixels).grid_size == grid_size
    assert ARCHITECTURES[lite0.NAME].at(pixels).grid_size == grid_size // 2
    assert VGG16.at(pixels).size == VGG16.size == 1024
    assert ARCHITECTURES[lite0.NAME].at(pixels).size == 1280


@pytest.mark.parametrize(("pixels", "fit"), [(0, "crop"), (225, "crop"), (448, "crop"), ("224", "crop"), (224, "pad")])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_size_that_is_not_offered_is_told(name, pixels, fit):
    with refused("setting-preprocessing", *(("FIT", "crop, squeeze") if fit == "pad" else ("PIXELS", "224, 256, 288"))):
        load_backbone(name, pixels, fit)


def test_what_a_card_says_of_a_backbone_is_found_again():
    for preprocessing in (Preprocessing(pixels, fit) for pixels in PIXELS for fit in FITS):
        for one in ARCHITECTURES.values():
            wanted = one.at(preprocessing.pixels, preprocessing.fit)
            assert architecture_of(one.name, one.features, preprocessing.version) == wanted
    for name, features, version in (
        ("VGG16", "max(block5_pool)", "rgb-224-lanczos-1"),
        ("MobileNetV3Large", "max(block5_pool)", PREPROCESSING.version),
        ("VGG16", "mean(activations)", PREPROCESSING.version),
        ("VGG19", VGG16.features, PREPROCESSING.version),
    ):
        with pytest.raises(ValueError, match="unknown"):
            architecture_of(name, features, version)


@pytest.fixture
def sizes(stand_in, own_cache):
    """A backbone at each size and fit, with the same weights."""
    return [
        dataclasses.replace(stand_in.backbone, architecture=VGG16.at(pixels, fit)) for pixels in PIXELS for fit in FITS
    ]


def test_features_of_each_size_have_a_file_of_their_own(sizes, stand_in):
    before = Backbone(architecture_of("VGG16", "max(block5_pool)", "rgb-224-bilinear-3"), {}, stand_in.fingerprint)
    paths = {FeatureCache(one).path for one in (*sizes, before)}
    assert len(paths) == len(sizes) + 1
    FeatureCache(sizes[0]).write(["ab"], "fp32", np.ones((1, 1024), np.float32))
    assert FeatureCache(sizes[0]).digests() == {"ab"}
    assert not any(FeatureCache(one).digests() for one in (*sizes[1:], before))


def test_times_are_remembered_for_each_size(sizes):
    assert len({selection._memory(one.architecture) for one in sizes}) == len(PIXELS)


def test_the_network_of_each_size_is_quantized_with_photos_of_that_size(sizes, pets, shipped, monkeypatch):
    seen = []

    def quantize(backbone, photos):
        seen.append((backbone.architecture.preprocessing, {photo.shape for photo in photos}))
        return shipped.int8

    monkeypatch.setattr(engine_selection, "quantize", quantize)
    for backbone in sizes:
        for _ in range(2):
            assert engine_selection._cached_int8_params(pets, backbone, may_make=True).digest == shipped.int8.digest
    expected = [one.architecture.preprocessing for one in sizes]
    assert seen == [(one, {(one.pixels, one.pixels, 3)}) for one in expected]
    assert len(list(paths.cache_dir().glob("twin-*.npz"))) == len(sizes)


def test_the_pruned_model_of_each_size_is_kept_apart(sizes, pets):
    made = []
    for backbone in sizes:
        networks = pruned_models._Networks(
            pets, SimpleNamespace(backbone=backbone), 0, lambda times: made.append(times) or (Empty, {})
        )
        networks.of("2")
    assert len(made) == len(list(paths.cache_dir().glob("compact-*.npz"))) == len(sizes)


class Empty:
    """A network without arrays."""

    arrays: ClassVar = {}


def test_the_reference_of_one_size_is_not_taken_for_another(sizes, monkeypatch):
    opened = []
    monkeypatch.setattr(engine_selection, "_loaded", {})
    monkeypatch.setattr(engine_selection, "open_engine", lambda name, backbone: opened.append(backbone) or backbone)
    for backbone in (*sizes, *sizes):
        assert engine_selection._Reference(backbone)._engine.architecture == backbone.architecture
    assert opened == sizes

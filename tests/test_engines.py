"""Engines: the same answers by other arithmetic, the fastest that proves itself, and nothing loaded in vain."""

import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from catdog import paths
from catdog.backbones.vgg16_weights import LAYERS
from catdog.data.dataset import check
from catdog.data.images import read_photo
from catdog.data.sources import PhotoFolder
from catdog.engines import open_engine, selection
from catdog.engines.base import (
    BATCH,
    NAMES,
    OPENVINO_BF16,
    OPENVINO_FP32,
    OPENVINO_INT8,
    TENSORFLOW,
    TENSORFLOW_MIXED,
    EngineUnavailable,
    candidates,
)
from catdog.engines.int8 import Int8Params
from catdog.engines.parity import ParityCheck, compare
from catdog.engines.quantization import quantize
from catdog.models import bundle
from catdog.models.arrays import load_cached_arrays
from catdog.models.bundle import BundleRefused
from catdog.models.classifier import Classifier, load_classifier
from catdog.training import engine_selection
from catdog.training.engine_selection import EngineSelection, _Reference
from catdog.training.features import FeatureCache
from conftest import ROOT, drawing, refused


@pytest.fixture(scope="module")
def photos():
    return np.stack([read_photo(drawing("cat" if seed % 2 else "dog", seed)) for seed in range(5)])


@pytest.fixture(scope="module")
def expected(engine, photos):
    return engine.features(photos)


def opened(name, backbone, int8=None):
    try:
        return open_engine(name, backbone, int8)
    except EngineUnavailable as reason:
        pytest.skip(str(reason))


def test_openvino_in_float32_computes_what_tensorflow_does(backbone, photos, expected):
    assert np.abs(opened(OPENVINO_FP32, backbone).features(photos) - expected).max() < 1e-4
    assert expected.max() > 0.1
    assert np.abs(np.linalg.norm(expected.reshape(5, 2, 512), axis=2) - 1).max() < 1e-5  # maximum and mean, each


def test_the_features_of_before_are_the_maximum_as_it_is(backbone, earlier, engine):
    drawn = [drawing("cat" if seed % 2 else "dog", seed) for seed in range(5)]
    photos = np.stack([read_photo(one, preprocessing=earlier.preprocessing) for one in drawn])
    features = opened(OPENVINO_FP32, earlier.backbone(backbone)).features(photos)
    assert features.shape == (5, 512)
    assert features.max() > 50
    assert np.abs(features - engine.activations(photos).max(axis=(1, 2))).max() < 1e-2


@pytest.mark.parametrize(("name", "error"), [(OPENVINO_BF16, 0.02), (OPENVINO_INT8, 0.12), (TENSORFLOW_MIXED, 0.01)])
def test_smaller_numbers_stay_near(name, error, backbone, shipped, photos, expected):
    features = opened(name, backbone, shipped.int8).features(photos)
    off = np.abs(features - expected).mean() / expected.mean()
    assert 1e-5 < off < error
    assert features.dtype == np.float32


@pytest.mark.parametrize("name", [OPENVINO_FP32, OPENVINO_INT8, TENSORFLOW])
def test_any_number_of_photos(name, slim, slim_int8, photos):
    engine = opened(name, slim, slim_int8)
    assert engine.features(photos[:0]).shape == (0, 1024)
    many = np.concatenate([photos] * 4)
    assert len(many) > BATCH
    found = engine.features(photos)
    assert np.abs(engine.features(many)[-5:] - found).max() < 0.1 * found.std(axis=0).max()


@pytest.fixture(scope="module")
def slim_int8(slim, photos):
    return quantize(slim, photos)


@pytest.fixture(scope="module")
def photos_288(slim_288):
    drawn = [drawing("cat" if seed % 2 else "dog", seed) for seed in range(5)]
    return np.stack([read_photo(one, preprocessing=slim_288.architecture.preprocessing) for one in drawn])


@pytest.fixture(scope="module")
def expected_288(slim_288, photos_288):
    return open_engine(TENSORFLOW, slim_288).features(photos_288)


@pytest.fixture(scope="module")
def slim_int8_288(slim_288, photos_288):
    return quantize(slim_288, photos_288)


@pytest.mark.parametrize(
    ("name", "error"), [(OPENVINO_FP32, 1e-4), (OPENVINO_BF16, 0.1), (OPENVINO_INT8, 0.3), (TENSORFLOW_MIXED, 0.02)]
)
def test_at_288_pixels_every_engine_gives_the_same_features(
    name, error, slim_288, slim_int8_288, photos_288, expected_288
):
    """As far as one photo is from another: at length 1 all that a network with random weights gives is alike."""
    engine = opened(name, slim_288, slim_int8_288)
    features, activations = engine.features(photos_288), engine.activations(photos_288)
    assert features.shape == expected_288.shape == (5, 1024)
    assert activations.shape == (5, 18, 18, 512)
    assert np.abs(features - expected_288).mean() < error * expected_288.std(axis=0).mean()
    assert np.abs(slim_288.architecture.pool(activations) - features).max() < 1e-3 * features.max()


def test_tensorflow_is_compiled_once(slim, photos):
    engine = open_engine(TENSORFLOW, slim)
    for count in (1, 3, 5, 2):
        engine.features(photos[:count])
    assert engine.compiled.experimental_get_tracing_count() == 1


def int8_kernels(graph):
    """By layer, as OpenVINO's graph holds them."""
    nodes = {node.get_friendly_name(): node for node in graph.get_ordered_ops()}
    for layer in LAYERS:
        multiplied = nodes[layer].input_value(1).get_node()
        yield multiplied.input_value(0).get_node().input_value(0).get_node().data.astype(int)


def test_the_parameters_are_what_nncf_found(slim, photos, monkeypatch, capsys):
    """Rebuilt from ranges, scales and biases, the network is as NNCF left it, but for a few kernel values that lie
    half-way between two steps."""
    import nncf
    import openvino as ov
    import rich
    from catdog.engines.openvino_graph import build_graph

    graphs, of_nncf = [], nncf.quantize
    monkeypatch.setattr(
        nncf, "quantize", lambda *args, **options: graphs.append(of_nncf(*args, **options)) or graphs[0]
    )
    shown, console = [], vars(rich.get_console())
    monkeypatch.setattr(rich.get_console(), "__dict__", {**console, "is_jupyter": True})  # so bars are widgets
    monkeypatch.setattr("IPython.display.display", lambda *anything, **_: shown.append(anything))
    int8 = quantize(slim, photos)
    assert not shown
    assert rich.get_console().is_jupyter
    assert "100%" in capsys.readouterr().out.split("Quantizing")[-1]
    graphs.append(build_graph(slim, int8))
    for theirs, ours in zip(*map(int8_kernels, graphs)):
        assert np.abs(theirs - ours).max() <= 1
        assert (theirs != ours).sum() < 100
    theirs, ours = (ov.Core().compile_model(graph, "CPU")(photos)[0] for graph in graphs)
    assert np.abs(theirs - ours).mean() < 0.04 * theirs.mean()
    assert Int8Params(dict(int8.arrays)).digest == int8.digest


@pytest.mark.parametrize("damage", ["missing", "nan", "negative scale", "empty range"])
def test_parameters_of_nonsense_are_refused(shipped, damage):
    arrays = {name: array.copy() for name, array in shipped.int8.arrays.items()}
    if damage == "missing":
        del arrays["block3_conv2/bias"]
    elif damage == "nan":
        arrays["block1_conv1/bias"][3] = np.nan
    elif damage == "negative scale":
        arrays["block1_conv1/scale"][0] = -1
    else:
        arrays["block5_conv3/range"][:] = 0
    with pytest.raises(ValueError, match="are invalid"):
        Int8Params(arrays)


def test_a_parity_check_needs_nearly_all_photos_and_near_probabilities():
    reference = np.tile([0.9, 0.1], (400, 1))
    one_other, three_others = reference.copy(), reference.copy()
    one_other[:1] = three_others[:3] = (0.4, 0.6)
    assert compare(one_other, reference).failure == ""
    assert "agrees with float32 TensorFlow on 99.2%" in compare(three_others, reference).failure
    assert "differ by 0.050" in compare(reference + np.array([-0.05, 0.05]), reference).failure
    assert compare(reference[:0], reference[:0]).failure


class Stand:
    """An engine by name alone, with the time it takes."""

    def __init__(self, name):
        self.name = name


@pytest.fixture
def timed(monkeypatch, own_cache):
    """timed(**seconds) sets how long each engine takes; returns the names in the order in which they were timed."""
    asked = []

    def set_seconds(seconds):
        monkeypatch.setattr(selection, "candidates", lambda: tuple(seconds))
        monkeypatch.setattr(selection, "seconds_per_photo", lambda one: asked.append(one.name) or seconds[one.name])
        return asked

    return set_seconds


def test_the_fastest_is_taken_and_its_time_remembered(timed, capsys):
    asked = timed({"a": 0.03, "b": 0.01, "c": 0.02})
    assert selection.select("auto", Stand, lambda one: "").name == "b"
    assert "Engine: b, 100 photos a second here." in capsys.readouterr().out
    selection.select("auto", Stand, lambda one: "")
    assert asked == ["a", "b", "c"]


@pytest.mark.parametrize("rubbish", ["", "[]", "null", '{"a": null}', '{"a": 0, "b": -1}', '{"a": "fast"}'])
def test_a_damaged_memory_of_times_is_measured_again(timed, rubbish):
    asked = timed({"a": 0.03, "b": 0.01})
    selection._memory().write_text(rubbish)
    assert selection.select("auto", Stand, lambda one: "").name == "b"
    assert asked == ["a", "b"]


def test_one_that_fails_its_parity_check_or_cannot_run_is_passed_over_and_it_is_said(timed, capsys):
    timed({"a": 0.03, "b": 0.01, "c": 0.02})

    def opened(name):
        if name == "c":
            raise EngineUnavailable("engine-processor", "this processor cannot.")
        return Stand(name)

    assert selection.select("auto", opened, lambda one: "it lies." if one.name == "b" else "").name == "a"
    said = capsys.readouterr().out
    assert "Engine b is skipped: it lies." in said
    assert "Engine c is skipped: this processor cannot. [engine-processor]" in said
    with refused("engine-unusable", "engine b", "it lies.", "ENGINE"):
        selection.select("b", opened, lambda one: "it lies.")
    with refused("engine-none"):
        selection.select("auto", opened, lambda one: "it lies.")


def test_tensorflow_is_left_when_nothing_else_passes(timed):
    timed({"a": 0.01})
    assert selection.select("auto", Stand, lambda one: "no" if one.name == "a" else "").name == TENSORFLOW


@pytest.mark.weights
def test_an_unknown_engine_is_named_with_those_that_are_known(shipped):
    with refused("engine-unknown", '"cuda"', "openvino-int8"):
        load_classifier(shipped, "cuda")


def take_openvino_away(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    for name in ("openvino", "openvino_graph", "openvino_ops", "lite0_graph"):
        monkeypatch.delitem(sys.modules, f"catdog.engines.{name}", raising=False)


@pytest.mark.weights
def test_without_openvino_tensorflow_serves(shipped, monkeypatch, capsys):
    take_openvino_away(monkeypatch)
    classifier = load_classifier(shipped)
    assert classifier.engine.name == TENSORFLOW
    assert capsys.readouterr().out.count("[engine-not-installed]") == 3


@pytest.mark.slow
def test_on_a_gpu_tensorflow_is_measured_and_nothing_is_quantized(monkeypatch, drawings, slim, own_cache, shipped):
    monkeypatch.setattr("catdog.engines.base.has_gpu", lambda: True)
    monkeypatch.setattr("catdog.training.engine_selection.has_gpu", lambda: True)
    monkeypatch.setattr(
        selection, "seconds_per_photo", lambda engine: {TENSORFLOW_MIXED: 1, TENSORFLOW: 2}[engine.name]
    )
    assert candidates() == (TENSORFLOW_MIXED, TENSORFLOW)
    dataset = check(PhotoFolder(drawings, "drawings", synthetic=True))
    engines = EngineSelection(dataset, slim, FeatureCache(slim))
    assert engines.int8 is None
    assert engines.chosen.name == TENSORFLOW_MIXED
    assert set(engines.parity_checks(shipped.head)) == {TENSORFLOW_MIXED}


@pytest.mark.slow
@pytest.mark.parametrize(("allowed", "threads"), [("1", 1), ("", None), ("many", None)])
def test_openvino_takes_no_more_threads_than_it_is_allowed(monkeypatch, allowed, threads):
    from catdog.engines.openvino_ops import compiled, op, ov

    monkeypatch.setenv("OMP_NUM_THREADS", allowed)
    start = op.parameter([1, 4], np.float32)
    model = compiled(ov.Model([op.relu(start)], [start], "small"), "f32").get_compiled_model()
    found = model.get_property("INFERENCE_NUM_THREADS")
    assert found == threads if threads else found >= 1
    if threads:
        assert not model.get_property("ENABLE_CPU_PINNING")  # or two workers compute on the same processor


@pytest.mark.weights
def test_an_engine_without_a_parity_check_in_the_card_is_passed_over(shipped, capsys):
    unchecked = dataclasses.replace(shipped, card=dataclasses.replace(shipped.card, parity={}))
    assert load_classifier(unchecked).engine.name in (OPENVINO_FP32, TENSORFLOW)
    assert "no parity check for it" in capsys.readouterr().out


def test_wrong_parameters_fail_the_golden_photos(shipped, backbone):
    arrays = {name: array.copy() for name, array in shipped.int8.arrays.items()}
    arrays["block4_conv1/range"] /= 50
    with refused("model-answers-changed", kind=BundleRefused):
        Classifier(shipped, opened(OPENVINO_INT8, backbone, Int8Params(arrays)))


@pytest.mark.weights
def test_a_model_serves_without_its_int8_parameters(shipped, own_places, tmp_path):
    folder = shutil.copytree(shipped.folder, tmp_path / "model")
    (folder / shipped.card.find_file(bundle.INT8)).write_bytes(b"damaged")
    assert bundle.read(folder).int8 is None
    assert load_classifier(bundle.read(folder)).engine.name != OPENVINO_INT8


@pytest.mark.slow
def test_the_network_is_quantized_once_for_photos_of_one_name(drawings, slim, own_cache, capsys, monkeypatch, shipped):
    dataset, store = check(PhotoFolder(drawings, "drawings", synthetic=True)), FeatureCache(slim)
    first = EngineSelection(dataset, slim, store)
    assert capsys.readouterr().out.count("Quantizing the network") == 1
    again = EngineSelection(dataset, slim, store)
    assert "Making" not in capsys.readouterr().out
    assert first.int8.digest == again.int8.digest
    take_openvino_away(monkeypatch)
    without_openvino = EngineSelection(dataset, slim, store, TENSORFLOW)
    assert without_openvino.int8.digest == first.int8.digest
    assert set(without_openvino.parity_checks(shipped.head)) == {TENSORFLOW}
    (kept,) = paths.cache_dir().glob("twin-*.npz")
    for damage in (kept.read_bytes()[:20_000], b"PK\x03\x04", b""):
        kept.write_bytes(damage)
        assert load_cached_arrays(kept) == {}


@pytest.mark.slow
def test_the_reference_is_an_engine(slim, photos):
    reference, engine = _Reference(slim), open_engine(TENSORFLOW, slim)
    for attribute in ("name", "engine_id", "fingerprint", "architecture"):
        assert getattr(reference, attribute) == getattr(engine, attribute)
    for run in ("features", "activations"):
        assert np.allclose(getattr(reference, run)(photos), getattr(engine, run)(photos), atol=1e-5)


class Inaccurate:
    """An engine whose features are off by a share of their length, each photo's in another direction."""

    def __init__(self, engine, off):
        self._engine, self._off = engine, off
        self.engine_id = f"{engine.engine_id} off by {off}"

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def features(self, photos):
        found = self._engine.features(photos)
        noise = np.random.default_rng(0).normal(size=found.shape) * np.abs(found)
        lengths = [np.linalg.norm(values, axis=1, keepdims=True) for values in (found, noise)]
        return (found + self._off * noise * lengths[0] / lengths[1]).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(("off", "trusted"), [(0.05, True), (1.5, False)])
def test_an_engine_is_judged_by_these_classes_whatever_the_shipped_model_knows(
    drawings, slim, own_places, monkeypatch, off, trusted
):
    """Labels at random: a last layer that knows other classes would be undecided about all of the photos."""
    monkeypatch.setattr(paths, "SHIPPED_MODEL", own_places / "gone")
    open_engine = engine_selection.open_engine
    monkeypatch.setattr(
        engine_selection,
        "open_engine",
        lambda name, *of: open_engine(name, *of) if name == TENSORFLOW else Inaccurate(open_engine(name, *of), off),
    )
    dataset = check(PhotoFolder(drawings, "drawings", synthetic=True))
    labels = np.random.default_rng(0).permutation([photo.label for photo in dataset.photos])
    mixed = (dataclasses.replace(photo, label=label) for photo, label in zip(dataset.photos, labels.tolist()))
    dataset = dataclasses.replace(dataset, photos=tuple(mixed))
    if trusted:
        assert EngineSelection(dataset, slim, FeatureCache(slim), OPENVINO_FP32).chosen.name == OPENVINO_FP32
    else:
        with refused("engine-unusable", "openvino-fp32"):
            EngineSelection(dataset, slim, FeatureCache(slim), OPENVINO_FP32)


SERVE = """
import json, sys
from catdog.models import bundle
from catdog.backend.app import create_app
from catdog.models.classifier import load_classifier
model = bundle.read(bundle.find("cats-and-dogs"))
app = create_app(load_classifier(model, sys.argv[1]) if sys.argv[1] else None)
heavy = {"tensorflow", "keras", "openvino", "nncf", "sklearn", "scipy", "matplotlib", "onnx", "h5py"}
print(json.dumps(sorted(heavy & set(sys.modules))))
"""


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("", set()),
        pytest.param(OPENVINO_INT8, {"openvino"}, marks=pytest.mark.weights),
        pytest.param(TENSORFLOW, {"tensorflow", "keras"}, marks=pytest.mark.weights),
    ],
)
def test_serving_loads_only_what_its_engine_needs(name, needed):
    done = subprocess.run(
        [sys.executable, "-c", SERVE, name], cwd=ROOT / "notebooks", capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert needed <= loaded
    assert name == TENSORFLOW or loaded == needed
    assert "nncf" not in loaded


def test_every_name_can_be_asked_for():
    assert set(candidates()) <= set(NAMES)
    assert ParityCheck(1.0, 0.0, 100).as_card() == {"agreement": 1.0, "mean_difference": 0.0, "photos": 100}

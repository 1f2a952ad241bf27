"""Elsewhere it answers as here: every format, loaded back by its own library as the snippet says."""

import dataclasses
import shutil
import subprocess
import sys

import numpy as np
import pytest
from catdog.engines import TENSORFLOW, open_engine
from conftest import refused
from standins.network import model_on


@pytest.fixture(scope="module")
def exports():
    """The module, which takes Keras along: imported only by tests that run."""
    from catdog import exports

    return exports


@pytest.fixture(scope="module")
def engine_of_slim(slim):
    return open_engine(TENSORFLOW, slim)


@pytest.fixture(scope="module")
def model(shipped, engine_of_slim, tmp_path_factory):
    """On the slim backbone, in a folder of its own."""
    folder = shutil.copytree(shipped.folder, tmp_path_factory.mktemp("exports") / "model")
    return dataclasses.replace(model_on(engine_of_slim, shipped), folder=folder)


@pytest.fixture(scope="module")
def exported(exports, model, engine_of_slim):
    return exports.export(model, engine_of_slim.model)


def test_four_formats_answer_as_the_model_does(exports, exported):
    assert [one.what for one in exported] == ["SavedModel", "ONNX", "LiteRT", "OpenVINO"]
    assert max(one.apart for one in exported) <= 1e-3
    assert all(5.4e6 < one.size < 12e6 for one in exported)  # 1.4 million weights, in a SavedModel twice
    for one in exported:
        assert one.path.exists()
        assert f"{one.what} " in exports.table(exported)
        assert one.snippet in exports.table(exported)


@pytest.mark.parametrize("what", ["SavedModel", "ONNX", "LiteRT", "OpenVINO"])
def test_each_snippet_does_what_it_says(exported, model, tmp_path, what):
    if what == "ONNX":
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: OpenVINO has read the file")
    if what == "LiteRT":
        pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: TensorFlow has read the file")
    snippet = next(one.snippet for one in exported if one.what == what)
    assert len(snippet.splitlines()) == 5
    golden = model.folder / "golden.npz"
    script = f"import numpy\nphotos = numpy.load({str(golden)!r})['photos'].astype('float32')\n{snippet}\n"
    script += f"numpy.save({str(tmp_path / 'told.npy')!r}, probabilities)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert not done.returncode, done.stderr[-2000:]
    assert done.stdout.split()[-1] == model.classes[int(model.golden_probabilities[0].argmax())]
    assert np.abs(np.load(tmp_path / "told.npy") - model.golden_probabilities).max() <= 0.02  # some compute in bf16


def test_tensorflow_serving_finds_the_signature_that_its_page_names(exported, model):
    from catdog.frameworks import tf

    loaded = tf.saved_model.load(str(exported[0].path))
    told = loaded.signatures["serving_default"](photo=model.golden_photos.astype(np.float32))
    assert np.abs(next(iter(told.values())).numpy() - model.golden_probabilities).max() < 1e-3


def test_what_answers_otherwise_is_refused(exports, model, engine_of_slim, tmp_path):
    wrong = dataclasses.replace(model, folder=tmp_path, golden_probabilities=model.golden_probabilities[:, ::-1])
    with refused("export-answers-differ"):
        exports.export(wrong, engine_of_slim.model)

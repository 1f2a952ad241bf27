"""What is saved today loads in older versions of Keras: in those themselves, from the package index."""

import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from catdog.engines import open_engine
from catdog.engines.base import TENSORFLOW
from catdog.models.head import Head
from standins.network import SMALL, model_on, save_random

VERSIONS = ["3.6.0", "3.12.0", "3.13.2"]  # the oldest that is promised, one between, and Colab's
pytestmark = pytest.mark.slow

LOAD = """
import sys, numpy as np, keras
print(keras.__version__)
for path in sys.argv[1:]:
    expected = np.load(path + ".npz")
    model = keras.models.load_model(path, compile=False)
    print(float(np.abs(model.predict_on_batch(expected["photos"]) - expected["probabilities"]).max()))
"""


@pytest.fixture(scope="module")
def older(pytestconfig):
    """older(version): a folder that holds this version of Keras alone; it is kept for the next run."""

    def folder_of(version):
        folder = pytestconfig.cache.mkdir(f"keras-{version}")
        if not (folder / "keras" / "__init__.py").exists():
            install = ["install", "--quiet", "--no-deps", "--target", str(folder), f"keras=={version}"]
            done = subprocess.run([sys.executable, "-m", "pip", *install], capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"Keras {version} could not be had: {done.stderr.strip()[-200:]}")
        return folder

    return folder_of


def of_every_layer():
    """The layers of which the backbones are built, and those of MobileNetV3's kind."""
    from catdog.quiet_keras import keras

    layers = keras.layers
    photos = keras.Input((32, 32, 3), name="photo")
    values = layers.Rescaling(1 / 127.5, offset=0.0)(photos)  # which asks for its offset, though that is the default
    values = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(values)
    values = layers.ReLU(max_value=6)(layers.BatchNormalization()(values))
    block = layers.DepthwiseConv2D(3, padding="same", activation="hard_swish")(layers.ZeroPadding2D(1)(values))
    block = layers.Activation("relu")(layers.Cropping2D(1)(block))
    squeezed = layers.GlobalAveragePooling2D(keepdims=True)(block)
    block = layers.Multiply()([block, layers.Conv2D(8, 1, activation="hard_sigmoid")(squeezed)])
    block = layers.Dropout(0.2)(layers.LayerNormalization()(layers.SeparableConv2D(8, 3, padding="same")(block)))
    values = layers.Identity(dtype="float32")(layers.MaxPooling2D()(layers.Add()([values, block])))
    parts = [layers.GlobalMaxPooling2D()(values), layers.GlobalAveragePooling2D()(values)]
    features = layers.Concatenate(name="features")([layers.UnitNormalization()(part) for part in parts])
    return keras.Model(photos, features)


def random_head(network, photos, chance):
    """A last layer of two classes that gives `photos` logits around 0 which differ."""
    features = network.predict_on_batch(photos.astype(np.float32))
    kernel = chance.normal(size=(features.shape[1], 2))
    kernel /= (features @ kernel).std(axis=0)
    return Head(kernel.astype(np.float32), -(features @ kernel).mean(axis=0).astype(np.float32))


def saved(folder, network, head, photos, h5=True):
    """The complete network's files, each with a `.npz` of what it must answer beside it."""
    from catdog.models.keras_export import complete_model, save_complete

    folder.mkdir()
    names = ("model.keras", "model.h5") if h5 else ("model.keras",)
    probabilities = complete_model(network, head).predict_on_batch(photos.astype(np.float32))
    assert np.ptp(probabilities, axis=0).max() > 0.1
    save_complete(folder, network, head, photos, probabilities, {"class_names": ["a", "b"]}, names)
    paths = [folder / name for name in names]
    for path in paths:
        np.savez(f"{path}.npz", photos=photos.astype(np.float32), probabilities=probabilities)
    return paths


@pytest.fixture(scope="module")
def files(slim, shipped, tmp_path_factory):
    home, chance = tmp_path_factory.mktemp("saved"), np.random.default_rng(0)
    engine = open_engine(TENSORFLOW, slim)
    paths = saved(home / "vgg16", engine.model, model_on(engine, shipped).head, shipped.golden_photos)

    layers = of_every_layer()
    for weight in layers.weights:
        if weight.path.endswith("kernel"):
            weight.assign(chance.normal(size=weight.shape, scale=0.5))
    photos = chance.integers(0, 256, (4, 32, 32, 3), np.uint8)
    paths += saved(home / "layers", layers, random_head(layers, photos, chance), photos)

    from catdog.quiet_keras import keras

    base = save_random(SMALL, home / "random.weights.h5")
    network = keras.Model(base.input, keras.layers.GlobalAveragePooling2D()(base.output))
    head = random_head(network, shipped.golden_photos, chance)
    return paths + saved(home / "small", network, head, shipped.golden_photos, h5=False)


@pytest.mark.parametrize("version", VERSIONS)
def test_older_versions_of_keras_load_what_is_saved(files, older, version):
    environment = {**os.environ, "PYTHONPATH": str(older(version)), "KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, "-c", LOAD, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert not done.returncode, done.stderr[-2000:]
    told, *apart = done.stdout.split()
    assert told == version
    assert len(apart) == len(files) == 5
    assert max(map(float, apart)) <= 1e-3, apart


def test_only_settings_that_differ_from_their_default_are_saved(files):
    with zipfile.ZipFile(files[2]) as file:
        layers = json.loads(file.read("config.json"))["config"]["layers"]
    settings = {layer["class_name"]: layer["config"] for layer in layers}
    assert settings["ReLU"]["max_value"] == 6
    assert settings["Rescaling"]["offset"] == 0
    assert settings["Dense"]["kernel_initializer"]["config"] == {}
    assert not {"quantization_config", "renorm", "optional"} & {key for one in settings.values() for key in one}

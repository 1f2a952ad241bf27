"""Elsewhere it answers as here: every format, loaded back by its own library as its example does."""

import dataclasses
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from catdog.data.images import read_photo
from catdog.data.preprocessing import FITS, SQUEEZE, Preprocessing
from catdog.data.synthetic import draw
from catdog.engines import open_engine
from catdog.engines.base import TENSORFLOW, EngineUnavailable
from catdog.models.card import Thresholds
from catdog.models.export_examples import as_cell
from catdog.models.export_metadata import CROP, LOADS_IN, described
from conftest import ROOT, encoded, refused
from PIL import Image
from standins.network import SMALL, model_on

FORMATS = ["Keras", "HDF5", "SavedModel", "ONNX", "LiteRT", "OpenVINO"]


@pytest.fixture(scope="module")
def export():
    """The module, which takes Keras along: imported only by tests that run."""
    from catdog.models import export

    return export


@pytest.fixture(scope="module")
def engine_of_slim(slim):
    return open_engine(TENSORFLOW, slim)


@pytest.fixture(scope="module")
def model(shipped, engine_of_slim, tmp_path_factory):
    """On the slim backbone, in a folder of its own, with Keras' files and classes whose names are not plain."""
    from catdog.models.keras_export import save_complete

    folder = shutil.copytree(shipped.folder, tmp_path_factory.mktemp("exports") / "model")
    model = model_on(engine_of_slim, shipped)
    card = dataclasses.replace(model.card, classes=("cat", 'дог "2" & <3>'), thresholds=Thresholds(0.75, 0.5))
    model = dataclasses.replace(model, folder=folder, card=card)
    save_complete(
        folder, engine_of_slim.model, model.head, model.golden_photos, model.golden_probabilities,
        described(card), ("model.keras", "model.h5"),
    )  # fmt: skip
    return model


@pytest.fixture(scope="module")
def exported(export, model, engine_of_slim):
    return export.export(model, engine_of_slim.model)


@pytest.fixture
def by_name(exported):
    return {one.what: one for one in exported}


@pytest.fixture(scope="module")
def wide_photo(model, engine_of_slim):
    """The file of a drawing that is no square; the model is surer than of others that it is of the second class."""
    files = [encoded(draw("dog", seed).resize((320, 240)), "PNG") for seed in range(8)]
    photos = np.stack([read_photo(file) for file in files])
    probabilities = model.head.probabilities(engine_of_slim.features(photos))[:, 1]
    assert probabilities.max() > 0.7
    return files[probabilities.argmax()]


def test_every_format_answers_as_the_model_does(export, exported):
    assert [one.what for one in exported] == FORMATS
    assert max(one.apart for one in exported) <= 1e-3
    assert all(5.4e6 < one.size < 12e6 for one in exported)  # 1.4 million weights, in a SavedModel twice
    for one in exported:
        assert one.path.exists()
        assert f"{one.what} " in export.table(exported)
        assert one.example in export.table(exported)
        assert repr(str(one.path)) in one.example


IN_TURN = """
import runpy, sys, traceback
for script in sys.argv[2:]:
    print(script)
    sys.argv[0] = script
    try:
        runpy.run_path(script, run_name="__main__")
    except Exception:
        traceback.print_exc(file=sys.stdout)
"""
ON_TENSORFLOW = ("SavedModel", "Keras", "HDF5")  # each with more to import than the one before


@pytest.fixture(scope="module")
def answers_on_tensorflow(exported, wide_photo, tmp_path_factory):
    """What the examples on TensorFlow print last, by format: of one process, since it takes seconds to import."""
    folder = tmp_path_factory.mktemp("photo")
    scripts = {str(one.script): one.what for one in exported if one.what in ON_TENSORFLOW}
    in_order = sorted(scripts, key=lambda script: ON_TENSORFLOW.index(scripts[script]))
    lines = printed([sys.executable, "-c", IN_TURN], in_order, wide_photo, folder)
    begun = [lines.index(script) for script in in_order]
    return {scripts[script]: lines[end - 1] for script, end in zip(in_order, [*begun[1:], len(lines)])}


def printed(command, scripts, photo, folder):
    """The lines that examples print of a photo, in the folder where it lies."""
    (folder / "photo.png").write_bytes(photo)
    command = [*command, str(folder / "photo.png"), *scripts]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=None, cwd=folder)
    assert not done.returncode, done.stderr[-2000:]
    return done.stdout.splitlines()


@pytest.mark.parametrize("what", FORMATS)
def test_each_example_names_the_class_of_a_photo(request, by_name, model, wide_photo, tmp_path, what):
    if what == "ONNX":
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: OpenVINO has read the file")
    if what == "LiteRT":
        pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: TensorFlow has read the file")
    one = by_name[what]
    assert len(one.script.read_text().splitlines()) <= 10
    assert len(one.example.splitlines()) <= 10
    if what in ON_TENSORFLOW:
        answer = request.getfixturevalue("answers_on_tensorflow")[what]
    else:
        answer = printed([sys.executable, str(one.script)], [], wide_photo, tmp_path)[-1]
    assert answer == model.classes[1]


def test_every_format_says_what_it_holds(by_name, model):
    import h5py
    import onnx
    import openvino

    about = described(model.card)
    assert about["class_names"] == list(model.classes)
    assert about["thresholds"] == {"confidence": 0.75, "ood_distance": 0.5}
    assert about["preprocessing"]["pixels"] == 224
    texts = {key: json.dumps(value, ensure_ascii=False) for key, value in about.items()}
    labels = "".join(f"{name}\n" for name in model.classes)

    with zipfile.ZipFile(by_name["Keras"].path) as file:
        assert about.items() <= json.loads(file.read("metadata.json")).items()
    with h5py.File(by_name["HDF5"].path) as file:
        assert texts.items() <= dict(file.attrs).items()
    assert {one.key: one.value for one in onnx.load(by_name["ONNX"].path).metadata_props} == texts
    network = openvino.Core().read_model(by_name["OpenVINO"].path)
    assert {key: network.get_rt_info(key).value for key in texts} == texts
    with zipfile.ZipFile(by_name["LiteRT"].path) as file:
        assert file.read("labels.txt").decode() == labels
        assert json.loads(file.read("model.json")) == about
    home = by_name["OpenVINO"].path.parent
    for folder in (home, by_name["SavedModel"].path / "assets.extra"):
        assert (folder / "labels.txt").read_text("utf-8") == labels
        assert json.loads((folder / "model.json").read_text("utf-8")) == about


def prepared(what, photo, about):
    """What the lines of an example make of a photo."""
    lines = as_cell(what, photo.parent, about).splitlines()
    assert len(lines) <= 10
    _, _, pillow, _, *preparing = lines[:7]
    found = {"np": np, "file": photo}
    exec("\n".join([pillow, *preparing]), found)
    assert found["photos"].dtype == np.float32
    return found["photos"]


@pytest.mark.parametrize("what", FORMATS)
def test_an_example_prepares_a_photo_as_training_does(what, shipped, wide_photo, tmp_path):
    photo = tmp_path / "photo.png"
    photo.write_bytes(wide_photo)
    assert (prepared(what, photo, described(shipped.card)) == read_photo(photo)[None]).all()


def transparent(mode):
    """A drawing that is see-through towards one side, in one of the modes that know transparency."""
    picture = draw("dog", 3).resize((320, 240))
    if mode == "P":
        picture = picture.quantize(16)
    if mode in ("P", "RGB"):  # one colour is: here the background's
        picture.info["transparency"] = picture.getpixel((0, 0))
    else:
        picture = picture.convert(mode)
        picture.putalpha(Image.linear_gradient("L").rotate(90).resize(picture.size))
    return encoded(picture, "PNG", **{key: picture.info[key] for key in ("transparency",) if key in picture.info})


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
@pytest.mark.parametrize("fit", FITS)
def test_an_example_lays_transparency_on_white_as_training_does(shipped, tmp_path, mode, fit):
    photo = tmp_path / "photo.png"
    photo.write_bytes(transparent(mode))
    preprocessing = Preprocessing(224, fit)
    expected = read_photo(photo, preprocessing=preprocessing)
    found = prepared("ONNX", photo, described(dataclasses.replace(shipped.card, preprocessing=preprocessing.version)))
    assert (found == expected[None]).all()
    black = np.asarray(Image.open(photo).convert("RGB").resize((224, 224)), float)
    assert np.abs(black - read_photo(photo, preprocessing=Preprocessing(224, SQUEEZE))).mean() > 5


def test_what_the_examples_leave_out_is_said(shipped):
    assert "8 bits" in described(shipped.card)["preprocessing"]["in_words"]
    assert "16-bit" in (ROOT / "docs/exports.md").read_text("utf-8")


def test_a_photo_whose_middle_is_cut_out(shipped):
    about = described(shipped.card)
    cut = {**about, "preprocessing": {**about["preprocessing"], "fit": CROP, "pixels": 256}}
    assert "ImageOps.fit(photo, (256, 256), Image.Resampling.BILINEAR)" in as_cell("ONNX", Path("model.onnx"), cut)


def test_the_pages_say_what_loads_where():
    for page in ("docs/exports.md", "models/README.md"):
        text = (ROOT / page).read_text("utf-8")
        for file, versions in LOADS_IN.items():
            assert file.split("/")[0] in text
            assert versions in text


def test_tensorflow_serving_finds_the_signatures_that_its_page_names(by_name, model):
    from catdog.quiet_keras import tf

    loaded = tf.saved_model.load(str(by_name["SavedModel"].path))
    photos = model.golden_photos.astype(np.float32)
    told = loaded.signatures["serving_default"](photo=photos)
    assert np.abs(next(iter(told.values())).numpy() - model.golden_probabilities).max() < 1e-3
    told = loaded.signatures["labelled"](photo=photos)
    names = [name.decode() for name in told["class_name"].numpy()]
    assert names == [model.classes[number] for number in model.golden_probabilities.argmax(axis=1)]
    assert [[name.decode() for name in row] for row in told["class_names"].numpy()] == [list(model.classes)] * len(
        photos
    )
    assert np.abs(told["probabilities"].numpy() - model.golden_probabilities).max() < 1e-3


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_export_that_fails_leaves_the_one_before(export, exported, model, engine_of_slim, monkeypatch):
    before, names = content(model.folder / "exports"), {path.name for path in model.folder.iterdir()}
    litert = next(form for form in export.FORMATS if form.what == "LiteRT")
    wrong = dataclasses.replace(litert, load=lambda path: lambda photos: model.golden_probabilities[:, ::-1])
    monkeypatch.setattr(export, "FORMATS", (wrong,))
    with refused("export-answers-differ"):
        export.export(model, engine_of_slim.model)
    assert content(model.folder / "exports") == before
    assert {path.name for path in model.folder.iterdir()} == names


def test_a_format_that_cannot_be_written_any_more_stays(export, exported, model, engine_of_slim, monkeypatch, capsys):
    def not_installed(*_):
        raise EngineUnavailable("engine-not-installed", "It is not installed.")

    home = model.folder / "exports"
    before = home.with_name(".exports-before")  # what a process leaves that is killed between two renames
    home.rename(before)
    (before / "labels.txt").write_text("from before")
    onnx = content(before)[Path("model.onnx")]

    def written_but_never_read(form):
        return dataclasses.replace(form, write=lambda complete, path, about: path.write_text("?"), load=not_installed)

    kept = [form for form in export.FORMATS if form.what == "LiteRT"]
    others = [
        written_but_never_read(form) if form.what == "ONNX" else dataclasses.replace(form, write=not_installed)
        for form in export.FORMATS
        if form.what != "LiteRT"
    ]
    monkeypatch.setattr(export, "FORMATS", (*others, *kept))
    found = export.export(model, engine_of_slim.model)
    assert [one.what for one in found] == ["Keras", "HDF5", "LiteRT"]
    told = capsys.readouterr().out
    assert all(form.what in told for form in others)
    assert (home / "model.onnx").read_bytes() == onnx
    assert (home / "labels.txt").read_text("utf-8").startswith("cat\n")
    assert {path.name for path in home.iterdir()} >= {one.path.name for one in exported[2:]} | {"example_onnx.py"}
    assert not before.exists()


@pytest.fixture
def copy(model, tmp_path):
    """The same in another folder, without Keras' files and exports."""
    leave_out = shutil.ignore_patterns("model.*", "exports")
    return dataclasses.replace(model, folder=shutil.copytree(model.folder, tmp_path / "copy", ignore=leave_out))


def test_an_export_writes_the_file_of_keras_that_is_missing(export, copy, engine_of_slim, monkeypatch):
    monkeypatch.setattr(export, "FORMATS", ())
    (found,) = export.export(copy, engine_of_slim.model)
    assert (found.what, found.path) == ("Keras", copy.folder / "model.keras")
    with zipfile.ZipFile(found.path) as file:
        assert json.loads(file.read("metadata.json"))["model"] == copy.card.name  # without the version
    written = found.path.stat().st_mtime_ns
    export.export(copy, engine_of_slim.model)
    assert found.path.stat().st_mtime_ns == written


@pytest.mark.parametrize("file", ["model.keras", "model.h5"])
def test_a_file_of_keras_appears_whole_or_not_at_all(copy, engine_of_slim, monkeypatch, file):
    from catdog.models import keras_export

    before, rewrite = content(copy.folder), keras_export.rewrite

    def disk_full(path, about):
        rewrite(path, about)
        assert not (copy.folder / file).exists()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(keras_export, "rewrite", disk_full)
        with refused("model-file-not-written", file, "No space left on device"):
            keras_export.add_keras_files(copy, engine_of_slim.model, [file])
    assert content(copy.folder) == before
    wrong = dataclasses.replace(copy, golden_probabilities=copy.golden_probabilities[:, ::-1])
    with refused("export-answers-differ"):
        keras_export.add_keras_files(wrong, engine_of_slim.model, [file])
    assert content(copy.folder) == before
    keras_export.add_keras_files(copy, engine_of_slim.model, [file])
    assert content(copy.folder).keys() - before.keys() == {Path(file)}


def test_what_answers_otherwise_is_refused(model, engine_of_slim, tmp_path):
    from catdog.models.keras_export import save_complete

    with refused("export-answers-differ"):
        save_complete(
            tmp_path, engine_of_slim.model, model.head, model.golden_photos, model.golden_probabilities[:, ::-1], {}
        )


@pytest.mark.slow
def test_an_h5_that_cannot_hold_the_network_is_left_out(tmp_path, capsys):
    from catdog.models.head import Head
    from catdog.models.keras_export import save_complete
    from catdog.quiet_keras import keras

    photos = np.zeros((1, 224, 224, 3), np.uint8)
    made = getattr(keras.applications, SMALL)
    network = made(include_top=False, weights=None, input_shape=(224, 224, 3), pooling="avg")
    head = Head(np.zeros((960, 2), np.float32), np.zeros(2, np.float32))
    save_complete(tmp_path, network, head, photos, np.full((1, 2), 0.5, np.float32), {}, ("model.keras", "model.h5"))
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    assert "model.h5" in capsys.readouterr().out

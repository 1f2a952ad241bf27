"""Other tools' formats: how to write each with its metadata, and read it back with its own library."""

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..quiet_keras import keras, tf
from . import export_metadata

Run = Callable[[np.ndarray], np.ndarray]
About = Mapping[str, Any]


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        what: its name.
        file: the name of the file or folder.
        load: returns a function from float32 photos (n, pixels, pixels, 3) to probabilities (n, classes).
        write: writes a complete network to a path, with the metadata from `export_metadata.described` in it.
    """

    what: str
    file: str
    load: Callable[[Path], Run]
    write: Callable[[keras.Model, Path, About], None]


def read_keras(path: Path) -> Run:
    """Load a `.keras` or `.h5` file."""
    return keras.models.load_model(path, compile=False).predict_on_batch


def _write_saved_model(complete: keras.Model, path: Path, about: About) -> None:
    """Write two signatures: `serving_default` gives only probabilities, `labelled` also the class names."""
    photos = [tf.TensorSpec((None, *complete.input_shape[1:]), tf.float32, name="photo")]
    names = tf.constant(about["class_names"])

    def labelled(photo):
        probabilities = complete(photo)
        return {
            "class_name": tf.gather(names, tf.argmax(probabilities, axis=1)),
            "class_names": tf.repeat(names[None], tf.shape(probabilities)[0], axis=0),
            "probabilities": probabilities,
        }

    archive = keras.export.ExportArchive()
    archive.track(complete)
    archive.add_endpoint("serve", complete.__call__, photos)
    archive.add_endpoint("labelled", labelled, photos)
    archive.write_out(str(path), verbose=False)
    extra = path / "assets.extra"
    extra.mkdir(exist_ok=True)
    for name, text in export_metadata.as_files(about).items():
        (extra / name).write_text(text, encoding="utf-8")


def _read_saved_model(path: Path) -> Run:
    loaded = tf.saved_model.load(str(path))
    return lambda photos: loaded.serve(photos).numpy()


def _write_onnx(complete: keras.Model, path: Path, about: About) -> None:
    """Append the metadata to the network's file. Two concatenated Protocol Buffers messages are read as one, so the
    network need not be read again."""
    import onnx

    complete.export(str(path), format="onnx", verbose=False)
    metadata = onnx.ModelProto()
    onnx.helper.set_model_props(metadata, export_metadata.as_texts(about))
    with path.open("ab") as file:
        file.write(metadata.SerializeToString())


def _write_litert(complete: keras.Model, path: Path, about: About) -> None:
    """Append the metadata to the network's file as a zip, like TensorFlow Lite's associated files."""
    complete.export(str(path), format="litert", verbose=False)
    with zipfile.ZipFile(path, "a") as behind:
        for name, text in export_metadata.as_files(about).items():
            behind.writestr(name, text)


def _read_litert(path: Path) -> Run:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        Interpreter = tf.lite.Interpreter
    interpreter = Interpreter(str(path))
    entry, end = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(photos: np.ndarray) -> np.ndarray:
        interpreter.resize_tensor_input(entry, photos.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(entry, photos)
        interpreter.invoke()
        return interpreter.get_tensor(end)

    return run


def _write_openvino(complete: keras.Model, path: Path, about: About) -> None:
    from ..engines.openvino import let_tensorflow_be_converted
    from ..engines.openvino_ops import ov

    let_tensorflow_be_converted()
    bare = path.with_name(f"bare-{path.name}")
    complete.export(str(bare), format="openvino", verbose=False)
    network = ov.Core().read_model(bare)
    for key, text in export_metadata.as_texts(about).items():
        network.set_rt_info(text, key)
    ov.save_model(network, path, compress_to_fp16=False)
    del network  # it keeps the weights file open
    for file in (bare, bare.with_suffix(".bin")):
        file.unlink()


def _read_openvino(path: Path) -> Run:
    """Load an OpenVINO or ONNX file. OpenVINO reads both, so ONNX needs no other library."""
    import openvino as ov

    compiled = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda photos: compiled(photos)[0]


FORMATS = (
    Format("SavedModel", "saved_model", _read_saved_model, _write_saved_model),
    Format("ONNX", "model.onnx", _read_openvino, _write_onnx),
    Format("LiteRT", "model.tflite", _read_litert, _write_litert),
    Format("OpenVINO", "openvino.xml", _read_openvino, _write_openvino),
)

"""The complete network and its classes in other tools' formats, each loaded back and held against the golden inputs."""

import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import colab
from .bundle import TOLERANCE, Bundle
from .engines import EngineUnavailable
from .errors import SuiteError
from .export import complete_model
from .frameworks import keras, tf
from .progress import bar

FOLDER, LABELS = "exports", "labels.txt"
_NAME = "\nlabels = open('{labels}', encoding='utf-8').read().splitlines()\nprint(labels[probabilities[0].argmax()])"


@dataclass(frozen=True)
class Exported:
    """One file or folder.

    Attributes:
        what: the format's name.
        path: where it lies.
        size: bytes, with all that belongs to it.
        apart: by how much a probability of a golden input differs at most from the saved one.
        snippet: lines that use it: `photos` float32 (n, 224, 224, 3), 0 to 255, give `probabilities`, and these the
            name of the first photo's class.
    """

    what: str
    path: Path
    size: int
    apart: float
    snippet: str


@dataclass(frozen=True)
class _Format:
    what: str
    keras_name: str
    file: str
    load: Callable[[Path], Callable[[np.ndarray], np.ndarray]]
    snippet: str


def export(model: Bundle, network: keras.Model) -> list[Exported]:
    """Write a saved model as SavedModel (for TensorFlow Serving), ONNX, LiteRT and OpenVINO into its folder `exports/`.

    A format whose library is not installed is passed over, and it is said.

    Args:
        network: the base as a Keras model, `proving.Engines.reference.model`.

    Raises SuiteError when what was written answers the golden inputs otherwise than the model.
    """
    colab.install_packages("onnx", "openvino", "tf2onnx")
    complete, found = complete_model(network, model.head), []
    home = model.folder / FOLDER
    home.mkdir(exist_ok=True)
    (home / LABELS).write_text("".join(f"{label}\n" for label in model.classes), encoding="utf-8")
    for form in bar(_FORMATS, what="Exporting", unit="formats"):
        try:
            found.append(_exported(complete, form, home, model))
        except (ImportError, EngineUnavailable) as error:
            print(f"{form.what} is left out: {str(error).rstrip('.')}.")
    return found


def table(exported: Sequence[Exported]) -> str:
    """A line for each: format, size, how near it is; below, how to use each."""
    width = max((len(one.what) for one in exported), default=0)
    lines = [
        f"{one.what.ljust(width)} {one.size / 1e6:6.0f} MB   {one.apart:.0e} apart   {one.path}" for one in exported
    ]
    return "\n".join([*lines, *(f"\n# {one.what}\n{one.snippet}" for one in exported)])


def _exported(complete: keras.Model, form: _Format, home: Path, model: Bundle) -> Exported:
    path = home / form.file
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    with warnings.catch_warnings(action="ignore"):
        if form.keras_name == "openvino":
            from .engines.openvino import let_tensorflow_be_converted

            let_tensorflow_be_converted()
        complete.export(str(path), format=form.keras_name, verbose=False)
        told = form.load(path)(model.golden_photos.astype(np.float32))
    apart = float(np.abs(told - model.golden_probabilities).max())
    if apart > TOLERANCE:
        raise SuiteError(
            "export-answers-differ", f"{path} answers {apart:.4f} away from the model it was made from: do not use it."
        )
    snippet = (form.snippet + _NAME).format(path=path, labels=path.parent / LABELS)
    return Exported(form.what, path, _size(path), apart, snippet)


def _size(path: Path) -> int:
    parts = path.rglob("*") if path.is_dir() else (path, path.with_suffix(".bin"))
    return sum(part.stat().st_size for part in parts if part.is_file())


def _saved_model(path: Path):
    loaded = tf.saved_model.load(str(path))
    return lambda photos: loaded.serve(photos).numpy()


def _openvino(path: Path):
    """ONNX, too: no other library is needed to read it back."""
    import openvino as ov

    compiled = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda photos: compiled(photos)[0]


def _litert(path: Path):
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


_FORMATS = (
    _Format(
        "SavedModel", "tf_saved_model", "saved_model", _saved_model,
        "import tensorflow as tf\nmodel = tf.saved_model.load('{path}')\nprobabilities = model.serve(photos).numpy()",
    ),
    _Format(
        "ONNX", "onnx", "model.onnx", _openvino,
        "import onnxruntime\nsession = onnxruntime.InferenceSession('{path}')\n"
        "probabilities = session.run(None, {{'photo': photos}})[0]",
    ),
    _Format(
        "LiteRT", "litert", "model.tflite", _litert,
        "from ai_edge_litert.interpreter import Interpreter\nrunner = Interpreter('{path}').get_signature_runner()\n"
        "probabilities = list(runner(photo=photos).values())[0]",
    ),
    _Format(
        "OpenVINO", "openvino", "openvino.xml", _openvino,
        "import openvino\nmodel = openvino.Core().compile_model('{path}', 'CPU')\nprobabilities = model(photos)[0]",
    ),
)  # fmt: skip

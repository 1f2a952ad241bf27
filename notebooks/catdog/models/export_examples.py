"""Ten lines of code per format that read a photo, prepare it as in training, and print the name of its class."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..data.preprocessing import CROP, SQUEEZE

_TEMPLATE = """\
import {modules}
import {libraries}
from PIL import Image, ImageOps
path, file = {path}, {file}
photo = ImageOps.exif_transpose(Image.open(file)).convert("RGBA")
photo = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo).convert("RGB")
photos = np.asarray({fitted}, "float32")[None]
{lines}
print(names[probabilities.argmax()])
"""
_FITTED = {
    SQUEEZE: "photo.resize(({0}, {0}), Image.Resampling.BILINEAR)",
    CROP: "ImageOps.fit(photo, ({0}, {0}), Image.Resampling.BILINEAR)",
}
_LINES = {
    "Keras": (
        "json, pathlib, sys, zipfile",
        "keras, numpy as np",
        """\
probabilities = keras.models.load_model(path, compile=False).predict(photos, verbose=0)[0]
names = json.loads(zipfile.ZipFile(path).read("metadata.json"))["class_names"]""",
    ),
    "HDF5": (
        "json, pathlib, sys",
        "h5py, keras, numpy as np",
        """\
probabilities = keras.models.load_model(path, compile=False).predict(photos, verbose=0)[0]
names = json.loads(h5py.File(path).attrs["class_names"])""",
    ),
    "SavedModel": (
        "json, pathlib, sys",
        "numpy as np, tensorflow as tf",
        """\
probabilities = (model := tf.saved_model.load(str(path))).serve(photos).numpy()[0]
names = json.loads((path / "assets.extra" / "model.json").read_text("utf-8"))["class_names"]""",
    ),
    "ONNX": (
        "json, pathlib, sys",
        "numpy as np, onnxruntime",
        """\
probabilities = (session := onnxruntime.InferenceSession(path)).run(None, {"photo": photos})[0][0]
names = json.loads(session.get_modelmeta().custom_metadata_map["class_names"])""",
    ),
    "LiteRT": (
        "json, pathlib, sys, zipfile",
        "ai_edge_litert.interpreter as litert, numpy as np",
        """\
probabilities = next(iter(litert.Interpreter(str(path)).get_signature_runner()(photo=photos).values()))[0]
names = json.loads(zipfile.ZipFile(path).read("model.json"))["class_names"]""",
    ),
    "OpenVINO": (
        "json, pathlib, sys",
        "numpy as np, openvino",
        """\
probabilities = openvino.compile_model(model := openvino.Core().read_model(path), "CPU")(photos)[0][0]
names = json.loads(model.get_rt_info("class_names").value)""",
    ),
}


def as_file(what: str, path: str, about: Mapping[str, Any]) -> str:
    """Return the example of a format as a Python file: `python example_onnx.py photo.jpg`.

    Args:
        what: the format's name.
        path: the exported file, relative to the example's folder.
        about: from `export_metadata.described`.
    """
    return _filled(what, f'pathlib.Path(__file__).parent / "{path}"', "sys.argv[1]", about)


def as_cell(what: str, path: Path, about: Mapping[str, Any]) -> str:
    """Return the example for a notebook cell, with the full path and a photo beside the notebook."""
    return _filled(what, f"pathlib.Path({str(path)!r})", '"photo.jpg"', about)


def _filled(what: str, path: str, file: str, about: Mapping[str, Any]) -> str:
    modules, libraries, lines = _LINES[what]
    preparing = about["preprocessing"]
    fitted = _FITTED[preparing["fit"]].format(preparing["pixels"])
    return _TEMPLATE.format(modules=modules, libraries=libraries, path=path, file=file, fitted=fitted, lines=lines)

"""Keras' own files, `.keras` and `.h5`, rewritten so that older versions of Keras 3 load them, and with metadata.

Every version of Keras writes all settings of a layer, including those that older versions do not know: Keras 3.15
writes `quantization_config` and `input_axes`, at which Keras 3.13 stops ("unexpected keyword argument"). A setting with
its default value is not needed, so it is removed. Any other setting stays, and needs a Keras that knows it.
"""

import importlib
import inspect
import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py

from ..quiet_keras import keras
from .export_metadata import as_texts

_PLAIN = {
    base.from_config.__func__
    for base in (keras.layers.Layer, keras.initializers.Initializer, keras.regularizers.Regularizer)
}


def rewrite(path: Path, about: Mapping[str, Any]) -> None:
    """Remove settings with default values from a file that Keras saved, and add `about`: to metadata.json in a
    `.keras`, or as JSON texts to the attributes of an `.h5`.

    Replaces the file only once the new one is complete.
    """
    part = path.with_name(f".rewriting-{path.name}")
    try:
        (_rewrite_h5 if path.suffix == ".h5" else _rewrite_keras)(path, part, about)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def without_defaults(saved: Any) -> Any:
    """Return what Keras serialized, without settings that have the default value of their class.

    Args:
        saved: a JSON value; every mapping in it with `class_name` and `config` is a Keras object.
    """
    if isinstance(saved, list):
        return [without_defaults(one) for one in saved]
    if not isinstance(saved, dict):
        return saved
    kept = {key: without_defaults(value) for key, value in saved.items()}
    if isinstance(saved.get("config"), dict) and "class_name" in saved:
        defaults = _defaults(saved.get("module") or "keras.layers", saved["class_name"])
        kept["config"] = {
            key: value
            for key, value in kept["config"].items()
            if key not in defaults or saved["config"][key] != defaults[key]
        }
    return kept


def _defaults(module: str, name: str) -> dict[str, Any]:
    """Return the arguments of a class that have a default → the default, as JSON returns it. Empty if the class is not
    part of Keras.

    For a class that reads its settings itself, return only defaults of None: Rescaling requires its `offset`, even if
    that is 0.
    """
    if module.split(".")[0] != "keras":
        return {}
    made: Any = getattr(importlib.import_module(module), name, None)
    if not hasattr(made, "from_config"):
        return {}
    arguments = inspect.signature(made.__init__).parameters.values()
    found = {one.name: _as_json(one.default) for one in arguments if one.default is not one.empty}
    plain = getattr(made.from_config, "__func__", None) in _PLAIN
    return {name: default for name, default in found.items() if plain or default is None}


def _as_json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _rewrite_keras(path: Path, part: Path, about: Mapping[str, Any]) -> None:
    changes = {
        "config.json": without_defaults,
        "metadata.json": lambda saved: {**saved, **about},
    }
    with zipfile.ZipFile(path) as saved, zipfile.ZipFile(part, "w") as rewritten:
        for name in saved.namelist():
            if name in changes:
                rewritten.writestr(name, json.dumps(changes[name](json.loads(saved.read(name)))))
            else:
                with saved.open(name) as source, rewritten.open(name, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target, 1 << 20)


def _rewrite_h5(path: Path, part: Path, about: Mapping[str, Any]) -> None:
    shutil.copy(path, part)
    with h5py.File(part, "r+") as file:
        file.attrs["model_config"] = json.dumps(without_defaults(json.loads(file.attrs["model_config"])))
        for name, text in as_texts(about).items():
            file.attrs[name] = text

"""Keras' own files, `.keras` and `.h5`, made so that older versions of Keras 3 load them, and told what they hold.

Every version of Keras writes all settings of a layer, also those that it has learnt since: Keras 3.15 writes
`quantization_config` and `input_axes`, at which Keras 3.13 stops ("unexpected keyword argument"). A setting that has
its default is of no use to anybody, so it goes; one that differs from its default stays, and asks for a Keras that
knows it.
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
    """Take the settings that have their defaults out of a file that Keras saved, and put `about` in: into a
    `.keras`' metadata.json, or as JSON texts into an `.h5`'s attributes.

    The file is replaced when the new one is whole.
    """
    part = path.with_name(f".rewriting-{path.name}")
    try:
        (_rewrite_h5 if path.suffix == ".h5" else _rewrite_keras)(path, part, about)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def without_defaults(saved: Any) -> Any:
    """What Keras serialized, without the settings that have the default of the class that they are for.

    Args:
        saved: a JSON value; every mapping in it with `class_name` and `config` is an object of Keras'.
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
    """A class's arguments that have a default, with it, as JSON gives it back; none for a class that is not Keras'.

    Only those whose default is None for a class that reads its settings itself: Rescaling asks for its `offset`, even
    where that is 0.
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

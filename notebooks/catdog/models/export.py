"""The complete network and its classes in other tools' formats, each read back and checked on the golden inputs."""

import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import packages
from ..engines.base import EngineUnavailable
from ..errors import UserError
from ..progress import bar
from ..quiet_keras import keras
from . import export_examples
from .bundle import TOLERANCE, Bundle
from .export_formats import FORMATS, Run, read_keras
from .export_metadata import EXPORTS, H5, KERAS, as_files, described
from .keras_export import add_keras_files, complete_model

_KERAS_FILES = {"Keras": KERAS, "HDF5": H5}  # in the same folder as the card


@dataclass(frozen=True)
class Exported:
    """One exported file or folder.

    Attributes:
        what: the format's name.
        path: its path.
        size: bytes, with all files that belong to it.
        apart: largest difference between a golden input's probability and the saved one.
        example: code for a notebook cell that reads a photo and prints the name of its class.
        script: the same as a file, which takes the photo's path as its argument.
    """

    what: str
    path: Path
    size: int
    apart: float
    example: str
    script: Path


def export(model: Bundle, network: keras.Model) -> list[Exported]:
    """Export a saved model as SavedModel (for TensorFlow Serving), ONNX, LiteRT and OpenVINO into its folder
    `exports/`, each with an example. The folder also gets the class names in `labels.txt` and all metadata in
    `model.json`. If the model has no `model.keras`, write that, too, beside its card.

    Writes to a temporary folder first, so an export that fails leaves the previous one unchanged. Skips a format whose
    library is not installed, and prints that; its file from an earlier export stays.

    Args:
        network: the base as a Keras model, `engine_selection.EngineSelection.reference.model`.

    Returns:
        `model.keras`, `model.h5` if the model has it, and the four formats.

    Raises UserError if an exported network answers the golden inputs differently from the model.
    """
    packages.install_packages("onnx", "openvino", "tf2onnx")
    add_keras_files(model, network)
    complete, about, home = complete_model(network, model.head), described(model.card), model.folder / EXPORTS
    part = home.with_name(f".{EXPORTS}-being-written")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        for name, text in as_files(about).items():
            (part / name).write_text(text, encoding="utf-8")
        found = [
            _checked(model, about, part, what, f"../{file}", model.folder / file, read_keras)
            for what, file in _KERAS_FILES.items()
            if (model.folder / file).exists()
        ]
        for form in bar(FORMATS, what="Exporting", unit="formats"):
            try:
                with warnings.catch_warnings(action="ignore"):
                    form.write(complete, part / form.file, about)
                    found.append(_checked(model, about, part, form.what, form.file, part / form.file, form.load))
            except (ImportError, EngineUnavailable) as error:
                _remove(part / form.file)  # written, but nothing here can read it back
                print(f"{form.what} was skipped: {str(error).rstrip('.')}.")
        _take_the_place(part, home)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return found


def table(exported: Sequence[Exported]) -> str:
    """Return a table with a line for each format: its size and largest difference; below it, how to use each."""
    width = max((len(one.what) for one in exported), default=0)
    lines = [
        f"{one.what.ljust(width)} {one.size / 1e6:6.0f} MB   {one.apart:.0e} apart   {one.path}" for one in exported
    ]
    return "\n".join([*lines, *(f"\n# {one.what}, also in {one.script}\n{one.example}" for one in exported)])


def _checked(
    model: Bundle, about: Mapping[str, Any], part: Path, what: str, file: str, path: Path, load: Callable[[Path], Run]
) -> Exported:
    """Check the file at `path` on the golden inputs, and write its example into `part`.

    Args:
        file: its path relative to the folder of exports.
    """
    told = load(path)(model.golden_photos.astype(np.float32))
    apart = float(np.abs(told - model.golden_probabilities).max())
    if apart > TOLERANCE:
        raise UserError(
            "export-answers-differ",
            f"{what} was not kept: its probabilities differ by {apart:.4f} from the model's.",
        )
    script = f"example_{what.lower()}.py"
    (part / script).write_text(export_examples.as_file(what, file, about), encoding="utf-8")
    home = model.folder / EXPORTS
    kept = path if path.parent == model.folder else home / file
    return Exported(what, kept, _size(path), apart, export_examples.as_cell(what, kept, about), home / script)


def _size(path: Path) -> int:
    parts = path.rglob("*") if path.is_dir() else (path, path.with_suffix(".bin"))
    return sum(part.stat().st_size for part in parts if part.is_file())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _take_the_place(part: Path, home: Path) -> None:
    """Replace the folder `home` with `part`. This takes two steps: if the process is killed in between, the old folder
    keeps a temporary name, and the next export finishes the work."""
    before = home.with_name(f".{EXPORTS}-before")
    _finish(home, before)
    if home.exists():
        home.rename(before)
    try:
        part.rename(home)
    finally:
        _finish(home, before)


def _finish(home: Path, before: Path) -> None:
    """Move files that only the old folder has into the new one, or restore the old folder if there is no new one."""
    if not before.exists():
        return
    if home.exists():
        for path in before.iterdir():
            if not (home / path.name).exists():
                path.rename(home / path.name)
        shutil.rmtree(before)
    else:
        before.rename(home)

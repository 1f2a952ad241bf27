"""A trained model as a folder `models/<name>/<version>/`: write it whole or not at all, find it, read it, refuse it.

    card.json      what the model is: classes, backbone, image door, training data, metrics, digests of the files
    head.npz       the last layer: kernel float32 (512, classes) and bias float32 (classes,)
    golden.npz     a few drawings, uint8 (n, 224, 224, 3), and the probabilities they must give, float32 (n, classes)
    twin.npz       how to run the base in int8 (see engines/twin.py); where it is missing or damaged, there is none
    model.keras    the complete network for other tools (see export.py); nothing here ever reads it

Only plain arrays are loaded, never anything that a file could have executed.
"""

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from . import places
from .engines.proof import Proof
from .engines.twin import Twin
from .errors import SuiteError
from .head import Head

SCHEMA = 1
TOLERANCE = 1e-3  # how far a probability may be from the one that was saved, whoever computes it
CARD, HEAD, GOLDEN, TWIN = "card.json", "head.npz", "golden.npz", "twin.npz"
_ARRAYS = {HEAD: ("kernel", "bias"), GOLDEN: ("photos", "probabilities")}


class BundleRefused(SuiteError):
    """A model's folder that is incomplete, damaged or not ours. The message says which and why."""


@dataclass(frozen=True)
class Bundle:
    """A saved model, read and checked against its own digests.

    Attributes:
        folder: where it lies.
        card: the content of card.json.
        head: the last layer.
        golden_photos: uint8 (n, 224, 224, 3); `golden_probabilities`: float32 (n, classes).
        twin: how to run the base in int8, if that came with the model.
    """

    folder: Path
    card: dict
    head: Head
    golden_photos: np.ndarray
    golden_probabilities: np.ndarray
    twin: Twin | None = None

    @property
    def id(self) -> str:
        """ "<name>/<version>", the name by which answers say which model gave them."""
        return f"{self.card['name']}/{self.card['version']}"

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.card["classes"])

    @property
    def proofs(self) -> dict[str, Proof]:
        """Engines by name, with what notebook 1 found out about them on training photos."""
        return _proofs(self.card)

    @property
    def sure_from(self) -> float:
        """The probability from which on the model counts as sure of a class; 0 where its card holds no threshold."""
        return _sure_from(self.card)

    def describe(self) -> str:
        """What the model is, in a few sentences for a person."""
        test = self.card.get("metrics", {}).get("test", {})
        lines = [f"{self.id} tells apart: {', '.join(self.classes)}."]
        if test.get("photos"):
            interval = f"{test['low']:.1%} to {test['high']:.1%}"
            lines.append(f"It was right on {test['accuracy']:.1%} of {test['photos']:,} test photos ({interval}).")
        if self.card.get("drawings"):
            lines.append("It was trained on drawings: it knows nothing of real photos.")
        return "\n".join(lines)


def write(
    name: str,
    card: dict,
    head: Head,
    golden_photos: np.ndarray,
    golden_probabilities: np.ndarray,
    twin: Twin | None = None,
    add_files: Callable[[Path], None] = lambda folder: None,
) -> Bundle:
    """Save a model as the newest version of `name` under `places.models_dir()`.

    Everything is written to a hidden folder beside the versions, read back, and only then renamed, so that a
    version is there whole or not at all.

    Args:
        name: lower-case letters, digits and hyphens.
        card: what is known of the model; name, version, time and digests are added here.
        add_files: puts further files (the complete model) into the folder it is given.

    Raises:
        SuiteError: the name does not do as a folder's name.
    """
    if not name or set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789-"):
        raise SuiteError(f'A model cannot be called "{name}": use lower-case letters, digits and hyphens.')
    home = places.models_dir() / name
    home.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".writing-", dir=home))
    try:
        np.savez_compressed(part / HEAD, kernel=head.kernel, bias=head.bias)
        np.savez_compressed(part / GOLDEN, photos=golden_photos, probabilities=golden_probabilities)
        if twin:
            np.savez_compressed(part / TWIN, **twin.arrays)
        add_files(part)
        now = datetime.now(UTC)
        full = {
            "schema": SCHEMA,
            "name": name,
            "version": _new_version(home, now),
            "created": now.isoformat(timespec="seconds"),
            **card,
            "files": {file: _sha256(part / file) for file in (*_ARRAYS, *([TWIN] if twin else []))},
        }
        _write_durably(part / CARD, json.dumps(full, indent=2, ensure_ascii=False) + "\n")
        read(part)
        part.chmod(0o755)
        part.rename(home / full["version"])
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return read(home / full["version"])


def read(folder: Path) -> Bundle:
    """Read a saved model and check that its files are those that were saved. Raises BundleRefused."""
    card = read_card(folder)
    arrays = {file: _read_arrays(folder, file, card) for file in _ARRAYS}
    golden = arrays[GOLDEN]
    bundle = Bundle(
        folder, card, Head(**arrays[HEAD]), golden["photos"], golden["probabilities"], _read_twin(folder, card)
    )
    _check_shapes(bundle)
    return bundle


def read_card(folder: Path) -> dict:
    """The card alone. Raises BundleRefused."""
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        if card["schema"] != SCHEMA:
            raise BundleRefused(
                f"{folder} was saved by another release of this suite: update the suite, or train again."
            )
        if not all(key in card for key in ("name", "version", "classes", "backbone", "image_door", "files")):
            raise KeyError
        _proofs(card)
        if not 0 <= _sure_from(card) <= 1:
            raise ValueError
    except FileNotFoundError:
        raise BundleRefused(f"{folder} holds no saved model: it has no {CARD}.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise BundleRefused(f"{folder / CARD} is damaged: choose another version, or train again.") from None
    return card


def _proofs(card: dict) -> dict[str, Proof]:
    return {name: Proof(**found) for name, found in card.get("engines", {}).items()}


def _sure_from(card: dict) -> float:
    return float(card.get("thresholds", {}).get("sure", 0))


def find(model: str = "") -> Path:
    """The folder of the model that `model` names.

    Args:
        model: "<name>" for its newest version, "<name>/<version>", the path of a version's folder, or nothing:
            the newest version of any model that was trained on photos (one trained on drawings must be named).

    Raises:
        SuiteError: there is no such model; the message lists those that are there.
    """
    everything = list(_versions())
    if model and (Path(model).expanduser() / CARD).is_file():
        return Path(model).expanduser()
    fitting = [folder for folder in everything if _fits(folder, model)]
    if not fitting:
        wanted = f'There is no model "{model}"' if model else "There is no model trained on photos"
        there = ", ".join(sorted({folder.parent.name for folder in everything})) or "none"
        raise SuiteError(
            f"{wanted} in {places.models_dir()} (there: {there}). Run notebook 1, or set MODEL to one that is there."
        )
    return max(fitting, key=lambda folder: (folder != places.SHIPPED_MODEL, folder.name))


def _fits(folder: Path, model: str) -> bool:
    if model:
        return model in (folder.parent.name, f"{folder.parent.name}/{folder.name}")
    try:
        return not read_card(folder).get("drawings")
    except BundleRefused:
        return False


def _versions() -> Iterable[Path]:
    """Every version in the models' folder, and the one that comes with the suite wherever that folder is."""
    found = (card.parent for card in places.models_dir().glob(f"*/[!.]*/{CARD}"))
    return dict.fromkeys([*found, *([places.SHIPPED_MODEL] if (places.SHIPPED_MODEL / CARD).is_file() else [])])


def _new_version(home: Path, now: datetime) -> str:
    """The time in UTC, so that sorting names sorts by age on whatever machine they were made."""
    version, count = now.strftime("%Y-%m-%d-%H%M%S"), 1
    while (home / (name := version if count == 1 else f"{version}-{count}")).exists():
        count += 1
    return name


def _read_twin(folder: Path, card: dict) -> Twin | None:
    """A model serves without its twin, too, so one that is missing or damaged is no reason to refuse the model."""
    try:
        return Twin(_read_arrays(folder, TWIN, card)) if TWIN in card["files"] else None
    except (BundleRefused, ValueError):
        return None


def _read_arrays(folder: Path, file: str, card: dict) -> dict[str, np.ndarray]:
    """All arrays of `file`, or for those whose names are fixed, these. Raises BundleRefused."""
    try:
        if _sha256(folder / file) != card["files"][file]:
            raise BundleRefused(
                f"{folder / file} is not the file that was saved: choose another version, or train again."
            )
        with (folder / file).open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in _ARRAYS.get(file, arrays.files)}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        raise BundleRefused(f"{folder / file} is missing or damaged: choose another version, or train again.") from None


def _check_shapes(bundle: Bundle) -> None:
    number, kernel, golden = len(bundle.classes), bundle.head.kernel, bundle.golden_probabilities
    fits = (
        kernel.ndim == 2
        and kernel.shape[1] == number == len(bundle.head.bias)
        and golden.shape == (len(bundle.golden_photos), number)
    )
    finite = all(np.isfinite(array).all() for array in (kernel, bundle.head.bias, golden))
    if not (fits and finite and len(golden)):
        raise BundleRefused(
            f"The arrays in {bundle.folder} do not fit its {number} classes: choose another version, or train again."
        )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write_durably(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())

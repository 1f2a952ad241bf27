"""Where photos, models and caches lie: in the repository, on Colab's disk or on Drive."""

import hashlib
import os
import sys
import tempfile
from pathlib import Path

from .errors import UserError

ROOT = Path(__file__).resolve().parents[2]
SHIPPED_MODEL = ROOT / "models" / "cats-and-dogs" / "2026-11-29-134152"  # .gitignore names it, too
DRIVE = "/content/drive/MyDrive"


def on_colab() -> bool:
    """True inside a Google Colab kernel."""
    return "google.colab" in sys.modules


def mount_drive(wanted: bool = True) -> None:
    """Mount Google Drive on Colab, if `wanted`, so that models and link outlive the machine; elsewhere do nothing.

    Raises UserError when access to Drive is refused.
    """
    if not wanted or not on_colab() or _drive().is_dir():
        return
    if os.environ.get("VERTEX_PRODUCT") == "COLAB_ENTERPRISE":
        raise UserError("drive-not-mounted", "Colab Enterprise has no Google Drive: set USE_DRIVE to False.")
    from google.colab import drive

    try:
        drive.mount(str(_drive().parent))
    except Exception as error:  # refused, timed out and a closed tab are unrelated classes there
        raise UserError(
            "drive-not-mounted",
            f"Google Drive was not mounted ({error}). Allow access when asked, or set USE_DRIVE to False.",
        ) from error


def _drive() -> Path:
    return Path(os.environ.get("DRIVE_DIR") or DRIVE)


def drive_folder() -> Path | None:
    """The suite's folder on a mounted Drive (`DRIVE_DIR`, else where Colab mounts it), None where there is no Drive."""
    return _drive() / "catdog" if _drive().is_dir() else None


def _from_environment(name: str, default: Path) -> Path:
    folder = Path(os.environ.get(name) or default).expanduser()
    return _made(folder, name)


def _made(folder: Path, setting: str) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(folder, setting, error) from error
    return folder


def not_writable(folder: Path, setting: str, error: OSError) -> UserError:
    """What to raise where `folder`, which `setting` names, takes nothing."""
    return UserError(
        "folder-not-writable",
        f"{folder} cannot be written to ({error.strerror}): set {setting} to a folder that can be.",
    )


def require_writable() -> None:
    """Raises UserError where data, models or what is computed could not be kept: before anything is computed."""
    for setting, folder in {"DATA_DIR": data_dir, "MODELS_DIR": models_dir, "CATDOG_CACHE": cache_dir}.items():
        path = folder()
        try:
            with tempfile.TemporaryFile(dir=path):
                pass
        except OSError as error:
            raise not_writable(path, setting, error) from error


def models_dir() -> Path:
    """Where trained models are saved: `MODELS_DIR`, else on Drive, else the repository's models/."""
    drive = drive_folder()
    return _from_environment("MODELS_DIR", drive / "models" if drive else ROOT / "models")


def data_dir() -> Path:
    """Where photos are downloaded and unpacked: `DATA_DIR`, else the repository's data/ (on Colab a local disk)."""
    return _from_environment("DATA_DIR", ROOT / "data")


def unpacked_dir() -> Path:
    """Where archives are unpacked: data/unpacked/, a folder each, which holds nothing else."""
    return _made(data_dir() / "unpacked", "DATA_DIR")


def notes_dir(kind: str, name: str) -> Path:
    """data/<kind>/<name>/ for what people say of photos: in `DATA_DIR`, else on Drive, else in the repository."""
    drive = drive_folder()
    return _made(_from_environment("DATA_DIR", drive / "data" if drive else ROOT / "data") / kind / name, "DATA_DIR")


def outlasting(path: str) -> str:
    """A relative path of something to keep, on Colab with Drive in the suite's folder there; others as they are."""
    drive = drive_folder()
    return str(drive / path) if drive and "://" not in path and not Path(path).expanduser().is_absolute() else path


def cache_dir() -> Path:
    """Where what was computed is at hand: `CATDOG_CACHE`, else ~/.cache/catdog, on a disk of this machine."""
    return _from_environment("CATDOG_CACHE", Path("~/.cache/catdog"))


def persistent_cache_dir() -> Path:
    """Where what was computed outlives the machine: the cache, or on Colab with Drive a folder there."""
    drive = drive_folder()
    return _from_environment("CATDOG_CACHE", drive / "cache" if drive else cache_dir())


def cache_file(kind: str, made_for: str, suffix: str, folder: Path | None = None) -> Path:
    """The file in `folder`, or else in `persistent_cache_dir()`, that holds what was made for `made_for` alone."""
    return (folder or persistent_cache_dir()) / f"{kind}-{hashlib.sha256(made_for.encode()).hexdigest()[:16]}{suffix}"


def keras_models_dir() -> Path:
    """Where Keras keeps downloaded weights: `KERAS_HOME`, else ~/.keras, and there models/."""
    return _from_environment("KERAS_HOME", Path("~/.keras")) / "models"


def link_file(name: str) -> Path:
    """The file by which `name` ("backend" or "page") tells its address; beside the models, so that Drive carries it."""
    return models_dir() / f"link-{name}.json"

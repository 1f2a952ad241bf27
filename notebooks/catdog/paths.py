"""Where photos, models and caches are stored: in the repository, on Colab's disk or on Drive."""

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
    """Tell whether this is a Google Colab kernel."""
    return "google.colab" in sys.modules


def mount_drive(wanted: bool = True) -> None:
    """Mount Google Drive on Colab, if `wanted`, so that models and link outlive the machine; elsewhere do nothing.

    Raises UserError if Drive cannot be mounted.
    """
    if not wanted or not on_colab() or _drive().is_dir():
        return
    if os.environ.get("VERTEX_PRODUCT") == "COLAB_ENTERPRISE":
        raise UserError("drive-not-mounted", "Colab Enterprise has no Google Drive: set USE_DRIVE to False.")
    from google.colab import drive

    try:
        drive.mount(str(_drive().parent))
    except Exception as error:  # refusal, time-out and a closed tab raise unrelated classes
        raise UserError(
            "drive-not-mounted",
            f"Google Drive was not mounted ({error}). Allow access when asked, or set USE_DRIVE to False.",
        ) from error


def _drive() -> Path:
    return Path(os.environ.get("DRIVE_DIR") or DRIVE)


def drive_folder() -> Path | None:
    """Return the suite's folder on a mounted Drive (`DRIVE_DIR`, else Colab's mount point); None without a Drive."""
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
    """Return the error to raise if `folder`, which `setting` names, is not writable."""
    return UserError(
        "folder-not-writable",
        f"{folder} is not writable ({error.strerror}): set {setting} to a folder that is.",
    )


def require_writable() -> None:
    """Raise UserError if the folder for data, models or caches is not writable. Call it before anything is computed."""
    for setting, folder in {"DATA_DIR": data_dir, "MODELS_DIR": models_dir, "CATDOG_CACHE": cache_dir}.items():
        path = folder()
        try:
            with tempfile.TemporaryFile(dir=path):
                pass
        except OSError as error:
            raise not_writable(path, setting, error) from error


def models_dir() -> Path:
    """Return the folder of saved models: `MODELS_DIR`, else on Drive, else the repository's models/."""
    drive = drive_folder()
    return _from_environment("MODELS_DIR", drive / "models" if drive else ROOT / "models")


def data_dir() -> Path:
    """Return the folder for downloads and unpacked photos: `DATA_DIR`, else the repository's data/ (local on Colab)."""
    return _from_environment("DATA_DIR", ROOT / "data")


def unpacked_dir() -> Path:
    """Return data/unpacked/, which holds one folder per unpacked archive and nothing else."""
    return _made(data_dir() / "unpacked", "DATA_DIR")


def notes_dir(kind: str, name: str) -> Path:
    """Return data/<kind>/<name>/, the folder for notes on photos: in `DATA_DIR`, else on Drive or in the repository."""
    drive = drive_folder()
    return _made(_from_environment("DATA_DIR", drive / "data" if drive else ROOT / "data") / kind / name, "DATA_DIR")


def outlasting(path: str) -> str:
    """Return a relative `path` inside the suite's folder on Drive, if there is one; any other path unchanged."""
    drive = drive_folder()
    return str(drive / path) if drive and "://" not in path and not Path(path).expanduser().is_absolute() else path


def cache_dir() -> Path:
    """Return the cache on a local disk: `CATDOG_CACHE`, else ~/.cache/catdog."""
    return _from_environment("CATDOG_CACHE", Path("~/.cache/catdog"))


def persistent_cache_dir() -> Path:
    """Return the cache that outlives the machine: `CATDOG_CACHE`, else a folder on Drive, else `cache_dir()`."""
    drive = drive_folder()
    return _from_environment("CATDOG_CACHE", drive / "cache" if drive else cache_dir())


def cache_file(kind: str, made_for: str, suffix: str, folder: Path | None = None) -> Path:
    """Return the cache file for the key `made_for`, in `folder` or else in `persistent_cache_dir()`."""
    return (folder or persistent_cache_dir()) / f"{kind}-{hashlib.sha256(made_for.encode()).hexdigest()[:16]}{suffix}"


def keras_models_dir() -> Path:
    """Return the folder where Keras caches weights: models/ in `KERAS_HOME`, else in ~/.keras."""
    return _from_environment("KERAS_HOME", Path("~/.keras")) / "models"


def link_file(name: str) -> Path:
    """Return the file with the address of `name` ("backend" or "page"); it is with the models, so also on Drive."""
    return models_dir() / f"link-{name}.json"

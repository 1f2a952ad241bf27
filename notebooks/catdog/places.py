"""Where am I running, where do photos, models, caches and secrets live, and who set which knob?"""

import hashlib
import os
import re
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .errors import SuiteError

ROOT = Path(__file__).resolve().parents[2]
SHIPPED_MODEL = ROOT / "models" / "cats-and-dogs" / "2026-11-29-134152"  # .gitignore names it, too
DRIVE = "/content/drive/MyDrive"
_WHY_NO_SECRET = {  # by the names of google.colab.userdata's errors
    "SecretNotFoundError": "Colab has no secret {name}.",
    "NotebookAccessError": "This notebook may not see the secret {name}: switch on its notebook access (key icon).",
    "TimeoutException": (
        "Colab did not hand over its secret {name} in time: allow it where Colab asks, keep this tab open, and run "
        "this cell again. In VS Code, which hands over none, set TUNNEL to cloudflared, or to ngrok and type the token."
    ),
}
_AROUND = " \t\r\"'`“”„‘’«»<>()[]{}.,;"
_TOKEN = re.compile(r"(?<![A-Za-z0-9_])[A-Za-z0-9]{20,}_[A-Za-z0-9]{15,}(?![A-Za-z0-9_])")  # as ngrok makes them today
_NAMED_TOKEN = re.compile(r"(?i:authtoken|auth_token)[\W]+([A-Za-z0-9_-]+)")


def on_colab() -> bool:
    """True inside a Google Colab kernel."""
    return "google.colab" in sys.modules


def has_nvidia_driver() -> bool:
    """Whether NVIDIA's driver shows a GPU here."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


def mount_drive(wanted: bool = True) -> None:
    """Mount Google Drive on Colab, if `wanted`, so that models and link outlive the machine; elsewhere do nothing.

    Raises SuiteError when access to Drive is refused.
    """
    if not wanted or not on_colab() or _drive().is_dir():
        return
    if os.environ.get("VERTEX_PRODUCT") == "COLAB_ENTERPRISE":
        raise SuiteError("drive-not-mounted", "Colab Enterprise has no Google Drive: set USE_DRIVE to False.")
    from google.colab import drive

    try:
        drive.mount(str(_drive().parent))
    except Exception as error:  # refused, timed out and a closed tab are unrelated classes there
        raise SuiteError(
            "drive-not-mounted",
            f"Google Drive was not mounted ({error}). Allow access when asked, or set USE_DRIVE to False.",
        ) from error


def show_port(port: int, path: str, height: int) -> None:
    """Show what a port of Colab's machine serves, below the cell and for the notebook's owner alone."""
    from google.colab import output

    ask_tab(
        lambda: output.serve_kernel_port_as_iframe(port, path=path, height=str(height)),
        otherwise="Colab's tab cannot show the page.",
    )
    print(
        "Nothing below? Allow third-party cookies for colab.research.google.com in your browser, and run this cell "
        "again. VS Code shows no such page: set TUNNEL to cloudflared."
    )


def ask_tab(show: Callable[[], object], otherwise: str) -> None:
    """Let Colab's browser tab show something; print `otherwise` where it cannot: it is closed, or VS Code has none."""
    try:
        show()
    except Exception:  # unrelated classes of google.colab's and of the browser's
        print(otherwise)


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


def not_writable(folder: Path, setting: str, error: OSError) -> SuiteError:
    """What to raise where `folder`, which `setting` names, takes nothing."""
    return SuiteError(
        "folder-not-writable",
        f"{folder} cannot be written to ({error.strerror}): set {setting} to a folder that can be.",
    )


def require_writable() -> None:
    """Raises SuiteError where data, models or what is computed could not be kept: before anything is computed."""
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


def kept_dir() -> Path:
    """Where what was computed outlives the machine: the cache, or on Colab with Drive a folder there."""
    drive = drive_folder()
    return _from_environment("CATDOG_CACHE", drive / "cache" if drive else cache_dir())


def cache_file(kind: str, made_for: str, suffix: str, folder: Path | None = None) -> Path:
    """The file in `folder`, or else in `kept_dir()`, that holds what was made for `made_for` and for nothing else."""
    return (folder or kept_dir()) / f"{kind}-{hashlib.sha256(made_for.encode()).hexdigest()[:16]}{suffix}"


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write that appears at `path` whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
        try:
            yield part
        except BaseException:
            os.unlink(part.name)
            raise
    os.replace(part.name, path)


def write_if_possible(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Like `written_whole`, for what can be computed again: a disk or Drive that is full is told, not raised."""
    try:
        with written_whole(path) as file:
            write(file)
    except OSError as error:
        print(f"{path} was not written ({error.strerror}): what it would hold is computed again when it is needed.")


def keras_models_dir() -> Path:
    """Where Keras keeps downloaded weights: `KERAS_HOME`, else ~/.keras, and there models/."""
    return _from_environment("KERAS_HOME", Path("~/.keras")) / "models"


def link_file(name: str) -> Path:
    """The file by which `name` ("backend" or "page") tells its address; beside the models, so that Drive carries it."""
    return models_dir() / f"link-{name}.json"


def find_secret(name: str) -> tuple[str, str]:
    """(a token by name from the environment, else from Colab's secrets; why there is none, as a sentence).

    Colab waits ten seconds for a person who still reads its question: where that was too short, it is asked once more.
    """
    if os.environ.get(name):
        return clean_token(os.environ[name])
    if not on_colab():
        return "", ""
    from google.colab import userdata

    for is_last in (False, True):
        try:
            return clean_token(userdata.get(name) or "")
        except Exception as error:  # three unrelated classes, of which one is a plain Exception
            kind = type(error).__name__
            if kind != "TimeoutException" or is_last:
                return "", _WHY_NO_SECRET.get(kind, "Colab did not give its secret {name}.").format(name=name)
    return "", ""


def clean_token(text: str) -> tuple[str, str]:
    """(the token in what people paste, why there is none in it): a command of ngrok's, a line of a shell or of Python,
    quotes and letters that cannot be seen around it."""
    text = re.sub(r"\x1b\[20[01]~", "", text)  # around what was pasted into a terminal
    plain = "".join(letter for letter in text if unicodedata.category(letter) not in ("Cf", "Cc") or letter in "\n\t")
    lines = [line.strip(_AROUND) for line in plain.split("\n") if line.strip(_AROUND)]
    if not lines:
        return "", ""
    words = [*_TOKEN.findall(plain), *_TOKEN.findall("".join(lines) if all(map(str.isalnum, lines[0])) else "")]
    words += _NAMED_TOKEN.findall(plain) or (lines if len(lines) == 1 else [])
    if words and re.fullmatch(r"(?!ak_|cr_)[A-Za-z0-9_-]+", words[0]):
        return words[0], ""
    return "", "What was pasted is not an ngrok authtoken (an API key begins with ak_, an authtoken does not)."


def as_typed(name: str, text: str | None, default):
    """`text` with the type of `default`; that where there is none. Raises SuiteError for text that does not fit."""
    if text is None or (text == "" and not isinstance(default, str)):
        return default
    if isinstance(default, bool):
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off"):
            return False
        raise SuiteError("setting-type", f'{name} must be true or false, not "{text}".')
    try:
        return type(default)(text)
    except ValueError:
        kind = "a whole number" if isinstance(default, int) else "a number"
        raise SuiteError("setting-type", f'{name} must be {kind}, not "{text}".') from None


def environment_first(**settings) -> tuple:
    """The given settings in order, each replaced by the environment variable of its name where that is set.

    Text from the environment takes the type of the value it replaces (bool, int, float or str; only text can be
    set to nothing). So a Colab form, a test and a command line turn the same knobs. Raises SuiteError for text
    that does not fit.
    """
    return tuple(as_typed(name, os.environ.get(name), default) for name, default in settings.items())

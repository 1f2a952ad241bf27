"""Set-up on Google Colab: update the suite, and install what Colab lacks without changing what it has."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

from IPython import get_ipython
from packaging.requirements import Requirement

from .. import API
from ..errors import UserError
from ..files import write_if_possible
from ..machine import has_nvidia_driver
from ..packages import install, is_satisfied, requirements
from ..paths import ROOT, drive_folder, mount_drive, on_colab, require_writable

PAGE_ONLY = ("flask", "requests", "waitress")
FOR_TRAINING = ("cleanlab", "cleanvision", "nncf")
FOR_SOME_SETTINGS = (  # `install_packages`
    "flask-ngrok", "ngrok", "onnx", "onnxruntime", "pycloudflared", "pyngrok", "tf2onnx",
)  # fmt: skip
FOR_A_CPU = ("nncf", "openvino")  # TensorFlow is what computes on a GPU
NOT_IN_A_NOTEBOOK = ("jupyter", "nbclient", "nbval")  # they run notebooks; Colab already does
_UPDATE_SECONDS = 60
_OF_THE_SET_UP = {
    f"catdog.{name}"
    for name in (
        "errors",
        "files",
        "machine",
        "moved",
        "notebook",
        "notebook.cell_errors",
        "notebook.colab",
        "packages",
        "paths",
        "paths",
        "colab",
    )
}
_MANY_PHOTOS = 3000
_AT_START = """import os
import sys

if os.path.isdir({notebooks!r}):
    os.chdir({notebooks!r})
    sys.path.insert(0, {notebooks!r})
    import catdog.notebook
"""


_NEEDS = {"fine-tune": {}, "backend": {"without": FOR_TRAINING}, "frontend": {"only": PAGE_ONLY}}


def set_up_for(notebook: str) -> None:
    """On Colab, update the suite and install what `notebook` lacks: "fine-tune", "backend" or "frontend".

    Raises UserError as `set_up` does.
    """
    set_up(**_NEEDS[notebook])
    if on_colab():
        _prepare_for_restarts()


def set_up(only: Iterable[str] = (), without: Iterable[str] = ()) -> None:
    """On Colab, update the suite and install what is missing; elsewhere, do nothing. Idempotent.

    Args:
        only: names of the only packages needed; empty for all that notebooks need.
        without: names of packages that this notebook does not need.

    Raises:
        UserError: a package cannot be installed, or the suite does not run on this kind of machine.
    """
    if not on_colab():
        return
    update()
    _require_a_runtime_that_serves()
    left_out = {*without, *FOR_SOME_SETTINGS, *NOT_IN_A_NOTEBOOK, *(FOR_A_CPU if has_nvidia_driver() else ())}
    install([line for line in requirements() if line.name not in left_out and (not only or line.name in only)])


def _prepare_for_restarts() -> None:
    """Let cells find the suite after *Restart session*, and say which cell to run first, without the set-up cell."""
    shell = get_ipython()
    if shell is None or not getattr(shell, "profile_dir", None):
        return
    path = Path(shell.profile_dir.startup_dir) / "50-catdog.py"
    write_if_possible(path, lambda file: file.write(_AT_START.format(notebooks=str(ROOT / "notebooks")).encode()))


def open_folders(use_drive: bool) -> None:
    """Mount Drive, if wanted, and check that photos, models and results can be stored.

    Raises UserError if access to Drive is refused, or a folder cannot be written to.
    """
    mount_drive(use_drive)
    require_writable()
    if on_colab():
        _remember_address()


def _remember_address() -> None:
    """Store the repository's address on a mounted Drive, for the set-up cell of a notebook saved there: Colab does not
    tell where that notebook came from."""
    drive, address = drive_folder(), re.sub("//[^/@]*@", "//", _git("remote", "get-url", "origin") or "")
    if drive and address:
        drive.mkdir(parents=True, exist_ok=True)
        branch = _git("rev-parse", "--abbrev-ref", "HEAD") or ""
        note = json.dumps([address, "" if branch == "HEAD" else branch])  # HEAD: none, as at a tag
        write_if_possible(drive / "suite-address.json", lambda file: file.write(note.encode()))


def _require_a_runtime_that_serves() -> None:
    """Raise UserError, before pip starts, if the suite does not run on this kind of Colab machine."""
    if not is_satisfied(Requirement("tensorflow")):
        raise UserError(
            "runtime-without-tensorflow",
            "This runtime has no TensorFlow, like all with a TPU: choose Runtime → Change runtime type → CPU or T4, "
            "then run all cells.",
        )
    ours = next(line for line in requirements() if line.name == "tensorflow")
    if not is_satisfied(ours):
        raise UserError(
            "runtime-too-old",
            f"This runtime has TensorFlow {version('tensorflow')}, older than the suite needs: choose Runtime → Change "
            "runtime type → Runtime version → Latest, then run all cells.",
        )


def update() -> None:
    """Update the suite's files if no change of yours is lost and the notebook's calls still work."""
    before = _git("rev-parse", "HEAD")
    if not before:
        return
    fetched = _git("fetch", "--quiet") is not None
    newer = fetched and _api("@{upstream}")
    if newer and newer != API:
        print(
            f"Version {newer} of the suite is out, but this notebook needs version {API} and goes on with it. "
            "For the newer one, open the notebook from the repository again."
        )
    elif not fetched or _git("merge", "--quiet", "--ff-only", "@{upstream}") is None:
        print("The suite could not be updated (no network, or you have changed its files): it stays as it is.")
    elif _git("rev-parse", "HEAD") != before:
        _use_new_files()


def _api(commit: str) -> int | None:
    """Return the number of the interface that the suite has at `commit`; None if it does not say."""
    found = re.search(r"^API = (\d+)", _git("show", f"{commit}:notebooks/catdog/__init__.py") or "", re.MULTILINE)
    return int(found[1]) if found else None


def _use_new_files() -> None:
    ours = {name for name in sys.modules if name.startswith("catdog.")}
    if ours <= _OF_THE_SET_UP:  # a fresh start: nothing that runs uses them
        for name in ours:
            del sys.modules[name]
        print("The suite was updated.")
    else:
        print("The suite was updated: use Runtime → Restart session, then run all cells.")


def _git(*arguments: str) -> str | None:
    """Return git's output; None if it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, timeout=_UPDATE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def gpu_hint(photos: int) -> None:
    """On a Colab machine without a GPU, say if one would help and where to click."""
    if on_colab() and photos > _MANY_PHOTOS and not has_nvidia_driver():
        print(
            f"This machine has no GPU: {photos:,} photos take {photos * 0.02 / 60:.0f} to {photos * 0.1 / 60:.0f} "
            "minutes, once. A GPU is faster: Runtime → Change runtime type → T4 GPU, then run all cells."
        )


def show_port(port: int, path: str, height: int) -> None:
    """Show what a port of Colab's machine serves, below the cell, to the notebook's owner alone."""
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
    """Let Colab's browser tab show something; print `otherwise` if it cannot: it is closed, or VS Code has none."""
    try:
        show()
    except Exception:  # unrelated classes of google.colab's and of the browser's
        print(otherwise)

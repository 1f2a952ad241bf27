"""Set-up on Google Colab: the suite's newest files, what Colab lacks, and nothing moved that Colab has."""

import importlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .errors import SuiteError
from .places import (
    ROOT,
    drive_folder,
    has_nvidia_driver,
    mount_drive,
    on_colab,
    require_writable,
    write_if_possible,
)

PAGE_ONLY = ("flask", "requests", "waitress")
FOR_TRAINING = ("cleanlab", "cleanvision", "nncf")
FOR_SOME_SETTINGS = ("flask-ngrok", "ngrok", "onnx", "pycloudflared", "pyngrok", "tf2onnx")  # `install_packages`
FOR_A_CPU = ("nncf", "openvino")  # TensorFlow is what computes on a GPU
NOT_IN_A_NOTEBOOK = ("jupyter", "nbclient", "nbval")  # they run notebooks; Colab already does
_UPDATE_SECONDS = 60
_MANY_PHOTOS = 3000


def set_up(only: Iterable[str] = (), without: Iterable[str] = ()) -> None:
    """On Colab: update the suite, and install what is missing; elsewhere nothing. Twice is as good as once.

    Args:
        only: names of packages that are enough; empty means all that a notebook needs.
        without: names of packages that this notebook does not need.

    Raises:
        SuiteError: what is missing cannot be installed, or the machine is of a kind that the suite does not run on.
    """
    if not on_colab():
        return
    update()
    _require_a_runtime_that_serves()
    left_out = {*without, *FOR_SOME_SETTINGS, *NOT_IN_A_NOTEBOOK, *(FOR_A_CPU if has_nvidia_driver() else ())}
    install([line for line in requirements() if line.name not in left_out and (not only or line.name in only)])


def open_folders(use_drive: bool) -> None:
    """Mount Drive, if wanted, and make sure that photos, models and what is computed can be kept.

    Raises SuiteError when access to Drive is refused, or a folder cannot be written to.
    """
    mount_drive(use_drive)
    require_writable()
    if on_colab():
        _remember_address()


def install_for_scale() -> None:
    """What labelling very many photos needs, while everything that is there stays at its version.

    Raises SuiteError when that cannot be had.
    """
    install(requirements("requirements-scale.txt"))


def install_packages(*names: str) -> None:
    """On Colab, those of requirements.txt that only some settings need; elsewhere they are there. Raises SuiteError."""
    if on_colab():
        install([line for line in requirements() if line.name in names])


def _remember_address() -> None:
    """On a mounted Drive, for the set-up cell of a notebook that was saved there: Colab does not tell where that came
    from."""
    drive, address = drive_folder(), re.sub("//[^/@]*@", "//", _git("remote", "get-url", "origin") or "")
    if drive and address:
        drive.mkdir(parents=True, exist_ok=True)
        branch = _git("rev-parse", "--abbrev-ref", "HEAD") or ""
        note = json.dumps([address, "" if branch == "HEAD" else branch])  # HEAD: none, as at a tag
        write_if_possible(drive / "suite-address.json", lambda file: file.write(note.encode()))


def _require_a_runtime_that_serves() -> None:
    """Raises SuiteError, before pip is started, where Colab's machine is of a kind that the suite does not run on."""
    if not _satisfied(Requirement("tensorflow")):
        raise SuiteError(
            "runtime-without-tensorflow",
            "This runtime has no TensorFlow, as those with a TPU: choose Runtime → Change runtime type → CPU or T4, "
            "then run all cells.",
        )
    ours = next(line for line in requirements() if line.name == "tensorflow")
    if not _satisfied(ours):
        raise SuiteError(
            "runtime-too-old",
            f"This runtime has TensorFlow {version('tensorflow')}, older than the suite needs: choose Runtime → Change "
            "runtime type → Runtime version → Latest, then run all cells.",
        )


def requirements(file: str = "requirements.txt") -> list[Requirement]:
    """The lines of a file of requirements."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines())
    return [Requirement(line) for line in lines if line]


def install(wanted: list[Requirement]) -> None:
    """Install those of `wanted` that are missing or too old, while everything else stays at its version.

    Raises SuiteError when that cannot be had, with pip's reason.
    """
    missing = [line for line in wanted if not _satisfied(line)]
    if not missing:
        return
    print(f"Installing {', '.join(line.name for line in missing)} …", flush=True)
    began = time.monotonic()
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as pins:
        pins.write(_pins(keep_out={canonicalize_name(line.name) for line in missing}))
        pins.flush()
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", pins.name, *map(str, missing)]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = " ".join(line for line in done.stderr.splitlines() if line.startswith("ERROR"))[:400]
        raise SuiteError(
            "install-failed",
            f"Installing failed: {reason or done.stderr.strip()[-400:]} Look at the network and run this cell again; "
            "if it fails again, use Runtime → Disconnect and delete runtime.",
        )
    importlib.invalidate_caches()
    print(f"Installed in {time.monotonic() - began:.0f} s; nothing that was there has changed.")


def update() -> None:
    """Bring the suite's files up to date where that loses nothing; your own changes to them stay."""
    before = _git("rev-parse", "HEAD")
    if not before:
        return
    if _git("pull", "--quiet", "--ff-only") is None:
        print("The suite could not be updated (no network, or you have changed its files): it goes on as it is.")
    elif _git("rev-parse", "HEAD") != before:
        _use_new_files()


def _use_new_files() -> None:
    ours = {name for name in sys.modules if name.startswith("catdog.")}
    if ours <= {"catdog.colab", "catdog.errors", "catdog.places"}:  # a fresh start: nothing runs that they belong to
        for name in ours:
            del sys.modules[name]
        print("The suite was updated.")
    else:
        print("The suite was updated: use Runtime → Restart session, then run all cells.")


def _git(*arguments: str) -> str | None:
    """What git says; None when it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, timeout=_UPDATE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _satisfied(line: Requirement) -> bool:
    try:
        return line.specifier.contains(version(line.name), prereleases=True)
    except PackageNotFoundError:
        return False


def _pins(keep_out: set[str]) -> str:
    """All that is installed, at its version, for pip to leave alone.

    As pip sees it: Colab has older copies of some packages further down its path, which nothing uses.
    """
    command = [sys.executable, "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"]
    listed = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    names = {line: canonicalize_name(line.partition("==")[0]) for line in listed if "==" in line}
    return "".join(f"{line}\n" for line, name in names.items() if name not in keep_out)


def gpu_hint(photos: int) -> None:
    """Say, on a Colab machine without one, when a GPU would help and where to click."""
    if on_colab() and photos > _MANY_PHOTOS and not has_nvidia_driver():
        print(
            f"This machine has no GPU: {photos:,} photos take it {photos * 0.02 / 60:.0f} to {photos * 0.1 / 60:.0f} "
            "minutes, once. With one it is faster: Runtime → Change runtime type → T4 GPU, then run all cells."
        )

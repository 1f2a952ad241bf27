"""Set-up on Google Colab: the suite's newest files, what Colab lacks, and nothing moved that Colab has."""

import importlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .errors import SuiteError
from .places import ROOT, on_colab

PAGE_ONLY = ("flask", "flask-ngrok", "ngrok", "pycloudflared", "pyngrok", "requests", "waitress")
NOT_IN_A_NOTEBOOK = ("jupyter", "nbclient", "nbval")  # they run notebooks; Colab already does
_UPDATE_SECONDS = 60
_MANY_PHOTOS = 3000


def set_up(only: Iterable[str] = ()) -> None:
    """On Colab: update the suite, and install what is missing; elsewhere nothing. Twice is as good as once.

    Args:
        only: names of packages that are enough; empty means all that a notebook needs.

    Raises:
        SuiteError: what is missing cannot be installed.
    """
    if not on_colab():
        return
    update()
    wanted = [line for line in requirements() if not only or line.name in only]
    install([line for line in wanted if line.name not in NOT_IN_A_NOTEBOOK])


def requirements() -> list[Requirement]:
    """The lines of requirements.txt."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
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
    if on_colab() and photos > _MANY_PHOTOS and not Path("/dev/nvidia0").exists():
        print(
            f"This machine has no GPU: {photos:,} photos take it {photos * 0.02 / 60:.0f} to {photos * 0.1 / 60:.0f} "
            "minutes, once. With one it is faster: Runtime → Change runtime type → T4 GPU, then run all cells."
        )

"""Packages that are missing are installed, and nothing moves that is there."""

import importlib
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .errors import UserError
from .paths import ROOT, on_colab


def install_packages(*names: str) -> None:
    """On Colab, those of requirements.txt that only some settings need; elsewhere they are there. Raises UserError."""
    if on_colab():
        install([line for line in requirements() if line.name in names])


def install_for_scale() -> None:
    """What labelling very many photos needs, while everything that is there stays at its version.

    Raises UserError when that cannot be had.
    """
    install(requirements("requirements-scale.txt"))


def requirements(file: str = "requirements.txt") -> list[Requirement]:
    """The lines of a file of requirements."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines())
    return [Requirement(line) for line in lines if line]


def install(wanted: list[Requirement]) -> None:
    """Install those of `wanted` that are missing or too old, while everything else stays at its version.

    Raises UserError when that cannot be had, with pip's reason.
    """
    missing = [line for line in wanted if not is_satisfied(line)]
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
        raise UserError(
            "install-failed",
            f"Installing failed: {reason or done.stderr.strip()[-400:]} Look at the network and run this cell again; "
            "if it fails again, use Runtime → Disconnect and delete runtime.",
        )
    importlib.invalidate_caches()
    print(f"Installed in {time.monotonic() - began:.0f} s; nothing that was there has changed.")


def is_satisfied(line: Requirement) -> bool:
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

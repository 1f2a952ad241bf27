"""Install missing packages without changing installed ones."""

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
    """Install packages of requirements.txt that only some settings need; only on Colab. Raises UserError."""
    if on_colab():
        install([line for line in requirements() if line.name in names])


def install_for_scale() -> None:
    """Install requirements-scale.txt, which work on very many photos needs; installed packages keep their versions.

    Raises UserError if that fails.
    """
    install(requirements("requirements-scale.txt"))


def requirements(file: str = "requirements.txt") -> list[Requirement]:
    """Return the lines of a requirements file."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines())
    return [Requirement(line) for line in lines if line]


def install(wanted: list[Requirement]) -> None:
    """Install those of `wanted` that are missing or too old; all other packages keep their versions.

    Raises UserError with pip's reason if that fails.
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
            f"Installation failed: {reason or done.stderr.strip()[-400:]} Check the network and run this cell again; "
            "if it fails again, use Runtime → Disconnect and delete runtime.",
        )
    importlib.invalidate_caches()
    print(f"Installed in {time.monotonic() - began:.0f} s; other packages are unchanged.")


def is_satisfied(line: Requirement) -> bool:
    try:
        return line.specifier.contains(version(line.name), prereleases=True)
    except PackageNotFoundError:
        return False


def _pins(keep_out: set[str]) -> str:
    """Return a constraints file that pins every installed package not in `keep_out`.

    Ask pip for the list: Colab has older, unused copies of some packages further down its path.
    """
    command = [sys.executable, "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"]
    listed = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    names = {line: canonicalize_name(line.partition("==")[0]) for line in listed if "==" in line}
    return "".join(f"{line}\n" for line, name in names.items() if name not in keep_out)

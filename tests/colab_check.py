"""`make colab-check`: installing the suite moves none of the versions that Colab ships, and its tests pass there."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".venv" / "colab"
PYTHON = HOME / "bin" / "python"
VERSIONS = ROOT / "tests" / "colab_versions.txt"
_AS_ON_COLAB = """
from catdog import colab
colab.install([line for line in colab.requirements() if line.name not in colab.NOT_IN_A_NOTEBOOK])
"""


def colabs_python() -> str:
    """Python 3.13, else 3.12, from the PATH or pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    for name in ("python3.13", "python3.12"):
        found = [shutil.which(name), *pyenv.glob(f"versions/{name.removeprefix('python')}*/bin/{name}")]
        for candidate in filter(None, found):
            if subprocess.run([candidate, "--version"], capture_output=True).returncode == 0:
                return str(candidate)
    sys.exit("Python 3.13 or 3.12 is needed, as Colab has it: install one, then run this again.")


def run(*arguments: str, **options) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "notebooks")}
    done = subprocess.run([str(PYTHON), *arguments], cwd=ROOT, env=environment, **options)
    if done.returncode:
        sys.exit(f"Failed: {' '.join(arguments)[:80]}")


def pip(*arguments: str) -> None:
    run("-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments)


def installed() -> dict[str, str]:
    command = [str(PYTHON), "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return dict(line.split("==") for line in lines if "==" in line)


def nothing_moved(before: dict[str, str], how: str) -> None:
    now = installed()
    moved = [
        f"{name} {version} → {now.get(name, 'gone')}" for name, version in before.items() if now.get(name) != version
    ]
    if moved:
        sys.exit(f"{how} moved {', '.join(moved)}.")
    print(f"{how}: {len(now) - len(before)} packages came, none of {len(before)} moved.", flush=True)


def main() -> None:
    began = time.monotonic()
    python = colabs_python()
    print(f"Colab's versions beside {python}", flush=True)
    subprocess.run([python, "-m", "venv", "--clear", str(HOME)], check=True)
    pip("--requirement", str(VERSIONS))
    before = installed()
    run("-c", _AS_ON_COLAB)
    nothing_moved(before, "Installing as the set-up cells do")
    pip("--requirement", "requirements.txt")
    nothing_moved(before, "Installing requirements.txt")
    pip("--requirement", "tests/requirements.txt")
    nothing_moved(before, "Installing what the tests need")
    print(f"{time.monotonic() - began:.0f} s so far; now the tests", flush=True)
    run("tests/get_browser.py")
    run("-m", "pytest", *sys.argv[1:])
    print(f"All of it took {(time.monotonic() - began) / 60:.1f} minutes.")


if __name__ == "__main__":
    main()

"""Installing the suite moves none of the versions that Colab ships, brings no conflict, and its tests pass there.

    make colab-check                     everything, some ten minutes on two cores
    make colab-check CHECK="-k places"   what is given goes to pytest

Colab's Python and its versions of what the suite uses stand for Colab's machine, which has many more packages.
"""

import ast
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".venv" / "colab"
PYTHON = HOME / "bin" / "python"
VERSIONS = ROOT / "tests" / "colab_versions.txt"
_ON_COLAB = """
from catdog import packages
from catdog.notebook import colab, set_up
colab.on_colab = packages.on_colab = lambda: True
colab.update = lambda: None
{call}
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


def pip_install(*arguments: str) -> None:
    run("-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments)


def installed() -> dict[str, str]:
    command = [str(PYTHON), "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return dict(line.split("==") for line in lines if "==" in line)


def planned(file: str) -> dict[str, str]:
    """What pip alone would install for a file of requirements, and nothing is."""
    command = [str(PYTHON), "-m", "pip", "install", "-qq", "--dry-run", "--report", "-", "--requirement", file]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found = (one["metadata"] for one in json.loads(done.stdout)["install"])
    return {one["name"]: one["version"] for one in found}


def conflicts() -> set[str]:
    """What pip finds not to go together."""
    done = subprocess.run([str(PYTHON), "-m", "pip", "check"], capture_output=True, text=True)
    return set(done.stdout.splitlines()) if done.returncode else set()


def nothing_moved(before: dict[str, str], now: dict[str, str], how: str) -> None:
    spelled = {canonical(name): version for name, version in now.items()}
    after = {name: spelled.get(canonical(name), "gone") for name in before}
    moved = [f"{name} {before[name]} → {after[name]}" for name in before if after[name] != before[name]]
    if moved:
        sys.exit(f"{how} moves {', '.join(moved)}.")
    print(f"{how}: {len(spelled) - len(before)} packages come, none of {len(before)} moves.", flush=True)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def set_up_of(notebook: str) -> str:
    """The line by which a notebook sets itself up."""
    return next(line for line in code_of(notebook) if line.startswith("    set_up(")).strip()


def imports_of(notebook: str) -> str:
    """The lines by which a notebook imports from the suite, whatever its settings."""
    tree = ast.parse("\n".join(line for line in code_of(notebook) if not line.startswith("%")))
    return "\n".join(
        ast.unparse(node) for node in tree.body if isinstance(node, ast.ImportFrom) and "catdog" in node.module
    )


def code_of(notebook: str) -> list[str]:
    cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text())["cells"]
    return [line.rstrip() for cell in cells if cell["cell_type"] == "code" for line in cell["source"]]


def alone():
    """Nobody else may clear the environment: a lock for as long as what is returned is kept."""
    HOME.parent.mkdir(exist_ok=True)
    lock = HOME.with_suffix(".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("Another colab-check is at work here: wait for it, or run this one in another clone.")
    return lock


def main() -> None:
    began, lock = time.monotonic(), alone()
    python = colabs_python()
    print(f"Colab's versions beside {python}", flush=True)
    subprocess.run([python, "-m", "venv", "--clear", str(HOME)], check=True)
    pip_install("--requirement", str(VERSIONS))
    before, known = installed(), conflicts()
    nothing_moved(before, {**before, **planned("requirements.txt")}, "pip install -r requirements.txt, by itself")
    for notebook in ("3_frontend", "2_backend", "1_fine_tune"):  # each brings more than the one before
        run("-c", _ON_COLAB.format(call=set_up_of(notebook)))
        run("-c", imports_of(notebook))
        nothing_moved(before, installed(), f"The set-up cell of {notebook}")
    run("-c", _ON_COLAB.format(call="packages.install_packages(*colab.FOR_SOME_SETTINGS)"))
    nothing_moved(before, installed(), "What some settings bring")
    if new := conflicts() - known:
        sys.exit(f"The set-up cells bring what does not go together: {'; '.join(sorted(new))}.")
    pip_install("--requirement", "requirements.txt", "--requirement", "tests/requirements.txt")
    nothing_moved(before, installed(), "What runs notebooks and tests")
    print(f"{time.monotonic() - began:.0f} s so far; now the tests", flush=True)
    run("tests/get_browser.py")
    run("tests/get_runtime.py")
    run("-m", "pytest", *sys.argv[1:])
    run("-c", _ON_COLAB.format(call="packages.install_for_scale()"))
    nothing_moved(before, installed(), "What very many photos need")
    print(f"All of it took {(time.monotonic() - began) / 60:.1f} minutes.")
    lock.close()


if __name__ == "__main__":
    main()

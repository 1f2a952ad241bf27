"""README, Makefile, buttons and set-up cells keep in step."""

import dataclasses
import re
import shutil
import subprocess
import sys

from catdog.backend.limits import Limits
from catdog.paths import SHIPPED_MODEL
from conftest import ROOT, notebook_cells, tracked
from set_repository_url import carriers, repository, with_address

README = (ROOT / "README.md").read_text()


def test_one_address_everywhere():
    for file in carriers():
        assert with_address(file.read_text(), repository()) == file.read_text(), f"{file.name}: run make address"


def test_another_address_reaches_every_button_and_set_up_cell():
    for file in carriers():
        moved = with_address(file.read_text(), "https://github.com/somebody/else.where")
        assert repository().removeprefix("https://github.com/") not in moved
        assert "somebody/else.where" in moved


def test_a_fork_gets_its_own_address_with_nothing_installed(tmp_path):
    for path in [*carriers(), ROOT / "pyproject.toml", ROOT / "tools" / "set_repository_url.py"]:
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    command = [sys.executable, "-S", "tools/set_repository_url.py", "https://github.com/me/mine"]  # -S: no packages
    subprocess.run(command, cwd=tmp_path, env={}, check=True, stdout=subprocess.DEVNULL)
    for name in ("README.md", "pyproject.toml", "notebooks/2_backend.ipynb"):
        assert "/me/mine" in (tmp_path / name).read_text()
        assert repository().removeprefix("https://github.com/") not in (tmp_path / name).read_text()
    workflow = (ROOT / ".github" / "workflows" / "address.yml").read_text()
    assert 'python tools/set_repository_url.py "https://github.com/$GITHUB_REPOSITORY"' in workflow


def test_a_button_for_every_notebook():
    path = repository().removeprefix("https://github.com/")
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        link = f"https://colab.research.google.com/github/{path}/blob/main/notebooks/{notebook.name}"
        assert link in README
        assert link in notebook_cells(notebook)[0].source


def test_every_command_in_the_readme_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    named = set(re.findall(r"`(?:[A-Z_]+=\S+ )*make ([a-z-]+)", README)) | set(
        re.findall(r"^(?:[A-Z_]+=\S+ )*make ([a-z-]+)", README, flags=re.M)
    )
    assert {"run", "test", "backend", "frontend"} <= named <= targets


def test_the_limits_in_the_security_page_are_those_of_the_code():
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", (ROOT / "SECURITY.md").read_text(), flags=re.M)
    assert {name: float(value) for name, value in rows} == dataclasses.asdict(Limits())


def test_every_command_in_the_security_page_is_there():
    named = set(re.findall(r"`[^`]*?make ([a-z-]+)", (ROOT / "SECURITY.md").read_text()))
    assert named <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    tests = set(re.findall(r"pytest (tests/\w+\.py)", (ROOT / "SECURITY.md").read_text()))
    assert tests
    assert all((ROOT / name).exists() for name in tests)


def test_the_required_packages_are_required():
    required = re.findall(r"^([a-z-]+)", (ROOT / "requirements.txt").read_text(), flags=re.M)
    assert {"tensorflow", "flask", "flask-ngrok", "pillow", "numpy", "nbval", "jupyter"} <= set(required)
    assert "==" not in (ROOT / "requirements.txt").read_text()


def test_pictures_and_files_that_the_readme_names_are_there():
    names = re.findall(r"\]\((?!https?:|#)([^)]+)\)", README)
    assert names
    assert all((ROOT / name).exists() for name in names)


def test_the_model_that_ships_is_in_the_repository_and_no_other():
    assert {path.parent for path in tracked(ROOT / "models") if path.name != "README.md"} == {SHIPPED_MODEL}


def test_no_photo_of_others_and_nothing_large_is_in_the_repository():
    for file in tracked(ROOT):
        assert file.stat().st_size < 1_000_000, file
        assert file.suffix.lower() not in (".jpg", ".jpeg", ".keras", ".h5", ".zip"), file

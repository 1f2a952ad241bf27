"""README, Makefile, buttons and set-up cells keep in step."""

import dataclasses
import re
import shutil
import subprocess
import sys

import pytest
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


_BEFORE = {"label", "fit", "serve"}  # targets by their earlier names, which the changelog has


def test_every_command_in_the_pages_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    for page in PAGES:
        text = page.read_text()
        named = set(re.findall(r"`(?:[A-Z_]+=\S+ )*make ([a-z-]+)", text))
        named |= set(re.findall(r"^(?:[A-Z_]+=\S+ )*make ([a-z-]+)", text, flags=re.M))
        assert named <= targets | _BEFORE, page
        assert page != PAGES[0] or {"run", "test", "train", "backend", "frontend"} <= named


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


PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES += [*(ROOT / "docs").glob("*.md"), ROOT / "models" / "README.md", ROOT / "data" / "README.md"]


def anchors(page):
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pictures_pages_and_headings_that_are_linked_are_there(page):
    for name in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        file, _, heading = name.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), name
        assert not heading or heading in anchors(target), name


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_pages_that_a_notebook_links_are_there(path):
    """By whole addresses: Colab has no pages beside a notebook."""
    text = "\n".join(cell.source for cell in notebook_cells(path) if cell.cell_type == "markdown")
    for link in re.findall(r"\]\((.+?)\)", text):
        page, _, heading = link.removeprefix(f"{repository()}/blob/main/").partition("#")
        if page.startswith("docs/"):
            assert not heading or heading in anchors(ROOT / page)
        else:
            assert link.startswith("https://scikit-learn.org/") or (ROOT / "notebooks" / link).exists(), link


def test_the_readme_is_one_screen():
    assert len(README.split()) <= 700
    linked = {page.name for page in PAGES if page.name in README}
    reachable = linked | {page.name for page in PAGES if page.name in (ROOT / "docs" / "benchmarks.md").read_text()}
    assert {page.name for page in PAGES if page.parent.name == "docs"} <= reachable | {"settings.md", "tf-serving.md"}


@pytest.mark.parametrize("notebook", ["1_fine_tune", "2_backend", "3_frontend"])
def test_the_page_of_settings_has_those_of_each_notebook_with_their_defaults(notebook):
    cells = notebook_cells(ROOT / "notebooks" / f"{notebook}.ipynb")
    forms = "\n".join(cell.source for cell in cells if re.match("#@title (Advanced s|S)ettings", cell.source))
    fields = re.findall(r"^([A-Z0-9_]+) = (.*?)  #@param", forms, flags=re.M)
    page = (ROOT / "docs" / "settings.md").read_text().split(f"## Notebook {notebook[0]}\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `([A-Z0-9_]+)` \| `(.*?)` \|", page, flags=re.M) == fields


def test_the_model_that_ships_is_in_the_repository_and_no_other():
    assert {path.parent for path in tracked(ROOT / "models") if path.name != "README.md"} == {SHIPPED_MODEL}


def test_no_photo_of_others_and_nothing_large_is_in_the_repository():
    for file in tracked(ROOT):
        assert file.stat().st_size < 1_000_000, file
        assert file.suffix.lower() not in (".jpg", ".jpeg", ".keras", ".h5", ".zip"), file

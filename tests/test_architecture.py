"""Which folder may import from which others: arrows go down only, and there is no circle, of folders or of modules."""

import ast
from graphlib import TopologicalSorter

import pytest
from conftest import ROOT, notebook_cells

PACKAGE = ROOT / "notebooks" / "catdog"
# Files at the root of the package are for all. docs/architecture.md says what each folder is for.
ALLOWED = {
    "data": set(),
    "web": set(),
    "frontend": {"web"},
    "tunnels": {"web"},
    "backbones": {"data"},
    "engines": {"backbones", "data"},
    "models": {"engines", "backbones", "data"},
    "pruning": {"engines", "backbones", "data"},
    "training": {"models", "pruning", "engines", "backbones", "data"},
    "curation": {"training", "data"},
    "backend": {"models", "engines", "data", "web", "frontend"},
    "site": {"models", "engines", "backbones", "data", "web", "frontend"},
    "distributed": {"training", "backend", "models", "engines", "backbones", "data"},
    "notebook": {"site", "curation", "training", "models", "engines", "data", "backend", "tunnels", "web", "frontend"},
}
# What notebook 3 loads, and the set-up cell before anything is installed.
_LIGHT = ("errors", "paths", "settings", "machine", "files", "moved", "web", "frontend", "tunnels")
_LIGHT_OF_THE_NOTEBOOK = tuple(f"notebook.{name}" for name in ("colab", "page_preview", "served", "served_page"))
_HEAVY = {"tensorflow", "keras", "openvino", "sklearn", "scipy", "pandas", "cleanlab", "numpy", "PIL"}


def modules():
    """Each module's dotted name within the package, and its file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = dict(modules())


def at_run_time(tree):
    """The nodes of a module but for what it imports to name types by."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            yield node
            yield from at_run_time(node)


def imported_from_here(path):
    """Modules of the package that a module imports, wherever in it."""
    folder = path.relative_to(PACKAGE).parts[:-1]
    for node in at_run_time(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*folder[: len(folder) - node.level + 1], *(node.module.split(".") if node.module else [])]
            for name in node.names:
                whole = ".".join([*base, name.name])
                yield whole if whole in MODULES else ".".join(base)


def imported_from_outside(path):
    """Packages that a module imports; not those that a text of its names, such as an example's."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


ARROWS = {name: set(imported_from_here(path)) - {name} for name, path in MODULES.items()}


def room(module):
    """A folder, or a file at the root."""
    return module.split(".")[0]


def test_every_folder_imports_from_those_below_it_alone():
    assert {room(name) for name in MODULES if (PACKAGE / room(name)).is_dir() and name} == set(ALLOWED)
    for name, others in ARROWS.items():
        allowed = {room(name), *ALLOWED.get(room(name), ())}
        wrong = {other for other in others if room(other) in ALLOWED and room(other) not in allowed}
        assert not wrong, f"{name} imports from {sorted(wrong)}"


def test_there_is_no_circle():
    list(TopologicalSorter(ARROWS).static_order())
    rooms = {}
    for name, others in ARROWS.items():
        rooms.setdefault(room(name), set()).update({room(other) for other in others} - {room(name)})
    list(TopologicalSorter(rooms).static_order())


def test_what_the_page_and_the_set_up_load_is_light():
    for name, path in MODULES.items():
        if room(name) in _LIGHT or name in ("notebook", *_LIGHT_OF_THE_NOTEBOOK):
            assert not _HEAVY & set(imported_from_outside(path)), name


def test_notebooks_import_from_one_place():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in (cell for cell in notebook_cells(path) if cell.cell_type == "code"):
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "catdog":
                    assert node.module == "catdog.notebook", cell.source
                if isinstance(node, ast.Import):
                    assert not any(name.name.split(".")[0] == "catdog" for name in node.names), cell.source


def public_names():
    from catdog.notebook import PUBLIC

    return list(PUBLIC)


@pytest.mark.parametrize("name", public_names())
def test_what_notebooks_call_is_there_documented_and_called(name):
    from catdog import notebook

    if name == "label":
        pytest.importorskip("ray")
    found = getattr(notebook, name)
    assert not callable(found) or found.__doc__
    told = [cell.source for path in (ROOT / "notebooks").glob("*.ipynb") for cell in notebook_cells(path)]
    told += [page.read_text() for page in (ROOT / "docs").glob("*.md")]
    told += [path.read_text() for path in (ROOT / "tests" / "earlier_notebooks" / "single_calls").iterdir()]
    told.append(MODULES["distributed.cluster"].read_text())
    assert any(name in text for text in told)


def test_photos_are_decoded_in_one_place():
    for name, path in MODULES.items():
        if name not in ("data.images", "data.salvage", "data.synthetic"):
            assert "PIL" not in set(imported_from_outside(path)), path
            assert "load_img" not in path.read_text(), path


def test_pages_scripts_are_short():
    for path in PACKAGE.rglob("*.js"):
        assert len(path.read_text().splitlines()) <= 280, path

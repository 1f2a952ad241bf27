"""The arrows between the modules go down only."""

import ast
from graphlib import TopologicalSorter

from conftest import ROOT

PACKAGE = ROOT / "notebooks" / "catdog"
TRAINING = {
    "sources",
    "archives",
    "dataset",
    "layout_reader",
    "splitting",
    "known_sets",
    "pictures",
    "inspection",
    "preprocessing",
    "images",
    "weights",
    "weight_sources",
    "torch_file",
    "lite0",
    "lite0_weights",
    "backbone",
    "applications",
    "unfreezing",
    "pruning",
    "compacting",
    "tuning",
    "comparison",
    "features",
    "training",
    "judging",
    "confidence",
    "learning_curve",
    "network_comparison",
    "evaluation",
    "figures",
    "proving",
    "saving",
    "export",
    "exports",
    "export_examples",
    "export_formats",
    "export_metadata",
    "keras_files",
}
SERVING = {"classifier", "backend", "frontend", "serving", "tunnels", "link", "panel", "trial"}


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def arrows(path):
    """Rooms of the package that a module imports, wherever in it."""
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            yield from [node.module.split(".")[0]] if node.module else (name.name for name in node.names)


def imported(path):
    """Packages that a module imports from outside; not those that a text of its names, such as an example's."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def graph():
    rooms = {}
    for path in PACKAGE.rglob("*.py"):
        rooms.setdefault(room(path), set()).update(set(arrows(path)) - {room(path), "__version__"})
    return rooms


def test_no_circle():
    order = list(TopologicalSorter(graph()).static_order())
    assert order.index("images") < order.index("features") < order.index("saving")
    assert order.index("engines") < order.index("bundle") < order.index("classifier") < order.index("backend")


def test_training_never_imports_serving():
    rooms = graph()
    assert set(rooms) >= TRAINING | SERVING
    for name in TRAINING:
        assert not rooms[name] & SERVING, name


def test_the_lowest_floor_imports_next_to_nothing():
    rooms = graph()
    for name in ("errors", "drawings", "head", "progress", "torch_file"):
        assert not rooms[name]
    assert rooms["preprocessing"] == {"errors"}
    assert rooms["lite0"] == {"frameworks"}
    assert rooms["weight_sources"] == {"errors", "places"}
    assert rooms["places"] == {"errors"}
    assert rooms["images"] == {"errors", "names", "preprocessing", "salvage"}
    assert rooms["pictures"] == {"places", "preprocessing"}
    assert rooms["layout"] | rooms["layout_reader"] <= {
        "errors",
        "folders",
        "class_folders",
        "labels",
        "label_tables",
        "layout",
        "names",
    }
    assert rooms["frontend"] <= {"errors", "link", "places"}
    assert rooms["colab"] <= {"errors", "places"}
    assert rooms["tunnels"] <= {"colab", "errors", "link", "places"}


def test_photos_are_decoded_in_one_place():
    for path in PACKAGE.rglob("*.py"):
        if path.name not in ("images.py", "salvage.py", "drawings.py"):
            assert "PIL" not in set(imported(path)), path
            assert "load_img" not in path.read_text(), path


def test_files_are_short():
    for path in [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.js")]:
        assert len(path.read_text().splitlines()) <= 300, path

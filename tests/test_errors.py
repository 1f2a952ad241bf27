"""Every error that a person sees has a stable code and a sentence; other tests look at the code."""

import ast
import pickle
import re

import pytest
from catdog.data.images import PhotoRefused
from catdog.errors import CODES, UserError, for_the_command_line
from catdog.tunnels.base import LinkRefused
from conftest import ROOT, notebook_cells

KINDS = {
    "UserError",
    "BundleRefused",
    "EngineUnavailable",
    "FeaturesDamaged",
    "LeftOut",
    "LinkRefused",
    "PhotoRefused",
}
SOURCES = [path for folder in ("notebooks/catdog", "deploy") for path in sorted((ROOT / folder).rglob("*.py"))]
# What takes another machine than a test has, or a fault that cannot be brought about from outside.
SEEN_BY_NO_TEST = {
    "cluster-folder-unseen": "a cluster of machines that share no storage",
    "features-not-writable": "a cache that cannot be written, which root always can",
}


def raised():
    """(file, code, message) of each place where such an error is made; the parts of a message that are not fixed are
    "…"."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
                first, second = node.args[-2:] if node.func.id == "LeftOut" else node.args[:2]
                yield path.name, first.value if isinstance(first, ast.Constant) else None, fixed(second)


def fixed(node):
    match node:
        case ast.Constant():
            return node.value
        case ast.JoinedStr():
            return "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        case ast.BinOp():
            return fixed(node.left) + fixed(node.right)
        case ast.Call(func=ast.Attribute(value=ast.Constant() as text, attr="format")):
            return text.value
    return "…"


RAISED = list(raised())


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_has_a_title_a_place_and_a_test(code):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", code)
    assert re.fullmatch(r"[A-Za-z].{8,70}[^.]", CODES[code])
    used = f'"{code}"'
    assert any(used in path.read_text() for path in SOURCES if path.name != "errors.py"), "nothing raises it"
    tests = [path for path in (ROOT / "tests").glob("test_*.py") if path.name != "test_errors.py"]
    seen = any(re.search(rf'["[]{code}["\]\\]', path.read_text()) for path in tests)
    assert seen != (code in SEEN_BY_NO_TEST), "no test looks at it" if not seen else "a test looks at it: off the list"


@pytest.mark.parametrize(("file", "code", "message"), RAISED, ids=[f"{file}-{code}" for file, code, _ in RAISED])
def test_every_error_has_a_known_code_and_a_whole_sentence(file, code, message):
    assert code in CODES or (code is None and message == "…"), "say the code where the error is made"
    assert re.search(r"[.)…]$", message), message  # "…" ends with what another error says
    assert re.match(r"[A-Z{\"'…]|ngrok|cloudflared|this|it ", message), message  # engines: after "X is skipped: "


def test_nothing_but_a_literal_code_is_raised_in_notebooks():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert not any("Error(" in cell.source for cell in notebook_cells(path))


def test_a_code_that_is_not_in_the_table_is_a_mistake():
    with pytest.raises(KeyError):
        UserError("thought-up", "Something.")


@pytest.mark.parametrize("kind", [UserError, PhotoRefused, LinkRefused])
def test_it_comes_back_from_another_process(kind):
    back = pickle.loads(pickle.dumps(kind("photo-empty", "The file is empty.")))
    assert (type(back), back.code, str(back)) == (kind, "photo-empty", "The file is empty.")


def test_a_person_sees_sentence_and_code_and_no_traceback():
    error = UserError("photo-empty", "The file is empty.")
    assert error._render_traceback_() == ["⚠ The file is empty. [photo-empty]"]
    with pytest.raises(SystemExit, match=r"^⚠ The file is empty\. \[photo-empty\]$"), for_the_command_line("Stopped."):
        raise error
    with pytest.raises(SystemExit, match=r"^Stopped\.$"), for_the_command_line("Stopped."):
        raise KeyboardInterrupt

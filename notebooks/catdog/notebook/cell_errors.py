"""A sentence instead of a traceback, if cells run out of order or somebody stops one."""

import ast
import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from ..paths import on_colab

_NOTEBOOKS = Path(__file__).resolve().parents[2]
_STOPPED = "⚠ Stopped. Run this cell again to go on."
_RUN_ABOVE = {True: "Runtime → Run before", False: "Run → Run All Above Selected Cell"}


def explain_errors(shell: Any) -> None:
    """Let IPython's `shell` name the cell to run first instead of a NameError, and show a sentence for an interrupt.

    IPython has one error handler: errors that had one before keep it.
    """
    others, handled_before = shell.custom_exceptions, shell.CustomTB

    def shown(
        shell: Any, kind: type, error: BaseException, traceback: TracebackType, tb_offset: int | None = None
    ) -> None:
        if issubclass(kind, others):
            handled_before(kind, error, traceback, tb_offset=tb_offset)
            return
        if sentence := _sentence(error, traceback, shell.user_ns["In"][-1]):
            error._render_traceback_ = lambda: [sentence]  # type: ignore[attr-defined]  # as IPython looks for it
        shell.showtraceback((kind, error, traceback), tb_offset=tb_offset)

    shell.set_custom_exc((*others, NameError, KeyboardInterrupt), shown)


def _sentence(error: BaseException, traceback: TracebackType, source: str) -> str:
    if isinstance(error, KeyboardInterrupt):
        return _STOPPED
    return missing_cell(getattr(error, "name", "") or "", source) if _is_of_the_cell(traceback) else ""


def _is_of_the_cell(traceback: TracebackType) -> bool:
    """Tell whether the cell itself used the name, rather than a function that it called."""
    while traceback.tb_next:
        traceback = traceback.tb_next
    return traceback.tb_frame.f_globals.get("__name__") == "__main__"


def missing_cell(name: str, source: str) -> str:
    """Say which cell of our notebooks defines `name`, for a cell with this `source`; empty if none does."""
    found = [(notebook, heading) for notebook in _notebooks() for heading, code in notebook if name in _made_by(code)]
    if not found:
        return ""
    _, heading = max(found, key=lambda one: max(_likeness(code, source) for _, code in one[0]))
    return (
        f"⚠ This cell needs {name}, which the cell under “{heading}” defines: run that one first, or choose "
        f"{_RUN_ABOVE[on_colab()]}."
    )


def _notebooks() -> Iterator[list[tuple[str, str]]]:
    """Yield the code cells of each notebook, with the headings above them."""
    for path in sorted(_NOTEBOOKS.glob("*.ipynb")):
        cells, heading = [], ""
        for cell in _cells(path):
            source = "".join(cell["source"])
            if cell["cell_type"] == "code":
                cells.append((heading, source))
            elif headings := [line for line in source.splitlines() if line.startswith("#")]:
                heading = headings[-1].lstrip("# ")
        yield cells


def _cells(path: Path) -> list[dict]:
    try:
        return json.loads(path.read_text("utf-8"))["cells"]
    except (OSError, ValueError, KeyError, TypeError):  # somebody is editing it
        return []


def _made_by(code: str) -> set[str]:
    """Return the names that a cell assigns or imports; none if it is not Python, such as `%pip`."""
    names: set[str] = set()
    try:
        body = ast.parse(code).body
    except SyntaxError:
        return names
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(one.asname or one.name).partition(".")[0] for one in node.names}
        elif not isinstance(node, ast.FunctionDef | ast.ClassDef):
            stored = (one for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store))
            names |= {one.id for one in stored}
    return names


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).quick_ratio()

"""Copy the repository's address from pyproject.toml, its only place, into the README's buttons and the notebooks.

python tools/set_repository_url.py                               the address in pyproject.toml
python tools/set_repository_url.py https://github.com/me/mine    another address, also written to pyproject.toml
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_GITHUB = r"https://github\.com/[\w.-]+/[\w.-]+?"
_COLAB = r"https://colab\.research\.google\.com/github/[\w.-]+/[\w.-]+/blob/"
_DOCS = rf"{_GITHUB}/blob/main/docs/"
_PROJECT = ROOT / "pyproject.toml"


def repository() -> str:
    """Read the address from pyproject.toml."""
    return tomllib.loads(_PROJECT.read_text())["tool"]["catdog"]["repository"]


def carriers() -> list[Path]:
    """List the files that contain the address."""
    return [ROOT / "README.md", ROOT / "docs" / "class.md", *sorted((ROOT / "notebooks").glob("*.ipynb"))]


def with_address(text: str, address: str) -> str:
    """Return `text` with `address` in its Colab buttons, its links to pages, its `git clone` and its set-up cells."""
    path = address.removeprefix("https://github.com/")
    text = re.sub(_COLAB, f"https://colab.research.google.com/github/{path}/blob/", text)
    text = re.sub(_DOCS, f"{address}/blob/main/docs/", text)
    text = re.sub(rf"git clone {_GITHUB}\n", f"git clone {address}\n", text)
    return re.sub(rf'(PUBLISHED_AT = \\?"){_GITHUB}(\\?")', rf"\g<1>{address}\g<2>", text)


def main(address: str = "") -> None:
    if address:
        _PROJECT.write_text(_PROJECT.read_text().replace(f'"{repository()}"', f'"{address}"'))
    for file in carriers():
        file.write_text(with_address(file.read_text(), repository()))
        print(f"{file.relative_to(ROOT)}: {repository()}")


if __name__ == "__main__":
    main(*sys.argv[1:])

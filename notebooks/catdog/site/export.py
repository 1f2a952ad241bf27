"""Write a saved model as a website of static files: no service is needed, and after the first visit no network."""

import gzip
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import packages
from ..backbones.architectures import Backbone
from ..errors import UserError
from ..files import read_json, written_whole
from ..frontend.words import require_language
from ..models.bundle import Bundle
from ..models.export_metadata import SITE
from .page_files import SERVICE_WORKER, page_files, service_worker
from .runtime import LICENSE, runtime_files

if TYPE_CHECKING:
    from .model_files import SiteNetwork

_LIST = "site-files.json"  # of the files that are ours: nothing else in the folder is touched
_READABLE = 0o644  # for a web server, which is another user
_RUNTIME = {  # few hosts know the ending .mjs, or compress .wasm
    "ort.wasm.min.mjs": "ort.js",
    "ort-wasm-simd-threaded.mjs": "ort-wasm.js",
    "ort-wasm-simd-threaded.wasm": "ort-wasm.bin",
}
_VGG16 = """VGG16, on which the model was trained: Karen Simonyan and Andrew Zisserman, Visual Geometry Group, Oxford
(https://www.robots.ox.ac.uk/~vgg/research/very_deep/), CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/), as
Keras distributes it. Changes: the last layer was trained on other photos; the weights were rounded, and perhaps pruned.

ONNX Runtime, which runs it in the browser:

"""


@dataclass(frozen=True)
class Site:
    """A site that was written.

    Attributes:
        folder: with index.html; to be put on any host of static files.
        archive: the same files as a zip.
        precision: of the network, see `model_files.SiteNetwork`.
        megabytes: of the network and the runtime, and of all that a first visit loads, compressed.
    """

    folder: Path
    archive: Path
    precision: str
    megabytes: Mapping[str, float]

    def __str__(self) -> str:
        network, runtime, whole = (self.megabytes[part] for part in ("network", "runtime", "first visit"))
        return (
            f"The site is in {self.folder}, and as a zip in {self.archive}.\n"
            f"A first visit loads {whole:.1f} MB: {network:.1f} for the network ({self.precision}), {runtime:.1f} "
            "for what runs it. After that, it works offline.\n"
            "docs/site.md says where to put it."
        )


def export_site(
    bundle: Bundle,
    out: Path | None = None,
    language: str = "",
    public: Backbone | None = None,
    say: Callable[[str], object] = print,
) -> Site:
    """Write a saved model as a site, and as a zip beside its folder.

    Files of an earlier site in the folder are replaced, or removed if they are no longer part of it; all others stay,
    such as those of a repository. Each file appears whole or not at all, the service worker last: a visitor gets the
    old version or the new one. An export that was interrupted can be repeated.

    Args:
        out: the folder; if None, `site` in the model's folder.
        language: one of the page's languages; if empty, the page follows each browser's.
        public: the backbone without the model's fine-tuned arrays; if None, it is loaded.

    Raises UserError if the page does not speak the language, the model cannot be taken along, its runtime cannot be
    fetched, or the folder or the zip is not ours.
    """
    require_language(language)
    folder = (out or bundle.folder / SITE).resolve()  # "." has no name for the zip
    archive = folder.with_name(f"{folder.name}.zip")
    _require_meant(folder, archive)
    packages.install_packages("onnx", "onnxruntime")
    from .model_files import choose_network  # which imports them

    network = choose_network(bundle, public, say)
    written = files(bundle, network, language, say)
    _require_unused(folder, written)
    _write(folder, written)
    _put(archive, _zipped(written))
    return Site(folder, archive, network.precision, _megabytes(written))


def files(bundle: Bundle, network: "SiteNetwork", language: str, say: Callable[[str], object]) -> dict[str, bytes]:
    """Return the site's files by path: first the list of the others, last the service worker."""
    from .model_files import model_files

    fetched = runtime_files(say)
    runtime = {f"runtime/{ours}": fetched[name].read_bytes() for name, ours in _RUNTIME.items()}
    wasm = f"runtime/{_RUNTIME['ort-wasm-simd-threaded.wasm']}"
    runtime[wasm] = gzip.compress(runtime[wasm], mtime=0)
    model = {f"model/{name}": content for name, content in model_files(bundle, network, len(runtime[wasm])).items()}
    licenses = {"licenses.txt": (_VGG16 + LICENSE.read_text(encoding="utf-8")).encode()}
    found = {**page_files(bundle.card.name, language), **model, **runtime, **licenses}
    found |= {".nojekyll": b"", SERVICE_WORKER: service_worker(found)}
    return {_LIST: _list(found), **found}


def _require_meant(folder: Path, archive: Path) -> None:
    """Raise UserError where the folder is not meant for a site, or the zip would take the place of another one."""
    if archive.exists() and not _is_a_site(archive):
        raise _not_ours(archive, "another zip, which that of the site would replace")
    if not folder.exists() or any((folder / ours).exists() for ours in (_LIST, ".git")):
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise _not_ours(folder, "used for other files")


def _require_unused(folder: Path, files: Mapping[str, bytes]) -> None:
    """Raise UserError where a file of somebody else's would be replaced."""
    ours = {_LIST, *_listed_in(folder)}
    if replaced := next((path for path in files if path not in ours and (folder / path).exists()), ""):
        raise _not_ours(folder / replaced, "not a file of a site of ours, which would replace it")


def _not_ours(path: Path, why: str) -> UserError:
    return UserError(
        "site-folder-not-ours", f"{path} is {why}: choose an empty folder, a new name, or a repository without it."
    )


def _is_a_site(archive: Path) -> bool:
    try:
        with zipfile.ZipFile(archive) as zipped:
            return _LIST in zipped.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files, the service worker last. Until then, the list names what is there of both versions."""
    before = _listed_in(folder)
    both = _list(dict.fromkeys([*files, *before]))
    for path, content in {**files, _LIST: both}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        _put(folder / path, content)
    for path in set(before) - files.keys():
        if _is_inside(folder, folder / path):
            (folder / path).unlink()
    _put(folder / _LIST, files[_LIST])


def _listed_in(folder: Path) -> list[str]:
    """Return the paths that the folder's list names. Somebody else may have written it."""
    found = read_json(folder / _LIST).get("files")
    return [path for path in found if isinstance(path, str)] if isinstance(found, list) else []


def _is_inside(folder: Path, path: Path) -> bool:
    """Tell whether this is a file in the folder, also if parts of the path are links, or lead up."""
    try:
        return path.is_file() and folder.resolve() in path.resolve().parents
    except (OSError, ValueError):  # a path with a zero byte; one that is too long
        return False


def _list(paths: Iterable[str]) -> bytes:
    return json.dumps({"files": list(paths)}, indent=1).encode()


def _put(path: Path, content: bytes) -> None:
    with written_whole(path) as file:
        file.write(content)
        os.chmod(file.name, _READABLE)


def _zipped(files: Mapping[str, bytes]) -> bytes:
    """Return what the folder holds, as a zip that is the same for the same files."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path)  # of 1980
            entry.external_attr = _READABLE << 16
            zipped.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def _megabytes(files: Mapping[str, bytes]) -> dict[str, float]:
    """Return what goes over the wire, in millions of bytes, from a host that compresses texts."""
    sizes = {path: len(content if path.endswith(".bin") else gzip.compress(content)) for path, content in files.items()}
    parts = {"network": "model/network.bin", "runtime": "runtime/"}
    found = {part: sum(size for path, size in sizes.items() if path.startswith(start)) for part, start in parts.items()}
    return {part: size / 1e6 for part, size in {**found, "first visit": sum(sizes.values())}.items()}

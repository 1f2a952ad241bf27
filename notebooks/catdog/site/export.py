"""Write a saved model as a website of static files: no service is needed, and after the first visit no network."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import packages
from ..backbones.architectures import Backbone
from ..errors import UserError
from ..files import read_json, written_whole
from ..models.bundle import Bundle
from ..models.export_metadata import SITE
from .model_files import SiteNetwork, choose_network, model_files
from .page_files import SERVICE_WORKER, page_files, service_worker
from .runtime import LICENSE, runtime_files

_LIST = "site-files.json"  # of the files that are ours: nothing else in the folder is touched
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
    old version or the new one.

    Args:
        out: the folder; if None, `site` in the model's folder.
        language: one of the page's languages; if empty, the page follows each browser's.
        public: the backbone without the model's fine-tuned arrays; if None, it is loaded.

    Raises UserError if the model cannot be taken along, its runtime cannot be fetched, or the folder is not ours.
    """
    packages.install_packages("onnx", "onnxruntime")
    folder = out or bundle.folder / SITE
    network = choose_network(bundle, public, say)
    written = files(bundle, network, language, say)
    _require_ours(folder, written)
    _write(folder, written)
    archive = folder.with_name(f"{folder.name}.zip")
    _put(archive, _zipped(written))
    return Site(folder, archive, network.precision, _megabytes(written))


def files(bundle: Bundle, network: SiteNetwork, language: str, say: Callable[[str], object]) -> dict[str, bytes]:
    """Return the site's files by path, the service worker last."""
    fetched = runtime_files(say)
    runtime = {f"runtime/{ours}": fetched[name].read_bytes() for name, ours in _RUNTIME.items()}
    wasm = f"runtime/{_RUNTIME['ort-wasm-simd-threaded.wasm']}"
    runtime[wasm] = gzip.compress(runtime[wasm], mtime=0)
    model = {f"model/{name}": content for name, content in model_files(bundle, network, len(runtime[wasm])).items()}
    licenses = {"licenses.txt": (_VGG16 + LICENSE.read_text(encoding="utf-8")).encode()}
    found = {**page_files(bundle.card.name, language), **model, **runtime, **licenses}
    found |= {".nojekyll": b"", SERVICE_WORKER: service_worker(found)}
    return {_LIST: json.dumps({"files": list(found)}, indent=1).encode(), **found}


def _require_ours(folder: Path, files: Mapping[str, bytes]) -> None:
    """Raise UserError where a file of somebody else's would be replaced, or the folder is not meant for a site."""
    before = read_json(folder / _LIST).get("files", [])
    replaced = next((path for path in files if path not in before and (folder / path).exists()), "")
    is_meant = not folder.exists() or before or (folder / ".git").exists() or not any(folder.iterdir())
    if replaced or not is_meant:
        raise UserError(
            "site-folder-not-ours",
            f"{folder} holds {replaced or 'other files'}, which is not of a site of ours: "
            "choose an empty folder, a new name, or a repository.",
        )


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files, the service worker last. Until then, the list names what is there of both versions."""
    before = read_json(folder / _LIST).get("files", [])
    both = json.dumps({"files": [*files, *before]}).encode()
    for path, content in {**files, _LIST: both}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        _put(folder / path, content)
    for path in set(before) - set(files):
        if ".." not in path:
            (folder / path).unlink(missing_ok=True)
    _put(folder / _LIST, files[_LIST])


def _put(path: Path, content: bytes) -> None:
    with written_whole(path) as file:
        file.write(content)
    path.chmod(0o644)  # a web server is another user


def _zipped(files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path, content in files.items():
            zipped.writestr(path, content)
    return archive.getvalue()


def _megabytes(files: Mapping[str, bytes]) -> dict[str, float]:
    """Return what goes over the wire, in millions of bytes, from a host that compresses texts."""
    sizes = {path: len(content if path.endswith(".bin") else gzip.compress(content)) for path, content in files.items()}
    parts = {"network": "model/network.bin", "runtime": "runtime/"}
    found = {part: sum(size for path, size in sizes.items() if path.startswith(start)) for part, start in parts.items()}
    return {part: size / 1e6 for part, size in {**found, "first visit": sum(sizes.values())}.items()}

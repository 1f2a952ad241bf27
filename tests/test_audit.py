"""`make audit` tells holes, their absence, and that nobody could be asked."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow

HOLE = {
    "id": "GHSA-test", "aliases": ["CVE-2099-1"], "summary": "A hole", "details": "",
    "affected": [{
        "package": {"name": "holey", "ecosystem": "PyPI"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}],
    }],
}  # fmt: skip


class Osv(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"vulns": [HOLE]} if asked["package"]["name"] == "holey" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def database():
    with ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def audit(tmp_path, url, *packages):
    for name, version in packages:
        folder = tmp_path / "site" / f"{name}-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    command = [sys.executable, "tests/audit.py", "--path", str(tmp_path / "site"), "--osv-url", url, "--timeout", "2"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_hole_is_told_with_where_it_is_mended(tmp_path, database):
    done = audit(tmp_path, database, ("holey", "1.0"), ("sound", "1.0"))
    assert done.returncode == 1
    assert "holey 1.0: " in done.stdout
    assert "CVE-2099-1" in done.stdout
    assert "mended in: 2.0" in done.stdout
    assert "Packages checked: 2. Known holes: 1." in done.stdout


def test_no_hole_is_told(tmp_path, database):
    done = audit(tmp_path, database, ("sound", "1.0"))
    assert done.returncode == 0
    assert "Packages checked: 1. Known holes: 0." in done.stdout


def test_that_nobody_could_be_asked_is_no_all_clear(tmp_path):
    done = audit(tmp_path, "http://127.0.0.1:1", ("of-this-test-alone-and-not-on-pypi", "1.0"))
    assert done.returncode == 2
    assert "nothing was checked" in done.stdout

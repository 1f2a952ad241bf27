"""Programs that stand in for ngrok's agent and for cloudflared: what they print and do is read from the real ones."""

import sys
from pathlib import Path

_AGENT = """#!{python}
import json, os, sys, threading, time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

if sys.argv[1:] == ["version"]:
    sys.exit(print("ngrok version {version}"))
folder = Path({folder!r})
call = {{"arguments": sys.argv[1:], "token": os.environ.get("NGROK_AUTHTOKEN"), "pid": os.getpid()}}
with (folder / "calls").open("a") as calls:
    calls.write(json.dumps(call) + "\\n")
if call["token"] == "wrong":
    sys.exit(print('lvl=eror err="authentication failed: Your authtoken: wrong ERR_NGROK_107"'))
begun, slow = time.monotonic(), {slow}
port = call["arguments"][1]


class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        ready = time.monotonic() - begun > slow
        body = json.dumps({{"tunnels": [{{"public_url": {url!r} or "https://" + port}}] if ready else []}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


time.sleep(slow / 2)
HTTPServer(("127.0.0.1", 4040), Api).serve_forever()
"""

_CLOUDFLARED = """#!{python}
import os, sys, time
from pathlib import Path

(Path({folder!r}) / "calls").write_text(" ".join(sys.argv[1:]))
(Path({folder!r}) / "variables").write_text(" ".join(os.environ))
own = Path.home() / ".cloudflared" / "config.yml"
if "--config" not in sys.argv and own.exists():
    sys.exit(print("Couldn't start: the last ingress rule of", own, file=sys.stderr))
for line in {lines!r}:
    os.write(2, line.encode(errors="surrogateescape") + b"\\n")
time.sleep({stays})
"""


def agent(folder: Path, slow: float = 0, version: str = "3.24.0", url: str = "") -> Path:
    """An ngrok agent whose address is known only after `slow` seconds; it notes its calls in `folder`/calls.

    Args:
        url: the address that it tells; empty makes one of the port that it was given.
    """
    text = _AGENT.format(python=sys.executable, folder=str(folder), slow=slow, version=version, url=url)
    return _program(folder / "ngrok", text)


def cloudflared(folder: Path, *lines: str, stays: float = 600) -> Path:
    """A cloudflared that prints `lines`, as the real one does, to standard error, and ends after `stays` seconds.

    As the real one, it reads a configuration of one's own unless it is told of another, and says when it is registered.
    """
    if any(".trycloudflare.com" in line and "api." not in line for line in lines):
        lines = (*lines, "INF Registered tunnel connection connIndex=0 protocol=quic")
    return _program(
        folder / "cloudflared",
        _CLOUDFLARED.format(python=sys.executable, folder=str(folder), lines=lines, stays=stays),
    )


def _program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path

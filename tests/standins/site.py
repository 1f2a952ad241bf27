"""A site with a small network, and a plain host for it."""

import http.server
import threading
from functools import partial
from pathlib import Path

import numpy as np
from catdog.backbones.architectures import VGG16
from catdog.site import export
from catdog.site.model_files import FLOAT16, SiteNetwork, run
from catdog.site.onnx_graph import float16_graph
from catdog.site.page_files import SERVICE_WORKER, service_worker
from standins.network import slim_backbone
from tabs import LISTENER

_LISTEN = "page/listen.js"


class SlimNetwork:
    """See `engines.Engine`: VGG16 with a quarter of its channels, as a browser computes it."""

    name, architecture = "slim", VGG16
    engine_id = "fp16 slim"

    def __init__(self):
        self.backbone = slim_backbone()
        self.fingerprint = self.backbone.fingerprint
        self.graph = float16_graph(self.backbone).SerializeToString()

    def activations(self, photos: np.ndarray) -> np.ndarray:
        return run(self.graph, photos)

    def features(self, photos: np.ndarray) -> np.ndarray:
        return VGG16.pool(self.activations(photos))


def site_files(network: SlimNetwork, model, language: str = "en") -> dict[str, bytes]:
    """The files of a site, by path; its page keeps what the browser complains of, as WebKit's driver does not."""
    files = export.files(model, SiteNetwork(FLOAT16, network.graph, model, ""), language, say=lambda words: None)
    page = files["index.html"].replace(b"<head>", f'<head><script src="{_LISTEN}"></script>'.encode())
    return with_service_worker({**files, "index.html": page, _LISTEN: LISTENER.encode()})


def with_service_worker(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files with a service worker for them: after a change, it is another one."""
    others = {path: content for path, content in files.items() if path not in (SERVICE_WORKER, ".nojekyll")}
    return {**files, SERVICE_WORKER: service_worker(others)}


def write(folder: Path, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


class Host:
    """Python's own server of files, as `python -m http.server`: `asked` are the paths of requests."""

    def __init__(self, folder: Path, port: int = 0):
        self.asked = asked = []

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, form, *words):
                pass

            def do_GET(self):
                asked.append(self.path.partition("?")[0])
                super().do_GET()

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(folder)))
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

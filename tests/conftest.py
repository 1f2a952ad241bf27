"""Folders of their own for every run, and the parts that many tests share: the real network, a real server."""

import dataclasses
import hashlib
import io
import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
_HOME = Path(tempfile.mkdtemp(prefix="catdog-tests-"))
_ONE_OF_SEVERAL = "PYTEST_XDIST_WORKER" in os.environ  # which share a cache: features are computed once for all tests

# Before anything of the suite or a notebook's kernel starts: they inherit it.
os.environ.update(
    MODELS_DIR=str(_HOME / "models"),
    DATA_DIR=str(_HOME / "data"),
    CATDOG_CACHE=os.environ["CATDOG_CACHE"] if _ONE_OF_SEVERAL else str(_HOME / "cache"),
    DATA="drawings",
    TUNNEL="none",
    PORT="0",
    MPLBACKEND="agg",
)
for name in (
    "NGROK_AUTHTOKEN",
    "NGROK_DOMAIN",
    "NGROK_SERVER_ADDR",
    "NGROK_CA_CERT",
    "NGROK_PATH",
    "CLOUDFLARED_PATH",
    "ACCESS_CODE",
    "MODEL",
    "MODEL_NAME",
    "BACKEND_URL",
    "VGG16_WEIGHTS",
    "BACKBONE",
    "UNFREEZE",
    "PHOTO",
    "SEED",
    "EPOCHS",
    "ENGINE",
    "SAVE_H5",
    "STOP",
    "LIMITS",
    "ORIGINS",
    "CORRECTIONS",
    "EXPORT",
    "PUBLISH",
    "SURE_IS_RIGHT",
    "COMPACT",
    "COMPACT_MAY_LOSE",
    "PHOTOS",
    "OUT",
    "FEATURES",
    "RAY_ADDRESS",
):
    os.environ.pop(name, None)

# Two minutes and more each where the processor is slow: first, or at the end one worker waits for the other.
_LONGEST = (
    "test_backbones.py",
    "test_colab.py",
    "test_engines.py",
    "test_compact.py",
    "test_bench.py",
    "test_exports.py",
    "test_pruning.py",
    "1_fine_tune.ipynb",
    "test_bundle.py",
    "test_commands.py",
    "test_real_photos.py",
    "test_browser_batch.py",
    "test_browser_intake.py",
)

PHOTOS = Path(os.environ.get("TEST_PHOTOS", ROOT.parent / "shared" / "photos"))


def pytest_collection_modifyitems(items) -> None:
    order = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def pytest_sessionfinish() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def real_photos() -> Path:
    """train/, valid/ and test/, each with cat/ and dog/."""
    if not PHOTOS.is_dir():
        pytest.skip(f"real photos of cats and dogs are not at {PHOTOS} (set TEST_PHOTOS)")
    return PHOTOS


@pytest.fixture
def own_places(tmp_path, monkeypatch) -> Path:
    """Models and data of this test alone."""
    for name in ("MODELS_DIR", "DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    return tmp_path


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    """Nothing that an earlier test computed, measured or logged."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("CATDOG_CACHE", str(cache))
    return cache


@pytest.fixture(scope="session")
def backbone():
    from catdog.backbone import load_backbone

    return load_backbone()


@pytest.fixture(scope="session")
def engine(backbone):
    """Float32 TensorFlow, the reference."""
    from catdog.engines import TENSORFLOW, open_engine

    return open_engine(TENSORFLOW, backbone)


@pytest.fixture(scope="session")
def shipped():
    """The model that comes with the suite."""
    from catdog import bundle
    from catdog.places import SHIPPED_MODEL

    return bundle.read(SHIPPED_MODEL)


@pytest.fixture(scope="session")
def classifier(shipped):
    """The shipped model on the engine that is fastest here, without its thresholds: most tests send drawings, which are
    unlike the photos that it knows. What the network said of a photo is remembered."""
    from catdog.classifier import Classifier, load_classifier

    loaded = load_classifier(without_thresholds(shipped))
    return Classifier(loaded.bundle, Remembering(loaded.engine))


class Remembering:
    """An engine that computes each photo once: the same drawings go through page and service in hundreds of tests."""

    def __init__(self, engine):
        self._engine, self._known = engine, {}

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def features(self, photos):
        return self._once("features", photos)

    def activations(self, photos):
        return self._once("activations", photos)

    def _once(self, what, photos):
        keys = [(what, hashlib.sha256(photo).digest()) for photo in photos]
        new = {key: photo for key, photo in zip(keys, photos) if key not in self._known}
        computed = getattr(self._engine, what)(photos[:0] if not new else np.stack(list(new.values())))
        self._known.update(zip(new, computed))
        return np.stack([self._known[key] for key in keys]) if keys else computed


def without_thresholds(model, **thresholds):
    return dataclasses.replace(model, card={**model.card, "thresholds": thresholds}, familiarity=None)


@pytest.fixture(scope="session")
def app(classifier):
    from catdog.backend.app import create_app

    return create_app(classifier)


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture(scope="session")
def backend(app):
    """The service on a real port; its `url`."""
    from catdog.serving import Server

    server = Server(app, "127.0.0.1", 0, app_refuses=True)
    yield server
    server.stop()


@pytest.fixture
def ngrok(tmp_path, own_places, monkeypatch):
    """ngrok's servers, and a token for them; at the end no session of ours may be left that would come back."""
    from catdog import link, tunnels
    from catdog.tunnels import authtoken
    from catdog.tunnels import ngrok as ours
    from standins.ngrok_server import GOOD_TOKEN, NgrokServer

    server = NgrokServer(tmp_path)
    monkeypatch.setenv("NGROK_SERVER_ADDR", server.address)
    monkeypatch.setenv("NGROK_CA_CERT", str(server.ca_file))
    monkeypatch.setenv("NGROK_AUTHTOKEN", GOOD_TOKEN)
    yield server
    for name in link.NAMES:
        tunnels.close_tunnel(name)
    for session in list(ours._sessions.values()):
        session.give_up()
    authtoken.forget()
    server.stop()


@pytest.fixture(scope="session")
def drawings(tmp_path_factory):
    """A folder of twelve drawings a class."""
    from catdog.drawings import draw_folder

    return draw_folder(tmp_path_factory.mktemp("drawings"), per_class=12)


def until(condition, seconds: float = 30) -> None:
    """Wait for what another thread brings about. A line that broke is back in less; left alone, ngrok's SDK takes two
    minutes or for ever."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def encoded(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def drawing(label: str = "cat", seed: int = 1, kind: str = "JPEG") -> bytes:
    from catdog.drawings import draw

    return encoded(draw(label, seed), kind)


def tracked(folder: Path) -> list[Path]:
    """Files of `folder` that git knows; in a tree without git, all of them."""
    import subprocess

    listed = subprocess.run(["git", "ls-files", "-z", str(folder)], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode or not listed.stdout:
        return [path for path in folder.rglob("*") if path.is_file()]
    return [ROOT / name for name in listed.stdout.split("\0") if name]

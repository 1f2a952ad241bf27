"""Folders of their own for every run, and the parts that many tests share: networks, a real server."""

import dataclasses
import functools
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
collect_ignore = ["earlier_notebooks"]  # nbval would run them as they are, elsewhere
_HOME = Path(tempfile.mkdtemp(prefix="catdog-tests-"))
_ONE_OF_SEVERAL = "PYTEST_XDIST_WORKER" in os.environ  # which share a cache: features are computed once for all tests

# Or workers would take each other's processors away: with two on two, a tenth fewer photos a second.
_EACH = str(max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))))
_A_SHARE_OF_THE_PROCESSORS = {"OMP_NUM_THREADS": _EACH, "TF_NUM_INTRAOP_THREADS": _EACH} if _ONE_OF_SEVERAL else {}

# Where `make setup-tests` put the browser's runtime: the cache of before. Workers find it said already.
os.environ.setdefault("TEST_RUNTIME", os.environ.get("CATDOG_CACHE") or str(Path("~/.cache/catdog").expanduser()))

# Before anything of the suite or a notebook's kernel starts: they inherit it.
os.environ.update(
    MODELS_DIR=str(_HOME / "models"),
    DATA_DIR=str(_HOME / "data"),
    CATDOG_CACHE=os.environ["CATDOG_CACHE"] if _ONE_OF_SEVERAL else str(_HOME / "cache"),
    **_A_SHARE_OF_THE_PROCESSORS,
    DATA=str(_HOME / "Pets"),
    TUNNEL="none",
    PORT="0",
    MPLBACKEND="agg",
)
from catdog.settings import OLD_NAMES

for name in (
    "NGROK_AUTHTOKEN",
    "NGROK_DOMAIN",
    "NGROK_SERVER_ADDR",
    "NGROK_CA_CERT",
    "NGROK_PATH",
    "CLOUDFLARED_PATH",
    "LAN_ADDRESS",
    "ACCESS_CODE",
    "MODEL",
    "MODEL_NAME",
    "LABELS",
    "BACKEND_URL",
    "VGG16_WEIGHTS",
    "EFFICIENTNET_LITE0_WEIGHTS",
    "BACKBONE",
    "PIXELS",
    "FIT",
    "COMPARE_NETWORKS",
    "UNFREEZE",
    "SEED",
    "EPOCHS",
    "ENGINE",
    "SAVE_H5",
    "SAVE_KERAS",
    "VERSION",
    "LABEL",
    "STOP",
    "LIMITS",
    "CORRECTIONS",
    "CORRECTIONS_FROM",
    "EXAMPLES",
    "EXPORT",
    "EXPORT_SITE",
    "LANGUAGE",
    "FEATURES",
    "RAY_ADDRESS",
    *OLD_NAMES,
    *OLD_NAMES.values(),
):
    os.environ.pop(name, None)

# What a test needs, told by its fixtures; the tests that need it without a fixture say so themselves.
_MARKED_BY_FIXTURE = {"backbone": "weights", "slim": "slow", "browser": "browser"}
_LONGEST_FIRST = ("slow", "weights", "browser")  # or at the end one worker waits for the other

# Hypothesis and Schemathesis: how many cases they try. `make check` takes the few.
for profile, examples in {"full": 200, "few": 20}.items():
    settings.register_profile(profile, max_examples=examples, deadline=None, derandomize=True, database=None)
settings.load_profile("full")

PHOTOS = Path(os.environ.get("TEST_PHOTOS", ROOT.parent / "shared" / "photos"))
EARLIER_MODEL = ROOT / "tests" / "earlier_model"


def with_backbone(card, preprocessing: str = "", **changes):
    """The card with other entries in its part on the backbone."""
    backbone = dataclasses.replace(card.backbone, **changes)
    return dataclasses.replace(card, backbone=backbone, preprocessing=preprocessing or card.preprocessing)


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        for fixture in _MARKED_BY_FIXTURE.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(_MARKED_BY_FIXTURE[fixture])
        if item.path.suffix == ".ipynb":
            item.add_marker("slow")
            item.add_marker("weights")
    items.sort(key=_place)


def _place(item) -> int:
    marked = [place for place, mark in enumerate(_LONGEST_FIRST) if item.get_closest_marker(mark)]
    return min(marked, default=len(_LONGEST_FIRST))


def pytest_sessionstart() -> None:
    """What notebooks find when nothing else is said: few photos, or computing takes minutes."""
    from catdog.data.synthetic import draw_folder

    draw_folder(_HOME / "Pets", per_class=10)


def pytest_sessionfinish() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def real_photos() -> Path:
    """train/, valid/ and test/, each with cat/ and dog/."""
    if not PHOTOS.is_dir():
        pytest.skip(f"real photos of cats and dogs are not at {PHOTOS} (set TEST_PHOTOS)")
    return PHOTOS


@pytest.fixture(autouse=True)
def nothing_prepared(monkeypatch):
    """Photos of tests have digests of their own making: none is taken for another test's."""
    from catdog.data import inspection, prepared

    store = prepared.PreparedPhotos()
    for module in (prepared, inspection):
        monkeypatch.setattr(module, "PREPARED", store)


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


@pytest.fixture
def site_runtime() -> dict[str, Path]:
    """What runs a network in a browser, put into this test's cache: name → path. Nothing goes online."""
    from catdog import files
    from catdog.errors import UserError
    from catdog.site import runtime

    folder = runtime.cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    for name in runtime.FILES:
        fetched = Path(os.environ["TEST_RUNTIME"], folder.name, name)
        if fetched.is_file() and not (folder / name).exists():
            files.write_if_possible(folder / name, lambda file, fetched=fetched: file.write(fetched.read_bytes()))
    try:
        return runtime.runtime_files(sources=runtime.Sources(servers={}, npm=list))
    except UserError:
        pytest.skip("onnxruntime-web is not in the cache: make setup-tests fetches it, or says why it cannot")


@pytest.fixture(autouse=True)
def no_weights_unless_marked(request, monkeypatch):
    """Whatever a test starts finds real weights only if the test says that it needs them."""
    if not request.node.get_closest_marker("weights"):
        for name in ("VGG16_WEIGHTS", "EFFICIENTNET_LITE0_WEIGHTS"):
            monkeypatch.setenv(name, "the test lacks the mark weights.npz")


@pytest.fixture(scope="session")
def backbone():
    from catdog.backbones.architectures import load_backbone

    return load_backbone()


@pytest.fixture(scope="session")
def slim():
    """VGG16 with a quarter of its channels and random weights: all of its code, a thirteenth of its arithmetic."""
    from standins.network import slim_backbone

    return slim_backbone()


@pytest.fixture(scope="session")
def slim_288(slim):
    """The same for photos of 288 pixels a side."""
    return dataclasses.replace(slim, architecture=slim.architecture.at(288))


@pytest.fixture(scope="session")
def engine(backbone):
    """Float32 TensorFlow, the reference."""
    from catdog.engines import open_engine
    from catdog.engines.base import TENSORFLOW

    return open_engine(TENSORFLOW, backbone)


@pytest.fixture(scope="session")
def shipped():
    """The model that comes with the suite."""
    from catdog.models import bundle
    from catdog.paths import SHIPPED_MODEL

    return bundle.read(SHIPPED_MODEL)


@pytest.fixture(scope="session")
def earlier():
    """The model that came with the suite before: photos squeezed, features the maximum alone, a card of schema 1."""
    from catdog.models import bundle

    return bundle.read(EARLIER_MODEL)


@pytest.fixture(scope="session")
def stand_in():
    """A network for tests that need one, whichever it is."""
    from standins.network import StandInNetwork

    return StandInNetwork()


@pytest.fixture(scope="session")
def classifier(stand_in, shipped):
    """A model on the stand-in network, without thresholds: most tests send drawings, which are unlike photos."""
    from catdog.models.classifier import Classifier
    from standins.network import model_on

    return Classifier(model_on(stand_in, shipped), stand_in)


@pytest.fixture(scope="session")
def earlier_classifier(earlier):
    """A model of before on the stand-in network: it sees photos squeezed, and their maximum alone."""
    from catdog.models.classifier import Classifier
    from standins.network import StandInNetwork, model_on

    class Network(StandInNetwork):
        architecture = earlier.architecture

        def features(self, photos):
            return self.architecture.pool(self.activations(photos))

    network = Network()
    return Classifier(model_on(network, earlier), network)


@pytest.fixture(scope="session")
def real_classifier(backbone, shipped):
    """The shipped model on the engine that is fastest here, without its thresholds."""
    from catdog.models.classifier import load_classifier

    return load_classifier(without_thresholds(shipped))


def without_thresholds(model, confidence: float = 0.0):
    """The model without what tells photos of something else, and confident from `confidence` on."""
    from catdog.models.card import Thresholds

    card = dataclasses.replace(model.card, thresholds=Thresholds(confidence))
    return dataclasses.replace(model, card=card, ood_detector=None)


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
    from catdog.web.server import Server

    server = Server(app, "127.0.0.1", 0, app_refuses=True)
    yield server
    server.stop()


@pytest.fixture
def ngrok(tmp_path, own_places, monkeypatch):
    """ngrok's servers, and a token for them; at the end no session of ours may be left that would come back."""
    from catdog import tunnels
    from catdog.tunnels import authtoken
    from catdog.tunnels import ngrok as ours
    from catdog.web import link
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
    from catdog.data.synthetic import draw_folder

    return draw_folder(tmp_path_factory.mktemp("drawings"), per_class=12)


@contextmanager
def refused(code: str, *facts: str, kind: type[Exception] | None = None) -> Iterator[pytest.ExceptionInfo]:
    """What happens inside is refused with this code, and the message holds the facts; how it says it is its own."""
    from catdog.errors import UserError

    with pytest.raises(kind or UserError) as caught:
        yield caught
    assert caught.value.code == code, caught.value
    for fact in facts:
        assert fact in str(caught.value)


def until(condition, seconds: float = 30) -> None:
    """Wait for what another thread brings about. A line that broke is back in less; left alone, ngrok's SDK takes two
    minutes or for ever."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def copy_of_the_page(folder: Path) -> Path:
    """Copy the page's files, to change them; returns the folder."""
    from catdog.frontend.page import FILES

    for room in ("static", "templates", "words"):
        shutil.copytree(FILES / room, folder / room)
    return folder


def encoded(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@functools.cache
def drawing(label: str = "cat", seed: int = 1, kind: str = "JPEG") -> bytes:
    from catdog.data.synthetic import draw

    return encoded(draw(label, seed), kind)


def notebook_cells(path: Path) -> list[SimpleNamespace]:
    """As nbformat reads them, which takes three seconds to import."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [SimpleNamespace(**{**cell, "source": "".join(cell["source"])}) for cell in cells]


def tracked(folder: Path) -> list[Path]:
    """Files of `folder` that git knows; in a tree without git, all of them."""
    import subprocess

    listed = subprocess.run(["git", "ls-files", "-z", str(folder)], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode or not listed.stdout:
        return [path for path in folder.rglob("*") if path.is_file()]
    return [ROOT / name for name in listed.stdout.split("\0") if name]

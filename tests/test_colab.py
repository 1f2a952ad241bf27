"""The notebooks on Colab, by a stand-in for its package: a machine each, sharing nothing but Drive."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import packaging
import pytest
import requests
from catdog import packages, paths, settings
from catdog.backend.request_log import RequestLog, RequestRecord
from catdog.data.synthetic import draw_folder
from catdog.notebook import colab as ours
from catdog.notebook import page_preview
from catdog.notebook.link_panel import show_panel
from catdog.tunnels import Status
from conftest import ROOT, refused
from packaging.requirements import Requirement
from set_repository_url import repository
from standins.ngrok_server import GOOD_TOKEN
from test_notebooks import BACKEND, FEW_OPERATIONS, FINE_TUNE, FRONTEND, kernel

STANDIN = ROOT / "tests" / "standins" / "colab"


def git(*arguments, cwd):
    person = ["-c", "user.name=A person", "-c", "user.email=person@example.com"]
    done = subprocess.run(["git", *person, *arguments], cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A repository of the suite as it stands here, to clone from."""
    folder = tmp_path_factory.mktemp("hub") / "suite"
    listed = git("ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=ROOT).split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git("init", "--quiet", "--initial-branch=main", ".", cwd=folder)
    commit(folder, "The suite")
    return folder


def commit(folder, message):
    git("add", "--all", "--force", cwd=folder)
    git("commit", "--quiet", "--message", message, cwd=folder)


class Colab:
    """`machine(notebook)` is a fresh one, with a kernel that has executed nothing yet."""

    def __init__(self, folder, address, monkeypatch):
        self.folder, self.address, self._patch, self._machines = folder, address, monkeypatch, 0
        self.drive = folder / "drive" / "MyDrive"
        for name in ("MODELS_DIR", "CATDOG_CACHE", "DATA_DIR", "TUNNEL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("KERAS_HOME", os.environ.get("KERAS_HOME", str(Path("~/.keras").expanduser())))
        monkeypatch.setenv("PYTHONPATH", str(STANDIN))
        monkeypatch.setenv("DRIVE_DIR", str(self.drive))

    def machine(self, page_preview):
        self._machines += 1
        self.content = self.folder / f"machine {self._machines}"
        self.content.mkdir()
        self._patch.setenv("HOME", str(self.content))
        self._patch.setenv("SUITE_DIR", str(self.content / "suite"))
        return kernel(page_preview, cwd=self.content, change=lambda source: source.replace(repository(), self.address))


@pytest.fixture
def colab(tmp_path, hub, monkeypatch):
    return Colab(tmp_path, hub.as_uri(), monkeypatch)


@pytest.mark.slow
@pytest.mark.weights
def test_machines_that_share_only_drive(colab, ngrok, monkeypatch):
    for name in ("NGROK_AUTHTOKEN", "MODELS_DIR", "DATA_DIR"):  # set for ngrok's server
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLAB_SECRETS", json.dumps({"NGROK_AUTHTOKEN": GOOD_TOKEN}))
    monkeypatch.setenv("USE_DRIVE", "true")
    for name, setting in FEW_OPERATIONS.items():  # each machine computes with nothing but what Drive has
        monkeypatch.setenv(name, setting)
    monkeypatch.setenv("DATA", str(draw_folder(colab.folder / "Pets", per_class=8)))
    with colab.machine(FINE_TUNE) as (run, value):
        run()
        trained, computed = value("model.id"), value("len(cache.digests())")
    assert (colab.drive / "catdog" / "models" / trained / "card.json").exists()

    with colab.machine(FINE_TUNE) as (run, value):
        run(until="## 3 · Train")
        assert value("cache.path").startswith(str(colab.content))
        assert value("len(cache.digests())") == computed
        run(start="## 3 · Train")
        assert value("model.id") == trained

    monkeypatch.setenv("MODEL", trained.partition("/")[0])
    with colab.machine(BACKEND) as (run, _):
        assert f"Backend: {ngrok.url_of()}\n" in run()
        assert requests.get(f"{ngrok.url_of()}/model", timeout=5).json()["name"] == "pets"
        with colab.machine(FRONTEND) as (run_page, value):
            said = run_page()
            assert value("backend_state(BACKEND_URL, ACCESS_CODE).model") == trained
            assert f'data-backend="{ngrok.url_of()}"' in requests.get(value("page.url"), timeout=5).text
            assert re.search(r"An iframe of port \d+, /\?live\n", said)
            assert [Path(name).name for name in re.findall(r"Viewing (.+)", said)] == ["en.json", "page.css"]
        run(start="STOP = False", STOP=True)
    with colab.machine(FRONTEND) as (run, value):
        assert "0 minutes ago" in run()
        assert value("backend_state(BACKEND_URL, ACCESS_CODE).code") == "unknown"


@pytest.mark.slow
@pytest.mark.weights
def test_run_all_ends_with_a_preview_without_a_token(colab, monkeypatch):
    monkeypatch.setenv("ENGINE", "openvino-int8")
    with colab.machine(BACKEND) as (run, value):
        said = run()
        assert "[ngrok-token-missing]" in said
        assert "Backend: for you alone, in this notebook." in said
        assert re.search(r"An iframe of port \d+, /\n", said)
        assert "POST /predict" in said
        assert value("service.panel.state[0]") == "orange"


@pytest.mark.slow
def test_a_refused_drive_stops_the_notebook_with_a_sentence(colab, monkeypatch):
    monkeypatch.setenv("USE_DRIVE", "true")
    monkeypatch.setenv("COLAB_DRIVE", "refused")
    with colab.machine(FRONTEND) as (run, _), pytest.raises(Exception, match=r"\[drive-not-mounted\]") as caught:
        run()
    assert "Traceback" not in caught.value.traceback


@pytest.mark.slow
def test_after_a_restart_a_cell_says_which_one_to_run_first(colab):
    with colab.machine(FINE_TUNE) as (run, _):
        run(until="## Settings")
    for start, needed in (("judgement = judge", "dataset"), ("DECIDE = ", "review")):
        with kernel(FINE_TUNE, cwd=colab.content) as (run, _), pytest.raises(Exception, match=needed) as caught:
            run(start=start)
        assert f"⚠ This cell needs {needed}, which the cell under “2 · Check them” defines" in str(caught.value)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        ("SecretNotFoundError", "Colab has no secret NGROK_AUTHTOKEN."),
        ("NotebookAccessError", "This notebook cannot access the secret NGROK_AUTHTOKEN: turn on"),
        ("TimeoutException", "Colab did not provide the secret NGROK_AUTHTOKEN in time: allow"),
        ("KeyError", "Colab did not provide the secret NGROK_AUTHTOKEN."),
    ],
)
def test_why_a_secret_is_not_there(colab_package, monkeypatch, error, why):
    monkeypatch.setenv("COLAB_SECRETS_ERROR", error)
    monkeypatch.setattr(colab_package.userdata, "KeyError", KeyError, raising=False)
    found, reason = settings.find_secret("NGROK_AUTHTOKEN")
    assert not found
    assert reason.startswith(why)


def test_a_secret_that_is_there_but_the_environment_comes_first(colab_package, monkeypatch):
    monkeypatch.setenv("COLAB_SECRETS", json.dumps({"NGROK_AUTHTOKEN": "ngrok config add-authtoken of-colab\n"}))
    assert settings.find_secret("NGROK_AUTHTOKEN") == ("of-colab", "")
    monkeypatch.setenv("NGROK_AUTHTOKEN", "mine")
    assert settings.find_secret("NGROK_AUTHTOKEN") == ("mine", "")


def test_a_secret_is_asked_for_once_more_while_a_person_reads_colabs_question(colab_package, monkeypatch):
    monkeypatch.setenv("COLAB_SECRETS", json.dumps({"NGROK_AUTHTOKEN": "of-colab"}))
    monkeypatch.setenv("COLAB_SECRETS_LATE", "yes")
    assert settings.find_secret("NGROK_AUTHTOKEN") == ("of-colab", "")
    monkeypatch.setenv("COLAB_TAB", "vscode")
    found, why = settings.find_secret("NGROK_AUTHTOKEN")
    assert not found
    assert "VS Code" in why
    assert "cloudflared" in why


@pytest.mark.parametrize("tab", ["open", "closed", "error", "vscode"])
def test_whatever_colabs_tab_answers_the_panel_is_shown_and_asks_by_itself(colab_package, monkeypatch, capsys, tab):
    monkeypatch.setenv("COLAB_TAB", tab)
    shown, output = [], importlib.import_module("google.colab.output")
    monkeypatch.setattr("IPython.display.display", lambda what, display_id=None: shown.append(what))
    tunnel = SimpleNamespace(
        url="https://preview.example", public=False, provider="colab", settings=SimpleNamespace(port=5000),
        status=Status("up", "works", "The link works."),
    )  # fmt: skip
    request_log = RequestLog()
    panel = show_panel(tunnel, request_log, "for-testers")
    assert "preview.example" not in panel._repr_html_() + panel.told  # it opens nowhere but in the notebook
    assert 'invokeFunction("catdog.panel"' in shown[-1].data
    assert "No photos yet." in output._callbacks["catdog.panel"]().data["html"]
    request_log.add(RequestRecord(datetime.now(), "203.0.113.7", "POST /predict", 1, 200, 0.1))
    assert "1 tester, 1 photo," in output._callbacks["catdog.panel"]().data["html"]
    said = capsys.readouterr().out
    assert ("An iframe of port 5000, /#code=for-testers" in said) == (tab in ("open", "closed"))
    assert "third-party cookies" in said
    assert ("cannot show the page" in said) == (tab == "error")


@pytest.mark.parametrize("tab", ["open", "error", "vscode"])
def test_whatever_colabs_tab_answers_the_page_and_its_files_are_shown_or_it_is_said(
    colab_package, monkeypatch, capsys, tab
):
    monkeypatch.setenv("COLAB_TAB", tab)
    importlib.import_module("google.colab.files")
    page_preview.show_page(8000, "for-testers")
    page_preview.open_for_editing()
    said = capsys.readouterr().out
    assert "third-party cookies" in said
    assert ("An iframe of port 8000, /?live#code=for-testers" in said) == (tab == "open")
    assert ("Open this file yourself" in said) == (tab == "error")


@pytest.fixture
def colab_package(monkeypatch):
    """google.colab in this very process."""
    monkeypatch.syspath_prepend(str(STANDIN))
    before = set(sys.modules)
    package = importlib.import_module("google.colab")
    package.userdata = importlib.import_module("google.colab.userdata")
    yield package
    for name in set(sys.modules) - before:
        if name.startswith("google.colab"):
            del sys.modules[name]


def test_drive_is_asked_for_only_when_wanted_and_its_refusal_is_told(colab_package, tmp_path, monkeypatch):
    monkeypatch.setenv("DRIVE_DIR", str(tmp_path / "drive" / "MyDrive"))
    monkeypatch.setenv("COLAB_DRIVE", "refused")
    paths.mount_drive(False)
    with refused("drive-not-mounted", "credential", "USE_DRIVE"):
        paths.mount_drive(True)
    monkeypatch.setenv("COLAB_DRIVE", "silent")
    with refused("drive-not-mounted", "mount failed", "USE_DRIVE"):
        paths.mount_drive(True)
    monkeypatch.setenv("VERTEX_PRODUCT", "COLAB_ENTERPRISE")
    with refused("drive-not-mounted", "Enterprise"):
        paths.mount_drive(True)
    monkeypatch.delenv("VERTEX_PRODUCT")
    monkeypatch.delenv("COLAB_DRIVE")
    paths.mount_drive(True)
    assert paths.drive_folder() == tmp_path / "drive" / "MyDrive" / "catdog"


def test_a_gpu_is_recommended_for_many_photos_only(colab_package, capsys):
    ours.gpu_hint(500)
    assert not capsys.readouterr().out
    ours.gpu_hint(20_000)
    said = capsys.readouterr().out
    assert Path("/dev/nvidia0").exists() or "Change runtime type" in said


# Set-up


@pytest.mark.slow
def test_set_up_again_updates_and_keeps_your_changes(colab, hub, tmp_path):
    newer = shutil.copytree(hub, tmp_path / "newer")
    colab.address = newer.as_uri()
    style, readme = Path("notebooks/catdog/frontend/static/page.css"), Path("README.md")
    with colab.machine(FRONTEND) as (run, value):
        run(until="## Settings")
        assert value("__import__('catdog').__file__").startswith(str(colab.content))
        suite = colab.content / "suite"
        (suite / style).write_text("/* mine */")
        (newer / readme).write_text("newer")
        commit(newer, "Newer")
        assert "The suite was updated." in run(until="## Settings")
        assert (suite / readme).read_text() == "newer"
        assert (suite / style).read_text() == "/* mine */"
        (newer / style).write_text("/* theirs */")
        commit(newer, "Theirs")
        assert "could not be updated" in run(until="## Settings")
        assert (suite / style).read_text() == "/* mine */"
        assert value("sum(path.endswith('suite/notebooks') for path in __import__('sys').path)") == "1"


class Locked(BaseHTTPRequestHandler):
    """As GitHub answers for a repository that is private, or that is none: it asks who you are."""

    def do_GET(self):
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="GitHub"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        pass


@pytest.fixture
def locked():
    with HTTPServer(("127.0.0.1", 0), Locked) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/your-account/catdog"
        server.shutdown()


@pytest.mark.slow
def test_a_suite_that_is_not_found_is_told_in_a_sentence_and_nobody_is_asked_for_a_password(colab, locked):
    for colab.address in ("/nowhere", locked):
        with colab.machine(FRONTEND) as (run, _), pytest.raises(Exception, match="address of your public copy"):
            run()


def test_away_from_colab_nothing_is_installed_or_updated(monkeypatch):
    monkeypatch.setattr(subprocess, "run", None)
    ours.set_up()
    ours.gpu_hint(1_000_000)


def wheel(folder, name, version, *needs):
    """The smallest thing that pip installs."""
    info = f"{name}-{version}.dist-info"
    needed = [f"Requires-Dist: {need}" for need in needs]
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", "")
        file.writestr(
            f"{info}/METADATA", lines("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *needed)
        )
        file.writestr(f"{info}/WHEEL", lines("Wheel-Version: 1.0", "Root-Is-Purelib: true", "Tag: py3-none-any"))
        file.writestr(f"{info}/RECORD", "")


def further_down(environment, name, version):
    """An older copy that Python does not reach, as Debian's packages lie behind Colab's own."""
    info = environment / "behind" / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(lines("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"))
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "behind.pth").write_text(str(info.parent))


def lines(*words):
    return "".join(f"{line}\n" for line in words)


@pytest.mark.slow
def test_what_is_missing_is_installed_and_nothing_moves(tmp_path):
    """In an environment of its own, from wheels of our own: `gentle` goes with `shipped`, `greedy` with a newer one."""
    for name, *needs in (
        ("shipped", "1.0"),
        ("shipped", "2.0"),
        ("gentle", "1.0", "shipped>=1"),
        ("greedy", "1.0", "shipped>=2"),
    ):
        wheel(tmp_path, name, *needs)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    python = tmp_path / "env" / "bin" / "python"
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    subprocess.run([python, "-m", "pip", "install", "--quiet", "shipped==1.0"], check=True, env=environment)
    further_down(tmp_path / "env", "shipped", "0.5")
    shutil.copytree(Path(packaging.__file__).parent, tmp_path / "beside" / "packaging")
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "notebooks"), str(tmp_path / "beside")])
    first = "from packaging.requirements import Requirement as R; from catdog.packages import install"
    told = "from importlib.metadata import version; print(version('shipped'))"

    def run(*code):
        return subprocess.run(
            [python, "-c", lines(first, *code, told)], env=environment, capture_output=True, text=True
        )

    assert run("install([R('shipped>=1')])").stdout == "1.0\n"
    done = run("install([R('gentle'), R('shipped>=1')])", "import gentle")
    assert re.fullmatch(r"Installing gentle …\nInstalled in \d+ s; .*\n1\.0\n", done.stdout)
    plainly = "from catdog.errors import for_the_command_line"
    failed = run(plainly, "with for_the_command_line(''): install([R('greedy')])").stderr
    assert "Cannot install greedy" in failed
    assert failed.endswith("[install-failed]\n")
    assert run().stdout == "1.0\n"
    assert run("install([R('shipped>=2')])").stdout.endswith("2.0\n")


def test_every_requirement_is_read_and_what_runs_notebooks_is_left_out_on_colab():
    names = [line.name for line in packages.requirements()]
    assert {"tensorflow", "flask", "flask-ngrok", "pillow", "numpy", "nbval", "jupyter"} <= set(names)
    assert set(ours.PAGE_ONLY) <= set(names)
    assert packages.is_satisfied(Requirement("numpy>=1"))
    assert not packages.is_satisfied(Requirement("numpy>=1000"))
    assert not packages.is_satisfied(Requirement("no-such-package"))

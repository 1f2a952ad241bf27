"""The first minute on Colab: where the suite comes from, what the machine must have, and what is installed."""

import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import PackageNotFoundError, packages_distributions
from pathlib import Path
from threading import Thread

import pytest
from catdog import API, packages
from catdog.notebook import colab
from conftest import ROOT, notebook_cells, refused
from test_colab import colab_package, commit, git  # noqa: F401
from test_notebooks import NOTEBOOKS

GITHUB = "https%3A%2F%2Fgithub.com%2F"


# Where the suite comes from


@pytest.fixture
def cell(monkeypatch):
    """The names of the set-up cell, which away from Colab defines them and does nothing else."""
    for name in ("REPOSITORY", "BRANCH", "COLAB_JUPYTER_IP", "KMP_TARGET_PORT"):
        monkeypatch.delenv(name, raising=False)
    names = {}
    exec(_source(NOTEBOOKS[0]), names)
    return names


def _source(notebook):
    return next(one.source for one in notebook_cells(notebook) if one.source.startswith("#@title Set-up"))


def test_all_notebooks_find_their_repository_alike():
    first, *others = (_source(path).partition("    set_up(")[0] for path in NOTEBOOKS)
    assert others == [first, first]


@pytest.fixture
def colabs_server(monkeypatch):
    """colabs_server(*paths): Colab's Jupyter server, with a session for each path; this kernel's is the last."""
    opened = []

    def serve(*paths):
        sessions = [{"path": path, "kernel": {"id": f"kernel-{place}"}} for place, path in enumerate(paths)]

        class Sessions(BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps(sessions).encode()
                self.send_response(200 if self.path == "/api/sessions" else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words):
                pass

        server = HTTPServer(("127.0.0.1", 0), Sessions)
        opened.append(server)
        Thread(target=server.serve_forever).start()
        monkeypatch.setenv("COLAB_JUPYTER_IP", "127.0.0.1")
        monkeypatch.setenv("KMP_TARGET_PORT", str(server.server_port))
        monkeypatch.setattr(sys, "argv", ["launcher", "-f", f"/root/kernel-{len(paths) - 1}.json"])

    yield serve
    for server in opened:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("path", "repository", "branch"),
    [
        (f"fileId={GITHUB}my.name%2Fmy-cats%2Fblob%2Fmain%2Fnotebooks%2F2_backend.ipynb", "my.name/my-cats", "main"),
        (f"fileId={GITHUB}a%2Fb%2Fblob%2Fnew%2Flayers%2Fnotebooks%2F1_fine_tune.ipynb", "a/b", "new/layers"),
        ("fileId=https://github.com/a/b.c/blob/v1.2/notebooks/3_frontend.ipynb", "a/b.c", "v1.2"),
        ("fileId=https%3A//github.com//a/b/blob/main/notebooks/3_frontend.ipynb", "a/b", "main"),
    ],
)
def test_a_notebook_knows_the_repository_and_branch_that_it_was_opened_from(
    cell, colabs_server, path, repository, branch
):
    colabs_server(f"fileId={GITHUB}other%2Fother%2Fblob%2Fmain%2Fnotebooks%2F1.ipynb", path)
    assert cell["opened_from"]() == (f"https://github.com/{repository}", branch)


@pytest.mark.parametrize("paths", [("fileId=1ZAqQEI",), ("",), ("empty.ipynb",), ()])
def test_a_notebook_from_elsewhere_does_not(cell, colabs_server, paths):
    colabs_server(*paths)
    assert cell["opened_from"]() == ("", "")


def test_nor_where_there_is_no_such_server(cell, monkeypatch):
    assert cell["opened_from"]() == ("", "")
    monkeypatch.setenv("COLAB_JUPYTER_IP", "127.0.0.1")
    monkeypatch.setenv("KMP_TARGET_PORT", "9")
    assert cell["opened_from"]() == ("", "")


def test_what_a_person_set_comes_first_then_what_colab_tells_then_what_was_remembered(
    cell, monkeypatch, capsys, tmp_path
):
    def clone(command, **_):
        asked.append(command)
        package = Path(command[-1]) / "notebooks" / "catdog"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("API = 1")
        return subprocess.CompletedProcess(command, 0, "", "")

    asked = []
    monkeypatch.setattr(subprocess, "run", clone)
    finders = {"opened_from": "https://github.com/opened/from", "remembered": "https://github.com/on/drive"}
    for name, address in finders.items():
        cell[name] = lambda address=address: (address, "layers")
    cell["REPOSITORY"] = "https://github.com/set/here"
    for expected in ("set/here", "opened/from", "on/drive", "your-account/catdog"):
        cell["bring"](str(tmp_path / expected.replace("/", "-")))
        assert asked[-1][-2] == f"https://github.com/{expected}"
        assert ("--branch" in asked[-1]) == (expected in ("opened/from", "on/drive"))
        assert f"comes from https://github.com/{expected}" in capsys.readouterr().out
        if expected == "set/here":
            cell["REPOSITORY"] = ""
        elif expected != "your-account/catdog":
            cell[next(name for name, address in finders.items() if address.endswith(expected))] = lambda: ("", "")


@pytest.mark.parametrize(
    ("git_says", "told"),
    [
        ("fatal: unable to access 'https://x/': Could not resolve host: github.com", "check the network"),
        ("fatal: unable to access 'https://x/': Failed to connect to github.com port 443", "check the network"),
        ("fatal: could not read Username for 'https://github.com': terminal prompts disabled", "private"),
        ("remote: Repository not found.\nfatal: repository 'https://x/' not found", "private"),
        ("warning: Could not find remote branch x\nfatal: Remote branch x not found in upstream", "no branch"),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 404", "private"),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 503", "check the network"),
        ("fatal: unable to access 'https://x/': Could not resolve proxy: p", "check the network"),
        ("error: RPC failed; curl 56 GnuTLS recv error\nfatal: early EOF", "check the network"),
        ("fatal: something new", "something new"),
    ],
)
def test_why_the_suite_could_not_be_fetched_is_one_sentence_without_a_traceback(
    cell, monkeypatch, tmp_path, git_says, told
):
    cell["opened_from"] = lambda: ("https://github.com/a/b", "x")
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 128, "", git_says))
    with pytest.raises(cell["Stopped"], match=told) as stopped:
        cell["bring"](str(tmp_path / "suite"))
    assert "https://github.com/a/b" in str(stopped.value)
    assert stopped.value._render_traceback_() == [f"⚠ {stopped.value}"]


def test_a_password_in_the_address_is_never_shown_and_silence_ends(cell, monkeypatch, tmp_path):
    def never(command, timeout, **_):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", never)
    cell["REPOSITORY"] = "https://ghp_secret@git.example/me/mine"
    with pytest.raises(cell["Stopped"], match="check the network") as stopped:
        cell["bring"](str(tmp_path / "suite"))
    assert "secret" not in str(stopped.value)


@pytest.mark.parametrize(
    ("pasted", "repository", "branch"),
    [
        (" https://github.com/a/b/ ", "https://github.com/a/b", ""),
        ("github.com/a/b.git", "https://github.com/a/b", ""),
        ("https://github.com/a/b.c/tree/dev", "https://github.com/a/b.c", "dev"),
        ("https://github.com/a/b/blob/x/y/notebooks/2_backend.ipynb", "https://github.com/a/b", "x/y"),
        ("https://git.example/a/b", "https://git.example/a/b", ""),
        ("/a/folder", "/a/folder", ""),
    ],
)
def test_an_address_however_it_was_pasted(cell, pasted, repository, branch):
    assert cell["parsed"](pasted) == (repository, branch)


def test_another_repository_is_not_taken_for_the_suite_and_a_commit_can_be_asked_for(
    cell, tmp_path, monkeypatch, capsys
):
    origin = tmp_path / "origin"
    (origin / "notebooks" / "other").mkdir(parents=True)
    (origin / "notebooks" / "other" / "file").touch()
    git("init", "--quiet", "--initial-branch=main", ".", cwd=origin)
    commit(origin, "Another")
    cell["REPOSITORY"] = origin.as_uri()
    with pytest.raises(cell["Stopped"], match="does not hold the suite"):
        cell["bring"](str(tmp_path / "suite"))
    assert not (tmp_path / "suite").exists()
    (origin / "notebooks" / "catdog").mkdir()
    (origin / "notebooks" / "catdog" / "__init__.py").write_text("API = 1")
    commit(origin, "The suite")
    wanted = git("rev-parse", "HEAD", cwd=origin).strip()
    (origin / "notebooks" / "catdog" / "newer").touch()
    commit(origin, "Newer")
    monkeypatch.setenv("BRANCH", wanted)
    cell["bring"](str(tmp_path / "suite"))
    assert git("rev-parse", "HEAD", cwd=tmp_path / "suite").strip() == wanted
    assert f"comes from {origin.as_uri()}" in capsys.readouterr().out


@pytest.fixture
def origin(tmp_path):
    """origin(api): a repository of a suite that answers such calls, on its main branch."""
    folder = tmp_path / "origin"
    package = folder / "notebooks" / "catdog"
    package.mkdir(parents=True)
    git("init", "--quiet", "--initial-branch=main", ".", cwd=folder)

    def at(api):
        (package / "__init__.py").write_text(f"API = {api}\n" if api else "")
        (package / "newer").write_text(f"{api} {len(list(folder.rglob('*')))}")
        commit(folder, f"Version {api}")
        return folder

    return at


@pytest.mark.parametrize("others", [2, 0])
def test_a_notebook_takes_the_version_that_it_knows_and_moves_along_it_alone(
    cell, origin, others, tmp_path, monkeypatch, capsys
):
    folder, suite = origin(1), tmp_path / "suite"
    git("branch", "v1", cwd=folder)
    cell["REPOSITORY"] = origin(others).as_uri()
    cell["bring"](str(suite))
    assert cell["version_in"](suite) == 1
    monkeypatch.setattr(colab, "ROOT", suite)
    monkeypatch.setattr(colab, "_use_new_files", lambda: print("updated"))
    git("checkout", "--quiet", "v1", cwd=folder)
    origin(1)
    colab.update()
    assert "updated" in capsys.readouterr().out


@pytest.mark.parametrize("others", [2, 0])
def test_where_nobody_keeps_that_version_the_notebook_says_so(cell, origin, others, tmp_path):
    cell["REPOSITORY"] = origin(others).as_uri()
    with pytest.raises(cell["Stopped"], match="open the notebook from there"):
        cell["bring"](str(tmp_path / "suite"))
    assert not (tmp_path / "suite").exists()


def test_a_suite_that_is_there_stays_at_what_its_notebooks_call(cell, origin, tmp_path, monkeypatch, capsys):
    suite = tmp_path / "suite"
    cell["REPOSITORY"] = origin(1).as_uri()
    cell["bring"](str(suite))
    monkeypatch.setattr(colab, "ROOT", suite)
    before = git("rev-parse", "HEAD", cwd=suite)
    origin(2)
    colab.update()
    assert "open the notebook from the repository again" in capsys.readouterr().out
    assert git("rev-parse", "HEAD", cwd=suite) == before


def test_notebooks_call_the_suite_that_is_here(cell):
    assert cell["VERSION"] == API


@pytest.mark.parametrize(
    "code",
    [
        "from catdog.colab import open_folders; from catdog.places import environment_first",
        "from catdog import figures, bundle, colab; colab.FOR_TRAINING, bundle.read, figures.photo_grid",
        "from catdog.settings import check_settings; from catdog.training import fit_head",
        "from catdog.backend.following import follow, unfollow; from catdog.backend.visits import VISITS",
        "from catdog.frontend.notebook import show_page; from catdog.serving import stop",
        "from catdog.backend.app import create_app, start, use; from catdog.trial import ask, photo_or_drawing",
        "from catdog.doctor import examine; from catdog.features import FeatureStore",
        "from catdog.proving import Engines",
        "from catdog.backend.clients import client; from catdog.backend.deadline import Deadline",
        "from catdog.backend.origins import parse_origins",
        "from catdog.unfreezing import unfrozen; from catdog.confidence import fit_confidence; import catdog.judging",
        "from catdog.images import read_photo; from catdog.scale.labelling import label",
    ],
)
def test_a_notebook_that_was_saved_before_finds_what_has_moved(code):
    """As its cells import them; `catdog.scale` needs Ray only once it is called."""
    if "scale" in code:
        pytest.importorskip("ray")
    exec(code, {})


def test_what_nobody_holds_any_more_is_told_with_what_to_do():
    with pytest.raises(ImportError), pytest.raises(AttributeError, match="open a new copy"):
        from catdog.places import nothing_of_this_name  # noqa: F401


@pytest.mark.parametrize("note", ["[]", '["https://x"]', '{"a": 1}', '"abc"', '["", ""]', "rubbish"])
def test_a_note_that_makes_no_sense_is_none(cell, tmp_path, monkeypatch, note):
    monkeypatch.setenv("DRIVE_DIR", str(tmp_path))
    (tmp_path / "catdog").mkdir()
    (tmp_path / "catdog" / "suite-address.json").write_text(note)
    assert cell["remembered"]() == ("", "")


def test_the_address_is_remembered_on_drive_for_copies_of_the_notebook(
    cell, colab_package, own_places, tmp_path, monkeypatch  # noqa: F811
):  # fmt: skip
    origin, suite, drive = tmp_path / "origin", tmp_path / "suite", tmp_path / "drive" / "MyDrive"
    origin.mkdir()
    git("init", "--quiet", "--initial-branch=layers", ".", cwd=origin)
    (origin / "file").touch()
    commit(origin, "The suite")
    git("clone", "--quiet", origin, suite, cwd=tmp_path)
    drive.mkdir(parents=True)
    monkeypatch.setenv("DRIVE_DIR", str(drive))
    monkeypatch.setattr(colab, "ROOT", suite)
    colab.open_folders(True)
    noted = json.loads((drive / "catdog" / "suite-address.json").read_text())
    assert noted == [str(origin), "layers"]
    assert cell["remembered"]() == (str(origin), "layers")
    (drive / "catdog" / "suite-address.json").write_text("[]")
    assert cell["remembered"]() != (str(origin), "layers")


# What the machine must have, and what is installed


@pytest.fixture
def installed(monkeypatch):
    """The names that `set_up` installs on a machine of Colab's."""
    names = []
    monkeypatch.setattr(colab, "on_colab", lambda: True)
    monkeypatch.setattr(colab, "update", lambda: None)
    monkeypatch.setattr(colab, "has_nvidia_driver", lambda: False)
    monkeypatch.setattr(packages, "on_colab", lambda: True)
    for module in (colab, packages):
        monkeypatch.setattr(module, "install", lambda wanted: names.extend(line.name for line in wanted))
    return names


@pytest.mark.parametrize(
    ("found", "code"), [(None, "runtime-without-tensorflow"), ("2.19.0", "runtime-too-old"), ("2.21.0", None)]
)
@pytest.mark.parametrize("only", [(), colab.PAGE_ONLY])
def test_a_machine_of_another_kind_is_told_before_anything_is_installed(installed, monkeypatch, found, code, only):
    def version(name):
        if name != "tensorflow":
            return "99"
        if not found:
            raise PackageNotFoundError(name)
        return found

    for module in (colab, packages):
        monkeypatch.setattr(module, "version", version)
    if code:
        with refused(code, "Change runtime type"):
            colab.set_up(only)
    else:
        colab.set_up(only)
    assert bool(installed) == (code is None)


def test_each_notebook_brings_what_it_imports_and_no_more(installed, monkeypatch):
    colab.set_up()
    assert {"openvino", "cleanlab", "nncf"} <= set(installed)
    assert not {*colab.FOR_SOME_SETTINGS, "jupyter"} & set(installed)
    assert {"onnx", "onnxruntime", "tf2onnx", "pyngrok", "ngrok"} <= {*colab.FOR_SOME_SETTINGS}
    installed.clear()
    colab.set_up(without=colab.FOR_TRAINING)
    assert "openvino" in installed
    assert not {"cleanlab", "cleanvision", "nncf", "onnx"} & set(installed)
    installed.clear()
    colab.set_up(only=colab.PAGE_ONLY)
    assert sorted(installed) == sorted(colab.PAGE_ONLY)
    installed.clear()
    monkeypatch.setattr(colab, "has_nvidia_driver", lambda: True)
    colab.set_up()
    assert not {"openvino", "nncf"} & set(installed)


IMPORTS = {
    "2_backend": "catdog.backend.app catdog.backend.hot_reload catdog.backend.limits catdog.backend.request_log "
    "catdog.models.classifier catdog.data.feedback catdog.notebook.link_panel catdog.tunnels "
    "catdog.tunnels.cloudflared catdog.tunnels.ngrok catdog.notebook.plots catdog.notebook.smoke_test "
    "catdog.web.server catdog.engines.openvino catdog.notebook.service",
    "3_frontend": "catdog.notebook.page_preview catdog.notebook.served_page catdog.frontend.page catdog.web.server "
    "catdog.tunnels",
    "1_fine_tune": "catdog.training.save catdog.models.export catdog.curation.data_issues "
    "catdog.training.engine_selection catdog.training.evaluation catdog.training.pruned_models",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("notebook", "lacks"),
    [
        ("1_fine_tune", colab.FOR_SOME_SETTINGS),
        ("2_backend", (*colab.FOR_SOME_SETTINGS, *colab.FOR_TRAINING)),
        ("3_frontend", (*colab.FOR_SOME_SETTINGS, *colab.FOR_TRAINING, "openvino", "pillow-heif", "tensorflow")),
    ],
)
def test_what_is_brought_is_enough(notebook, lacks):
    lacking = [module for module, names in packages_distributions().items() if set(names) & set(lacks)]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({lacking!r}))\n"
        f"import importlib\nfor name in {IMPORTS[notebook]!r}.split(): importlib.import_module(name)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "notebooks")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert not done.returncode, done.stderr


def test_what_only_some_settings_need_comes_with_them(installed, monkeypatch):
    packages.install_packages("pycloudflared")
    assert installed == ["pycloudflared"]
    monkeypatch.setattr(packages, "on_colab", lambda: False)
    packages.install_packages("onnx")
    assert installed == ["pycloudflared"]
    packages.install_for_scale()
    assert {"ray", "pyarrow"} <= set(installed)
    named = {
        name
        for names in (colab.PAGE_ONLY, colab.FOR_TRAINING, colab.FOR_SOME_SETTINGS, colab.FOR_A_CPU)
        for name in names
    }
    assert named <= {line.name for line in packages.requirements()}

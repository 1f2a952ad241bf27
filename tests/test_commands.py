"""`make run` and its parts, as processes of their own, from nothing to answers, and nothing left behind."""

import importlib
import os
import re
import signal
import subprocess
import sys

import numpy as np
import psutil
import pytest
import ray_serve
import requests
from catdog.data.synthetic import draw_folder
from catdog.distributed import __main__
from catdog.models.writer import publish
from conftest import ROOT, drawing, refused
from PIL import Image
from test_notebooks import FEW_OPERATIONS
from test_server import port_is_free


@pytest.fixture
def runner():
    """Imported by the tests that need it: it takes three seconds."""
    from catdog.notebook import runner

    return runner


@pytest.fixture
def three_classes(tmp_path):
    """Drawn cats and dogs, and coloured noise for snow on a television."""
    folder = draw_folder(tmp_path / "Three kinds", per_class=9)
    (folder / "snow").mkdir()
    for seed in range(9):
        noise = np.random.default_rng(seed).integers(0, 255, (80, 80, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "snow" / f"{seed}.png")
    return folder


@pytest.fixture
def command(own_places):
    """command(name, **environment) starts a command of the suite; whatever is left of it is killed at the end."""
    started = []

    def start(name, **environment):
        process = subprocess.Popen(
            [sys.executable, "-m", "catdog.notebook.runner", name],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT / "notebooks"), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.stdout.close()
        process.wait()


def read_until(process, words):
    said = []
    for line in process.stdout:
        said.append(line)
        if words in line:
            return "".join(said)
    raise AssertionError("".join(said))


def address(said, what):
    return re.findall(rf"{what}: (http://\S+)", said)[-1]


@pytest.mark.slow
@pytest.mark.weights
def test_three_classes_from_nothing_to_answers_and_nothing_left_behind(command, three_classes):
    process = command("run", DATA=str(three_classes), **FEW_OPERATIONS)
    said = read_until(process, "Up and running")
    assert "Time by section" in said
    assert "three-kinds/" in said
    backend, page = address(said, "Backend"), address(said, "Page")
    photos = [
        ("cat", drawing("cat", 500)),
        ("dog", drawing("dog", 500)),
        ("snow", (three_classes / "snow" / "3.png").read_bytes()),
    ]
    answer = requests.post(
        f"{backend}/predict", files=[("images", (label, data)) for label, data in photos], timeout=60
    ).json()
    assert answer["model"].startswith("three-kinds/")
    assert [item["label"] for item in answer["predictions"]] == ["cat", "dog", "snow"]
    assert set(answer["predictions"][0]["probabilities"]) == {"cat", "dog", "snow"}
    assert f'data-backend="{backend}"' in requests.get(page, timeout=10).text

    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 2
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert all(port_is_free(int(url.rsplit(":", 1)[1])) for url in (backend, page))


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_while_it_starts_leaves_nothing(command, number):
    process = command("backend")
    read_until(process, "Choose the model")
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said.endswith("Stopped.\n")
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive


@pytest.mark.parametrize("command", ["label", "train"])
def test_what_very_many_photos_need_is_told(command, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["catdog.distributed", command])
    with pytest.raises(SystemExit, match=r"\[table-places-missing\]"):
        __main__.main()


@pytest.mark.parametrize(
    ("before", "today", "runs"),
    [
        ("label", "ray-label", "catdog.distributed label"),
        ("fit", "ray-train", "catdog.distributed train"),
        ("serve", "ray-serve", "deploy/ray_serve.py"),
    ],
)
def test_commands_by_their_names_of_before_say_the_new_one_and_run(before, today, runs):
    make = ["make", "--no-print-directory"]
    done = subprocess.run([*make, "--dry-run", before], cwd=ROOT, capture_output=True, text=True, check=True)
    first, *others = done.stdout.splitlines()
    assert f"make {today} now" in first
    assert runs in others[-1]
    assert f"make {before} " not in subprocess.check_output([*make, "help"], cwd=ROOT, text=True)


def make(target, **variables):
    """Runs a target of the Makefile but for its set-up, which is done where tests run."""
    command = ["make", "--no-print-directory", "--old-file=setup", target, "IN_VENV=" + sys.executable]
    command += [f"{name}={value}" for name, value in variables.items()]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_versions_are_kept_listed_released_and_deleted_from_the_command_line(own_places, shipped):
    model = publish("pets", shipped.card, shipped.head, shipped.golden_photos, shipped.golden_probabilities)
    done = make("keep-version", VERSION=model.id, LABEL="before summer")
    assert f"{model.id} is kept" in done.stdout
    assert re.search(rf"{model.id} .* before-summer$", make("models").stdout, flags=re.M)
    done = make("delete-version", VERSION="pets/before-summer")
    assert done.returncode
    assert "[version-kept]" in done.stderr
    assert "Traceback" not in done.stderr
    assert model.folder.exists()
    assert "can be deleted" in make("release-version", VERSION="pets/before-summer").stdout
    assert f"Deleted: {model.id}" in make("delete-version", VERSION=model.id).stdout
    assert not model.folder.exists()
    assert "[version-missing]" in make("delete-version").stderr


def test_the_list_of_commands_is_in_columns():
    lines = subprocess.check_output(["make", "--no-print-directory", "help"], cwd=ROOT, text=True).splitlines()
    assert any(line.startswith("make release-version ") for line in lines)
    (width,) = {re.match(r"make [a-z-]+ +", line).end() for line in lines}
    assert width < 24


def test_photos_to_train_on_are_called_as_in_notebook_1(monkeypatch, capsys):
    monkeypatch.delenv("DATA", raising=False)
    monkeypatch.setenv("PHOTOS", "before")
    assert __main__._settings()[0] == "before"
    assert "The setting PHOTOS is now called DATA" in capsys.readouterr().out
    monkeypatch.setenv("DATA", "today")
    with refused("table-places-missing", "DATA", "PHOTOS"):  # which of them is meant?
        __main__._settings()
    monkeypatch.delenv("PHOTOS")
    monkeypatch.setenv("TARGET_ACCURACY", "0.9")
    assert __main__._settings()[0] == "today"
    assert __main__._settings()[-1]["target"] == 0.9
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("before", "today"), [("REPLICAS", "MAX_REPLICAS"), ("FEWEST", "MIN_REPLICAS"), ("MIN_REPLICAS", "MIN_REPLICAS")]
)
def test_settings_of_the_service_on_ray_are_taken_by_their_names_of_before(before, today, capsys):
    with refused("setting-type", today, '"some"'):
        ray_serve.build({before: "some"})
    assert (f"The setting {before} is now called {today}" in capsys.readouterr().out) == (before != today)
    with refused("setting-unknown", "PHOTO"):  # a setting of another command
        ray_serve.build({"PHOTO": "x"})


def test_without_ray_it_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "catdog.distributed.cluster", raising=False)
    with refused("ray-not-installed", "requirements-scale.txt"):
        importlib.import_module("catdog.distributed.cluster")


def test_a_path_is_meant_from_where_you_are(runner, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("DATA", "TEST_PHOTO", "PHOTO"):
        monkeypatch.setenv(name, "here")
    monkeypatch.setenv("MODEL", "no-path")
    runner._absolute_paths()
    for name in ("DATA", "TEST_PHOTO", "PHOTO"):
        assert os.environ[name] == str((tmp_path / "here").resolve())
    assert os.environ["MODEL"] == "no-path"


def test_another_link_of_the_same_service_is_said_once(runner, capsys, monkeypatch):
    monkeypatch.setenv("ACCESS_CODE", "for-testers")
    before = {"instance": "a", "state": "up", "url": "https://one.example"}
    stopped = {**before, "state": "stopped", "url": ""}
    for now in ({}, stopped, {**before, "state": "down"}, {**before, "instance": "b", "url": "https://theirs.example"}):
        assert runner._tell_of_another_link(before, now) == before
    assert runner._tell_of_another_link({}, {}) == {}
    assert not capsys.readouterr().out
    changed = {**before, "url": "https://two.example"}
    assert runner._tell_of_another_link(before, changed) == changed
    assert "Backend: https://two.example/#code=for-testers" in capsys.readouterr().out


@pytest.mark.slow
def test_a_wrong_setting_ends_with_a_sentence_and_a_failure(command):
    process = command("backend", MODEL="no-such-model")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "[model-missing]" in said
    assert "Traceback" not in said

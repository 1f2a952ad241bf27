"""Versions are kept, named and deleted: nothing else is ever deleted, and nothing half."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from catdog import paths
from catdog.models import bundle
from catdog.models.card import CARD
from catdog.models.housekeeping import delete_version, keep_version, release_version, remove_rests
from catdog.models.kept import KEPT, Kept, is_labelled, read_kept, write_kept
from catdog.models.listing import versions_table
from catdog.models.writer import publish
from catdog.notebook import versions
from catdog.notebook.page_preview import BackendState
from catdog.web import link
from conftest import ROOT, refused
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(autouse=True)
def places(own_places):
    return own_places


@pytest.fixture
def save(shipped):
    """save(name): a version, as `publish` saves it."""
    return lambda name="pets": publish(
        name, shipped.card, shipped.head, shipped.golden_photos, shipped.golden_probabilities
    )


def content(folder):
    return {path: path.lstat().st_size for path in sorted(folder.rglob("*"))}


# --- keep and name ---


def test_a_kept_version_is_deleted_only_once_it_is_released(save, capsys):
    model = save()
    keep_version(model.id)
    with refused("version-kept", model.id):
        delete_version(model.id)
    bundle.read(model.folder)
    release_version(model.id)
    assert read_kept(model.folder) is None
    delete_version(model.id)
    assert not model.folder.exists()
    release_version(save().id)
    assert "was not kept" in capsys.readouterr().out


def test_a_label_finds_its_version_wherever_an_id_does(save, capsys):
    first, last = save(), save()
    keep_version(first.id, label="Before Summer")
    assert "MODEL also finds it as pets/before-summer" in capsys.readouterr().out
    assert bundle.find("pets") == last.folder
    for wanted in ("pets/before-summer", "pets/before summer", "pets/Before Summer", first.id):
        assert bundle.find(wanted) == first.folder
    assert bundle.read_newest("pets/before-summer").id == first.id
    for wanted in ("pets/after-summer", "birds/before-summer", "pets/", "pets/..."):
        with refused("model-missing"):
            bundle.find(wanted)
    with refused("version-kept", "before-summer"):
        delete_version("pets/before-summer")
    keep_version("pets/before-summer", label="final")
    assert "instead of pets/before-summer" in capsys.readouterr().out
    keep_version("pets/final")  # without a label it keeps the one it has
    assert read_kept(first.folder) == Kept("final")
    release_version("pets/final")
    assert "no longer called pets/final" in capsys.readouterr().out
    with refused("model-missing"):
        bundle.find("pets/final")


def test_the_list_shows_what_is_kept(save):
    labelled, damaged, kept, plain = (save() for _ in range(4))
    keep_version(labelled.id, "final")
    keep_version(kept.id)
    (damaged.folder / KEPT).write_bytes(b"{")
    lines = {line.split()[0]: line.split()[1:] for line in versions_table("pets").splitlines()[1:]}
    assert lines[labelled.id][-2:] == ["0.1", "final"]
    assert lines[kept.id][-1] == "yes"
    assert lines[damaged.id][-3:] == [KEPT, "is", "damaged"]
    assert lines[plain.id][-1] == "0.1"  # its MB


@pytest.mark.parametrize("label", ["...", "2026", "2026-11-29-134152", " ", "!"])
def test_what_cannot_be_a_label_is_told(save, label):
    model = save()
    with refused("version-label", label):
        keep_version(model.id, label)
    assert read_kept(model.folder) is None


def test_a_label_of_another_version_of_the_same_model_is_refused(save):
    first, second, others = save(), save(), save("birds")
    copy = shutil.copytree(first.folder, first.folder.with_name("copy"))
    keep_version(first.id, "final")
    with refused("version-label", first.id):
        keep_version(second.id, "Final")
    with refused("version-label", "pets/copy"):
        keep_version(second.id, "copy")
    keep_version(others.id, "final")
    keep_version(first.id, "final")
    write_kept(copy, "final")  # by somebody else
    with refused("version-label", first.id, "pets/copy"):
        release_version("pets/final")


@given(st.text(st.characters(exclude_categories=[])))
def test_whatever_a_version_is_called_it_is_found_by_that(text):
    folder = Path(os.environ["MODELS_DIR"]) / "pets" / "2026-01-01-000000"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).touch()
    try:
        keep_version("pets/2026-01-01-000000", text or "x")
    except Exception as error:
        assert error.code == "version-label"  # noqa: PT017
        return
    kept = read_kept(folder)
    assert not kept.is_damaged
    assert is_labelled(folder, text or "x")
    assert is_labelled(folder, kept.label)
    release_version(f"pets/{kept.label}")


HOSTILE = {
    "cut": b'{"label": "fin',
    "no JSON": b"\xff\xfe",
    "a list": b"[]",
    "no label": b"{}",
    "a number": b'{"label": 1}',
    "letters": b'{"label": ["a"]}',
    "a path": b'{"label": "../../x"}',
    "a time": b'{"label": "2026-11-29-134152"}',
    "control characters": b'{"label": "a\\u001b[2J"}',
    "half a pair": b'{"label": "a\\ud800"}',
    "nested": b'{"label": ' + 2000 * b"[" + 2000 * b"]" + b"}",
    "large": b'{"label": "' + 5000 * b"a" + b'"}',
    "long": b'{"label": "' + 200 * b"a" + b'"}',
}


@pytest.mark.parametrize("what", [*HOSTILE, "pipe", "folder", "link to nowhere", "link to zeros"])
def test_a_damaged_note_neither_hides_its_version_nor_makes_it_deletable(save, what, capsys):
    model = save()
    note = model.folder / KEPT
    if what == "pipe":
        os.mkfifo(note)
    elif what == "folder":
        note.mkdir()
    elif what.startswith("link"):
        note.symlink_to("/dev/zero" if "zeros" in what else "/nowhere")
    else:
        note.write_bytes(HOSTILE[what])
    assert read_kept(model.folder) == Kept(is_damaged=True)
    assert bundle.read(bundle.find("pets")).id == bundle.read(bundle.find(model.id)).id == model.id
    assert f"{KEPT} is damaged" in versions_table("pets")
    with refused("version-kept", "damaged"):
        delete_version(model.id)
    if what == "folder":
        with refused("version-not-changed"):
            release_version(model.id)
        return
    keep_version(model.id, "final")
    assert "Its previous label could not be read" in capsys.readouterr().out
    assert read_kept(model.folder) == Kept("final")


def test_a_note_that_cannot_be_written_is_told_and_leaves_what_was(save, monkeypatch):
    model = save()
    keep_version(model.id, "first")

    def disk_full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("catdog.files.os.replace", disk_full)
    with refused("version-not-changed", "No space left on device"):
        keep_version(model.id, "second")
    assert read_kept(model.folder) == Kept("first")


# --- delete ---


def test_what_was_deleted_is_told_with_its_size(save, capsys):
    first, last = save(), save()
    (last.folder / "model.keras").write_bytes(bytes(3_000_000))
    (last.folder / "exports").mkdir()
    (last.folder / "exports" / "model.onnx").write_bytes(bytes(2_000_000))
    delete_version(last.id)
    said = capsys.readouterr().out
    assert f"Deleted: {last.id} (5.1 MB)." in said
    assert f"The newest version is {first.id} now." in said
    assert [path.name for path in first.folder.parent.iterdir()] == [first.folder.name]
    delete_version(first.id)
    assert "No version of pets is left." in capsys.readouterr().out


@pytest.mark.parametrize(
    "wanted", ["", "pets", "pets/", "pets/..", "../x", "../pets", "..", "/", "pets/../birds", "birds/1", "pets/\ud800"]
)
def test_what_names_no_version_deletes_nothing(save, places, wanted):
    model = save()
    (places / "x").mkdir()
    shutil.copy(model.folder / CARD, places / "x" / CARD)
    before = content(places)
    for change in (delete_version, keep_version, release_version):
        with refused("version-missing", "make models"):
            change(wanted)
    for path in (str(model.folder), f"./{model.id}", f"../models_dir/{model.id}", f"{model.id}/../{model.folder.name}"):
        with refused("version-missing"):
            delete_version(path)
    assert content(places) == before


def test_the_version_that_ships_stays(shipped, save, capsys):
    before = content(shipped.folder)
    for change in (delete_version, keep_version):
        with refused("version-shipped", shipped.id):
            change(shipped.id)
    copy = shutil.copytree(shipped.folder, paths.models_dir() / shipped.id)
    delete_version(shipped.id)  # means the copy, while there is one
    assert not copy.exists()
    assert content(shipped.folder) == before


def test_the_version_that_ships_stays_where_the_models_lie(shipped, monkeypatch, tmp_path):
    home = shutil.copytree(ROOT / "models", tmp_path / "models")
    monkeypatch.setenv("MODELS_DIR", str(home))
    monkeypatch.setattr(paths, "SHIPPED_MODEL", home / "cats-and-dogs" / shipped.folder.name)
    (tmp_path / "link").symlink_to(home)
    for place in (home, tmp_path / "link"):
        monkeypatch.setenv("MODELS_DIR", str(place))
        with refused("version-shipped"):
            delete_version(shipped.id)


@pytest.mark.parametrize("name", ["Copy of {}", "{} (1)", "{}-copy", "notes"])
def test_a_folder_that_notebook_1_did_not_name_is_not_deleted(save, name):
    model = save()
    copy = shutil.copytree(model.folder, model.folder.with_name(name.format(model.folder.name)))
    before = content(copy)
    with refused("version-not-ours", copy.name):
        delete_version(f"pets/{copy.name}")
    assert content(copy) == before


def test_a_version_that_holds_something_else_is_not_deleted(save):
    model = save()
    (model.folder / "my notes.txt").write_text("of a summer")
    with refused("version-not-ours", "my notes.txt"):
        delete_version(model.id)
    assert (model.folder / "my notes.txt").read_text() == "of a summer"
    (model.folder / "my notes.txt").rename(model.folder / ".DS_Store")  # what systems leave is nobody's
    delete_version(model.id)


@pytest.mark.parametrize("linked", ["version", "model"])
def test_links_are_not_followed(save, places, linked):
    model = save()
    elsewhere, link_there = (model.folder, model.folder) if linked == "version" else (model.folder.parent,) * 2
    elsewhere = elsewhere.rename(places / elsewhere.name)
    link_there.symlink_to(elsewhere)
    before = content(elsewhere)
    assert bundle.find(model.id)
    for change in (delete_version, keep_version, release_version):
        with refused("version-not-ours", "link"):
            change(model.id)
    if linked == "model":
        (elsewhere / f".deleting-{model.folder.name}").mkdir()
        remove_rests()
        (elsewhere / f".deleting-{model.folder.name}").rmdir()  # still there
    assert content(elsewhere) == before


def test_a_link_within_a_version_goes_and_what_it_leads_to_stays(save, places):
    model = save()
    (places / "mine").mkdir()
    (places / "mine" / "photo.jpg").write_bytes(b"x")
    (model.folder / "exports").symlink_to(places / "mine")
    delete_version(model.id)
    assert (places / "mine" / "photo.jpg").read_bytes() == b"x"
    assert not model.folder.exists()


def test_a_models_folder_that_is_reached_by_a_link_is_as_good(save, places, monkeypatch):
    model = save()
    (places / "drive").symlink_to(paths.models_dir())
    monkeypatch.setenv("MODELS_DIR", str(places / "drive"))
    delete_version(model.id)
    assert not model.folder.exists()


def test_a_damaged_version_can_be_deleted(save):
    model = save()
    (model.folder / CARD).write_text("{")
    delete_version(model.id)
    assert not model.folder.exists()


def test_a_folder_that_cannot_be_renamed_is_told(save, monkeypatch):
    model = save()

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with refused("version-not-changed", model.id, "Permission denied"):
        delete_version(model.id)
    bundle.read(model.folder)


def test_what_cannot_be_removed_at_once_is_told_and_removed_later(save, monkeypatch, capsys):
    model = save()
    with monkeypatch.context() as busy:
        busy.setattr(shutil, "rmtree", lambda *_, **__: None)
        delete_version(model.id)
    assert "0.1 MB of it could not be removed yet" in capsys.readouterr().out
    rest = model.folder.with_name(f".deleting-{model.folder.name}")
    assert rest.exists()
    with refused("model-missing"):
        bundle.find("pets")
    save()
    assert not rest.exists()


def test_only_rests_of_deletions_are_removed(save, places):
    model = save()
    home, mine = model.folder.parent, places / "mine"
    mine.mkdir()
    stays = [home / ".deleting-mine", home / ".writing-x", home / "deleting-2026-01-01-000000"]
    for folder in stays:
        folder.mkdir()
    (home / ".deleting-2026-01-01-000000").symlink_to(mine)
    (home / ".deleting-2026-01-01-000001").mkdir()
    versions_table()
    assert mine.exists()
    assert all(folder.exists() for folder in stays)
    assert not (home / ".deleting-2026-01-01-000001").exists()


PATHS = os.pathsep.join(str(ROOT / name) for name in ("notebooks", "tests"))
# Deletes the version that each line names, killed before a step; forks, so that what is killed is loaded once.
DELETES = """
import os, sys
from catdog.models.housekeeping import delete_version
from standins.killed import count_steps

for version, last in map(str.split, sys.stdin):
    if not os.fork():
        steps = count_steps(int(last))
        delete_version(version)
        print(len(steps), flush=True)
        os._exit(0)
    os.wait()
    print("over", flush=True)
"""


def test_killed_at_any_step_a_version_is_whole_or_not_there_and_the_next_look_removes_the_rest(save):
    process = subprocess.Popen(
        [sys.executable, "-c", DELETES],
        env={**os.environ, "PYTHONPATH": PATHS},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def delete(version, last):
        process.stdin.write(f"{version} {last}\n")
        process.stdin.flush()
        return list(iter(lambda: process.stdout.readline().strip(), "over"))

    kept = save()
    steps = int(delete(save().id, 1 << 30)[-1])
    rests = whole = 0
    for step in range(1, steps + 1):
        model = save()
        assert not any(line.isdigit() for line in delete(model.id, step))
        rest = model.folder.with_name(f".deleting-{model.folder.name}")
        assert not (model.folder.exists() and rest.exists())
        if model.folder.exists():
            assert bundle.read(bundle.find("pets")).id == model.id
            whole += 1
        else:
            assert bundle.find("pets") == kept.folder
            rests += rest.exists()
        versions_table()
        assert not rest.exists()
        shutil.rmtree(model.folder, ignore_errors=True)
    process.stdin.close()
    process.wait()
    assert whole > 3
    assert rests > 3


# --- while a service runs ---


@pytest.fixture
def service(monkeypatch):
    """service(code, model): what the only service answers when it is asked for its model."""

    def answers(code, model=""):
        monkeypatch.setattr(versions, "backend_state", lambda url, access: BackendState(code, "It says so.", model))

    link.publish("backend", "http://127.0.0.1:5000", public=False)
    return answers


def test_a_version_that_serves_is_not_deleted(save, service, capsys):
    first, last = save(), save()
    service("answers", first.id)
    with refused("version-served", first.id):
        versions.delete_version(first.id)
    bundle.read(first.folder)
    versions.delete_version(last.id)
    assert f"Deleted: {last.id}" in capsys.readouterr().out


@pytest.mark.parametrize("code", ["wants-code", "loading"])
def test_a_service_that_does_not_say_what_it_serves_is_told(save, service, code, capsys):
    model = save()
    service(code)
    versions.delete_version(model.id)
    assert "http://127.0.0.1:5000 does not say which version it serves" in capsys.readouterr().out
    assert not model.folder.exists()


def test_every_service_is_asked_with_the_code(save, monkeypatch):
    model, asked = save(), []
    monkeypatch.setattr(versions, "backend_state", lambda *asking: asked.append(asking) or BackendState("silent", ""))
    entry = {"time": "2026-01-01T00:00:00", "public": True, "state": "up", "instance": "a"}
    known = {**entry, "url": "http://a.example", "others": [{**entry, "url": "http://b.example"}]}
    paths.link_file("backend").write_text(json.dumps(known))
    versions.delete_version(model.id, "for-testers")
    assert asked == [("http://a.example", "for-testers"), ("http://b.example", "for-testers")]

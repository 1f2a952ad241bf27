"""Getting photos: folders, zips, public sets over a real (local) server, drawings."""

import shutil
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from catdog.data import sources
from catdog.data.sources import PublicSet, find_photos
from catdog.data.synthetic import draw
from conftest import refused


@pytest.fixture(autouse=True)
def places(own_places):
    return own_places


@pytest.fixture
def archive(drawings, tmp_path):
    return shutil.make_archive(tmp_path / "My Photos (2)", "zip", drawings.parent, drawings.name)


@pytest.fixture
def web(tmp_path):
    """A web server on a real port that serves tmp_path; its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def public(monkeypatch, url):
    monkeypatch.setitem(sources.PUBLIC_SETS, "cats_and_dogs_filtered", PublicSet(url, {"cats": "cat"}))


def test_a_folder_is_used_where_it_lies(drawings):
    folder = find_photos(str(drawings))
    assert folder.path == drawings
    assert not folder.synthetic


def test_a_zip_is_unpacked_once_and_again_when_it_changes(archive, capsys):
    folder = find_photos(archive)
    assert folder.name == "my-photos-2"
    assert len(list(folder.path.rglob("*.jpg"))) == 24
    assert "Unpacking" in capsys.readouterr().out
    assert find_photos(archive) == folder
    assert "Unpacking" not in capsys.readouterr().out
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("more/owl/1.jpg", b"x")
    assert (find_photos(archive).path / "more/owl/1.jpg").exists()


def test_a_damaged_zip_is_refused_and_leaves_nothing(archive, places):
    with open(archive, "r+b") as file:
        file.seek(2000)
        file.write(b"\0" * 4000)
    with refused("photos-zip-damaged"):
        find_photos(archive)
    assert not list((places / "data_dir" / "unpacked").iterdir())


def test_a_zip_never_overwrites_a_folder_of_yours(archive, places):
    mine = places / "data_dir" / "My Photos (2)"
    mine.mkdir(parents=True)
    (mine / "precious.jpg").write_bytes(b"x")
    assert find_photos(archive).path.parent.name == "unpacked"
    assert [path.name for path in mine.iterdir()] == ["precious.jpg"]


@pytest.mark.parametrize("around", ["{}", "  {}\n", '"{}"', "'{}'", "“{}”", "file://{}", "{}/"])
def test_a_path_as_people_paste_it(drawings, around):
    assert find_photos(around.format(drawings)).path == drawings


def test_a_home_in_a_path(drawings, monkeypatch):
    monkeypatch.setenv("HOME", str(drawings.parent))
    for text in ("~/{}", "$HOME/{}", "${HOME}/{}"):
        assert find_photos(text.replace("{}", drawings.name)).path == drawings
    with refused("photos-missing"):
        find_photos("~nobody-of-this-name/drawings")


def test_an_address_and_a_single_photo_are_told(drawings):
    with refused("photos-address", "https://example.org/pets.zip", "wget"):
        find_photos("https://example.org/pets.zip")
    with refused("photos-not-a-folder", "a single photo"):
        find_photos(str(next((drawings / "cat").iterdir())))


def test_nothing_there_says_what_to_do(tmp_path):
    with refused("photos-missing", "DATA"):
        find_photos(str(tmp_path / "nothing"))
    (tmp_path / "file.txt").write_text("x")
    with refused("photos-not-a-folder"):
        find_photos(str(tmp_path / "file.txt"))


def test_a_public_set_is_downloaded_once(web, archive, tmp_path, monkeypatch, capsys):
    shutil.move(archive, tmp_path / "set.zip")
    public(monkeypatch, f"{web}/set.zip")
    folder = find_photos("cats_and_dogs_filtered")
    assert folder.name == "cats-and-dogs"
    assert folder.class_names == {"cats": "cat"}
    assert "Downloading" in capsys.readouterr().out
    (tmp_path / "set.zip").unlink()
    assert find_photos("cats_and_dogs_filtered") == folder


def test_where_nothing_can_be_downloaded_auto_draws_and_says_so(monkeypatch, web, capsys):
    public(monkeypatch, f"{web}/gone.zip")
    folder = find_photos("auto")
    assert folder.synthetic
    assert folder.name == "drawings"
    said = capsys.readouterr().out
    assert "[photos-not-downloaded]" in said
    assert "drawings" in said
    with refused("photos-not-downloaded"):
        find_photos("cats_and_dogs_filtered")


def test_drawings_are_the_same_every_time_and_differ_from_each_other():
    assert draw("cat", 5).tobytes() == draw("cat", 5).tobytes()
    assert len({draw(label, seed).tobytes() for label in ("cat", "dog") for seed in range(20)}) == 40
    with pytest.raises(ValueError, match="owl"):
        draw("owl", 1)

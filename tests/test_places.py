"""Settings from the environment first, secrets, and folders."""

import sys
import types

import pytest
from catdog import link, places
from catdog.errors import SuiteError
from catdog.places import environment_first


def test_the_environment_comes_first_with_the_type_of_the_default(monkeypatch):
    for name, text in {"A": "7", "B": "yes", "C": "0.5", "D": "", "E": "off", "G": ""}.items():
        monkeypatch.setenv(name, text)
    monkeypatch.delenv("F", raising=False)
    assert environment_first(A=1, B=False, C=1.0, D="x", E=True, F="kept", G=8) == (7, True, 0.5, "", False, "kept", 8)


@pytest.mark.parametrize(("default", "word"), [(5000, "a whole number"), (0.5, "a number"), (True, "true or false")])
def test_text_that_does_not_fit_is_refused_in_words(monkeypatch, default, word):
    monkeypatch.setenv("PORT", "eighty")
    with pytest.raises(SuiteError, match=f'PORT must be {word}, but the environment says "eighty"'):
        environment_first(PORT=default)


def colab(monkeypatch, get):
    userdata = types.SimpleNamespace(get=get)
    monkeypatch.setitem(sys.modules, "google.colab", types.SimpleNamespace(userdata=userdata))
    monkeypatch.setitem(sys.modules, "google.colab.userdata", userdata)


def test_a_secret_comes_from_the_environment_then_from_colab(monkeypatch):
    assert places.secret("NGROK_AUTHTOKEN") == ""
    colab(monkeypatch, lambda name: f"colab's {name}")
    assert places.secret("NGROK_AUTHTOKEN") == "colab's NGROK_AUTHTOKEN"
    monkeypatch.setenv("NGROK_AUTHTOKEN", "mine")
    assert places.secret("NGROK_AUTHTOKEN") == "mine"


def test_a_secret_that_colab_refuses_is_no_secret(monkeypatch):
    def refuse(name):
        raise RuntimeError("NotebookAccessError")

    colab(monkeypatch, refuse)
    assert places.secret("NGROK_AUTHTOKEN") == ""


def test_away_from_colab_drive_is_left_alone():
    places.mount_drive()
    assert places.drive_folder() is None


def test_the_link_is_there_until_it_is_withdrawn(own_places):
    assert link.published_url() == ""
    link.withdraw()
    link.publish("https://one.example")
    link.publish("https://two.example")
    assert link.published_url() == "https://two.example"
    link.withdraw()
    assert link.published_url() == ""
    places.link_file().write_text("{broken")
    assert link.published_url() == ""


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "kept"
    path.write_text("before")

    def break_off():
        with places.written_whole(path) as file:
            file.write(b"half of")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert [path] == list(tmp_path.iterdir())
    assert path.read_text() == "before"


def test_an_error_for_people_shows_no_traceback_in_a_notebook():
    assert SuiteError("Do this.")._render_traceback_() == ["⚠ Do this."]

"""Settings from the environment first, secrets, and folders."""

import pytest
from catdog import files, paths, settings
from catdog.errors import UserError
from catdog.notebook import colab
from catdog.settings import environment_first
from catdog.web import link
from catdog.web.server import Server
from conftest import refused
from flask import Flask


def test_the_environment_comes_first_with_the_type_of_the_default(monkeypatch):
    for name, text in {"A": "7", "B": "yes", "C": "0.5", "D": "", "E": "off", "G": ""}.items():
        monkeypatch.setenv(name, text)
    monkeypatch.delenv("F", raising=False)
    assert environment_first(A=1, B=False, C=1.0, D="x", E=True, F="kept", G=8) == (7, True, 0.5, "", False, "kept", 8)


@pytest.mark.parametrize(("name", "old"), settings.OLD_NAMES.items())
def test_an_old_name_of_a_setting_is_taken_and_the_new_one_said(monkeypatch, capsys, name, old):
    monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(old, "before")
    assert environment_first(**{name: ""}) == ("before",)
    assert f"The setting {old} is now called {name}" in capsys.readouterr().out
    monkeypatch.setenv(name, "now")
    assert environment_first(**{name: "", old: ""}) == ("now", "before")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("default", "word"), [(5000, "a whole number"), (0.5, "a number"), (True, "true or false")])
def test_text_that_does_not_fit_is_refused_in_words(monkeypatch, default, word):
    monkeypatch.setenv("PORT", "eighty")
    with refused("setting-type", "PORT", word, '"eighty"'):
        environment_first(PORT=default)


@pytest.mark.parametrize("setting", ["DATA_DIR", "MODELS_DIR", "CATDOG_CACHE"])
def test_a_folder_that_cannot_be_made_is_told_before_anything_is_computed(monkeypatch, own_places, tmp_path, setting):
    colab.open_folders(False)
    (tmp_path / "a file").write_text("x")
    monkeypatch.setenv(setting, str(tmp_path / "a file" / "x"))
    with refused("folder-not-writable", setting, "a file"):
        colab.open_folders(False)


@pytest.mark.parametrize(
    "pasted",
    [
        "mine",
        " mine\n",
        "ngrok config add-authtoken mine",
        "$ ngrok authtoken mine",
        "export NGROK_AUTHTOKEN=mine",
        "authtoken: mine",
        "NGROK_AUTHTOKEN='mine'",
        '"mine"',
        "«mine».",
        "authtoken:mine",
        "$env:NGROK_AUTHTOKEN='mine'",
        'ngrok.set_auth_token("mine")',
        '{"authtoken": "mine"}',
        "\x1b[200~mine\x1b[201~",
        "“mine”",
        "%env NGROK_AUTHTOKEN=mine",
        "\ufeffmi\u200bne\u2060",
    ],
)
def test_a_token_from_the_environment_however_it_was_pasted(monkeypatch, pasted):
    assert settings.find_secret("NGROK_AUTHTOKEN") == ("", "")
    monkeypatch.setenv("NGROK_AUTHTOKEN", pasted)
    assert settings.find_secret("NGROK_AUTHTOKEN") == ("mine", "")


TOKEN = "2" + 26 * "aB" + "_" + 10 * "7Xy"  # of the length and letters of ngrok's own


@pytest.mark.parametrize(
    "pasted",
    [
        "ngrok config add-authtoken {}\nngrok http 80",
        "NGROK_AUTHTOKEN={} ngrok http 80",
        "ngrok http --authtoken {} 80",
        "{}\n\n# my token",
        "authtoken: {} # mine",
        "docker run -e NGROK_AUTHTOKEN={} ngrok/ngrok",
        "os.environ['NGROK_AUTHTOKEN'] = '{}'",
    ],
)
def test_todays_token_is_found_among_other_words(pasted):
    assert settings.clean_token(pasted.format(TOKEN)) == (TOKEN, "")
    assert settings.clean_token(f"{TOKEN[:40]}\n{TOKEN[40:]}") == (TOKEN, "")


@pytest.mark.parametrize(
    "pasted",
    ["ak_2abcDEF", "hello world", "ngrok http 80", "https://dashboard.ngrok.com/", "<your token>!", "geheim wört"],
)
def test_what_is_no_token_is_not_taken_for_one(monkeypatch, pasted):
    monkeypatch.setenv("NGROK_AUTHTOKEN", pasted)
    token, why = settings.find_secret("NGROK_AUTHTOKEN")
    assert not token
    assert "authtoken" in why


def test_away_from_colab_drive_is_left_alone():
    paths.mount_drive()
    assert paths.drive_folder() is None


def test_the_link_is_there_until_it_is_withdrawn(own_places):
    assert link.published_url() == ""
    link.withdraw("backend")
    link.publish("backend", "https://one.example", public=True)
    link.publish("backend", "https://two.example", public=True)
    assert link.published_url() == "https://two.example"
    link.mark_down("backend")
    assert link.published_url() == "https://two.example"
    link.withdraw("backend")
    assert link.published_url() == ""


@pytest.mark.parametrize(
    "text",
    [
        "{broken",
        "[]",
        "{}",
        '{"url": "https://x.example", "state": "up", "time": "tomorrow"}',
        "\xff",
        '{"url": 5, "state": "up", "time": "2026-01-01T00:00:00+00:00", "public": true}',
        '{"url": "https://[", "state": "up", "time": "2026-01-01T00:00:00+00:00", "public": true}',
    ],
)
def test_a_broken_link_file_is_none(own_places, text):
    paths.link_file("backend").write_text(text)
    assert link.published_url() == ""


def test_the_link_of_another_process_is_not_taken_back(own_places, monkeypatch):
    with monkeypatch.context() as another:
        another.setattr(link, "INSTANCE", "another")
        link.publish("backend", "https://theirs.example", public=True)
    link.withdraw("backend")
    link.mark_down("backend")
    assert link.read("backend")["state"] == "up"
    assert link.published_url() == "https://theirs.example"


@pytest.mark.parametrize("is_still_there", [True, False])
def test_of_two_notebooks_the_one_that_goes_on_has_the_link(own_places, monkeypatch, is_still_there):
    service = Flask("first")
    service.get("/healthz")(lambda: {"instance": "of the first"})
    first = Server(service, "127.0.0.1", 0)
    with monkeypatch.context() as other:
        other.setattr(link, "INSTANCE", "of the first")
        link.publish("backend", first.url, public=False)
    link.publish("backend", "https://second.example", public=True)
    link.publish("backend", "https://third.example", public=True)  # the same notebook, again
    assert link.published_url() == "https://third.example"
    if not is_still_there:
        first.stop()
    link.withdraw("backend")
    assert link.published_url() == (first.url if is_still_there else "")
    first.stop()


def test_a_link_that_is_only_known_to_work_again_does_not_come_before_a_newer_one(own_places, monkeypatch):
    def says(instance, url, what=link.publish, **more):
        with monkeypatch.context() as other:
            other.setattr(link, "INSTANCE", instance)
            what("backend", *([url] if url else []), **more)

    says("first", "https://first.example", public=True)
    says("second", "https://second.example", public=True)
    says("third", "http://127.0.0.1:5000", public=False)
    says("first", "https://first.example", public=True)  # its watchdog
    assert link.published_url() == "http://127.0.0.1:5000"
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("socket.gethostname", lambda: "another-machine")
        assert link.published_url() == "https://second.example"
    says("second", "", link.withdraw)
    monkeypatch.setattr(link, "answers", lambda known: True)
    says("third", "", link.withdraw)
    assert link.published_url() == "https://first.example"
    says("first", "", link.mark_down)
    assert link.read("backend")["state"] == "down"


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "https://a;script-src *", "https://a b", "//a.example", "https://"]
)
def test_a_link_that_is_no_web_address_is_not_followed(own_places, url):
    link.publish("backend", url, public=True)
    assert link.published_url() == ""


@pytest.mark.parametrize("origin", ["https://a-1.example", "http://127.0.0.1:5000", "http://[::1]:5000"])
def test_an_origin_ends_where_the_path_begins(origin):
    assert link.origin(f"{origin}/path;x#code=y") == link.origin(origin) == origin


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "kept"
    path.write_text("before")

    def break_off():
        with files.written_whole(path) as file:
            file.write(b"half of")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert [path] == list(tmp_path.iterdir())
    assert path.read_text() == "before"


def test_what_can_be_computed_again_may_fail_to_be_written(tmp_path, capsys):
    files.write_if_possible(tmp_path / "kept", lambda file: file.write(b"whole"))
    assert (tmp_path / "kept").read_bytes() == b"whole"
    files.write_if_possible(tmp_path / "no such folder" / "kept", lambda file: file.write(b"nowhere"))
    assert "could not be written (No such file or directory)" in capsys.readouterr().out


def test_an_error_for_people_shows_no_traceback_in_a_notebook():
    assert UserError("setting-type", "Do this.")._render_traceback_() == ["⚠ Do this. [setting-type]"]

"""The objects of notebooks 2 and 3: a service and a page that are served, shared, tried and stopped in any order."""

import contextlib
import functools
from types import SimpleNamespace

import pytest
import requests
from catdog import notebook, tunnels
from catdog.backend.request_log import RequestLog
from catdog.data.synthetic import draw_folder
from catdog.models.classifier import load_classifier
from catdog.notebook import link_panel, serve_model, serve_page, service
from catdog.web import link
from catdog.web import server as serving
from conftest import drawing, refused
from test_hot_reload import save  # noqa: F401


@pytest.fixture(autouse=True)
def nothing_left(own_places):
    yield
    notebook.stop_watching()
    for name in link.NAMES:
        serving.stop(name)
        tunnels.close_tunnel(name)
    link_panel._showing.set()


@pytest.fixture
def requests_of_this_test(monkeypatch):
    log = RequestLog()
    monkeypatch.setattr(service, "REQUESTS", log)
    return log


@pytest.fixture
def serve(save, classifier, monkeypatch, requests_of_this_test):  # noqa: F811
    """serve(follow, **settings): version 0 of pets, on the stand-in network."""
    on_stand_in = functools.partial(load_classifier, reuse_engine_of=classifier, say=lambda words: None)
    monkeypatch.setattr(service, "require_engine", lambda name: None)  # which knows no stand-in
    monkeypatch.setattr(service, "load_classifier", on_stand_in)
    model = save(0)
    return lambda follow="pets", **settings: serve_model(
        model, follow=follow, **{"engine": classifier.engine.name, "port": 0, **settings}
    )


def port_of_link():
    return int(link.published_url().rsplit(":", 1)[1])


# The service


def test_a_model_is_served_shared_tried_and_stopped(serve, capsys):
    served = serve(access_code="for-testers")
    assert (served.running, served.tunnel, served.panel) == (True, None, None)
    said = capsys.readouterr().out
    assert f"The service listens on {served.url}\nIt is ready" in said
    served.open_link("none")
    assert f"Backend: {served.url}/#code=for-testers" in capsys.readouterr().out  # the runner repeats such lines
    assert served.panel.shared_link == f"{served.url}/#code=for-testers"
    assert served.predict(drawing())["label"] == "cat"
    assert "POST /predict" in str(served.requests)
    assert str(served) == "The service goes on."
    served.stop()
    served.stop()
    assert (served.running, served.tunnel, str(served)) == (False, None, "The service is stopped.")
    assert link.read("backend")["state"] == "stopped"
    assert served.panel.state[0] == "red"
    with refused("service-unreachable", "run the cells above again"):
        served.predict(drawing())
    with refused("service-unreachable"):
        served.open_link("none")


def test_photos_are_tried_by_the_link_as_testers_send_them(serve, monkeypatch):
    served, asked = serve(access_code="for-testers"), []
    monkeypatch.setattr(service.smoke_test, "predict", lambda *arguments: asked.append(arguments))
    served.predict(b"1")
    public = SimpleNamespace(service_url="https://cats.example")
    monkeypatch.setitem(tunnels._open, "backend", public)
    served.predict(b"2")
    monkeypatch.delitem(tunnels._open, "backend")
    assert asked == [(served.url, b"1", "for-testers"), ("https://cats.example", b"2", "for-testers")]


def test_every_setting_reaches_the_service(serve, own_places):
    served = serve(
        access_code="for-testers", cors_origins="https://page.example", limits="photos=1", corrections=True,
        examples=str(draw_folder(own_places / "examples", per_class=1) / "cat"),
    )  # fmt: skip
    photos = [("images", (name, drawing())) for name in ("a", "b")]
    headers = {**link.headers("for-testers"), "Origin": "https://other.example"}
    assert requests.get(f"{served.url}/model", timeout=10).status_code == 401
    assert requests.get(f"{served.url}/model", headers=headers, timeout=10).json()["examples"] == 1
    answer = requests.post(f"{served.url}/predict", files=photos, headers=headers, timeout=60)
    assert answer.status_code == 413
    assert answer.headers.get("Access-Control-Allow-Origin") != "*"
    sent = {"files": photos[:1], "data": {"label": "dog"}, "headers": headers, "timeout": 60}
    assert requests.post(f"{served.url}/corrections", **sent).status_code == 201
    assert len(notebook.Feedback("pets").all()) == 1


def test_served_again_it_takes_the_place_and_keeps_the_link_and_the_requests(serve, capsys):
    first = serve()
    first.open_link("none")
    first.predict(drawing())
    tunnel = first.tunnel
    capsys.readouterr()
    again = serve(port=first.port)
    assert "The link still leads" not in capsys.readouterr().out
    assert not first.running
    assert (again.port, again.tunnel) == (first.port, tunnel)
    assert again.predict(drawing())["label"] == "cat"
    assert len(again.requests) == 2
    again.open_link("none")
    assert again.tunnel is tunnel
    again.stop()
    assert tunnel.status.state == "closed"


def test_on_another_port_it_moves_and_says_that_the_link_has_not(serve, capsys):
    first = serve()
    first.open_link("none")
    second = serve()
    assert second.port != first.port
    assert not first.running
    assert f"The link still leads to port {first.port}: run the cell" in capsys.readouterr().out
    with refused("service-unreachable"):
        second.predict(drawing())  # as testers find it
    second.open_link("none")
    assert port_of_link() == second.port
    assert second.predict(drawing())["label"] == "cat"


def test_one_whose_place_was_taken_stops_nothing_of_the_other(serve):
    first, second = serve(), serve()
    second.open_link("none")
    first.stop()
    assert first.tunnel is None
    assert second.running
    assert second.tunnel.status.state == "up"
    assert second.predict(drawing())["label"] == "cat"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"limits": "photos=many"}, "setting-limits"),
        ({"cors_origins": "here"}, "setting-origins"),
        ({"access_code": "abc"}, "setting-access-code"),
        ({"examples": "/nowhere"}, "setting-examples"),
    ],
)
def test_a_setting_that_cannot_be_leaves_the_service_before_as_it_was(serve, settings, code):
    first = serve()
    with refused(code):
        serve(port=first.port, **settings)
    assert first.predict(drawing())["label"] == "cat"
    assert not first.versions._ended.is_set()


def test_an_engine_that_cannot_be_leaves_it_too(serve, monkeypatch):
    first = serve()
    monkeypatch.undo()
    with refused("engine-unknown"):
        serve_model(first.versions.serving, engine="fast")
    assert first.running


def test_where_the_model_cannot_be_loaded_nothing_is_left_that_no_cell_could_stop(serve, monkeypatch):
    first = serve()
    first.open_link("none")

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(service, "load_classifier", interrupted)
        with contextlib.suppress(KeyboardInterrupt):
            serve(port=first.port)
    assert serving.serving("backend") is None
    assert first.versions._ended.is_set()
    assert serve(port=first.port).predict(drawing())["label"] == "cat"
    with monkeypatch.context() as broken:
        broken.setattr(service, "load_classifier", interrupted)
        with contextlib.suppress(KeyboardInterrupt):
            serve(port=first.port)
    tunnel = first.tunnel
    first.stop()  # the notebook's `service` is still the one before
    assert tunnel.status.state == "closed"


def test_a_name_follows_its_versions_and_a_version_stays(serve, save):  # noqa: F811
    following = serve("pets")
    served = following.versions.serving.id
    newer = save(1)
    following.versions.poll()  # unless the thread that follows was first
    assert following.versions.serving.id == newer.id
    following.roll_back()
    assert following.versions.serving.id == served
    pinned = serve(served)
    assert pinned.versions.pinned
    assert "MODEL names this very version" in str(pinned.versions)
    with refused("version-none-waiting"):
        pinned.take_over()


def examples_at(served):
    return [one["image"] for one in requests.get(f"{served.url}/examples", timeout=10).json()["examples"]]


def test_other_examples_come_with_the_cell_and_stay_with_another_version(serve, save, own_places):  # noqa: F811
    folder = draw_folder(own_places / "examples", per_class=2)
    first = serve(examples=str(folder / "cat"))
    cats = examples_at(first)
    again = serve(port=first.port, examples=str(folder / "dog"))
    dogs = examples_at(again)
    assert len({*cats, *dogs}) == 4
    newer = save(1)
    again.versions.poll()  # unless the thread that follows was first
    assert again.versions.serving.id == newer.id
    assert examples_at(again) == dogs
    assert examples_at(serve(port=first.port)) == []


def test_what_is_stopped_follows_nothing(serve):
    served = serve()
    assert not served.versions._ended.is_set()
    served.stop()
    assert served.versions._ended.is_set()


def test_what_prints_as_text_is_shown_so_in_a_cell(serve):
    from IPython.lib.pretty import pretty

    served = serve()
    for shown in (served, served.requests, served.versions):
        assert pretty(shown) == str(shown)
    assert pretty(served.requests) == "No requests yet."


# Notebooks that were saved before


def test_the_single_calls_of_saved_notebooks_go_on_working_beside_the_object(serve, classifier, capsys):
    served = serve()
    served.open_link("none")
    app = notebook.create_app(request_log=notebook.REQUESTS, limits=notebook.parse_limits(""), CORS_ORIGINS="*")
    server = notebook.start(app, served.port)
    assert (server.port, served.running) == (served.port, False)
    notebook.set_model(app, classifier)
    versions = notebook.watch_model(app, "pets", classifier.engine.name)
    assert "serving" in str(versions)
    assert served.versions._ended.is_set()
    tunnel = notebook.open_tunnel(server.port, "none", domain="")
    assert notebook.show_panel(tunnel, notebook.REQUESTS, "").told.startswith("Backend: ")
    assert notebook.predict(tunnel.service_url, drawing(), "")["label"] == "cat"
    assert "POST /predict" in notebook.REQUESTS.table()
    served.stop()
    assert server.running
    notebook.stop_watching()
    notebook.stop("backend")
    notebook.close_tunnel("backend")
    assert (server.running, tunnel.status.state) == (False, "closed")


def test_the_single_calls_for_the_page_go_on_working_too(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    notebook.require_backend_for("none", "")
    server = notebook.serve(notebook.create_page_app(""), "page", 0)
    tunnel = notebook.open_tunnel(server.port, "none", name="page", domain="")
    assert notebook.told_page(tunnel, "") == f"Page: {server.url}  (not public)"
    notebook.show_page(server.port, "")
    assert shown[0].src == f"{server.url}/?live"
    notebook.stop("page")
    notebook.close_tunnel("page")
    assert not server.running


# The page


def test_a_page_is_served_shared_shown_and_stopped(monkeypatch, capsys):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    page = serve_page("https://cats.example", port=0, access_code="for-testers")
    assert 'data-backend="https://cats.example"' in requests.get(page.url, timeout=10).text
    page.open_link()
    assert capsys.readouterr().out == f"Page: {page.url}/#code=for-testers  (not public)\n"
    page.show()
    assert shown[0].src == f"{page.url}/?live#code=for-testers"
    again = serve_page(port=page.port)
    assert not page.running
    assert (again.port, again.tunnel) == (page.port, tunnels.tunnel_of("page"))
    page.stop()
    assert str(again) == "The page goes on."
    again.stop()
    again.stop()
    assert (again.running, again.tunnel, str(again)) == (False, None, "The page is stopped.")


def test_page_and_service_are_stopped_one_without_the_other(serve):
    served, page = serve(), serve_page(port=0)
    served.open_link("none")
    page.open_link("none")
    page.stop()
    assert (served.running, served.tunnel.status.state) == (True, "up")
    served.stop()


def test_a_page_gets_no_link_by_which_testers_would_not_reach_the_backend():
    page = serve_page("http://127.0.0.1:5000", port=0)
    with refused("backend-not-public"):
        page.open_link("cloudflared")
    assert page.tunnel is None
    page.stop()

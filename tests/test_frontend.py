"""The page's server: light, safe, and following the backend."""

import ast
import gzip
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import make_icons
import numpy as np
import pytest
from catdog.backend.app import create_app
from catdog.frontend.page import AT_FIRST, create_page_app
from catdog.notebook import PUBLIC, page_preview
from catdog.notebook.page_preview import backend_state
from catdog.web import link
from catdog.web.server import Server
from conftest import ROOT, copy_of_the_page, notebook_cells, refused
from PIL import Image


def page(app):
    return app.test_client().get("/")


def test_the_page_imports_no_tensorflow():
    code = (
        "import sys, catdog.frontend.page, catdog.notebook.page_preview, catdog.web.server, catdog.tunnels, "
        "catdog.notebook.colab, catdog.notebook.settings, catdog.notebook.served_page;"
        "print([name for name in ('tensorflow', 'keras', 'numpy', 'PIL', 'matplotlib', 'h5py') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT / "notebooks")
    assert done.stdout.strip() == "[]", done.stderr


def test_notebook_3_imports_nothing_else():
    allowed = ("notebook.colab", "notebook.page_preview", "notebook.served_page", "notebook.settings")
    cells = notebook_cells(ROOT / "notebooks/3_frontend.ipynb")
    code = [cell.source for cell in cells if cell.cell_type == "code" and "#@title Set-up" not in cell.source]
    imports = [node for source in code for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    names = {name.name for node in imports for name in node.names}
    assert names
    assert not [name for name in names if not PUBLIC[name].startswith(allowed)]


def test_the_setting_comes_before_the_link_file(own_places):
    link.publish("backend", "https://published.example", public=True)
    assert 'data-backend="https://set.example"' in page(create_page_app("https://set.example")).text


def test_the_page_follows_the_link_file_at_every_load(own_places):
    app = create_page_app()
    assert 'data-backend=""' in page(app).text
    link.publish("backend", "https://first.example", public=True)
    assert 'data-backend="https://first.example"' in page(app).text
    link.publish("backend", "https://second.example", public=True)
    assert 'data-backend="https://second.example"' in page(app).text
    link.withdraw("backend")
    assert 'data-backend=""' in page(app).text


@pytest.mark.parametrize(
    ("backend", "elsewhere"),
    [
        ("/", ""),
        ("https://a.example/x", " https://a.example"),
        ("", ""),
        ("https://a;img-src *", ""),
        ("https://[", ""),
    ],
)
def test_the_policy_allows_the_backend_and_nothing_else(own_places, backend, elsewhere):
    policy = page(create_page_app(backend)).headers["Content-Security-Policy"]
    assert f"connect-src 'self'{elsewhere};" in policy
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none';")


@pytest.mark.parametrize(
    ("host", "framed"),
    [
        ("127.0.0.1:5000", True),
        ("localhost:8000", True),
        ("[::1]:5000", True),
        ("localhost-5000-colab.googleusercontent.com", True),
        ("5000-gpu-t4.us-central1-0.prod.colab.dev", True),
        ("pets.ngrok-free.app", False),
        ("a-b-c.trycloudflare.com", False),
        ("localhost.evil.example", False),
    ],
)
def test_only_a_notebook_shows_the_page_in_a_frame(own_places, app, host, framed):
    for shown in (app, create_page_app("/")):
        policy = shown.test_client().get("/", base_url=f"http://{host}").headers["Content-Security-Policy"]
        assert ("frame-ancestors 'none'" not in policy) == framed


def test_an_address_cannot_break_out_of_the_page():
    text = page(create_page_app('"><script>alert(1)</script>')).text
    assert "<script>alert" not in text


STATIC = ROOT / "notebooks/catdog/frontend/static"
SCRIPTS = [*STATIC.glob("*.js"), *(ROOT / "notebooks/catdog/site/static").glob("*.js")]
LOADED = sorted({"page.css", "old.js", "icon.png", "icon.svg", *(f"{name}.js" for name in AT_FIRST)})
BROWSERS_ASK = ("/favicon.ico", "/apple-touch-icon.png", "/apple-touch-icon-precomposed.png")


@pytest.fixture(scope="module")
def files(app):
    """All that a tester's browser loads at first, as it comes over the link."""
    client = app.test_client()
    return {
        path: client.get(path, headers={"Accept-Encoding": "gzip"})
        for path in ("/", *(f"/page/{name}" for name in LOADED))
    }


def test_it_is_small_on_the_wire(files):
    assert all(file.status_code == 200 for file in files.values())
    assert sum(len(file.data) for file in files.values()) < 40_000


@pytest.mark.parametrize("path", BROWSERS_ASK)
def test_an_icon_is_there_where_browsers_look_for_it(own_places, app, path):
    """iOS and older browsers ask for it whatever the page says; a 404 would be asked for again at each visit."""
    for served in (app, create_page_app("/")):
        answer = served.test_client().get(path)
        assert (answer.status_code, answer.mimetype) == (200, "image/png")
        assert "max-age=" in answer.headers["Cache-Control"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert len(answer.data) < 3_000


@pytest.mark.parametrize("name", make_icons.ICONS)
def test_icons_show_what_the_drawing_shows(name):
    """They are made anew by tools/make_icons.py."""
    side, share, paper = make_icons.ICONS[name]
    found, wanted = (
        image.convert("RGBA") for image in (Image.open(STATIC / name), make_icons.icon(side, share, paper))
    )
    assert found.size == (side, side)
    assert np.abs(np.asarray(found, int) - np.asarray(wanted, int)).mean() < 2
    assert (found.getextrema()[3][0] == 255) == bool(paper)  # iOS shows transparency as black


def test_a_message_with_the_link_shows_what_it_is(files):
    html = gzip.decompress(files["/"].data).decode()
    for name in ('name="description"', 'property="og:title"', 'property="og:description"', 'name="theme-color"'):
        assert re.search(rf'<meta {name} content="[^"]+"', html)


def test_what_is_compressed_is_what_stands_in_the_files(files, app):
    for path, file in files.items():
        assert file.headers["Content-Encoding"] == "gzip"
        assert file.headers["Vary"] == "Accept-Encoding"
        plain = app.test_client().get(path)
        assert "Content-Encoding" not in plain.headers
        assert gzip.decompress(file.data) == plain.data
    again = app.test_client().get("/page/page.js", headers={"If-None-Match": files["/page/page.js"].headers["ETag"]})
    assert again.status_code == 304


def test_nothing_comes_from_elsewhere(files):
    for file in files.values():
        assert b"http" not in gzip.decompress(file.data).replace(b"http://www.w3.org/2000/svg", b"")


def test_the_page_names_all_that_it_loads_so_that_it_comes_at_once(files):
    """Scripts that scripts ask for would take another round trip."""
    html = gzip.decompress(files["/"].data).decode()
    for name in LOADED:
        assert f'"/page/{name}"' in html


def test_text_enters_the_page_as_text_only():
    for script in SCRIPTS:
        for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "setHTML"):
            assert forbidden not in script.read_text()


BEFORE_A_CODE = r"code: |ServiceError\(\s*|tell\(|fail\(photo, |code \?\? |coded\(|PhotoRefused\("
PAGE_CODES = {code for script in SCRIPTS for code in re.findall(rf'(?:{BEFORE_A_CODE})"([a-z-]+)"', script.read_text())}
SEEN_BY_NO_TEST = {
    "asking", "cancelled", "link-error", "reading",  # for a moment, or never shown by themselves
    "zip-too-large",  # gigabytes
}  # fmt: skip


@pytest.mark.parametrize("code", sorted(PAGE_CODES))
def test_every_code_of_the_page_is_looked_at_in_a_browser(code):
    tests = [path.read_text() for path in (ROOT / "tests").glob("test_*browser*.py")]
    assert any(f'"{code}"' in text for text in tests) != (code in SEEN_BY_NO_TEST)


def test_the_pages_codes_are_all_found():
    assert {"unreachable", "no-service", "code-characters", "file-unreadable", "sent"} <= PAGE_CODES


def test_the_backend_serves_the_very_page(app):
    own, other = page(app).text, page(create_page_app("/")).text
    assert own == other
    assert 'data-backend="/"' in own


def test_the_notebook_says_what_is_missing(own_places, backend, classifier):
    assert backend_state().code == "unknown"
    assert backend_state("http://127.0.0.1:9").code == "silent"
    link.publish("backend", backend.url, public=False)
    answers = backend_state()
    assert (answers.code, answers.model) == ("answers", classifier.bundle.id)
    assert backend.url in str(answers)
    assert classifier.bundle.id in str(answers)
    assert backend_state("not an address").code == "silent"
    assert "not an address" in str(backend_state("not an address"))


def test_a_link_of_another_machine_is_followed_only_if_it_is_public(own_places, monkeypatch):
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("socket.gethostname", lambda: "another-machine")
        link.publish("backend", "http://127.0.0.1:5000", public=False)
    assert 'data-backend=""' in page(create_page_app()).text


def test_the_notebook_says_why_there_is_no_link_or_no_answer(own_places, monkeypatch, classifier):
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("socket.gethostname", lambda: "another-machine")
        link.publish("backend", "http://127.0.0.1:5000", public=False)
    assert backend_state().code == "elsewhere"
    assert "TUNNEL" in str(backend_state())
    link.publish("backend", "http://127.0.0.1:9", public=True)
    assert backend_state().code == "silent"
    assert "0 minutes ago" in str(backend_state())
    link.withdraw("backend")
    assert backend_state().code == "unknown"
    assert "0 minutes ago" in str(backend_state())


def test_a_backend_that_still_loads_its_model_is_there():
    server = Server(create_app(), "127.0.0.1", 0)
    assert backend_state(server.url).code == "loading"
    server.stop()


@pytest.mark.parametrize("elsewhere", [True, False])
def test_no_page_is_handed_out_whose_backend_testers_do_not_reach(own_places, monkeypatch, elsewhere):
    page_preview.require_backend_for("ngrok")  # none yet: the page looks for one each time it is loaded
    with monkeypatch.context() as there:
        there.setattr("socket.gethostname", lambda: "another-machine" if elsewhere else "this")
        link.publish("backend", "https://5000-preview.example", public=False, provider="colab")
    for provider in ("none", "colab"):
        page_preview.require_backend_for(provider)
    for setting in ("", "http://localhost:5000", "http://0.0.0.0:5000", "127.0.0.1:5000", "http://[::1]:5000"):
        with refused("backend-not-public", "in notebook 2, set TUNNEL to ngrok"):
            page_preview.require_backend_for("cloudflared", setting)
    page_preview.require_backend_for("ngrok", "https://cats.example")
    page_preview.require_backend_for("ngrok", "http://[abc")
    assert backend_state("http://[abc").code == "silent"


def test_a_page_for_the_same_wi_fi_needs_a_backend_there_or_for_everybody(own_places, monkeypatch):
    page_preview.require_backend_for("lan")
    link.publish("backend", "http://127.0.0.1:5000", public=False, provider="none")
    for setting in ("", "http://127.0.0.1:5000"):
        with refused("backend-not-public", "in notebook 2, set TUNNEL to lan"):
            page_preview.require_backend_for("lan", setting)
    link.publish("backend", "http://192.168.1.5:5000", public=False, provider="lan")
    assert 'data-backend="http://192.168.1.5:5000"' in page(create_page_app()).text
    for setting in ("", "http://192.168.1.5:5000", "https://cats.example"):
        page_preview.require_backend_for("lan", setting)
    for setting in ("", "http://192.168.1.5:5000"):
        with refused("backend-not-public", "cloudflared"):
            page_preview.require_backend_for("cloudflared", setting)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("socket.gethostname", lambda: "another-machine")
        with refused("backend-not-public"):
            page_preview.require_backend_for("lan")
    link.publish("backend", "https://cats.example", public=True, provider="ngrok")
    page_preview.require_backend_for("lan")


def test_where_the_page_is_told_for_whoever_reads_the_notebook(monkeypatch):
    public = SimpleNamespace(url="https://page.example", public=True, provider="ngrok")
    here = SimpleNamespace(url="http://127.0.0.1:8000", public=False, provider="none")
    assert page_preview.told_page(public, "for-testers") == "Page: https://page.example/#code=for-testers"
    assert page_preview.told_page(here).endswith("(not public)")
    near = SimpleNamespace(url="http://192.168.1.5:8000", public=False, provider="lan")
    assert page_preview.told_page(near) == "Page: http://192.168.1.5:8000  (this Wi-Fi only, not encrypted)"
    monkeypatch.setattr(page_preview.paths, "on_colab", lambda: True)
    assert "127.0.0.1" not in page_preview.told_page(here)


def test_the_notebook_shows_the_access_code_or_asks_for_it(classifier):
    server = Server(create_app(classifier, ACCESS_CODE="for-testers"), "127.0.0.1", 0)
    assert backend_state(server.url).code == "wants-code"
    assert backend_state(server.url, "for-testers").model == classifier.bundle.id
    server.stop()


@pytest.fixture
def files_of_ours(tmp_path):
    """A copy of the page's files, to change."""
    return copy_of_the_page(tmp_path / "files")


def test_only_in_its_notebook_does_the_page_ask_for_changes(app):
    """Everywhere else each question would count against the link's month."""
    own = create_page_app("/").test_client()
    assert "live_reload.js" in own.get("/?live").text
    assert "live_reload.js" not in own.get("/").text
    assert "live_reload.js" not in app.test_client().get("/?live").text
    assert app.test_client().get("/changes").status_code == 404


def test_a_change_of_any_file_is_noticed(files_of_ours):
    client = create_page_app("/", files_of_ours).test_client()
    seen = [client.get("/changes").text]
    for number, name in enumerate(("templates/page.html", "static/page.css", "static/page.js", "words/en.json")):
        os.utime(files_of_ours / name, ns=(0, 2_000_000_000_000_000_000 + number))
        seen.append(client.get("/changes").text)
    assert len(set(seen)) == 5
    assert client.get("/changes").text == seen[-1]


def test_a_template_that_is_broken_says_so_until_it_is_mended(files_of_ours):
    client = create_page_app("/", files_of_ours).test_client()
    page = files_of_ours / "templates" / "page.html"
    good = page.read_text()
    page.write_text(good.replace("{{ backend }}", "{{ backend <b>"))
    broken = client.get("/?live")
    assert broken.status_code == 500
    assert "page.html cannot be shown" in broken.text
    assert "live_reload.js" in broken.text
    assert "<b>" not in broken.text
    assert "Traceback" not in broken.text
    page.write_text(good)
    assert client.get("/?live").status_code == 200


def test_the_notebook_shows_the_live_page_and_opens_its_files(capsys, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    page_preview.show_page(8000)
    page_preview.show_page(8000, "for-testers")
    assert [frame.src for frame in shown] == [
        "http://127.0.0.1:8000/?live",
        "http://127.0.0.1:8000/?live#code=for-testers",
    ]
    shown.clear()
    monkeypatch.chdir(ROOT / "notebooks")
    page_preview.open_for_editing()
    assert [file.path for file in shown] == [
        "catdog/frontend/words/en.json",
        "catdog/frontend/static/page.css",
    ]

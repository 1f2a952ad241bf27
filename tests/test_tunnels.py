"""Every way to a link but ngrok's SDK (that is test_ngrok.py), and what is said when there is none."""

import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import types
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from catdog import tunnels
from catdog.backend.request_log import RequestLog
from catdog.frontend.page import create_page_app
from catdog.notebook.link_panel import Panel
from catdog.tunnels import Timing, authtoken, close_tunnel, ngrok_errors, open_tunnel, probe, run_with_ngrok
from catdog.tunnels.flask_ngrok import WORD
from catdog.web import link
from catdog.web.server import Server
from conftest import refused, until
from flask import Flask
from standins import agents

MET_BY_USERS = (105, 107, 108, 121, 123, 313, 324, 334, 3200, 3004, 6022, 6024, 725, 727, 734, 8012)


@pytest.fixture
def page(own_places):
    server = Server(create_page_app("/"), "127.0.0.1", 0)
    yield server
    for name in link.NAMES:
        close_tunnel(name)
    authtoken.forget()
    server.stop()


def calls(folder):
    return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]


# None, and what is asked for


def test_none_is_this_machine(page):
    tunnel = open_tunnel(page.port, "none")
    assert tunnel.url == tunnel.service_url == link.published_url() == page.url
    assert not tunnel.public
    close_tunnel()
    assert link.published_url() == ""
    close_tunnel()


def test_auto_without_a_token_goes_on_and_says_what_to_do(page, capsys):
    assert open_tunnel(page.port, "auto").provider == "none"
    assert "[ngrok-token-missing]" in capsys.readouterr().out


@pytest.mark.parametrize("provider", ["ngrok", "flask-ngrok"])
def test_without_a_token_the_sentence_says_where_to_get_one(page, provider):
    with refused("ngrok-token-missing", "dashboard.ngrok.com", "NGROK_AUTHTOKEN"):
        open_tunnel(page.port, provider)


def test_where_the_token_goes_is_said_for_where_you_are(page, monkeypatch):
    for say in (authtoken.get_one, lambda: ngrok_errors.explain("ERR_NGROK_107")):
        assert "environment variable NGROK_AUTHTOKEN" in say()
        assert "Jupyter asks" in say()
        assert "secret" not in say()
        with monkeypatch.context() as there:
            there.setattr(authtoken.paths, "on_colab", lambda: True)
            assert "Colab secret NGROK_AUTHTOKEN" in say()
            assert "environment" not in say()


def test_an_unknown_provider_is_refused_and_the_link_that_works_stays(page):
    tunnel = open_tunnel(page.port, "none")
    with refused("setting-tunnel", "auto, ngrok, cloudflared"):
        open_tunnel(page.port, "wormhole")
    assert tunnel.works()


@pytest.mark.parametrize("provider", tunnels.PROVIDERS)
def test_without_a_service_on_the_port_nothing_is_opened(own_places, provider, monkeypatch):
    monkeypatch.setenv("NGROK_AUTHTOKEN", "any")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with refused("service-unreachable"):
            open_tunnel(unused.getsockname()[1], provider)


def test_without_the_sdk_the_message_names_the_command(page, monkeypatch):
    monkeypatch.setitem(sys.modules, "ngrok", None)
    with refused("ngrok-not-installed", "pip install ngrok"):
        open_tunnel(page.port, "ngrok", token="token")


# Words


@pytest.mark.parametrize("number", MET_BY_USERS)
def test_a_known_code_is_a_cause_and_an_action(number):
    cause, action = ngrok_errors.SENTENCES[number]
    assert cause.endswith(".")
    assert action.endswith(".")
    action = action.format(what_to_do_with_it=authtoken.what_to_do_with_it())
    assert ngrok_errors.explain(f"ERR_NGROK_{number}", "theirs") == f"{cause} {action} (ERR_NGROK_{number})"


def test_an_unknown_code_is_told_in_ngroks_own_words():
    told = ngrok_errors.explain("ERR_NGROK_9", "Something\n new.\n\nERR_NGROK_9\n")
    assert told == "ngrok says: Something new. (ERR_NGROK_9) See ngrok.com/docs/errors/err_ngrok_9."


def test_a_link_that_leads_elsewhere_is_told(page):
    with refused("link-leads-elsewhere", page.url):
        probe.expect(page.url, "of another process", 5)
    other = Server(Flask("another"), "127.0.0.1", 0)
    with refused("link-leads-elsewhere", other.url):
        probe.instance(other.url)
    other.stop()


# Colab's preview


@pytest.fixture
def colab(monkeypatch):
    """google.colab as far as a preview needs it; `asked` holds what was evaluated in the browser."""
    output = types.SimpleNamespace(asked=[])
    output.eval_js = lambda script, timeout_sec: output.asked.append(script) or "https://preview.example/"
    for name in ("google.colab", "google.colab.output", "google.colab.userdata"):
        monkeypatch.setitem(sys.modules, name, output)
    output.output = output.userdata = output
    output.get = lambda name: ""
    return output


def test_on_colab_auto_without_a_token_is_the_owners_preview(page, colab, capsys):
    tunnel = open_tunnel(page.port, "auto")
    assert (tunnel.provider, tunnel.url, tunnel.public) == ("colab", "https://preview.example", False)
    assert tunnel.service_url == page.url
    assert colab.asked == [f"google.colab.kernel.proxyPort({page.port})"]
    assert "[ngrok-token-missing]" in capsys.readouterr().out


def test_a_closed_tab_leaves_the_machines_own_address(page, colab, capsys):
    def no_answer(script, timeout_sec):
        raise TimeoutError

    for colab.eval_js in (no_answer, lambda script, timeout_sec: None, lambda script, timeout_sec: ""):
        assert open_tunnel(page.port, "auto").provider == "none"
        assert "[link-timeout]" in capsys.readouterr().out
        with refused("link-timeout", "cloudflared"):
            open_tunnel(page.port, "colab")


# cloudflared


@pytest.fixture
def edge(monkeypatch):
    """Where a quick tunnel's public address leads here, there being no Cloudflare: to the service's own port."""

    def probed(url, seconds=10):
        return real(edge.url if url.endswith(".trycloudflare.com") else url, seconds)

    real, edge = probe.instance, types.SimpleNamespace(url="")
    monkeypatch.setattr(probe, "instance", probed)
    return edge


AT_ONCE = Timing(settle=0, first_answer=1)


def cloudflare_says(tmp_path, monkeypatch, *lines, **options):
    monkeypatch.setenv("CLOUDFLARED_PATH", str(agents.cloudflared(tmp_path, *lines, **options)))


def test_cloudflared_gives_its_address(page, tmp_path, monkeypatch, edge):
    edge.url = page.url
    cloudflare_says(
        tmp_path,
        monkeypatch,
        "INF Requesting new quick Tunnel on trycloudflare.com... https://api.trycloudflare.com/tunnel",
        "INF |  https://soft-cats-purr.trycloudflare.com  |",
    )
    tunnel = open_tunnel(page.port, "cloudflared", timing=AT_ONCE)
    assert (tunnel.url, tunnel.public) == ("https://soft-cats-purr.trycloudflare.com", True)
    assert f"--url http://127.0.0.1:{page.port}" in (tmp_path / "calls").read_text()
    assert open_tunnel(page.port, "cloudflared", timing=AT_ONCE) is tunnel
    process = psutil.Process(tunnel._connection._process.pid)
    tunnel.close()
    assert not process.is_running()


def test_cloudflared_that_ends_is_started_again_and_the_new_address_is_said(page, tmp_path, monkeypatch, edge, capsys):
    edge.url = page.url
    cloudflare_says(tmp_path, monkeypatch, "https://first.trycloudflare.com")
    tunnel = open_tunnel(page.port, "cloudflared", timing=AT_ONCE)
    cloudflare_says(tmp_path, monkeypatch, "https://second.trycloudflare.com")
    os.kill(tunnel._connection._process.pid, signal.SIGKILL)
    until(lambda: tunnel.url == "https://second.trycloudflare.com" and tunnel.status.state == "up")
    assert "Backend: https://second.trycloudflare.com" in capsys.readouterr().out
    assert link.published_url() == tunnel.url


@pytest.mark.parametrize(
    "line",
    [
        'ERR Error unmarshaling QuickTunnel response: error code: 1015 error="invalid character" status_code="429"',
        "failed to request quick Tunnel: 429 Too Many Requests",
    ],
)
def test_cloudflare_that_is_busy(page, tmp_path, monkeypatch, line):
    cloudflare_says(tmp_path, monkeypatch, "https://api.trycloudflare.com/tunnel", line, stays=0)
    with refused("link-refused"):
        open_tunnel(page.port, "cloudflared")


def test_cloudflared_that_says_nothing(page, tmp_path, monkeypatch):
    cloudflare_says(tmp_path, monkeypatch, "\udcff\udcfe", "INF Starting")
    with refused("link-timeout", "1 s", '"INF Starting"'):
        open_tunnel(page.port, "cloudflared", timing=Timing(program=1))
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # it has just ended
            assert "cloudflared" not in " ".join(child.cmdline())


def test_an_address_that_never_leads_here_is_not_given_out(page, tmp_path, monkeypatch, edge):
    edge.url = "http://127.0.0.1:9"
    cloudflare_says(tmp_path, monkeypatch, "https://lost.trycloudflare.com")
    with refused("link-silent"):
        open_tunnel(page.port, "cloudflared", timing=Timing(first_answer=0.5, settle=0))
    assert not link.read("backend")


def test_cloudflared_is_not_led_astray_by_a_tunnel_of_ones_own(page, tmp_path, monkeypatch, edge):
    edge.url = page.url
    (tmp_path / ".cloudflared").mkdir()
    (tmp_path / ".cloudflared" / "config.yml").write_text("tunnel: my-own")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TUNNEL_HOSTNAME", "my-own.example")
    cloudflare_says(tmp_path, monkeypatch, "https://soft.trycloudflare.com")
    assert open_tunnel(page.port, "cloudflared", timing=AT_ONCE).status.code == "works"
    assert "TUNNEL_HOSTNAME" not in (tmp_path / "variables").read_text()


def test_a_registered_link_stays_while_this_network_does_not_know_its_name(page, tmp_path, monkeypatch):
    def resolve(host, *rest, **more):
        if not known.is_set() and host.endswith(".trycloudflare.com"):
            raise socket.gaierror(-2, "Name or service not known")
        return real(host, *rest, **more)

    real, known, probed = socket.getaddrinfo, threading.Event(), probe.instance
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    cloudflare_says(tmp_path, monkeypatch, "https://new.trycloudflare.com")
    with refused("link-name-unknown"):
        probe.expect("https://new.trycloudflare.com", "any", 1)
    tunnel = open_tunnel(page.port, "cloudflared", timing=AT_ONCE)
    assert (tunnel.status.state, tunnel.status.code) == ("up", "unverified")
    assert tunnel.service_url == page.url
    assert Panel(tunnel, RequestLog()).state[0] == "orange"
    assert open_tunnel(page.port, "cloudflared", timing=AT_ONCE) is tunnel
    monkeypatch.setattr(probe, "instance", lambda url, seconds=10: probed(page.url, seconds))
    assert tunnel.works()
    monkeypatch.setattr(probe, "instance", probed)
    assert not tunnel.works()  # it has answered: now this is no question of time


def test_cloudflared_that_is_not_there(page, monkeypatch):
    monkeypatch.setenv("CLOUDFLARED_PATH", "/nowhere/cloudflared")
    with refused("link-program", "CLOUDFLARED_PATH", "/nowhere/cloudflared"):
        open_tunnel(page.port, "cloudflared")


# flask-ngrok: the real package, a fake agent


@pytest.fixture
def agent(tmp_path, monkeypatch):
    """agent(**how): an agent at NGROK_PATH, and a folder for temporary files where flask-ngrok looks for its copy."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("NGROK_AUTHTOKEN", "of-my-account")

    def make(**how):
        monkeypatch.setenv("NGROK_PATH", str(agents.agent(tmp_path, **how)))
        return tmp_path

    yield make
    authtoken.forget()
    for child in psutil.Process().children():
        with suppress(psutil.ZombieProcess):
            if any(str(temporary) in word for word in child.cmdline()):
                child.kill()


def test_flask_ngrok_opens_any_port_with_the_token_and_https(page, agent, monkeypatch, capsys):
    """The agent says https; flask-ngrok makes it http, and it comes out as https again: so it is not led to here."""
    monkeypatch.setattr(probe, "wait_for", lambda url, wanted, seconds: None)
    folder = agent()
    tunnel = open_tunnel(page.port, "flask-ngrok")
    assert (tunnel.url, tunnel.provider) == (f"https://127.0.0.1:{page.port}", "flask-ngrok")
    assert WORD in capsys.readouterr().out
    (call,) = calls(folder)
    assert call["arguments"][:2] == ["http", f"127.0.0.1:{page.port}"]
    assert call["token"] == "of-my-account"
    assert (Path(tempfile.gettempdir()) / "ngrok" / "ngrok").stat().st_mode & 0o777 == 0o755
    tunnel.close()
    assert not psutil.pid_exists(call["pid"])


@pytest.mark.slow
def test_an_agent_slower_than_a_second_loses_nothing(page, agent, monkeypatch):
    monkeypatch.setattr(probe, "wait_for", lambda url, wanted, seconds: None)
    agent(slow=2.5)
    assert open_tunnel(page.port, "flask-ngrok").url.startswith("https://")


def test_an_agent_that_ngrok_refuses_is_told_in_words(page, agent):
    agent()
    with refused("link-refused", "ERR_NGROK_107") as caught:
        open_tunnel(page.port, "flask-ngrok", token="wrong")
    assert caught.value.provider_code == "ERR_NGROK_107"


def test_an_agent_that_runs_already_is_left_alone(page, agent, monkeypatch):
    monkeypatch.setattr(probe, "wait_for", lambda url, wanted, seconds: None)
    folder = agent()
    open_tunnel(page.port, "flask-ngrok")
    with refused("ngrok-agent-running"):
        open_tunnel(page.port, "flask-ngrok", name="page", domain="second.ngrok.app")
    assert psutil.pid_exists(calls(folder)[0]["pid"])


def test_what_flask_ngrok_once_downloaded_is_replaced(page, agent, tmp_path, monkeypatch):
    agent(version="2.3.41")
    old = Path(tempfile.gettempdir()) / "ngrok"
    old.mkdir()
    (tmp_path / "ngrok").rename(old / "ngrok")
    monkeypatch.delenv("NGROK_PATH")

    def download(path):
        agents.agent(tmp_path).rename(path)

    monkeypatch.setattr("pyngrok.installer.install_ngrok", download)
    from catdog.tunnels.flask_ngrok import place_agent

    placed = place_agent()
    assert "version 3" in os.popen(f"{placed} version").read()


def test_an_agent_that_cannot_be_had(page, agent, monkeypatch):
    from pyngrok.exception import PyngrokNgrokInstallError

    def offline(path):
        raise PyngrokNgrokInstallError("no network")

    monkeypatch.setattr("pyngrok.installer.install_ngrok", offline)
    with refused("link-not-downloaded", "no network", "NGROK_PATH"):
        open_tunnel(page.port, "flask-ngrok")


@pytest.mark.slow
def test_the_originals_two_lines_with_a_port_of_ones_own(agent, capsys):
    folder, served = agent(slow=1.5), threading.Event()
    app = Flask("original")
    app.run = lambda **options: (served.options.update(options), served.set(), stop.wait(20))
    served.options, stop = {}, threading.Event()
    run_with_ngrok(app)
    runner = threading.Thread(target=lambda: app.run(port=5123), daemon=True)
    runner.start()
    assert served.wait(10)
    assert served.options["port"] == 5123
    said = []
    until(lambda: said.append(capsys.readouterr().out) or "Running on" in "".join(said))
    stop.set()
    runner.join()
    assert "Running on https://127.0.0.1:5123" in "".join(said)
    assert WORD in "".join(said)
    (call,) = calls(folder)
    assert call["arguments"][:2] == ["http", "127.0.0.1:5123"]
    assert call["token"] == "of-my-account"
    assert not psutil.pid_exists(call["pid"])
    assert not list(Path(tempfile.gettempdir()).glob("ngrok-agent-*"))


def test_the_originals_two_lines_say_why_there_is_no_link(agent, capsys):
    agent()
    stop, said = threading.Event(), []
    app = Flask("original")
    app.run = lambda **options: stop.wait(20)
    run_with_ngrok(app, token="wrong")
    runner = threading.Thread(target=app.run, daemon=True)
    runner.start()
    until(lambda: said.append(capsys.readouterr().out) or "[link-refused]" in "".join(said))
    stop.set()
    runner.join()

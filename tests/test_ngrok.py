"""The real ngrok SDK against a stand-in of ngrok's server: sharing, refusals, and every way in which a line breaks."""

import asyncio
import dataclasses
import io
import logging
import threading
from contextlib import contextmanager

import pytest
import requests
from catdog import files
from catdog.backend.service import service_of
from catdog.engines.base import OPENVINO_INT8
from catdog.errors import UserError
from catdog.frontend.page import create_page_app
from catdog.tunnels import Timing, ngrok_errors, open_tunnel, probe
from catdog.tunnels import ngrok as ours
from catdog.web import link
from catdog.web.server import Server
from conftest import ROOT, drawing, encoded, refused, until
from jupyter_client.manager import start_new_kernel
from PIL import Image
from standins.ngrok_server import GOOD_TOKEN
from test_notebooks import BACKEND, kernel


@pytest.fixture
def page():
    """A light service: what goes through the link does not matter here."""
    server = Server(create_page_app("/"), "127.0.0.1", 0)
    yield server
    server.stop()


ANOTHER_TOKEN = "of-another-account"
# A watchdog that looks all the time.
IMPATIENT = Timing(
    beat=1, silent=2.5, look=0.1, probe=0.3, probe_down=0.3, answer=1, doubts=(0, 0.1), pauses=(0.1, 0.2, 0.4)
)


@contextmanager
def one_that_comes_back(ngrok):
    """Another session of the SDK, which nobody gives up: it comes back, and when it does, so would others."""
    ngrok.good_tokens.add(ANOTHER_TOKEN)
    session = ours._session(ANOTHER_TOKEN, IMPATIENT)
    yield session
    session.give_up()


def comes_back_alone(ngrok, tunnel, before):
    """Once the other session is back, and after another drop back again, one that was not given up would be there."""
    until(lambda: ANOTHER_TOKEN in ngrok.seen_tokens[before:])
    again = len(ngrok.seen_tokens)
    ngrok.drop()
    until(lambda: {ANOTHER_TOKEN, GOOD_TOKEN} <= set(ngrok.seen_tokens[again:]) and tunnel.works())
    assert len(ngrok.sessions) == 2


def leads_here(tunnel):
    return requests.get(f"{tunnel.url}/healthz", timeout=5).json() == link.alive()


def test_page_and_three_megabytes_go_through(ngrok, backend, app):
    tunnel = open_tunnel(backend.port)
    assert (tunnel.provider, tunnel.public, tunnel.url) == ("ngrok", True, ngrok.url_of())
    assert "What is in your photo?" in requests.get(tunnel.url, timeout=10).text
    noise = encoded(Image.effect_noise((1500, 1500), 90).convert("RGB"), "PNG")
    assert len(noise) > 3_000_000
    files = [("images", ("noise.png", noise)), ("images", ("cat.jpg", drawing()))]
    answer = requests.post(
        f"{tunnel.url}/predict", files=files, timeout=60, headers={"X-Forwarded-For": "6.6.6.6"}
    ).json()
    assert [item["filename"] for item in answer["predictions"]] == ["noise.png", "cat.jpg"]
    assert not any("error" in item for item in answer["predictions"])
    assert service_of(app).request_log.last.client == "203.0.113.7"


def test_the_link_file_says_where_it_leads_until_it_is_closed(ngrok, page):
    tunnel = open_tunnel(page.port, "ngrok")
    known = link.read("backend")
    assert (known["url"], known["state"], known["provider"]) == (tunnel.url, "up", "ngrok")
    tunnel.close()
    tunnel.close()
    assert link.read("backend")["state"] == "stopped"
    assert tunnel.status.state == "closed"
    assert requests.get(tunnel.url, timeout=5).headers["ngrok-error-code"] == "ERR_NGROK_3200"


def test_the_token_is_never_shown_or_written(ngrok, page, own_places, capfd):
    tunnel = open_tunnel(page.port, "ngrok")
    with pytest.raises(UserError) as caught:
        open_tunnel(page.port, "ngrok", token="a-wrong-one-that-ngrok-repeats")
    shown = "".join(capfd.readouterr()) + repr(tunnel) + repr(tunnel.settings) + str(caught.value)
    written = "".join(path.read_text() for path in own_places.rglob("*.json"))
    for token in (GOOD_TOKEN, "a-wrong-one-that-ngrok-repeats"):
        assert token not in shown + written


def test_a_wrong_token_is_told_in_words_though_a_good_one_worked_before(ngrok, page):
    open_tunnel(page.port, "ngrok")
    with refused("link-refused", "dashboard.ngrok.com") as caught:
        open_tunnel(page.port, "ngrok", token="wrong")
    assert caught.value.provider_code == "ERR_NGROK_107"


def test_a_changed_token_takes_effect(ngrok, page, monkeypatch):
    first = open_tunnel(page.port, "ngrok")
    ngrok.good_tokens.add(ANOTHER_TOKEN)
    monkeypatch.setenv("NGROK_AUTHTOKEN", ANOTHER_TOKEN)
    second = open_tunnel(page.port, "ngrok")
    assert ngrok.seen_tokens == [GOOD_TOKEN, ANOTHER_TOKEN]
    assert first.status.state == "closed"
    assert leads_here(second)


def test_again_a_healthy_link_stays(ngrok, page):
    first = open_tunnel(page.port, "auto")
    assert open_tunnel(page.port, "auto") is first
    assert open_tunnel(page.port, "ngrok") is first
    assert len(ngrok.seen_tokens) == 1


def test_again_while_colab_does_not_hand_over_its_secret_the_link_stays(ngrok, page, monkeypatch):
    first = open_tunnel(page.port, "auto")
    monkeypatch.delenv("NGROK_AUTHTOKEN")
    assert open_tunnel(page.port, "auto") is first


def test_again_on_another_port_it_is_replaced(ngrok, page, backend):
    first, second = open_tunnel(page.port), open_tunnel(backend.port)
    assert first.status.state == "closed"
    assert second.url == first.url
    assert requests.get(f"{second.url}/readyz", timeout=5).json() == {"status": "ready"}


def test_closed_and_opened_again_and_again_it_is_one_agent_for_ngrok(ngrok, page):
    for _ in range(5):
        tunnel = open_tunnel(page.port, "ngrok")
        assert leads_here(tunnel)
        tunnel.close()
    assert len(ngrok.sessions) == 1


@pytest.mark.slow
def test_a_session_that_broke_while_nothing_was_open_is_not_used_again(ngrok, page):
    open_tunnel(page.port, "ngrok").close()
    (old,) = ours._sessions.values()
    with one_that_comes_back(ngrok) as other:
        ngrok.go_down()
        until(lambda: min(old.cuts, other.cuts) >= 2)  # the SDK has tried in vain: it tries again in two seconds or so
        ngrok.come_back()
        before = len(ngrok.seen_tokens)
        tunnel = open_tunnel(page.port, "ngrok", timing=IMPATIENT)
        assert leads_here(tunnel)
        assert old not in ours._sessions.values()
        comes_back_alone(ngrok, tunnel, before)


def test_a_reserved_domain_however_it_was_pasted(ngrok, page):
    tunnel = open_tunnel(page.port, "ngrok", domain=" https://my-cats.ngrok.app/ ")
    assert tunnel.url == ngrok.url_of("my-cats.ngrok.app") != ngrok.url_of()
    assert link.read("backend")["domain"] == "my-cats.ngrok.app"


def test_a_domain_that_is_taken(ngrok, page):
    ngrok.take()
    with refused("link-refused", "ERR_NGROK_334", "NGROK_DOMAIN", "cloudflared"):
        open_tunnel(page.port, "ngrok")
    ngrok.release()
    assert leads_here(open_tunnel(page.port, "ngrok"))


@pytest.mark.parametrize("where", ["session", "endpoint"])
def test_an_unknown_code_comes_with_ngroks_own_words(ngrok, page, where):
    ngrok.refusals[where] = f"The moon of {GOOD_TOKEN} is in the wrong house.\n\nERR_NGROK_98765\n"
    with refused("link-refused", "The moon of … is in the wrong house", "ERR_NGROK_98765"):
        open_tunnel(page.port, "ngrok")


def test_auto_goes_on_without_a_public_link_when_ngrok_refuses(ngrok, page, capsys):
    tunnel = open_tunnel(page.port, "auto", token="wrong")
    assert tunnel.url == page.url
    assert not tunnel.public
    assert "[link-refused]" in capsys.readouterr().out


def test_ngrok_out_of_reach_is_told_in_words(ngrok, page):
    ngrok.go_down()
    with refused("link-unreachable"):
        open_tunnel(page.port, "ngrok")


def test_ngrok_that_is_silent_is_told_in_words(ngrok, page):
    ngrok.mute = True
    with refused("link-timeout", "0.5 s"):
        open_tunnel(page.port, "ngrok", timing=Timing(ngrok=0.5))


def test_a_link_that_comes_too_late_does_not_hold_the_address(ngrok, page):
    ngrok.bind_seconds = 0.6
    with refused("link-timeout"):
        open_tunnel(page.port, "ngrok", timing=Timing(ngrok=0.3))
    until(lambda: any(session.urls for session in ngrok.sessions))
    until(lambda: not any(session.urls for session in ngrok.sessions))
    ngrok.bind_seconds = 0
    assert leads_here(open_tunnel(page.port, "ngrok"))


def test_a_cell_that_is_interrupted_leaves_nothing_open(ngrok, page, monkeypatch):
    def interrupted(url, wanted, seconds):
        raise KeyboardInterrupt

    with monkeypatch.context() as impatient:
        impatient.setattr(probe, "wait_for", interrupted)
        with pytest.raises(KeyboardInterrupt):
            open_tunnel(page.port, "ngrok")
    assert not any(session.urls for session in ngrok.sessions)
    assert leads_here(open_tunnel(page.port, "ngrok"))


def test_a_certificate_that_is_not_there(ngrok, page, monkeypatch):
    monkeypatch.setenv("NGROK_CA_CERT", "/nowhere/ca.pem")
    with refused("ngrok-certificate", "NGROK_CA_CERT", "/nowhere/ca.pem"):
        open_tunnel(page.port, "ngrok")


def test_no_link_is_given_out_before_it_leads_here(ngrok, page):
    ngrok.page_of_its_own = "ERR_NGROK_727"
    with refused("link-refused", "ERR_NGROK_727"):
        open_tunnel(page.port, "ngrok", timing=Timing(first_answer=0.5))
    assert not link.read("backend")


def test_with_a_loop_already_running_as_in_a_notebook(ngrok, page):
    async def cell():
        return open_tunnel(page.port, "ngrok")

    assert leads_here(asyncio.run(cell()))


def test_two_services_of_one_process_are_one_agent(ngrok, page, backend):
    first = open_tunnel(backend.port, "ngrok", name="backend")
    second = open_tunnel(page.port, "ngrok", name="page", domain="second.ngrok.app")
    assert len(ngrok.sessions) == 1
    second.close()
    assert leads_here(first)


def test_the_second_notebook_says_who_has_the_one_address(ngrok, page, monkeypatch, capsys):
    with monkeypatch.context() as another:
        another.setattr(link, "INSTANCE", "another-process")
        theirs = Server(create_page_app("/"), "127.0.0.1", 0)
        link.publish("backend", theirs.url, public=True, provider="ngrok")
        another.setattr(link, "alive", lambda: {"instance": "another-process"})
        theirs.stop()
        theirs = Server(create_page_app("/"), "127.0.0.1", theirs.port)
    with refused("ngrok-address-taken", theirs.url, "backend", "page", "cloudflared"):
        open_tunnel(page.port, "ngrok", name="page")
    assert not open_tunnel(page.port, "auto", name="page").public
    assert "[ngrok-address-taken]" in capsys.readouterr().out
    assert not ngrok.seen_tokens
    assert open_tunnel(page.port, "ngrok", name="page", domain="second.ngrok.app").public
    theirs.stop()
    assert open_tunnel(page.port, "ngrok", name="page").public


# What happens to lines


def test_after_a_drop_it_is_back(ngrok, page):
    tunnel = open_tunnel(page.port)
    ngrok.drop()
    until(lambda: len(ngrok.sessions) == 1 and tunnel.works() and leads_here(tunnel))


@pytest.mark.slow
def test_after_an_outage_that_outlasts_many_tries_it_is_back(ngrok, page):
    tunnel = open_tunnel(page.port, timing=IMPATIENT)
    ngrok.go_down()
    until(lambda: tunnel.status.state == "down")
    assert link.read("backend")["state"] == "down"
    assert link.published_url() == tunnel.url
    for _ in range(5):
        before = tunnel.status
        until(lambda: tunnel.status is not before and tunnel.status.code == "link-unreachable")  # noqa: B023
    ngrok.come_back()
    until(tunnel.works)
    assert leads_here(tunnel)
    assert link.read("backend")["state"] == "up"
    assert len(ngrok.sessions) == 1


@pytest.mark.slow
def test_after_a_line_that_went_silent_it_is_back_and_the_old_session_stays_away(ngrok, page):
    tunnel = open_tunnel(page.port, timing=dataclasses.replace(IMPATIENT, probe=600))
    with one_that_comes_back(ngrok):
        before = len(ngrok.seen_tokens)
        ngrok.fall_silent()
        until(lambda: tunnel.status.state == "down")
        until(lambda: GOOD_TOKEN in ngrok.seen_tokens[before:])  # refused: for ngrok, the old session has the address
        ngrok.forget_the_silent()
        ngrok.cut_the_silent()
        until(tunnel.works)
        assert leads_here(tunnel)
        comes_back_alone(ngrok, tunnel, before)


def test_a_new_address_is_said_and_written(ngrok, page, capsys):
    ngrok.random_addresses = True
    tunnel = open_tunnel(page.port, timing=IMPATIENT)
    before = tunnel.url
    ngrok.go_down()
    until(lambda: tunnel.status.state == "down")
    ngrok.come_back()
    until(tunnel.works)
    assert tunnel.url != before
    assert tunnel.url == link.published_url()
    assert tunnel.status.code == "changed"
    assert f"Backend: {tunnel.url}" in capsys.readouterr().out


def test_closing_while_it_is_being_opened_again(ngrok, page):
    tunnel = open_tunnel(page.port, timing=IMPATIENT)
    ngrok.go_down()
    until(lambda: tunnel.status.state == "down")
    tunnel.close()
    ngrok.come_back()
    assert not tunnel._watchdog.is_alive()
    assert link.read("backend")["state"] == "stopped"
    assert not ngrok.sessions


def test_a_link_that_ngrok_has_lost_is_found_by_asking_it(ngrok, page):
    tunnel = open_tunnel(page.port, timing=IMPATIENT)
    ngrok.forget_all()
    until(lambda: tunnel.status.state == "down", 20)
    until(lambda: tunnel.status.state == "up")
    assert leads_here(tunnel)


@pytest.mark.parametrize("code", sorted(ngrok_errors.QUOTA))
def test_a_quota_that_is_used_up_turns_it_red_until_it_passes(ngrok, page, code):
    tunnel = open_tunnel(page.port, timing=IMPATIENT)
    ngrok.page_of_its_own = code
    until(lambda: tunnel.status.state == "down")
    assert code in tunnel.status.detail
    ngrok.page_of_its_own = ""
    until(lambda: tunnel.status.state == "up")
    assert len(ngrok.seen_tokens) == 1


def test_a_service_that_is_stopped_turns_it_red_until_it_is_started_again(ngrok, page):
    tunnel = open_tunnel(page.port, timing=IMPATIENT)
    page.stop()
    until(lambda: tunnel.status.state == "down", 20)
    assert tunnel.status.code == "service-unreachable"
    again = Server(create_page_app("/"), "127.0.0.1", page.port)
    until(lambda: tunnel.status.state == "up")
    again.stop()


def test_drive_that_is_full_does_not_break_the_link(ngrok, page, monkeypatch, caplog):
    def full(path):
        raise OSError("No space left on device")

    monkeypatch.setattr(logging.getLogger("catdog"), "propagate", True)  # which a service that starts turns off
    tunnel = open_tunnel(page.port)
    monkeypatch.setattr(files, "written_whole", full)
    tunnel.close()
    assert caplog.text.count("No space left on device") == 1
    assert leads_here(open_tunnel(page.port))
    assert caplog.text.count("No space left on device") == 2


def test_watching_ends_with_the_link(ngrok, page):
    before = set(threading.enumerate())
    open_tunnel(page.port).close()
    left = [thread.name for thread in set(threading.enumerate()) - before]
    assert left in ([], ["ngrok"])


def test_photos_by_the_page_contract_through_the_link(ngrok, backend):
    tunnel = open_tunnel(backend.port)
    ask = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
    headers = {**ask, "Access-Control-Request-Headers": "authorization, ngrok-skip-browser-warning"}
    preflight = requests.options(f"{tunnel.url}/predict", headers=headers, timeout=10)
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    files = {"images": ("cat.jpg", io.BytesIO(drawing()))}
    assert requests.post(f"{tunnel.url}/predict", files=files, timeout=30).ok


# In a notebook


@pytest.mark.slow
def test_a_hidden_prompt_asks_for_the_token_once_and_again_if_it_was_wrong(ngrok, monkeypatch):
    monkeypatch.delenv("NGROK_AUTHTOKEN")
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(ROOT / "notebooks"))
    answers, asked, shown = ["a-slip", GOOD_TOKEN], [], []

    def answer(message):
        asked.append(message["content"])
        client.input(answers.pop(0))

    def show(message):
        shown.append(str(message["content"]))

    def run(code):
        client.execute_interactive(code, timeout=60, allow_stdin=True, stdin_hook=answer, output_hook=show)
        return "".join(shown)

    try:
        run("from catdog.frontend.page import create_page_app; from catdog.web.server import serve")
        run("from catdog.tunnels import open_tunnel; server = serve(create_page_app('/'), 'page', 0)")
        assert "[link-refused]" in run("open_tunnel(server.port, 'ngrok')")
        run("first = open_tunnel(server.port, 'ngrok')")
        assert "True" in run("open_tunnel(server.port, 'ngrok') is first")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert [content["password"] for content in asked] == [True, True]
    assert "a-slip" not in "".join(shown)
    assert GOOD_TOKEN not in "".join(shown)


@pytest.mark.slow
@pytest.mark.weights
def test_notebook_2_shares_its_service_and_runs_again(ngrok, monkeypatch):
    for name, value in {
        "TUNNEL": "auto",
        "ACCESS_CODE": "for-testers",
        "ENGINE": OPENVINO_INT8,
        "MODEL": "cats-and-dogs",
    }.items():
        monkeypatch.setenv(name, value)
    with kernel(BACKEND) as (run, value):
        assert f"Backend: {ngrok.url_of()}/#code=for-testers\n" in run()
        assert "POST /predict" in run()
        assert value("service.tunnel.status.state, service.panel.state[0]") == "up green"
        assert "<svg" in value("service.panel._repr_html_()")
        assert requests.get(f"{ngrok.url_of()}/model", timeout=5).status_code == 401
        assert len(ngrok.seen_tokens) == 1
        run(start="STOP = False", STOP=True)
    assert requests.get(ngrok.url_of(), timeout=5).headers["ngrok-error-code"] == "ERR_NGROK_3200"

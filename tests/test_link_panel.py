"""The link panel: what it says of each state, and that it stays fresh by itself."""

import threading
import types
from datetime import datetime

import IPython.display
import pytest
from catdog.backend.request_log import RequestLog, RequestRecord
from catdog.notebook import link_panel
from catdog.notebook.link_panel import Panel, show_panel
from catdog.tunnels import Status
from catdog.web import link
from conftest import until


def tunnel(state="up", public=True, provider="ngrok", detail="The link works."):
    return types.SimpleNamespace(
        url="https://my-cats.example", public=public, provider=provider, status=Status(state, "", detail)
    )


def a_request():
    return RequestRecord(datetime(2026, 1, 2, 3, 4, 5), "203.0.113.7", "POST /predict", 3, 200, 0.1)


def test_a_link_that_works_is_green_and_can_be_scanned():
    shown = Panel(tunnel(), RequestLog(), "for-testers")
    assert shown.state == ("green", "The link works.")
    html = shown._repr_html_()
    assert 'href="https://my-cats.example/#code=for-testers"' in html
    assert 'aria-label="QR code of the link"' in html
    assert "<svg" in html
    assert "No photos yet." in html
    assert all(words in html for words in ("Send this link to your testers", ">Copy</button>", ">Share</button>"))
    assert str(shown).startswith("https://my-cats.example/#code=for-testers\n")


def test_a_broken_link_is_red_and_says_what_to_do_since_when():
    color, sentence = Panel(tunnel("down", detail="Wait for the next month."), RequestLog()).state
    assert color == "red"
    assert sentence.startswith("Wait for the next month. (since ")


@pytest.mark.parametrize("provider", ["none", "colab"])
def test_what_is_not_public_is_orange_and_has_nothing_to_scan(provider):
    shown = Panel(tunnel(public=False, provider=provider), RequestLog())
    assert shown.state[0] == "orange"
    assert "cloudflared" in shown.state[1]
    assert not any(part in shown._repr_html_() for part in ("<svg", "Copy", "Send this link"))


def test_while_a_link_is_down_its_qr_code_is_grey():
    assert "opacity" not in Panel(tunnel(), RequestLog())._repr_html_()
    assert "opacity" in Panel(tunnel("down"), RequestLog())._repr_html_()


def test_testers_and_photos_are_counted_and_refused_requests_are_not():
    request_log, told = RequestLog(), []
    for client, photos, status in (("a", 3, 200), ("a", 2, 200), ("b", 1, 200), ("c", 5, 503), ("d", 0, 200)):
        request_log.add(RequestRecord(datetime(2026, 1, 2, 3, 4, photos), client, "POST /predict", photos, status, 0.1))
        request_log.add(RequestRecord(datetime(2026, 1, 2, 4, 4), client, "POST /corrections", 1, 200, 0.1))
        told.append(request_log.summary())
    assert told[0] == "1 tester, 3 photos, the last at 03:04:03."
    assert told[2] == told[4] == "2 testers, 6 photos, the last at 03:04:01."


def test_a_link_for_the_same_wi_fi_can_be_scanned_and_says_that_others_there_can_read_along():
    shown = Panel(tunnel(public=False, provider="lan"), RequestLog(), "for-testers")
    color, sentence = shown.state
    assert color == "green"
    assert sentence.startswith("The link works. ")
    assert "without encryption" in sentence
    assert "<svg" in shown._repr_html_()
    assert shown.told == "Backend: https://my-cats.example/#code=for-testers  (this Wi-Fi only, not encrypted)"


def test_what_comes_from_outside_is_text():
    request_log = RequestLog()
    request_log.add(RequestRecord(datetime.now(), "<img src=x>", "GET /<b>", 0, 404, 0.1))
    assert "<img" not in Panel(tunnel("down", detail="<script>"), request_log)._repr_html_()
    assert "<script>" not in Panel(tunnel("down", detail="<script>"), request_log)._repr_html_()


def test_it_is_kept_fresh_until_another_is_shown(monkeypatch):
    updates, request_log = [], RequestLog()
    handle = types.SimpleNamespace(update=lambda shown: updates.append(str(shown)))
    monkeypatch.setattr(IPython.display, "display", lambda shown, display_id: handle)
    show_panel(tunnel(), request_log, seconds=0.02)
    request_log.add(a_request())
    until(lambda: updates and "1 tester, 3 photos, the last at 03:04:05." in updates[-1])
    assert len(updates) == 1
    show_panel(tunnel(), request_log)
    until(lambda: len([thread for thread in threading.enumerate() if thread.name == "link panel"]) == 1)
    link_panel._showing.set()


def test_the_code_is_behind_the_hash_where_no_server_sees_it():
    assert link.with_code("https://a.example", "") == "https://a.example"
    assert link.with_code("https://a.example", "secret-1") == "https://a.example/#code=secret-1"

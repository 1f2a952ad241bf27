"""Links: what happens without a token, without a network, and with a wrong setting. The SDK itself is the real one."""

import socket
import sys

import pytest
from catdog.errors import SuiteError
from catdog.tunnels import close_tunnel, open_tunnel
from catdog.tunnels import ngrok as ours


def test_none_is_this_machine():
    tunnel = open_tunnel(5000, "none")
    assert tunnel.url == "http://127.0.0.1:5000"
    assert not tunnel.public
    tunnel.close()
    close_tunnel(5000)


def test_auto_without_a_token_goes_on_and_says_what_to_do(capsys):
    assert open_tunnel(5000, "auto").provider == "none"
    assert "NGROK_AUTHTOKEN" in capsys.readouterr().out


def test_ngrok_without_a_token_says_what_to_do():
    with pytest.raises(SuiteError, match="NGROK_AUTHTOKEN"):
        open_tunnel(5000, "ngrok")


def test_an_unknown_provider_is_refused():
    with pytest.raises(SuiteError, match="must be one of auto, ngrok, none"):
        open_tunnel(5000, "wormhole")


def test_ngrok_that_does_not_answer_is_told_in_words(monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        forward = __import__("ngrok").forward
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr("ngrok.forward", lambda port, **options: forward(port, server_addr=address, **options))
        monkeypatch.setattr(ours, "_OPEN_SECONDS", 2)
        monkeypatch.setenv("NGROK_AUTHTOKEN", "a-token-that-must-not-be-shown")
        with pytest.raises(SuiteError, match="ngrok") as caught:
            open_tunnel(5000, "auto")
    assert "must-not-be-shown" not in str(caught.value)


def test_without_the_sdk_the_message_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "ngrok", None)
    with pytest.raises(SuiteError, match="pip install ngrok"):
        ours.open_ngrok(5000, "token")

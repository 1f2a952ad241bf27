"""Servers in the background: one of a kind, on a port that is free, gone when stopped."""

import socket
import threading
import urllib.request
from contextlib import closing
from http.client import HTTPConnection
from urllib.error import HTTPError

import pytest
from catdog import serving
from catdog.serving import Server, serve, stop
from conftest import until
from waitress.trigger import trigger


def hello(text="hello"):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [text.encode()]

    return app


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def port_is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@pytest.fixture(autouse=True)
def nothing_left():
    before = threading.active_count()
    yield
    stop("test")
    assert threading.active_count() <= before


def test_it_returns_at_once_and_answers():
    assert get(serve(hello(), "test", 0).url) == "hello"


def test_again_on_the_same_port_there_is_one_server_the_new_one():
    first = serve(hello("old"), "test", 0)
    for _ in range(4):
        again = serve(hello("new"), "test", first.port)
        assert again.port == first.port
        assert get(again.url) == "new"
    assert not first.running
    assert len(serving._running) == 1


def test_again_while_a_browser_keeps_its_connection_open():
    first = serve(hello("old"), "test", 0)
    with closing(HTTPConnection("127.0.0.1", first.port)) as browser:
        browser.request("GET", "/")
        assert browser.getresponse().read() == b"old"
        again = serve(hello("new"), "test", first.port)
        assert again.port == first.port
        assert get(again.url) == "new"


def test_a_port_that_another_program_holds_is_left_to_it(capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        server = serve(hello(), "test", taken)
    assert server.port != taken
    assert str(taken) in capsys.readouterr().out
    assert get(server.url) == "hello"


def test_stopped_means_no_port_and_no_thread():
    server = serve(hello(), "test", 0)
    get(server.url)
    assert stop("test")
    assert port_is_free(server.port)
    assert not server.running
    assert not stop("test")
    server.stop()


def test_stopping_just_when_an_answer_ends(monkeypatch):
    server = serve(hello(), "test", 0)
    (thread,) = (one for one in threading.enumerate() if one.name == f"server on port {server.port}")
    pull, begun = trigger.pull_trigger, threading.Event()

    def after_an_answers_own(self, work):
        pull(self, lambda: (begun.set(), work()))
        assert begun.wait(10)
        thread.join(0.5)  # where `work` closes at once, this thread ends
        pull(self)

    monkeypatch.setattr(trigger, "pull_trigger", after_an_answers_own)
    server.stop()
    assert not server.running


def slow(begun, go_on):
    def app(environ, start_response):
        begun.set()
        go_on.wait(30)
        start_response("200 OK", [("Content-Length", "200000")])
        return [b"x" * 200_000]

    return app


def test_stopping_answers_what_is_in_flight_and_refuses_what_comes_then():
    begun, go_on, answers = threading.Event(), threading.Event(), []
    server = Server(slow(begun, go_on), "127.0.0.1", 0, drain=30)
    asking = threading.Thread(target=lambda: answers.append(len(get(server.url))))
    asking.start()
    begun.wait(30)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    until(lambda: server._draining)
    with pytest.raises(HTTPError) as refused, urllib.request.urlopen(server.url, timeout=5):
        pass
    assert refused.value.code == 503
    assert refused.value.headers["Retry-After"]
    refused.value.close()
    assert stopping.is_alive()
    go_on.set()
    for thread in (asking, stopping):
        thread.join()
    assert answers == [200_000]
    assert port_is_free(server.port)


def test_stopping_does_not_wait_for_ever():
    begun, go_on = threading.Event(), threading.Event()
    server = Server(slow(begun, go_on), "127.0.0.1", 0, drain=0.1)
    with closing(HTTPConnection("127.0.0.1", server.port)) as connection:
        connection.request("GET", "/")
        begun.wait(30)
        threading.Timer(0.5, go_on.set).start()
        server.stop()
    assert port_is_free(server.port)


def test_silent_connections_are_cut_soon_and_those_in_the_middle_of_a_request_are_not():
    server = Server(hello(), "127.0.0.1", 0, silent=0.2)
    silent, halfway = (socket.create_connection(("127.0.0.1", server.port)) for _ in range(2))
    halfway.sendall(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab")
    silent.settimeout(30)
    assert silent.recv(1) == b""
    halfway.sendall(b"cde")
    assert halfway.recv(12) == b"HTTP/1.1 200"
    for one in (silent, halfway):
        one.close()
    server.stop()


def test_a_crowd_that_says_nothing_keeps_nobody_out_for_long(monkeypatch):
    monkeypatch.setattr(serving, "_connections", lambda: 20)
    server = Server(hello(), "127.0.0.1", 0, silent=0.2)
    crowd = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(40)]
    assert get(server.url) == "hello"
    for one in crowd:
        one.close()
    server.stop()

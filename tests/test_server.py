"""Servers in the background: one of a kind, on a port that is free, gone when stopped."""

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from urllib.error import HTTPError

import pytest
from catdog.web import request_limits
from catdog.web import server as serving
from catdog.web.server import Server, serve, stop
from conftest import ROOT, refused, until
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


@pytest.mark.parametrize("app_refuses", [False, True])
def test_what_comes_too_late_is_refused(app_refuses):
    server = serve(hello(), "test", 0, app_refuses=app_refuses)
    stop("test")
    told = []
    server._guarded({}, lambda status, headers: told.append(status))
    assert told == ["503 Service Unavailable"]


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


@pytest.fixture
def small():
    """A server that has room for 20 connections, and is patient with each."""
    server = Server(hello(), "127.0.0.1", 0, silent=60, connections=20)
    yield server
    server.stop()


def crowd(server, number, sends=b""):
    with ExitStack() as connections:
        for _ in range(number):
            one = connections.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            one.sendall(sends)
        return connections.pop_all()


UNFINISHED = b"POST / HTTP/1.1\r\nX-Forwarded-For: 203.0.113.%d\r\nContent-Length: 5\r\n\r\nab"


@pytest.mark.parametrize("sends", [b"", b"GET / HTTP/1.1\r\nX-Half", UNFINISHED % 7])
def test_a_crowd_keeps_nobody_out(small, sends):
    with crowd(small, 60, sends):
        for _ in range(3):
            assert get(small.url) == "hello"
        assert len(small._channels()) <= 21


def test_of_a_crowd_those_go_first_that_can_best_be_done_without(small):
    """Silent ones, else those of the client that has most under way; who sends a photo beside them gets it through."""
    with closing(socket.create_connection(("127.0.0.1", small.port))) as ours:
        ours.sendall(UNFINISHED % 8)
        with crowd(small, 30, UNFINISHED % 7), crowd(small, 30):
            ours.sendall(b"cde")
            assert ours.recv(12) == b"HTTP/1.1 200"


def test_one_client_has_so_many_requests_under_way_and_others_have_theirs():
    server = Server(hello(), "127.0.0.1", 0, under_way=3)

    def ask(client):
        headers = {"X-Forwarded-For": f"198.51.100.1, {client}"} if client else {}
        with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
            connection.request("GET", "/", headers=headers)
            return connection.getresponse().status

    with crowd(server, 3, UNFINISHED % 7):
        until(lambda: ask("203.0.113.7") == 429)
        assert ask("203.0.113.8") == 200
        assert ask("") == 200
    until(lambda: ask("203.0.113.7") == 200)
    until(lambda: not server._server.adj.under_way._taken)
    server.stop()


@pytest.mark.parametrize("beside", [b"5;" + b"a" * 100_000, b"0\r\n" + b"X: y\r\n" * 20_000])
def test_what_comes_beside_the_chunks_has_an_end(small, beside):
    with closing(socket.create_connection(("127.0.0.1", small.port), timeout=30)) as one:
        one.sendall(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + beside)
        assert one.recv(12) == b"HTTP/1.1 400"
    assert get(small.url) == "hello"


@pytest.mark.parametrize("header", [b"GET http://[::1 HTTP/1.1", b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000])
def test_a_header_that_cannot_be_read_is_answered(small, header):
    with closing(socket.create_connection(("127.0.0.1", small.port), timeout=30)) as one:
        one.sendall(header + b"\r\nHost: x\r\n\r\n")
        assert one.recv(12) == b"HTTP/1.1 400"


def test_who_has_too_many_under_way_and_sends_what_cannot_be_read_leaves_no_connection_behind(app):
    server = Server(app, "127.0.0.1", 0, under_way=3, app_refuses=True)
    with crowd(server, 3, UNFINISHED % 7):
        until(lambda: server._server.adj.under_way.of("203.0.113.7") == 3)
        with closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as one:
            one.sendall(b"get / HTTP/1.1\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n")
            assert one.recv(10) == b"HTTP/1.0 4"
        until(lambda: len(server._channels()) == 3)
    server.stop()


def test_a_request_that_is_not_finished_gives_back_what_it_held_at_once(small):
    with closing(socket.create_connection(("127.0.0.1", small.port))) as one:
        one.sendall(UNFINISHED % 7)
        until(lambda: small._server.adj.bodies.of("203.0.113.7") == 2)
    gc.disable()
    try:
        until(lambda: not small._server.adj.bodies._taken and not small._server.adj.under_way._taken)
    finally:
        gc.enable()


def test_who_was_out_of_reach_for_a_while_goes_on(monkeypatch):
    monkeypatch.setattr(request_limits, "_PAUSE_SECONDS", 0.02)
    server = Server(hello(), "127.0.0.1", 0, patience=0.3)
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as phone:
        phone.sendall(b"POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\n" + bytes(10))
        time.sleep(0.6)  # a dead spot, twice as long as the patience
        phone.sendall(bytes(10))
        assert phone.recv(12) == b"HTTP/1.1 200"
    server.stop()


def test_where_no_file_is_left_it_waits_and_goes_on(small, monkeypatch):
    accept, full = small._accept, threading.Event()

    def out_of_files():
        if not full.is_set():
            full.set()
            raise OSError(24, "Too many open files")
        return accept()

    monkeypatch.setattr(small, "_accept", out_of_files)
    assert get(small.url) == "hello"
    assert full.is_set()


def test_a_connection_that_nothing_can_be_made_of_costs_that_connection(small, monkeypatch):
    made, real = [], request_limits.Channel.__init__

    def fails_once(self, *arguments, **options):
        made.append(self)
        if len(made) == 1:
            raise MemoryError
        real(self, *arguments, **options)

    monkeypatch.setattr(request_limits.Channel, "__init__", fails_once)
    with pytest.raises(ConnectionError):
        get(small.url)
    assert get(small.url) == "hello"


def test_a_look_after_connections_that_fails_ends_nothing(small, monkeypatch):
    def fails():
        failed.set()
        raise MemoryError

    failed = threading.Event()
    monkeypatch.setattr(small, "_look", fails)
    assert failed.wait(30)
    assert get(small.url) == "hello"


def test_a_stop_that_is_interrupted_stops_all_the_same(monkeypatch):
    server = serve(hello(), "test", 0)

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "_finish_what_is_there", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stop("test")
    assert port_is_free(server.port)
    assert serve(hello(), "test", server.port).port == server.port


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_set_cuts_nobody_and_keeps_nobody(monkeypatch, hours):
    server = Server(hello(), "127.0.0.1", 0, silent=0.5)
    with (
        closing(socket.create_connection(("127.0.0.1", server.port))) as silent,
        closing(socket.create_connection(("127.0.0.1", server.port))) as halfway,
    ):
        halfway.sendall(UNFINISHED % 7)
        until(lambda: any(one.request for one in server._channels()))
        wall = time.time
        monkeypatch.setattr(time, "time", lambda: wall() + 3600 * hours)
        silent.settimeout(30)
        assert silent.recv(1) == b""
        halfway.sendall(b"cde")
        assert halfway.recv(12) == b"HTTP/1.1 200"
    server.stop()


def test_a_machine_without_room_for_it_is_told(monkeypatch):
    def none_left(*_, **__):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(serving, "create_server", none_left)
    with refused("service-no-room", "can't start new thread"):
        serve(hello(), "test", 0)


SERVES = """
import signal, sys, threading, time
from catdog.web.server import serve

def app(environ, start_response):
    begun.set()
    time.sleep(0.5)  # what is in flight
    start_response("200 OK", [])
    return [b"hello"]

signal.signal(signal.SIGINT, signal.default_int_handler)
begun = threading.Event()
print(serve(app, "backend", 0).port, flush=True)
{then}
"""


@pytest.mark.parametrize(
    ("then", "number"),
    [
        ("time.sleep(600)", signal.SIGTERM),
        ("time.sleep(600)", signal.SIGINT),
        ("begun.wait()", None),  # the program ends by itself
    ],
)
def test_however_the_process_ends_what_is_in_flight_is_answered(then, number):
    program = [sys.executable, "-c", SERVES.format(then=then)]
    path = {"PYTHONPATH": str(ROOT / "notebooks")}
    with subprocess.Popen(program, env=os.environ | path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        with closing(HTTPConnection("127.0.0.1", int(process.stdout.readline()), timeout=30)) as connection:
            connection.request("GET", "/")
            if number:
                time.sleep(0.2)  # it is on its way; a little later does no harm
                process.send_signal(number)
            assert connection.getresponse().read() == b"hello"
        assert process.wait(30) == {signal.SIGTERM: -signal.SIGTERM, signal.SIGINT: -signal.SIGINT, None: 0}[number]

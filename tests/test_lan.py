"""TUNNEL=lan: a link for the same Wi-Fi. 127.0.0.2 stands for this machine's address there, 127.0.0.3 for a phone."""

import socket
import sys
import threading
import types
from contextlib import closing, suppress
from http.client import HTTPConnection

import pytest
from catdog.backend.app import create_app, start
from catdog.backend.limits import Limits
from catdog.backend.request_log import RequestLog
from catdog.frontend.page import create_page_app
from catdog.notebook.link_panel import Panel
from catdog.notebook.settings import read_settings
from catdog.tunnels import Timing, close_tunnel, lan, open_tunnel
from catdog.web import link
from catdog.web import server as serving
from catdog.web.server import Server, serve, stop
from conftest import refused, until
from waitress import wasyncore

ADDRESS, ANOTHER = "127.0.0.2", "127.0.0.5"
PHONE, ANOTHER_PHONE = "127.0.0.3", "127.0.0.4"
AT_ONCE = Timing(look=0.02, pauses=(0.02,), first_answer=5)


@pytest.fixture
def network(monkeypatch, own_places):
    """The interfaces of this machine, for a test to change."""
    if sys.platform != "linux":
        pytest.skip("other systems give 127.0.0.1 to this machine, and no other address like it")
    found = {"wlan0": [ADDRESS]}
    monkeypatch.setattr(lan, "interfaces", lambda: found)
    monkeypatch.setattr(lan, "_default_route", lambda: "")
    yield found
    for name in link.NAMES:
        close_tunnel(name)
        stop(name)


@pytest.fixture
def page(network):
    return serve(create_page_app("/"), "backend", 0)


def opened(port, **options):
    return open_tunnel(port, "lan", timing=AT_ONCE, **options)


def ask(host, port, client=PHONE, method="GET", path="/healthz", **headers):
    with closing(HTTPConnection(host, port, timeout=10, source_address=(client, 0))) as connection:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        return connection.getresponse().status


def nobody_listens(host, port):
    with suppress(ConnectionRefusedError), socket.create_connection((host, port), timeout=5):
        return False
    return True


# The link


def test_a_device_in_the_network_reaches_the_service_and_so_does_this_machine(page):
    tunnel = opened(page.port)
    assert tunnel.url == tunnel.service_url == link.published_url() == f"http://{ADDRESS}:{page.port}"
    assert (tunnel.public, tunnel.shared, tunnel.status.code) == (False, True, "works")
    assert (link.read("backend")["provider"], link.read("backend")["public"]) == ("lan", False)
    assert ask(ADDRESS, page.port) == 200
    assert ask("127.0.0.1", page.port, "127.0.0.1") == 200


def test_only_while_the_link_is_open_and_at_no_other_address(page):
    assert nobody_listens(ADDRESS, page.port)
    tunnel = opened(page.port)
    assert nobody_listens(ANOTHER, page.port)
    tunnel.close()
    assert nobody_listens(ADDRESS, page.port)
    assert ask("127.0.0.1", page.port, "127.0.0.1") == 200
    assert opened(page.port).works()
    open_tunnel(page.port, "none")
    assert nobody_listens(ADDRESS, page.port)


def test_again_and_again_there_is_one_server_and_one_link(page, capsys):
    tunnel = opened(page.port)
    assert opened(page.port) is tunnel
    for _ in range(3):
        close_tunnel()
        assert opened(page.port).works()
    for _ in range(3):
        again = serve(create_page_app("/"), "backend", page.port)
        assert opened(again.port).works()
        assert ask(ADDRESS, page.port) == 200
    assert again.port == page.port
    assert list(serving._running) == ["backend"]
    assert "taken" not in capsys.readouterr().out


def test_a_service_that_is_started_again_is_reached_by_the_same_link(page):
    tunnel = opened(page.port)
    again = serve(create_page_app("/"), "backend", page.port)
    until(lambda: again.listens_at(ADDRESS) and tunnel.status.state == "up")
    assert ask(ADDRESS, page.port) == 200
    stop("backend")
    until(lambda: tunnel.status.code == "service-unreachable")
    assert nobody_listens(ADDRESS, page.port)


def test_backend_and_page_have_a_link_each(page):
    other = serve(create_page_app(), "page", 0)
    backend, shown = opened(page.port), opened(other.port, name="page")
    assert {backend.url, shown.url} == {f"http://{ADDRESS}:{server.port}" for server in (page, other)}
    close_tunnel("page")
    assert backend.works()
    assert nobody_listens(ADDRESS, other.port)


# Clients


@pytest.fixture
def service(network, classifier):
    """service(**limits): the backend on a port, with its link; and its request log."""

    def started(**limits):
        requests = RequestLog()
        server = start(create_app(classifier, request_log=requests, limits=Limits(**limits)), 0)
        opened(server.port)
        return server.port, requests

    return started


def post(port, client, host=ADDRESS, **headers):
    return ask(host, port, client, "POST", "/predict", **headers)


def test_limits_hold_each_device_by_its_own_address(service):
    port, requests = service(requests_per_minute=2)
    assert [post(port, PHONE) for _ in range(3)] == [400, 400, 429]
    assert requests.last.client == PHONE
    assert post(port, ANOTHER_PHONE) == 400
    assert [post(port, "127.0.0.1", "127.0.0.1") for _ in range(3)] == [400, 400, 400]


@pytest.mark.parametrize("header", ["X_Forwarded_For", "X_Real_IP", "Forwarded"])
@pytest.mark.parametrize("claims", ["127.0.0.1", "::1", "203.0.113.{}", "for=127.0.0.1"])
def test_no_device_chooses_who_it_is(service, header, claims):
    port, requests = service(requests_per_minute=2)
    told = [post(port, PHONE, **{header: claims.format(number)}) for number in range(3)]
    assert told == [400, 400, 429]
    assert requests.last.client == PHONE


def test_who_comes_by_the_networks_address_is_never_taken_for_this_machine(service):
    """Whatever address they show: this machine's own is one that no limit holds, and whose headers are believed."""
    port, requests = service(requests_per_minute=2)
    told = [post(port, "127.0.0.1", X_Forwarded_For=f"203.0.113.{number}") for number in range(3)]
    assert told == [400, 400, 429]
    assert requests.last.client == ADDRESS


def test_a_device_has_its_share_of_requests_under_way(network):
    server = serve(create_page_app("/"), "backend", 0, under_way=2)
    opened(server.port)
    halfway = b"POST / HTTP/1.1\r\nX-Forwarded-For: 203.0.113.%d\r\nContent-Length: 5\r\n\r\nab"
    crowd = [socket.create_connection((ADDRESS, server.port), source_address=(PHONE, 0)) for _ in range(2)]
    for number, one in enumerate(crowd):
        one.sendall(halfway % number)
    until(lambda: ask(ADDRESS, server.port) == 429)
    assert ask(ADDRESS, server.port, ANOTHER_PHONE) == 200
    for one in crowd:
        one.close()


def test_closing_the_link_ends_connections_with_the_answer_under_way(network):
    begun, go_on = threading.Event(), threading.Event()

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/slow":
            begun.set()
            go_on.wait(30)
        return pages(environ, start_response)

    pages = create_page_app("/")
    server = serve(app, "backend", 0, silent=600)
    tunnel = opened(server.port)
    idle, busy, here = (HTTPConnection(host, server.port, timeout=30) for host in (ADDRESS, ADDRESS, "127.0.0.1"))
    with closing(idle), closing(busy), closing(here):
        for connection in (idle, here):
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        busy.request("GET", "/slow")
        assert begun.wait(30)
        tunnel.close()
        assert idle.sock.recv(1) == b""
        go_on.set()
        with busy.getresponse() as answer:
            assert answer.status == 404
            answer.read()
        assert busy.sock.recv(1) == b""
        here.request("GET", "/healthz")
        assert here.getresponse().status == 200


def test_a_connection_that_cannot_be_accepted_costs_that_connection(page, monkeypatch):
    opened(page.port)
    accept, full = wasyncore.dispatcher.accept, threading.Event()

    def out_of_files(self):
        if not full.is_set():
            full.set()
            raise OSError(24, "Too many open files")
        return accept(self)

    monkeypatch.setattr(wasyncore.dispatcher, "accept", out_of_files)
    assert ask(ADDRESS, page.port) == 200
    assert full.is_set()


# Another network, and none


def test_on_another_wi_fi_the_link_moves_and_says_so(page, network, capsys):
    tunnel = opened(page.port)
    network["wlan0"] = [ANOTHER]
    until(lambda: tunnel.status.code == "changed")
    assert tunnel.url == link.published_url() == f"http://{ANOTHER}:{page.port}"
    assert tunnel.url in capsys.readouterr().out
    assert ask(ANOTHER, page.port) == 200
    assert nobody_listens(ADDRESS, page.port)


def test_a_wi_fi_that_is_gone_for_a_while(page, network):
    tunnel = opened(page.port)
    network["docker0"] = ["172.17.0.1"]  # leads to no tester
    del network["wlan0"]
    until(lambda: tunnel.status.code == "link-no-network")
    assert Panel(tunnel, RequestLog()).state[0] == "red"
    network["wlan0"] = [ADDRESS]
    until(lambda: tunnel.status.code == "works")
    assert tunnel.url == f"http://{ADDRESS}:{page.port}"


@pytest.mark.parametrize(
    "interfaces",
    [
        {},
        {"wlan0": ["169.254.7.8"]},  # no router gave an address
        {"eth0": ["8.8.8.8"]},  # everybody would reach it
        {"docker0": ["172.17.0.1"], "tun0": ["10.8.0.2"], "vEthernet (WSL)": ["172.20.0.1"], "utun3": ["10.9.0.2"]},
    ],
)
def test_without_a_local_network_there_is_no_link(page, network, interfaces):
    network.clear()
    network.update(interfaces)
    with refused("link-no-network", "Wi-Fi", "cloudflared"):
        opened(page.port)
    assert link.published_url() == ""


def test_of_several_networks_the_one_with_the_internet_and_the_others_are_named(page, network, monkeypatch, capsys):
    network.update({"eth0": [ANOTHER], "tun0": ["10.8.0.2"]})
    monkeypatch.setattr(lan, "_default_route", lambda: ANOTHER)
    assert opened(page.port).url == f"http://{ANOTHER}:{page.port}"
    said = capsys.readouterr().out
    assert "LAN_ADDRESS" in said
    assert ADDRESS in said
    assert "10.8.0.2" not in said
    close_tunnel()
    monkeypatch.setenv("LAN_ADDRESS", ADDRESS)
    assert opened(page.port).url == f"http://{ADDRESS}:{page.port}"
    assert capsys.readouterr().out == ""


def test_an_address_that_this_machine_does_not_have(page, monkeypatch):
    monkeypatch.setenv("LAN_ADDRESS", "192.168.1.77")
    with refused("setting-lan-address", "192.168.1.77", ADDRESS):
        opened(page.port)


def test_a_port_that_is_taken_in_the_network(page):
    with socket.create_server((ADDRESS, page.port)), refused("link-port", ADDRESS, "PORT"):
        opened(page.port)
    assert ask("127.0.0.1", page.port, "127.0.0.1") == 200
    assert opened(page.port).works()


def test_a_cell_that_is_interrupted_leaves_nothing_open(page, monkeypatch):
    listen_at = Server.listen_at

    def interrupted(server, address):
        listen_at(server, address)
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "listen_at", interrupted)
    with pytest.raises(KeyboardInterrupt):
        opened(page.port)
    assert nobody_listens(ADDRESS, page.port)


def test_a_service_of_another_notebook_is_not_opened_to_the_network(network):
    server = Server(create_page_app("/"), "127.0.0.1", 0)
    with refused("service-unreachable", str(server.port)):
        opened(server.port)
    server.stop()


def test_a_server_that_has_ended_listens_nowhere(page):
    page.listen_at(ADDRESS)
    page.stop()
    assert not page.listens_at(ADDRESS)
    page.close_listener(ADDRESS)
    with pytest.raises(OSError, match="ended"):
        page.listen_at(ADDRESS)
    assert nobody_listens(ADDRESS, page.port)


def test_on_colab_it_is_refused_in_the_settings_cell_already(page, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    with refused("setting-tunnel", "Colab", "cloudflared"):
        opened(page.port)
    monkeypatch.setenv("TUNNEL", "lan")
    cell = dict.fromkeys(("BACKEND_URL", "ACCESS_CODE", "TUNNEL", "NGROK_DOMAIN"), "")
    with refused("setting-tunnel", "Colab"):
        read_settings("frontend", {**cell, "USE_DRIVE": False, "PORT": 0})


def test_this_machines_own_address(own_places):
    """Where it is in a network at all."""
    assert "127.0.0.1" not in lan._addresses()
    if not lan._local_addresses():
        pytest.skip("this machine is in no local network")
    server = serve(create_page_app("/"), "backend", 0)
    tunnel = opened(server.port)
    assert tunnel.url in {f"http://{address}:{server.port}" for address in lan._local_addresses()}
    assert tunnel.works()
    close_tunnel()
    assert not tunnel.works()
    stop("backend")


@pytest.mark.parametrize(
    ("url", "asks_a_proxy"),
    [("http://192.168.1.5:5000", False), ("http://127.0.0.1:5000", False), ("https://cats.example", True)],
)
def test_a_proxy_is_not_asked_for_addresses_in_the_network(url, asks_a_proxy):
    with link.session(url) as session:
        assert session.trust_env == asks_a_proxy

"""Kept connections from the peer's side."""

import contextlib
import selectors
import ssl
import time

import pytest

from dispatch_support import APP, Kept, descriptors, descriptors_at_rest
from lib import uwsgi
from lib.tools import need, need_files
from lib.waiting import free_port, wait_for


@pytest.fixture(scope="module")
def work_app(build_app):
    return build_app(APP)


@pytest.fixture(params=["unix", "tcp", "tls"])
def app(request, server, tls_server, work_app):
    if request.param == "tls":
        return tls_server(app=work_app, processes=2)
    options = {"socket": f"127.0.0.1:{free_port()}"} if request.param == "tcp" else {}
    return server(app=work_app, processes=2, **options)


def stays(response):
    return "close" not in response.all("Connection")


def test_a_kept_connection_serves_request_after_request(app):
    with Kept(app) as peer:
        for i in range(100):
            body = bytes([i]) * (i * 1000)
            response = peer.ask(body=body)
            assert (response.status, response.body) == (200, body)
            assert stays(response)
        assert peer.ask("/", b"", REQUEST_METHOD="HEAD").status == 200


def test_without_the_wish_a_connection_is_closed(app):
    with Kept(app) as peer:
        response = peer.ask(UWSGI_KEEP_CONN=None)
        assert response["Connection"] == "close"
        assert peer.receive() is None


@pytest.mark.parametrize("wish", ["0", "", "yes", "11"])
def test_only_a_one_is_the_wish(app, wish):
    with Kept(app) as peer:
        assert peer.ask(UWSGI_KEEP_CONN=wish)["Connection"] == "close"
        assert peer.receive() is None


SURPLUS = {
    "a second packet": uwsgi.packet(uwsgi.variables("/second", "POST", UWSGI_KEEP_CONN="1")),
    "a byte": b"x",
    "a line end": b"\r\n",
    "much": b"x" * 500_000,
}


@pytest.mark.parametrize("surplus", SURPLUS.values(), ids=SURPLUS.keys())
@pytest.mark.parametrize("size", [0, 5, 65_000, 200_000])
def test_what_follows_a_request_is_never_read_as_the_next_one(app, surplus, size):
    body = b"b" * size
    first = uwsgi.packet(uwsgi.variables("/first", "POST", body, UWSGI_KEEP_CONN="1")) + body
    with Kept(app) as peer:
        send_all(peer.socket, first + surplus)
        response = peer.receive()
        assert (response.status, response.body) == (200, body)
        assert response["Connection"] == "close"
        assert peer.receive() is None
    app.wait_lines(1, event="request")
    assert [line["path"] for line in app.log(event="request")] == ["/first"]
    assert not [line for line in app.log() if "bad request" in line["msg"]]


def send_all(s, data):
    """As much as the server takes before it has answered."""
    s.setblocking(False)
    tls = isinstance(s, ssl.SSLSocket)
    with selectors.DefaultSelector() as selector:
        selector.register(s, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while data:
            ((_, events),) = selector.select()
            if events & selectors.EVENT_READ and not tls:  # where it may be a session ticket
                break
            with contextlib.suppress(ssl.SSLWantWriteError):
                data = data[s.send(data):]
    s.setblocking(True)
    s.settimeout(10)


def test_a_body_that_comes_late_and_in_pieces_is_waited_for(app):
    body = b"0123456789" * 1000
    data = uwsgi.packet(uwsgi.variables("/", "POST", body, UWSGI_KEEP_CONN="1")) + body
    with Kept(app) as peer:
        for _ in range(2):
            for at in range(0, len(data), 997):
                peer.socket.sendall(data[at : at + 997])
            assert peer.receive().body == body


def test_a_refused_request_ends_its_connection(app):
    with Kept(app) as peer:
        assert peer.ask().status == 200
        peer.send(CONTENT_LENGTH="5x")
        assert peer.receive().status == 400
        assert peer.receive() is None


@pytest.mark.alone
def test_an_idle_connection_is_closed_after_keepalive_timeout(server, work_app, record):
    app = server(app=work_app, processes=2, keepalive_timeout="1s")
    before = descriptors_at_rest(app)
    with Kept(app) as peer:
        assert peer.ask().status == 200
        time.sleep(0.5)  # half of its time
        start = time.monotonic()
        assert peer.ask().status == 200
        assert peer.receive() is None
        took = time.monotonic() - start
    record(f"closed after {took:.2f} s")
    assert 1 <= took < 3
    wait_for(lambda: descriptors(app) == before, "end of all duplicates")


def test_a_keepalive_timeout_of_zero_keeps_nothing(server, work_app):
    app = server(app=work_app, keepalive_timeout="0")
    with Kept(app) as peer:
        assert peer.ask()["Connection"] == "close"
        assert peer.receive() is None


def test_a_leaving_server_asks_for_its_connections_back(server, work_app):
    """By an empty line; a request that was on its way by then is served."""
    app = server(app=work_app, processes=2)
    with Kept(app) as idle, Kept(app) as crossing:
        assert idle.ask().status == crossing.ask().status == 200
        app.send_signal(1)  # SIGHUP
        assert idle.socket.recv(10) == b"\r\n"
        assert crossing.socket.recv(10) == b"\r\n"
        response = crossing.ask()
        assert response.status == 200
        assert response["Connection"] == "close"
        assert crossing.receive() is None
        idle.close()
        app.wait_log("generation 1 has left")
    with Kept(app) as peer:
        assert peer.ask().status == 200


def test_more_connections_than_can_be_kept_are_served_all_the_same(server, work_app, record):
    app = server(start=False, app=work_app, processes=2)
    app.through = [need("prlimit"), "--nofile=512"]
    app.start()
    peers, kept = [], []
    for _ in range(400):
        peers.append(Kept(app))
        answer = peers[-1].ask()
        assert answer.status == 200
        kept.append(stays(answer))
    record(f"{kept.count(True)} of 400 connections kept, the others closed after their answer")
    assert 0 < kept.count(True) < 400
    for peer, is_kept in zip(peers, kept):
        if is_kept:
            assert peer.ask().status == 200
        peer.close()


@pytest.mark.parametrize("connections", [1100, 4096])
def test_as_many_connections_are_kept_as_64_nginx_workers_have(server, work_app, connections):
    need_files(2 * connections)
    app = server(app=work_app, processes=4)
    with contextlib.ExitStack() as stack:
        peers = []
        for _ in range(connections):
            peers.append(stack.enter_context(Kept(app)))
            answer = peers[-1].ask()
            assert answer.status == 200 and stays(answer)
        for peer in peers:
            answer = peer.ask()
            assert answer.status == 200 and stays(answer)


def test_new_connections_beside_a_busy_worker_are_all_kept(server, work_app):
    """It does not read its mail meanwhile."""
    app = server(app=work_app, processes=2)
    with contextlib.ExitStack() as stack:
        busy = stack.enter_context(Kept(app))
        busy.ask()
        busy.send("/?ms=3000")
        for _ in range(600):
            answer = stack.enter_context(Kept(app)).ask()
            assert answer.status == 200 and stays(answer)
        assert not busy.has_answer(), "it was not busy all the time"
        assert busy.receive().status == 200

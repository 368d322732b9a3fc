"""When nginx keeps the connection to the server, and when it must not."""

import contextlib
import fcntl
import http.client
import os
import re
import select
import socket
import struct
import termios
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lib.tools import give_up
from pass_support import IMAGE_FILTER, LIMIT, NGINX, Nginx, Server, chunked, free_port, head, read_exactly, response, wait_for


@pytest.fixture(params=["on", "off"], ids=["buffered", "unbuffered"])
def two_requests(request, tmp_path):
    """Sends the same request twice. Returns the two responses and the server."""

    def run(answer, close=False, method="GET", extra="", **kwargs):
        def serve(s, r):
            s.sendall(answer)
            return close

        http = f"""
            upstream app {{ server unix:{tmp_path}/app.sock; keepalive 4; }}
            forktail_buffering {request.param};
        """
        with Server(tmp_path / "app.sock", serve) as server:
            with Nginx(tmp_path, http, "location / { forktail_pass app; " + extra + "}") as nginx:
                responses = []
                for _ in range(2):
                    responses.append(nginx.get("/", method, **kwargs))
                    # A connection that is closed is closed before the next request.
                    if close or run.closed:
                        wait_for(lambda: server.open == 0, "end of the connection")
                run.errors = nginx.errors()
        return responses, server

    run.closed = False
    return run


KEPT = {
    "content-length": response(b"hello"),
    "chunked": chunked(b"he", b"llo"),
    "chunked with a trailer": chunked(b"hello", trailer=b"X-Sum: 1\r\n"),
    "chunked in one byte pieces": chunked(*[bytes([c]) for c in b"hello"]),
    "a line end before the status line": b"\r\n" + response(b"hello"),
    "two line ends before the status line": b"\r\n\n" + response(b"hello"),
    "an interim response first": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + response(b"hello"),
    "connection: keep-alive": response(b"hello", keep="Connection: keep-alive\r\n"),
}


@pytest.mark.parametrize("answer", KEPT.values(), ids=KEPT.keys())
def test_a_response_read_to_its_end_keeps_the_connection(two_requests, answer):
    responses, server = two_requests(answer)
    assert [r.body for r in responses] == [b"hello"] * 2
    assert [r.status for r in responses] == [200] * 2
    assert server.connections == 1
    assert [r["UWSGI_KEEP_CONN"] for r in server.requests] == ["1"] * 2
    assert all(r.getheader("Link") is None for r in responses)


BODILESS = {
    "204": ("GET", head("204 No Content"), 204),
    "204 with a length": ("GET", head("204 No Content", "Content-Length: 5"), 204),
    "304": ("GET", head("304 Not Modified", "Content-Length: 5"), 304),
    "length 0": ("GET", response(b""), 200),
    "HEAD with a length": ("HEAD", head("200 OK", "Content-Length: 5"), 200),
    "HEAD chunked": ("HEAD", head("200 OK", "Transfer-Encoding: chunked"), 200),
    "HEAD without framing": ("HEAD", head("200 OK"), 200),
}


@pytest.mark.parametrize("method,answer,status", BODILESS.values(), ids=BODILESS.keys())
def test_a_response_without_a_body_keeps_the_connection(two_requests, method, answer, status):
    responses, server = two_requests(answer, method=method)
    assert [(r.status, r.body) for r in responses] == [(status, b"")] * 2
    assert server.connections == 1


CLOSED = {
    "connection: close": response(b"hello", keep="Connection: close\r\n"),
    "http 1.0": response(b"hello").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "chunked, connection: close": chunked(b"hello", keep="Connection: close\r\n"),
    "excess after the length": response(b"hello") + b"x",
    "a second response": response(b"hello") * 2,
    "excess after the final chunk": chunked(b"hello") + b"x",
}


@pytest.mark.parametrize("answer", CLOSED.values(), ids=CLOSED.keys())
def test_nginx_closes_a_connection_that_it_can_not_trust(two_requests, answer):
    two_requests.closed = True
    responses, server = two_requests(answer)
    assert [(r.status, r.body) for r in responses] == [(200, b"hello")] * 2
    assert server.connections == 2


GIVEN_BACK = {
    "after the length": response(b"hello") + b"\r\n",
    "after the final chunk": chunked(b"hello") + b"\r\n",
}


@pytest.mark.parametrize("answer", GIVEN_BACK.values(), ids=GIVEN_BACK.keys())
def test_a_connection_given_back_behind_a_response_is_closed_without_a_word(two_requests, answer):
    two_requests.closed = True
    responses, server = two_requests(answer)
    assert [(r.status, r.body) for r in responses] == [(200, b"hello")] * 2
    assert server.connections == 2
    assert "upstream sent" not in two_requests.errors


@pytest.mark.parametrize("answer", [response(b"x" * 200_000), chunked(*[b"x" * 10_000] * 20)],
                         ids=["length", "chunked"])
def test_a_connection_given_back_while_the_client_is_slow_costs_nothing_of_the_response(tmp_path, answer):
    """Unbuffered, nginx goes on reading when it has the whole response but the client has not."""
    given_back = threading.Event()

    def all_read(s):
        return struct.unpack("i", fcntl.ioctl(s, termios.TIOCOUTQ, b"\0" * 4))[0] == 0

    def serve(s, _):
        for data in (answer, b"\r\n"):
            s.sendall(data)
            wait_for(lambda: all_read(s), "reading of what was sent")
        given_back.set()

    slow_port = free_port()
    with Server(tmp_path / "sock", serve), Nginx(
            tmp_path, f"upstream backend {{ server unix:{tmp_path}/sock; keepalive 4; }}",
            f"""listen 127.0.0.1:{slow_port} sndbuf=4k;
                location / {{ forktail_pass backend; forktail_buffering off;
                              forktail_buffer_size 256k; forktail_buffers 4 256k; }}""") as nginx:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(LIMIT)
            client.connect(("127.0.0.1", slow_port))
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert given_back.wait(LIMIT)
            got = http.client.HTTPResponse(client)
            got.begin()
            assert got.read() == b"x" * 200_000
        assert "upstream sent" not in nginx.errors()


def edge_events(pid):
    """The events that an nginx worker asks for of its connections to unix sockets, as epoll flags."""
    unix = {line.split()[6] for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]}
    files = {fd.name: os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}
    watched = [events for fd, file in files.items() if file == "anon_inode:[eventpoll]"
               for tfd, events in re.findall(r"tfd:\s*(\d+) events:\s*(\w+)", Path(f"/proc/{pid}/fdinfo/{fd}").read_text())
               if re.sub(r"\D", "", files.get(tfd, "")) in unix]
    return [int(events, 16) for events in watched if int(events, 16) & select.EPOLLET]


def test_room_in_a_kept_connection_wakes_nginx_only_when_it_was_missing(tmp_path):
    """A unix socket reports it whenever the server has read something."""
    read_on = threading.Event()

    def serve(s, request):
        if request["REQUEST_METHOD"] == "POST":
            assert read_on.wait(LIMIT)
            read_exactly(s, int(request["CONTENT_LENGTH"]))
        s.sendall(response())

    http = f"upstream app {{ server unix:{tmp_path}/app.sock; keepalive 4; }} client_max_body_size 8m;"
    with Server(tmp_path / "app.sock", serve, with_body=False) as server, Nginx(
            tmp_path, http, "location / { forktail_pass app; }") as nginx:
        (worker,) = nginx.worker_pids()
        assert nginx.get().status == 200
        assert [flags & select.EPOLLOUT for flags in edge_events(worker)] == [0]
        with ThreadPoolExecutor() as pool:
            large = pool.submit(nginx.get, "/", "POST", b"x" * 4_000_000)
            wait_for(lambda: [flags & select.EPOLLOUT for flags in edge_events(worker)] == [select.EPOLLOUT], "EPOLLOUT")
            read_on.set()
            assert large.result().status == 200
        assert [flags & select.EPOLLOUT for flags in edge_events(worker)] == [0]
        assert server.connections == 1


@pytest.mark.skipif(NGINX != "/usr/sbin/nginx", reason="another nginx can not load Debian's modules")
def test_a_filter_that_answers_in_the_responses_place_costs_no_worker(tmp_path):
    """Such a filter wipes the request's contexts while the response is still being read."""
    if not IMAGE_FILTER.exists():
        give_up("nginx's image filter is not installed")
    http = f"upstream app {{ server unix:{tmp_path}/app.sock; keepalive 4; }}"
    with Server(tmp_path / "app.sock", lambda s, _: s.sendall(chunked(*[b"no image"] * 20_000))), Nginx(
            tmp_path, http, "location / { image_filter test; forktail_pass app; }", main=f"load_module {IMAGE_FILTER};") as nginx:
        workers = nginx.worker_pids()
        assert [nginx.get().status for _ in range(3)] == [415] * 3
        assert nginx.worker_pids() == workers


@pytest.mark.parametrize("method,answer", [
    ("GET", head("204 No Content") + b"x"), ("GET", response(b"") + b"x"), ("HEAD", response(b"hello"))])
def test_bytes_after_a_response_without_a_body_are_excess(two_requests, method, answer):
    two_requests.closed = True
    responses, server = two_requests(answer, method=method)
    assert [r.body for r in responses] == [b""] * 2
    assert server.connections == 2


def test_a_connection_is_kept_only_when_the_server_agrees(two_requests):
    two_requests.closed = True
    responses, server = two_requests(response(b"hello", keep=""))
    assert [r.body for r in responses] == [b"hello"] * 2
    assert server.connections == 2


def test_a_server_that_closes_is_served_as_ever(two_requests):
    """One that knows nothing of kept connections and ends its response by closing."""
    responses, server = two_requests(b"HTTP/1.1 200 OK\r\n\r\nhello", close=True)
    assert [r.body for r in responses] == [b"hello"] * 2
    assert server.connections == 2


def test_a_response_that_nginx_does_not_read_is_not_left_in_the_connection(two_requests):
    """error_page replaces the body, which then lies unread in the connection. The error page is
    passed on as well here, and meets the same."""
    two_requests.closed = True
    responses, server = two_requests(
        response(b"x" * 100000, status="500 Oops"),
        extra="forktail_intercept_errors on; error_page 500 /own.html;")
    assert [r.status for r in responses] == [500] * 2
    assert server.connections == len(server.requests) == 4


def test_connections_to_a_block_that_a_variable_names_are_kept(tmp_path):
    def serve(s, r):
        s.sendall(response())

    http = f"""
        upstream app {{ server unix:{tmp_path}/app.sock; keepalive 4; }}
        map $arg_to $target {{ default app; direct unix:{tmp_path}/app.sock; }}
    """
    with Server(tmp_path / "app.sock", serve) as server, Nginx(
            tmp_path, http, "location / { forktail_pass $target; }") as nginx:
        assert [nginx.get().body for _ in range(3)] == [b"hello"] * 3
        assert server.connections == 1
        assert nginx.get("/?to=direct").body == b"hello"
    assert ["UWSGI_KEEP_CONN" in r.variables for r in server.requests] == [True] * 3 + [False]


def test_without_keepalive_the_server_is_not_told_to_keep(tmp_path):
    def serve(s, r):
        s.sendall(response())

    location = f"location / {{ forktail_pass unix:{tmp_path}/app.sock; }}"
    with Server(tmp_path / "app.sock", serve) as server, Nginx(tmp_path, "", location) as nginx:
        assert nginx.get().body == b"hello"
        wait_for(lambda: server.open == 0, "end of the connection")
    assert "UWSGI_KEEP_CONN" not in server.requests[0].variables


def test_a_body_that_was_not_sent_whole_ends_the_connection(tmp_path):
    """The server answers before it has the body: the rest of it would be its next packet."""

    def serve(s, r):
        s.sendall(response())

    http = f"upstream app {{ server unix:{tmp_path}/app.sock; keepalive 4; }}"
    location = "location / { forktail_request_buffering off; forktail_pass app; }"
    with Server(tmp_path / "app.sock", serve, with_body=False) as server, Nginx(
            tmp_path, http, location) as nginx:
        connection = nginx.connect()
        connection.putrequest("POST", "/")
        connection.putheader("Content-Length", "1000")
        connection.endheaders()
        connection.send(b"x" * 10)
        assert connection.getresponse().status == 200
        wait_for(lambda: server.open == 0, "end of the connection")
        connection.close()


def test_a_connection_that_ended_while_idle_is_not_used(tmp_path):
    """The line end with which a server gives a connection back makes nginx close it."""

    def serve(s, r):
        s.sendall(response())
        serve.sockets.append(s)

    serve.sockets = []
    http = f"upstream app {{ server unix:{tmp_path}/app.sock; keepalive 4; }}"
    with Server(tmp_path / "app.sock", serve) as server, Nginx(
            tmp_path, http, "location / { forktail_pass app; }") as nginx:
        assert nginx.get().status == 200
        wait_for(lambda: serve.sockets, "server that is done with the answer")
        serve.sockets[0].sendall(b"\r\n")
        wait_for(lambda: server.open == 0, "end of the connection")
        assert nginx.get().status == 200
    assert server.connections == 2


def test_a_retry_begins_afresh(tmp_path):
    """The first server dies within a chunked response's head: nothing of it is left for the second."""

    def dying(s, r):
        s.sendall(b"\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Enc")
        return True

    def living(s, r):
        s.sendall(chunked(b"hello"))

    http = f"""upstream app {{
        server unix:{tmp_path}/one.sock; server unix:{tmp_path}/two.sock backup; keepalive 4; }}"""
    with Server(tmp_path / "one.sock", dying) as one, Server(tmp_path / "two.sock", living) as two:
        with Nginx(tmp_path, http, "location / { forktail_pass app; }") as nginx:
            answer = nginx.get("/", "PUT", b"body")
            assert (answer.status, answer.body) == (200, b"hello")
    assert [r.body for r in one.requests + two.requests] == [b"body"] * 2
    assert two.requests[0]["FORKTAIL_SENT"] >= one.requests[0]["FORKTAIL_SENT"]


@pytest.mark.parametrize("sent, asked", [("GET", "HEAD"), ("HEAD", "GET")])
def test_the_method_that_is_sent_says_whether_a_body_comes(tmp_path, sent, asked):
    """And not the client's, or a body would be taken for the next response."""

    def answer(s, request):
        s.sendall(head("200 OK", "Content-Length: 100", "X-Path: " + request["PATH_INFO"]))
        if request["REQUEST_METHOD"] != "HEAD":
            time.sleep(0.1)
            s.sendall(response(b"poison", headers=["X-Path: smuggled"]).ljust(100))

    with Server(tmp_path / "app.sock", answer) as server:
        http = f"upstream app {{ server unix:{tmp_path}/app.sock; keepalive 2; }}"
        location = f"location / {{ forktail_pass app; forktail_param REQUEST_METHOD {sent}; }}"
        with Nginx(tmp_path, http, location) as nginx:
            for path in ("/a", "/b"):
                connection = nginx.connect()
                with contextlib.closing(connection):
                    connection.request(asked, path)
                    assert connection.getresponse().headers["X-Path"] == path
        assert server.connections == (2 if sent == "GET" else 1)

"""Another protocol on the connection of a request (RFC 9110, section 7.8), as for WebSocket."""

import socket

import pytest

from pass_support import Nginx, Server, response

SWITCH = (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")


def echo(s, request):
    """Switches when it is asked to, and sends back what comes."""
    if request.variables.get("HTTP_UPGRADE") != "echo":
        s.sendall(response())
        return
    s.sendall(SWITCH + b"hello ")
    while data := s.recv(100):
        s.sendall(data.upper())


def read_until(s, end):
    data = b""
    while not data.endswith(end):
        part = s.recv(1000)
        assert part, data
        data += part
    return data


@pytest.mark.parametrize("queue", ["", "forktail_queue 10 active=4;"])
def test_a_connection_that_is_upgraded_is_a_tunnel_and_never_kept(tmp_path, queue):
    http = f"upstream app {{ server unix:{tmp_path}/app.sock; keepalive 4; }}"
    with Server(tmp_path / "app.sock", echo) as server, \
            Nginx(tmp_path, http, f"location / {{ forktail_pass app; {queue} }}") as nginx:
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", nginx.port), 10) as s:
                s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
                answer = read_until(s, b"hello ")
                assert answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
                assert b"Upgrade: echo\r\n" in answer
                for word in (b"one", b"two"):
                    s.sendall(word)
                    assert read_until(s, word.upper()) == word.upper()
        assert nginx.get().status == 200
        assert server.connections == 3


def test_a_client_that_has_not_asked_gets_no_other_protocol(tmp_path):
    with Server(tmp_path / "app.sock", lambda s, _: s.sendall(SWITCH)), \
            Nginx(tmp_path, "", f"location / {{ forktail_pass unix:{tmp_path}/app.sock; }}") as nginx:
        assert nginx.get().status == 502
        assert "status 101, which answers no request that was made" in nginx.errors()

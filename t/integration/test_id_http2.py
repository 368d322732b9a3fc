"""The id on HTTP/2: each stream of a connection is a request of its own."""

import re
import socket
import subprocess

import pytest

from lib.logs import nginx_error_id
from lib.tools import need
from lib.waiting import free_port

HEX = re.compile(r"[0-9a-f]{32}")


@pytest.fixture
def http2(nginx, tmp_path):
    """http2(PATH..., options=[...]) asks for all paths over one connection: a list of the responses'
    (header block, body); and the nginx."""
    curl = need("curl")
    port = free_port()
    # TLS, since curl 7.88 can not use a plain HTTP/2 connection twice.
    subprocess.run([need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
                    "-subj", "/CN=localhost", "-keyout", tmp_path / "key", "-out", tmp_path / "cert"],
                   check=True, stderr=subprocess.DEVNULL)
    served = nginx(http_conf=f"""
        server {{
            listen 127.0.0.1:{port} ssl http2;
            ssl_certificate {tmp_path}/cert;
            ssl_certificate_key {tmp_path}/key;
            forktail_trust 127.0.0.1;
            location / {{ return 200 "$http2 $connection $forktail_id"; }}
            location /denied/ {{ deny all; }}
        }}
    """, server_conf="location / { return 200; }")

    def get(*paths, options=()):
        out = subprocess.run(
            [curl, "-si", "-k", "--http2", *options,
             *(f"https://127.0.0.1:{port}{path}" for path in paths)],
            check=True, stdout=subprocess.PIPE, timeout=20).stdout.decode()
        return out, served

    return get


def test_each_stream_has_an_id_of_its_own(http2):
    out, _ = http2("/a", "/b", "/c")
    headers = re.findall(r"^x-request-id: (\S+)\r$", out, re.M)
    bodies = re.findall(r"h2 (\d+) ([0-9a-f]{32})", out)
    assert len(headers) == 3 and len(set(headers)) == 3
    assert [request_id for _, request_id in bodies] == headers
    assert len({connection for connection, _ in bodies}) == 1
    assert all(HEX.fullmatch(request_id) for request_id in headers)


def test_a_trusted_peers_id_is_taken(http2):
    out, _ = http2("/", options=["-H", "X-Request-ID: client-1234"])
    assert re.findall(r"^x-request-id: (\S+)\r$", out, re.M) == ["client-1234"]


def test_a_stream_that_ends_without_a_status_has_a_line_of_json(nginx):
    served = nginx(listen="http2", server_conf="location / { return 200; }")
    settings = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    unfinished_headers = bytes([0, 0, 3, 1, 1, 0, 0, 0, 1, 0x82, 0x84, 0x86])
    with socket.create_connection(("127.0.0.1", served.port)) as client:
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + unfinished_headers)
    [line] = served.wait_access(1)
    assert line["status"] == 0
    assert HEX.fullmatch(line["request_id"])


def test_each_error_log_line_has_the_id_of_its_stream(http2):
    out, served = http2("/denied/a", "/denied/b")
    sent = re.findall(r"^x-request-id: (\S+)\r$", out, re.M)
    lines = [line for line in served.errors() if "access forbidden" in line]
    assert [nginx_error_id(line) for line in lines] == sent
    assert ["/denied/a" in lines[0], "/denied/b" in lines[1]] == [True, True]

"""The id on HTTP/2: each stream of a connection is a request of its own."""

import re
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lib.logs import nginx_error_id
from lib.tools import need
from lib.waiting import free_port

HEX = re.compile(r"[0-9a-f]{32}")
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Echo(BaseHTTPRequestHandler):
    """Answers with the request's header lines."""

    def do_GET(self):
        body = "".join(f"{name}: {value}\n" for name, value in self.headers.items()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def echo():
    """The port of an upstream that answers with the request's header lines."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as upstream:
        thread = threading.Thread(target=upstream.serve_forever)
        thread.start()
        yield upstream.server_port
        upstream.shutdown()
        thread.join()


@pytest.fixture
def http2(nginx, echo, tmp_path):
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
            forktail_trace_context on;
            error_page 400 /refused;
            location / {{ return 200 "$http2 $connection $forktail_id"; }}
            location /denied/ {{ deny all; }}
            location /upstream {{ proxy_pass http://127.0.0.1:{echo}; }}
            location /refused {{ proxy_pass http://127.0.0.1:{echo}; }}
        }}
    """, server_conf="location / { return 200; }")

    def get(*paths, options=()):
        out = subprocess.run(
            [curl, "-si", "-k", "--http2", *options,
             *(f"https://127.0.0.1:{port}{path}" for path in paths)],
            check=True, stdout=subprocess.PIPE, timeout=20).stdout.decode()
        return out, served

    return get


def headers(name, out):
    return re.findall(rf"^{name}: (.*?)\r?$", out, re.M | re.I)


def one_id(out):
    """The id of a response from the upstream `echo`, which has seen this one and no other."""
    sent, seen = headers("x-request-id", out)
    assert sent == seen
    return sent


def test_each_stream_has_an_id_of_its_own(http2):
    out, _ = http2("/a", "/b", "/c")
    sent = headers("x-request-id", out)
    bodies = re.findall(r"h2 (\d+) ([0-9a-f]{32})", out)
    assert len(sent) == 3 and len(set(sent)) == 3
    assert [request_id for _, request_id in bodies] == sent
    assert len({connection for connection, _ in bodies}) == 1
    assert all(HEX.fullmatch(request_id) for request_id in sent)


def test_a_trusted_peers_id_is_taken(http2):
    out, _ = http2("/upstream", options=["-H", "X-Request-ID: client-1234"])
    assert one_id(out) == "client-1234"


def test_an_untrusted_peers_id_is_replaced(http2):
    out, served = http2("/upstream", options=["--interface", "127.0.0.2", "-H", "X-Request-ID: client-1234"])
    assert HEX.fullmatch(one_id(out))
    [line] = served.wait_access(1)
    assert (line["id_source"], line["client_id"]) == ("replaced", "client-1234")


def test_several_copies_are_replaced_by_one_id(http2):
    out, served = http2("/upstream", options=["-H", "X-Request-ID: client-1234", "-H", "X-Request-ID: client-5678"])
    assert HEX.fullmatch(one_id(out))
    [line] = served.wait_access(1)
    assert (line["id_source"], line["client_id"]) == ("replaced", "client-1234, client-5678")


def test_a_trusted_peers_trace_is_continued(http2):
    out, _ = http2("/upstream", options=["-H", "X-Request-ID: client-1234",
                                         "-H", f"traceparent: 00-{TRACE}-b7ad6b7169203331-01"])
    assert one_id(out) == TRACE
    [parent] = headers("traceparent", out)
    assert re.fullmatch(rf"00-{TRACE}-(?!b7ad6b7169203331)[0-9a-f]{{16}}-01", parent)


def test_an_untrusted_peers_trace_is_replaced(http2):
    out, _ = http2("/upstream", options=["--interface", "127.0.0.2",
                                         "-H", f"traceparent: 00-{TRACE}-b7ad6b7169203331-01"])
    sent = one_id(out)
    assert HEX.fullmatch(sent) and sent != TRACE
    [parent] = headers("traceparent", out)
    assert re.fullmatch(rf"00-{sent}-[0-9a-f]{{16}}-02", parent)


def test_the_upstream_of_a_refused_requests_error_page_gets_one_id(http2):
    out, _ = http2("/upstream", options=["-H", "Host: a..b"])
    assert out.startswith("HTTP/2 400")
    assert HEX.fullmatch(one_id(out))


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
    sent = headers("x-request-id", out)
    lines = [line for line in served.errors() if "access forbidden" in line]
    assert [nginx_error_id(line) for line in lines] == sent
    assert ["/denied/a" in lines[0], "/denied/b" in lines[1]] == [True, True]

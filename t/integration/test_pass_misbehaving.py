"""A server that sends anything but a proper response harms its own request only."""

import http.client
import socket
import time

import pytest

from pass_support import KEEP, Nginx, Server, chunked, head, response, wait_for

MODES = ["on", "off"]


class Rig:
    """One nginx and one server, whose answer the test sets from case to case."""

    def __init__(self, nginx, server, script):
        self.nginx = nginx
        self.server = server
        self.script = script

    def answer_with(self, pieces, close=True, pause=0.0):
        self.script.update(pieces=pieces, close=close, pause=pause)


@pytest.fixture(params=MODES, ids=["buffered", "unbuffered"])
def rig(request, tmp_path):
    script = {}

    def serve(s, r):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        for piece in script["pieces"]:
            s.sendall(piece)
            if script["pause"]:
                time.sleep(script["pause"])
        return script["close"]

    conf = f"""
        upstream app {{ server unix:{tmp_path}/app.sock max_fails=0; keepalive 4; }}
        forktail_buffering {request.param};
        forktail_read_timeout 2s;
    """
    with Server(tmp_path / "app.sock", serve) as server:
        with Nginx(tmp_path, conf, "location / { forktail_pass app; }") as nginx:
            yield Rig(nginx, server, script)


def read_all(rig):
    """The status and the body of one request, None for what the client saw cut."""
    connection = rig.nginx.connect()
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        try:
            return answer.status, answer.read()
        except (http.client.IncompleteRead, ConnectionResetError):
            return answer.status, None
    except http.client.RemoteDisconnected:
        return None, None
    finally:
        connection.close()


def one_by_one(data):
    return [data[i:i + 1] for i in range(len(data))]


WHOLE = {
    "length": response(b"hello"),
    "chunked": chunked(b"he", b"llo", trailer=b"A: b\r\n"),
    "cgi": f"Status: 200 OK\r\n{KEEP}Content-Length: 5\r\n\r\nhello".encode(),
    "interim": b"HTTP/1.1 100 Continue\r\n\r\n" + response(b"hello"),
    "a header that begins as a status line does": b"HTTP: a\r\n" + KEEP.encode() + b"Content-Length: 5\r\n\r\nhello",
    "line ends first": b"\r\n\r\n" + response(b"hello"),
    "bare line feeds": response(b"hello").replace(b"\r\n", b"\n"),
    "chunk extension": head("200 OK", "Transfer-Encoding: chunked") + b"5;a=b\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE.keys())
def test_bytes_one_at_a_time_are_a_response_all_the_same(rig, data):
    rig.answer_with(one_by_one(data), close=False, pause=0.0005)
    for _ in range(2):
        assert read_all(rig) == (200, b"hello")
    assert rig.server.connections == 1


@pytest.mark.parametrize("data", [response(b"hello"), chunked(b"he", b"llo")],
                         ids=["length", "chunked"])
def test_a_response_cut_at_any_offset_is_never_taken_for_a_whole_one(rig, data):
    body = data.index(b"\r\n\r\n") + 4
    for offset in range(len(data)):
        rig.answer_with([data[:offset]])
        status, got = read_all(rig)
        if offset < body:
            assert status == 502, offset
        else:
            assert (status, got) == (200, None), offset
    # The last line end of a chunked response is part of it.
    rig.answer_with([data])
    assert read_all(rig) == (200, b"hello")


@pytest.mark.parametrize("data", [chunked(b"he", b"l" * 20, b"lo"), chunked(b"x" * 300)])
def test_a_chunked_response_split_at_any_offset_is_whole(rig, data):
    expected = b"x" * 300 if b"xxx" in data else b"he" + b"l" * 20 + b"lo"
    for offset in range(1, len(data)):
        rig.answer_with([data[:offset], data[offset:]], close=False, pause=0.0005)
        assert read_all(rig) == (200, expected), offset


BAD_HEADS = {
    "nothing": b"",
    "a status of two digits": b"HTTP/1.1 20\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 Odd\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "no version": b"HTTP/x 200 OK\r\n\r\n",
    "garbage": b"\x00\x01\x02\xff" * 16,
    "a word": b"hello\r\n\r\n",
    "a zero byte in a header": b"HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length twice": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "a length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na",
    "chunks and a length": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\na",
    "a length of words": b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "a length too long": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "an unknown encoding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "chunked twice": b"HTTP/1.1 200 OK\r\n" + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    "a Status of a word": b"Status: fine\r\n\r\n",
    "a Status of one digit": b"Status: 2\r\n\r\n",
    "an interim Status": b"Status: 100 Continue\r\n\r\n",
    "a huge header": b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70000,
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 10000,
    "endless line ends": b"\r\n" * 40000,
    "endless interim responses": b"HTTP/1.1 102 Processing\r\n\r\n" * 4000,
    "a status line that is none after all": b"HTTP/1.x 200 OK\r\nContent-Length: 5\r\n\r\nhello",
}


@pytest.mark.parametrize("data", BAD_HEADS.values(), ids=BAD_HEADS.keys())
def test_a_head_that_is_none_is_a_502(rig, data):
    rig.answer_with([data])
    assert read_all(rig)[0] == 502
    rig.answer_with([response(b"hello")])
    assert read_all(rig) == (200, b"hello")


BAD_CHUNKS = {
    "no size": b"hello\r\n",
    "a negative size": b"-5\r\nhello\r\n",
    "a size too large": b"ffffffffffffffffff\r\nhello",
    "no line end after the data": b"5\r\nhelloX",
    "a hex prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("data", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
def test_a_bad_chunk_cuts_the_response(rig, data):
    rig.answer_with([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", data], pause=0.001)
    status, body = read_all(rig)
    assert body is None
    assert status in (200, None)  # nginx may not have sent the head yet
    assert "upstream sent invalid chunked response" in rig.nginx.errors()


def test_excess_never_reaches_the_client(rig):
    for data in (response(b"hello") + b"EXCESS" * 1000, chunked(b"hello") + b"EXCESS" * 1000):
        rig.answer_with([data])
        assert read_all(rig) == (200, b"hello")


def test_a_large_response_arrives_whole(rig):
    body = bytes(range(256)) * 4096
    for data in (response(body), chunked(*[body[i:i + 5000] for i in range(0, len(body), 5000)]),
                 b"HTTP/1.1 200 OK\r\n\r\n" + body):
        rig.answer_with([data])
        assert read_all(rig) == (200, body)


def test_a_response_that_a_client_is_slow_to_take_lies_where_the_location_keeps_bodies(tmp_path):
    def serve(s, r):
        s.sendall(response(b"x" * (16 << 20)))
        return True

    location = f"""location / {{
        forktail_pass unix:{tmp_path}/app.sock; forktail_buffers 2 4k; forktail_busy_buffers_size 4k;
        client_body_temp_path {tmp_path}/here;
    }}"""
    web = Nginx(tmp_path, "", location)
    conf = tmp_path / "nginx.conf"
    conf.write_text(conf.read_text().replace("forktail_temp_path", "# forktail_temp_path"))
    with Server(tmp_path / "app.sock", serve), web as nginx:
        with socket.create_connection(("127.0.0.1", nginx.port), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            wait_for(lambda: f"is buffered to a temporary file {tmp_path}/here/" in nginx.errors(), "temporary file")


def test_silence_is_a_504(tmp_path):
    def serve(s, r):
        s.recv(1)
        return True

    location = "location / { forktail_pass app; forktail_read_timeout 50ms; }"
    with Server(tmp_path / "app.sock", serve), Nginx(
            tmp_path, f"upstream app {{ server unix:{tmp_path}/app.sock; }}", location) as nginx:
        assert nginx.get().status == 504


def test_a_hundred_interim_responses_are_dropped_and_no_more(rig):
    for count, status in ((100, 200), (101, 502)):
        rig.answer_with([b"HTTP/1.1 102 Processing\r\n\r\n" * count + response(b"hello")])
        assert read_all(rig)[0] == status
    assert "upstream sent more than 100 interim responses" in rig.nginx.errors()


def test_interim_responses_take_no_room_from_the_one_that_counts(tmp_path):
    def answer(s, request):
        for _ in range(20):
            s.sendall(head("103 Early Hints", f"Link: </{'a' * 1200}.css>; rel=preload", keep=""))
        s.sendall(response(headers=[f"X-Large: {'b' * 2000}"]))

    with Server(tmp_path / "app.sock", answer) as server:
        http = f"upstream app {{ server unix:{tmp_path}/app.sock; keepalive 2; }}"
        with Nginx(tmp_path, http, "location / { forktail_pass app; forktail_buffer_size 4k; }") as nginx:
            answers = [nginx.get() for _ in range(2)]
            assert [(a.status, a.body, a.headers["X-Large"]) for a in answers] == [(200, b"hello", "b" * 2000)] * 2
        assert server.connections == 1

"""What a peer can send that is no request: each time an answer or a close, a line that says what was
wrong, and a server that serves on."""

import random
import ssl
import struct
import time

import pytest

from lib import uwsgi

GOOD = uwsgi.packet(uwsgi.variables("/echo", "POST", b"twelve bytes")) + b"twelve bytes"
HEAD_SIZE = len(GOOD) - 12


def bad_lines(app, after):
    return [line for line in app.log()[after:] if line["level"] == "warn"]


@pytest.fixture
def refused(server):
    """refused(DATA, status, why) sends the bytes and checks answer, log line and the next request."""

    def check(data, status, why, end=True, **options):
        app = server(**options)
        before = len(app.log())
        response = uwsgi.Response(uwsgi.exchange(app.dial(), data, end))
        (line,) = bad_lines(app, before)
        assert why in line["msg"]
        assert response.status == status
        assert response["X-Request-ID"] == line["request_id"]
        assert line["request_id"] in response.body.decode()
        assert app.get("/echo", method="POST", body=b"next").body == b"next"
        return app

    return check


def test_a_packet_cut_at_every_offset_harms_nothing(server, record):
    app = server(processes=2)
    pids = app.workers()
    for size in range(1, len(GOOD)):
        before = len(app.log())
        response = uwsgi.Response(uwsgi.exchange(app.dial(), GOOD[:size], end=True))
        assert response.status == 400, size
        (line,) = bad_lines(app, before)
        if size < 4:
            assert f"within the packet: {4 - size} of its bytes are missing" in line["msg"]
        elif size < HEAD_SIZE:
            assert f"within the packet: {HEAD_SIZE - size} of its bytes are missing" in line["msg"]
        else:
            assert f"closed after {size - HEAD_SIZE} of 12 bytes of the body" in line["msg"]
        assert response["X-Request-ID"] == line["request_id"]
    assert app.get("/echo", method="POST", body=b"next").body == b"next"
    assert app.workers() == pids
    record(f"{len(GOOD) - 1} cuts, each answered with 400 and logged; the same workers serve on")


def test_a_peer_that_connects_and_leaves_is_no_error(server):
    app = server()
    before = len(app.log())
    assert uwsgi.exchange(app.dial(), b"", end=True) == b""
    assert app.get("/").status == 200
    assert not bad_lines(app, before)


def test_a_peer_that_does_not_wait_for_its_answer_harms_nothing(server):
    app = server()
    pids = app.workers()
    for size in (*range(1, len(GOOD), 7), len(GOOD)):
        with uwsgi.connect(app.dial()) as s:
            s.sendall(GOOD[:size])
            # Closed with a reset, since the answer is never read.
    assert app.get("/").status == 200
    assert app.workers() == pids


def test_random_bytes_are_refused_or_answered_and_harm_nothing(server, record):
    seed = 20261123
    numbers = random.Random(seed)
    app = server(processes=2)
    pids = app.workers()
    statuses = []
    for _ in range(300):
        data = numbers.randbytes(numbers.randrange(1, 400))
        if numbers.random() < 0.5:  # past the check of the modifier
            data = struct.pack("<BHB", 0, len(data), 0) + data
        before = len(app.log())
        raw = uwsgi.exchange(app.dial(), data, end=True)
        statuses.append(uwsgi.Response(raw).status)
        assert len(bad_lines(app, before)) == 1, data
    assert app.get("/").status == 200
    assert app.workers() == pids
    counts = {status: statuses.count(status) for status in sorted(set(statuses))}
    record(f"seed {seed}: 300 packets of random bytes, answers by status: {counts}")
    assert set(counts) <= {400, 501}


def test_a_mutated_packet_is_refused_or_answered_and_harms_nothing(server, record):
    seed = 4711
    numbers = random.Random(seed)
    app = server(processes=2)
    pids = app.workers()
    statuses = []
    for _ in range(300):
        data = bytearray(GOOD)
        for _ in range(numbers.randrange(1, 4)):
            data[numbers.randrange(len(data))] = numbers.randrange(256)
        raw = uwsgi.exchange(app.dial(), bytes(data), end=True)
        statuses.append(uwsgi.Response(raw).status)
    assert app.get("/").status == 200
    assert app.workers() == pids
    record(f"seed {seed}: 300 packets with 1 to 3 bytes changed, answers by status: "
           f"{ {status: statuses.count(status) for status in sorted(set(statuses))} }")


def tls_hello():
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


FOREIGN = {
    "an HTTP request": (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "this is HTTP, not uwsgi"),
    "an HTTP POST": (b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", "this is HTTP, not uwsgi"),
    "an HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "this is HTTP, not uwsgi"),
    "a TLS hello": (tls_hello(), "this is TLS, not uwsgi"),
    "an SCGI request": (b"24:CONTENT_LENGTH\x000\x00SCGI\x001\x00,", "this is SCGI, not uwsgi"),
    "a FastCGI request": (b"\1\1\0\1\0\x08\0\0\0\1\0\0\0\0\0\0", "this is FastCGI, not uwsgi"),
    "the PROXY protocol": (b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n", "this is the PROXY protocol"),
}


@pytest.mark.parametrize("data, why", FOREIGN.values(), ids=FOREIGN.keys())
def test_another_protocol_is_called_by_its_name(refused, data, why):
    refused(data, 400, why, end=False)


@pytest.mark.parametrize("modifier", [1, 5, 99, 101, 173, 255])
def test_an_unknown_modifier_is_answered_with_501(refused, modifier):
    refused(uwsgi.packet(uwsgi.variables(), modifier1=modifier), 501,
            f"modifier1 {modifier} is not served here")


def test_a_packet_above_the_buffer_size_is_refused_and_one_of_that_size_is_not(refused):
    base = len(uwsgi.packet(uwsgi.variables(HTTP_X_FILL=""))) - 4
    limit = 2048
    too_large = uwsgi.packet(uwsgi.variables(HTTP_X_FILL="x" * (limit - base + 1)))
    app = refused(too_large, 400, "the packet has 2049 bytes, buffer-size allows 2048", end=False,
                  buffer_size=limit)
    assert app.get("/", HTTP_X_FILL="x" * (limit - base)).status == 200


def test_the_largest_packet_that_uwsgi_has_is_served(server):
    base = len(uwsgi.packet(uwsgi.variables(HTTP_X_FILL=""))) - 4
    assert server().get("/", HTTP_X_FILL="x" * (65535 - base)).status == 200


BAD_VARIABLES = {
    "a size that ends within a name": (b"\x20\0REQUEST", "ends within a variable's name"),
    "a size that ends within a value": (b"\1\0A\x20\0value", "ends within a variable's value"),
    "a name without a value": (b"\1\0A", "ends within a variable's value"),
    "one byte": (b"\1", "ends within a variable's name"),
    "an empty name": (b"\0\0\1\0A", "a variable has no name"),
    "a name with a line end": (b"\3\0A\nB\1\0C", "a blank or a control character"),
    "no variables at all": (b"", "REQUEST_METHOD is missing"),
}


@pytest.mark.parametrize("data, why", BAD_VARIABLES.values(), ids=BAD_VARIABLES.keys())
def test_malformed_variables_are_refused(refused, data, why):
    refused(struct.pack("<BHB", 0, len(data), 0) + data, 400, why)


@pytest.mark.parametrize("method", ["", "GET /", "G\r\nT", "G@T"])
def test_a_method_that_is_no_token_is_refused(refused, method):
    refused(uwsgi.packet(uwsgi.variables(REQUEST_METHOD=method)), 400, "REQUEST_METHOD is not")


@pytest.mark.parametrize("length", ["-1", "+1", "1 ", " 1", "0x10", "1e3", "ten", "1,1",
                                    "18446744073709551616", "1\r\n"])
def test_a_content_length_that_is_no_number_is_refused(refused, length):
    refused(uwsgi.packet(uwsgi.variables("/echo", "POST", CONTENT_LENGTH=length)) + b"x", 400,
            "CONTENT_LENGTH is not a number")


def test_two_content_lengths_that_differ_are_refused(refused):
    data = uwsgi.packet(uwsgi.variables("/echo", "POST", CONTENT_LENGTH="4"))[4:]
    data += uwsgi.packet({"CONTENT_LENGTH": "5"})[4:]
    refused(struct.pack("<BHB", 0, len(data), 0) + data + b"bodyX", 400,
            "CONTENT_LENGTH is given twice")


def test_a_body_above_the_limit_is_refused_unread_and_one_of_that_size_is_not(refused):
    head = uwsgi.packet(uwsgi.variables("/echo", "POST", CONTENT_LENGTH="1001"))
    app = refused(head + b"x" * 1001, 413, "the body has 1001 bytes, body-limit allows 1000",
                  body_limit=1000)
    assert app.get("/echo", method="POST", body=b"x" * 1000).body == b"x" * 1000


def test_a_huge_announced_body_takes_no_memory(refused):
    head = uwsgi.packet(uwsgi.variables("/echo", "POST", CONTENT_LENGTH=str(1 << 62)))
    refused(head + b"x", 400, "closed after 1 of 4611686018427387904 bytes of the body",
            body_limit=(1 << 62) + 1)


def test_bytes_behind_the_body_are_not_taken_for_a_second_request(server):
    app = server()
    before = len(app.log(event="request"))
    raw = uwsgi.exchange(app.dial(), GOOD + uwsgi.packet(uwsgi.variables("/smuggled")))
    assert uwsgi.Response(raw).body == b"twelve bytes"
    assert [line["path"] for line in app.wait_lines(before + 1, event="request")[before:]] == ["/echo"]


SLOW = {
    "half of the first four bytes": (GOOD[:2], "2 of its bytes are missing"),
    "half of a packet": (GOOD[:HEAD_SIZE - 7], "7 of its bytes are missing"),
    "half of a body": (GOOD[:-5], "the body stalled for socket-timeout (150 ms) after 7 of 12 bytes"),
}


@pytest.mark.parametrize("data, why", SLOW.values(), ids=SLOW.keys())
def test_a_peer_that_stalls_is_answered_with_408_after_the_socket_timeout(refused, data, why):
    start = time.monotonic()
    refused(data, 408, why, end=False, socket_timeout="150ms")
    assert time.monotonic() - start > 0.15


def test_a_peer_that_says_nothing_holds_no_worker_and_is_closed_after_the_socket_timeout(server):
    app = server(socket_timeout="1s")
    start = time.monotonic()
    with uwsgi.connect(app.dial()) as silent:
        assert app.get("/").status == 200
        assert time.monotonic() - start < 1
        assert uwsgi.read_to_end(silent) == b""
    assert 1 <= time.monotonic() - start < 5


def test_a_peer_that_sends_a_byte_now_and_then_does_not_hold_a_worker(server):
    app = server(socket_timeout="300ms")
    with uwsgi.connect(app.dial()) as s:
        s.settimeout(0.02)
        start = time.monotonic()
        answer = b""
        for byte in GOOD[:HEAD_SIZE - 1]:
            s.send(bytes([byte]))
            try:
                answer = s.recv(65536)
                break
            except TimeoutError:
                continue
    assert uwsgi.Response(answer).status == 408
    assert 0.3 <= time.monotonic() - start < 2


def test_a_peer_that_does_not_take_its_answer_does_not_hold_a_worker(server):
    app = server(socket_timeout="200ms", body_limit="64m")
    body = b"x" * (16 << 20)
    with uwsgi.connect(app.dial()) as s:
        s.sendall(uwsgi.packet(uwsgi.variables("/echo", "POST", body)) + body)
        line = app.wait_log("the response was cut: the web server took nothing for socket-timeout")
        assert line["level"] == "warn"
    assert app.get("/").status == 200


def test_a_large_body_comes_back_whole(server):
    app = server()
    body = random.Random(1).randbytes(8 << 20)
    assert app.get("/echo", method="POST", body=body).body == body


def test_a_body_that_comes_in_pieces_comes_back_whole(server):
    app = server()
    with uwsgi.connect(app.dial()) as s:
        for byte in GOOD:
            s.send(bytes([byte]))
        assert uwsgi.Response(uwsgi.read_to_end(s)).body == b"twelve bytes"


def test_a_path_can_not_forge_a_log_line(server):
    app = server()
    path = '/x\n{"msg":"forged","event":"request"}\r\x1b[31m\x85\xff'
    assert app.get("/", PATH_INFO=path).status == 200
    lines = app.wait_lines(event="request")
    assert len(lines) == 1
    assert not app.log(msg="forged")
    raw = (app.home / "server.log").read_bytes()
    assert not any(byte < 0x20 and byte != 0x0A for byte in raw)


def test_a_head_request_gets_no_body_but_its_length(server):
    app = server()
    response = app.get("/", method="HEAD")
    assert response.status == 200
    assert response.body == b""
    assert int(response["Content-Length"]) > 0

"""Responses as strings, files and streams, to nginx and to peers that keep no connection."""

import socket
import struct

import pytest

from lib import uwsgi
from lib.waiting import LIMIT, wait_for

SOURCE = r"""
#include <forktail/app.h>
#include <spdlog/spdlog.h>

#include <stdexcept>

class Answers : public forktail::App {
 public:
  forktail::Response handle(const forktail::Request& request, forktail::Context&) override {
    const std::string path(request.path());
    if (path == "/string") {
      return {200, "text/plain", "a string"};
    }
    if (path == "/file") {
      return forktail::Response::file(request.query("name").value(), "text/x-test");
    }
    if (path == "/lines") {
      return stream([&request](forktail::Writer& writer) {
        for (int i = 0; i < 3; ++i) {
          writer.write(request.query("word").value_or("line") + " " + std::to_string(i) + "\n");
        }
        spdlog::info("streamed");
      });
    }
    if (path == "/endless") {
      return stream([](forktail::Writer& writer) {
        const std::string piece(10000, 'x');
        while (writer.write(piece)) {
        }
        spdlog::info("the client left");
      });
    }
    if (path == "/throw-early") {
      return stream([](forktail::Writer&) { throw std::runtime_error("before it began"); });
    }
    if (path == "/throw-late") {
      return stream([](forktail::Writer& writer) {
        writer.write("the beginning");
        throw std::runtime_error("in the middle");
      });
    }
    if (path == "/cookies") {
      return forktail::Response(200, "", "").set_cookie("a", "1").set_cookie("b", "2", {.secure = false});
    }
    if (path == "/bad-cookie") {
      return forktail::Response().set_cookie("a", "1; Domain=evil.example");
    }
    return forktail::Response(std::stoi(path.substr(1)), "text/plain", "x");
  }

 private:
  static forktail::Response stream(forktail::Response::Stream produce) {
    return forktail::Response::stream(200, "text/plain", std::move(produce));
  }
};
FORKTAIL_APP(Answers)
"""


@pytest.fixture
def app(server, build_app):
    return server(app=build_app(SOURCE))


@pytest.fixture
def web(app, nginx):
    """An nginx that keeps its connections to the application."""
    return nginx(
        http_conf=f"upstream kept {{ server unix:{app.sockets()[0]}; keepalive 4; }}",
        server_conf="location / { forktail_pass kept; }")


def kept_exchange(app, *paths, method="GET"):
    """The raw answers to requests that follow each other on one connection."""
    answers = []
    with uwsgi.connect(app.dial()) as s:
        for path in paths:
            s.sendall(uwsgi.packet(uwsgi.variables(path, method, UWSGI_KEEP_CONN="1")))
            answers.append(read_answer(s, method))
    return answers


def read_answer(s, method):
    data = b""
    while b"\r\n\r\n" not in data:
        data += receive(s)
    head, _, body = data.partition(b"\r\n\r\n")
    while not is_whole(head, body, method):
        body += receive(s)
    return head + b"\r\n\r\n" + body


def receive(s):
    data = s.recv(65536)
    assert data, "the connection was closed"
    return data


def is_whole(head, body, method):
    if method == "HEAD" or b" 204 " in head or b" 304 " in head:
        return True
    if b"chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    (length,) = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
    return len(body) == int(length.split()[1])


def test_a_stream_is_chunked_on_a_connection_that_is_kept(app):
    (answer,) = kept_exchange(app, "/lines")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert b"Content-Length" not in head
    assert body == b"7\r\nline 0\n\r\n7\r\nline 1\n\r\n7\r\nline 2\n\r\n0\r\n\r\n"


def test_a_stream_ends_with_a_connection_that_is_not_kept(app):
    response = app.get("/lines?word=w")
    assert response.all("Transfer-Encoding") == response.all("Content-Length") == []
    assert response["Connection"] == "close"
    assert response.body == b"w 0\nw 1\nw 2\n"


def test_a_connection_serves_on_after_each_kind_of_answer(app, tmp_path):
    (tmp_path / "a").write_text("from a file")
    answers = kept_exchange(app, "/lines", f"/file?name={tmp_path}/a", "/204", "/string", "/throw-early",
                            "/304", "/lines")
    assert [int(answer.split()[1]) for answer in answers] == [200, 200, 204, 200, 500, 304, 200]
    assert answers[1].endswith(b"from a file")
    assert answers[3].endswith(b"a string")


@pytest.mark.parametrize("path", ["/lines", "/string", "/file"])
def test_head_has_the_head_of_get_and_no_body(app, web, path, tmp_path):
    (tmp_path / "a").write_text("from a file")
    path = f"/file?name={tmp_path}/a" if path == "/file" else path
    get, head = kept_exchange(app, path)[0], kept_exchange(app, path, path, method="HEAD")

    def fields(answer):
        return [line for line in answer.partition(b"\r\n\r\n")[0].split(b"\r\n") if b"Request-ID" not in line]

    assert fields(head[0]) == fields(head[1]) == fields(get)
    for _ in range(2):
        through = web.get(path, "HEAD")
        assert (through.status, through.body) == (200, b"")
        assert web.get(path).body
    assert not web.errors()


def test_every_kind_of_answer_comes_through_nginx(web, tmp_path):
    content = bytes(range(256)) * 20000
    (tmp_path / "big").write_bytes(content)
    for _ in range(2):
        big = web.get(f"/file?name={tmp_path}/big")
        assert (big.body, big.getheader("Content-Type")) == (content, "text/x-test")
        assert big.getheader("Content-Length") == str(len(content))
        assert web.get("/lines?word=a").body == b"a 0\na 1\na 2\n"
        assert web.get("/204").status == 204
        assert web.get("/string").body == b"a string"
    assert not web.errors()


def test_the_log_counts_the_bytes_of_files_and_streams(app, tmp_path):
    (tmp_path / "a").write_text("from a file")
    for path, size in ((f"/file?name={tmp_path}/a", 11), ("/lines", 21)):
        before = len(app.log(event="request"))
        app.get(path)
        assert app.wait_lines(before + 1, event="request")[-1]["bytes"] == size


@pytest.mark.parametrize("name", ["missing", "", ".", "a/below"])
def test_what_is_no_file_is_a_404(app, web, tmp_path, name):
    (tmp_path / "a").write_text("x")
    assert web.get(f"/file?name={tmp_path}/{name}").status == 404
    assert not app.log(level="error")


def test_an_exception_before_the_first_byte_of_a_stream_is_a_500(app, web):
    response = web.get("/throw-early")
    assert response.status == 500
    assert response.getheader("X-Request-ID") in response.body.decode()
    assert b"before it began" not in response.body
    (line,) = app.log(level="error")
    assert line["msg"] == "the application threw while it streamed: before it began"
    assert line["request_id"] == response.getheader("X-Request-ID")


def test_an_exception_within_a_stream_cuts_the_connection(app):
    with uwsgi.connect(app.dial()) as s:
        s.sendall(uwsgi.packet(uwsgi.variables("/throw-late", UWSGI_KEEP_CONN="1", REQUEST_ID="cut-in-two")))
        data = uwsgi.read_to_end(s)
    assert data.endswith(b"\r\n\r\nd\r\nthe beginning\r\n")
    (line,) = app.log(level="error")
    assert (line["msg"], line["request_id"]) == (
        "the application threw while it streamed: in the middle", "cut-in-two")
    (request,) = app.wait_lines(event="request")
    assert (request["status"], request["bytes"]) == (200, 13)


def test_nginx_cuts_the_response_of_a_stream_that_was_cut(app, web):
    with socket.create_connection(("127.0.0.1", web.port), LIMIT) as client:
        client.sendall(b"GET /throw-late HTTP/1.1\r\nHost: a\r\n\r\n")
        data = uwsgi.read_to_end(client)
    assert b"the beginning" in data
    assert not data.endswith(b"0\r\n\r\n")
    assert "upstream prematurely closed connection" in "".join(web.errors())


def test_a_stream_learns_that_its_client_has_left(app, web):
    client = socket.create_connection(("127.0.0.1", web.port), LIMIT)
    client.sendall(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.recv(1000)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    line = app.wait_log("the client left")
    assert line["request_id"] == wait_for(web.access, "access line")[0]["request_id"]
    assert app.get("/string").status == 200


def test_what_a_stream_logs_bears_the_id(app):
    app.get("/lines", REQUEST_ID="while-it-streams")
    assert app.wait_log("streamed")["request_id"] == "while-it-streams"


def test_cookies_are_headers_of_their_own(web, app):
    expected = ["a=1; Path=/; Secure; HttpOnly; SameSite=Lax", "b=2; Path=/; HttpOnly; SameSite=Lax"]
    assert app.get("/cookies").all("Set-Cookie") == expected
    assert web.get("/cookies").headers.get_all("Set-Cookie") == expected


def test_a_cookie_that_would_forge_attributes_is_a_500(app):
    assert app.get("/bad-cookie").status == 500
    assert "the cookie a can not be set: its value" in app.log(level="error")[0]["msg"]

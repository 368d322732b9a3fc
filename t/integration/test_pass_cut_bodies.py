"""A request whose body was passed on already, when an error page or post_action passes the request to another server:
what is left of the body is never sent as if it were the whole."""

import pytest

from pass_support import Nginx, Server, read_exactly, response, wait_for

BODY = b"x" * 100_000


class Spare(Server):
    """Answers with how much of a body it was told of, and has got."""

    def __init__(self, home):
        super().__init__(home / "spare.sock", self.count, with_body=False)

    @staticmethod
    def count(s, request):
        told = request["CONTENT_LENGTH"]
        body = read_exactly(s, int(told or 0))
        s.sendall(response(f"{request['REQUEST_METHOD']} {told} {len(body)}".encode(), status="201 Created"))


def leave(s, request):
    """Reads a part of the body, and ends."""
    s.recv(1000)
    return True


def decline(s, request):
    """Reads the whole body, and has no use for it."""
    read_exactly(s, len(BODY))
    s.sendall(response(b"busy", status="503 Busy"))


def accept(s, request):
    read_exactly(s, len(BODY))
    s.sendall(response())


def post(home, answer, directives, error_page="@spare", method="POST", said=""):
    with Server(home / "app.sock", answer, with_body=False), Spare(home) as spare:
        server = f"""
            client_body_buffer_size 8k;
            location / {{ {directives} error_page 502 503 = {error_page}; }}
            location @spare {{ forktail_pass unix:{home}/spare.sock; }}
            location = /spare {{ forktail_pass unix:{home}/spare.sock; }}"""
        with Nginx(home, "", server) as nginx:
            answer = nginx.get("/", method, BODY)
            wait_for(lambda: said in nginx.errors(), said)
            return answer.status, answer.body, spare.requests, nginx.errors()


@pytest.mark.parametrize("answer", [leave, decline])
def test_a_body_that_is_gone_is_an_error(tmp_path, answer):
    status, _, requests, errors = post(tmp_path, answer, f"""
        forktail_pass unix:{tmp_path}/app.sock; forktail_request_buffering off; forktail_intercept_errors on;""")
    assert status == 502
    assert not requests
    assert "a part of the request's body has been passed on already" in errors


def test_it_does_not_matter_who_has_passed_it_on(tmp_path):
    status, _, requests, errors = post(tmp_path, leave, """
        proxy_pass http://127.0.0.1:1; proxy_http_version 1.1; proxy_request_buffering off;""")
    assert status == 502
    assert not requests
    assert "a part of the request's body has been passed on already" in errors


def test_a_body_in_a_file_is_gone_with_the_response(tmp_path):
    status, _, requests, errors = post(tmp_path, accept, f"""
        forktail_pass unix:{tmp_path}/app.sock; post_action /spare;""", said="has been passed on already")
    assert status == 200
    assert not requests
    assert "[crit]" not in errors


def test_a_body_that_was_buffered_is_sent_once_more(tmp_path):
    status, body, _, _ = post(tmp_path, decline, f"""
        forktail_pass unix:{tmp_path}/app.sock; forktail_intercept_errors on;""")
    assert (status, body) == (201, b"POST 100000 100000")


def test_an_error_page_of_its_own_needs_no_body(tmp_path):
    status, body, _, _ = post(tmp_path, decline, f"""
        forktail_pass unix:{tmp_path}/app.sock; forktail_request_buffering off; forktail_intercept_errors on;""",
        error_page="/spare")
    assert (status, body) == (201, b"GET 0 0")
